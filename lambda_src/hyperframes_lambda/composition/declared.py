"""Declarations of the entry page: canvas, frame rate, duration and variables. The live page decides the duration."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hyperframes_lambda.composition.html import StartTag, tokenize
from hyperframes_lambda.composition.source import read_page
from hyperframes_lambda.contract.config import parse_fps
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

_TYPE_NAMES = {
    "string": "a string",
    "color": "a string",
    "enum": "one of its options",
    "number": "a finite number",
    "boolean": "true or false",
    "font": "a string or an object with name and source",
    "image": "a string or an object with url",
}


@dataclass(frozen=True)
class Variable:
    """An entry of `data-composition-variables`. Only an enum has `options`."""

    id: str
    type: str
    default: Any = None
    options: tuple[Any, ...] = ()
    label: str | None = None


@dataclass(frozen=True)
class Declaration:
    """The root's declarations: sizes in CSS pixels, duration in seconds, None when absent."""

    composition_id: str | None
    width: int | None
    height: int | None
    fps: Fraction | None
    duration: float | None
    variables: tuple[Variable, ...]


def declared(project_dir: Path, entry: str) -> Declaration:
    """Read the declarations of `entry`. Raise `INVALID_CONFIG`, with file and line, for an invalid size, frame rate or variable list."""
    page = tokenize(read_page(project_dir, entry).text)
    root = next((tag for tag in page.starts() if tag.has("data-composition-id") and not tag.in_template), None)
    variables = {
        variable.id: variable
        for tag in page.starts()
        if tag.get("data-composition-variables") and not tag.in_template
        for variable in _variables(tag, entry)
    }
    if root is None:
        return Declaration(None, None, None, None, None, tuple(variables.values()))
    return Declaration(
        composition_id=root.get("data-composition-id"),
        width=_size(root, "data-width", entry),
        height=_size(root, "data-height", entry),
        fps=_fps(root, entry),
        duration=_duration(root),
        variables=tuple(variables.values()),
    )


def check_variables(declarations: Sequence[Variable], values: Mapping[str, Any]) -> None:
    """Raise one `INVALID_CONFIG` that names every value of an undeclared variable or of the wrong type."""
    known = {variable.id: variable for variable in declarations}
    faults = [
        f"config.variables.{name}: not declared by the composition; declared: {', '.join(sorted(known)) or 'none'}"
        if name not in known
        else f"config.variables.{name}: {value!r} is not {_expected(known[name])}"
        for name, value in values.items()
        if name not in known or not _fits(known[name], value)
    ]
    if faults:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            "\n".join(faults),
            hint="Correct the variables, or leave out strictVariables to pass them unchecked.",
        )


def _expected(variable: Variable) -> str:
    if variable.type == "enum" and variable.options:
        return f"one of {', '.join(map(repr, variable.options))}"
    return _TYPE_NAMES.get(variable.type, f"a {variable.type}")


def _fits(variable: Variable, value: object) -> bool:
    match variable.type:
        case "string" | "color":
            return isinstance(value, str)
        case "enum":
            return value in variable.options if variable.options else isinstance(value, str)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        case "boolean":
            return isinstance(value, bool)
        case "font":
            return isinstance(value, str) or _has_strings(value, ("name", "source"))
        case "image":
            return isinstance(value, str) or _has_strings(value, ("url",))
        case _:
            return True


def _has_strings(value: object, keys: Iterable[str]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(key), str) for key in keys)


def read_variables(tag: StartTag, path: str) -> tuple[Variable, ...]:
    """Return the variables that an element declares. Raise `INVALID_CONFIG` for an invalid list."""
    return tuple(_variables(tag, path)) if tag.get("data-composition-variables") else ()


def _variables(tag: StartTag, path: str) -> list[Variable]:
    where = f"{path} line {tag.line}: data-composition-variables"
    try:
        entries = json.loads(tag.get("data-composition-variables") or "[]")
    except ValueError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"{where} is not JSON: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in entries):
        raise RenderError(ErrorCode.INVALID_CONFIG, f"{where} is not a list of objects with an id")
    return [
        Variable(
            id=entry["id"],
            type=str(entry.get("type", "string")),
            default=entry.get("default"),
            label=entry["label"] if isinstance(entry.get("label"), str) else None,
            options=tuple(option.get("value") if isinstance(option, dict) else option for option in entry.get("options") or ()),
        )
        for entry in entries
    ]


def _size(root: StartTag, name: str, path: str) -> int | None:
    text = (root.get(name) or "").strip()
    if not text:
        return None
    number = text.removesuffix("px")
    try:
        size = float(number)
    except ValueError:
        size = math.nan
    if not math.isfinite(size) or size < 1 or size != int(size):
        raise RenderError(ErrorCode.INVALID_CONFIG, f"{path} line {root.line}: {name}={text!r} is not a whole number of pixels")
    return int(size)


def _fps(root: StartTag, path: str) -> Fraction | None:
    text = (root.get("data-fps") or "").strip()
    if not text:
        return None
    try:
        return parse_fps(text)
    except ValueError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"{path} line {root.line}: data-fps={text!r}; {error}") from error


def _duration(root: StartTag) -> float | None:
    try:
        seconds = float(root.get("data-duration") or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
