"""Write the tables of `docs/` that follow from the code: configuration fields, formats, stack parameters, error codes and commands.

Run it as `make docs`. It replaces the text between `<!-- table NAME -->` and `<!-- end -->` in each page and leaves the prose alone.
`tests/repository/test_documentation.py` fails when a page is out of date.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ERROR_TABLE, Retry
from hyperframes_lambda.contract.formats import CRF_RANGES, FORMATS, FRAME_RATES, rate_name, rate_names
from hyperframes_provider.cli.parsers import parser
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, load_template

DOCS = Path(__file__).resolve().parents[1] / "docs"

_RETRIES = {Retry.NEVER: "no", Retry.TRANSIENT: "yes", Retry.THROTTLED: "yes, after a long wait", Retry.LOST: "yes, from the last segment"}


def config_fields() -> Iterator[list[str]]:
    """Rows for the fields of a render's configuration, in the model's order."""
    yield ["Field", "Type", "Accepted", "Default", "Description"]
    schema = RenderConfig.model_json_schema()
    for name, field in schema["properties"].items():
        value = next((kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"), field)
        value = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
        kind, accepted = _kind(value, schema["$defs"])
        # The schema cannot express what these fields' validators accept.
        if name == "fps":
            kind, accepted = "number or string", rate_names(FRAME_RATES)
        elif name in ("width", "height"):
            accepted = f"even, {accepted}"
        default = field.get("default")
        yield [f"`{name}`", kind, accepted, "" if default is None else _code(default), field.get("description", "")]


def formats() -> Iterator[list[str]]:
    """Rows for the output formats: what each accepts in the fields that depend on it."""
    yield ["`format`", "`codec`", "`audioCodec`", "`crf`", "`fps`", "`metadata`", "Even size"]
    for name, spec in FORMATS.items():
        ranges = [f"{CRF_RANGES[codec][0]} to {CRF_RANGES[codec][1]}" for codec in spec.codecs[:1] if codec in CRF_RANGES]
        rates = "all video rates" if spec.rates == FRAME_RATES else ", ".join(map(rate_name, spec.rates))
        yield [
            f"`{name.value}`",
            _codes(spec.codecs),
            _codes(spec.audio_codecs),
            *(ranges or [""]),
            rates,
            _mark(spec.tags),
            _mark(spec.even),
        ]


def stack_parameters() -> Iterator[list[str]]:
    """Rows for the template's parameters."""
    yield ["Parameter", "Accepted", "Default", "Description"]
    for name, parameter in load_template().parameters.items():
        if name in PLACED_BY_DEPLOY:
            continue
        accepted = parameter.constraint or ""
        if parameter.allowed:
            accepted = _codes(parameter.allowed)
        elif parameter.type == "Number":
            accepted = _range(parameter.minimum, parameter.maximum)
        yield [f"`{name}`", accepted, _code(parameter.default) if parameter.default else "", parameter.description]


def errors() -> Iterator[list[str]]:
    """Rows for the error table."""
    yield ["Code", "Meaning", "Retried"]
    for code, spec in ERROR_TABLE.items():
        yield [f"`{code}`", spec.meaning, _RETRIES[spec.retry]]


def commands() -> Iterator[list[str]]:
    """Rows for the verbs of the command line, in the order of its help."""
    yield ["Command", "Purpose"]
    yield from _verbs("hyperframes-airflow", parser())


TABLES: dict[str, Callable[[], Iterable[list[str]]]] = {
    "config-fields": config_fields,
    "formats": formats,
    "stack-parameters": stack_parameters,
    "errors": errors,
    "commands": commands,
}


def filled(page: str) -> str:
    """Return the text of a page with its tables as the code has them now."""
    return re.sub(
        r"(?<=<!-- table )([a-z-]+)( -->\n).*?(?=<!-- end -->)",
        lambda found: f"{found[1]}{found[2]}\n{_table(TABLES[found[1]]())}\n",
        page,
        flags=re.DOTALL,
    )


def main() -> None:
    """Fill the tables of every page."""
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(filled(path.read_text("utf-8")), "utf-8")


def _table(rows: Iterable[list[str]]) -> str:
    head, *body = rows
    lines = (" | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in row) for row in (head, ["---"] * len(head), *body))
    return "".join(f"| {line} |\n" for line in lines)


def _kind(value: dict[str, Any], definitions: dict[str, Any]) -> tuple[str, str]:
    """Return the type of a JSON schema, and the values that it accepts."""
    if "enum" in value:
        return value["type"], _codes(value["enum"])
    if value["type"] == "array":
        item = value["items"]
        kind, accepted = _kind(definitions[item["$ref"].rpartition("/")[2]] if "$ref" in item else item, definitions)
        return f"list of {kind}s", accepted
    if value["type"] == "object":
        values = value.get("additionalProperties")
        return ("object of strings", _kind(values, definitions)[1]) if isinstance(values, dict) else ("object", "")
    if "pattern" in value:
        return value["type"], _code(value["pattern"].removeprefix("^").removesuffix("$"))
    if value["type"] == "boolean":
        return "boolean", _codes(["true", "false"])
    if "maxLength" in value:
        return value["type"], f"{_range(value.get('minLength'), value['maxLength'])} characters"
    return value["type"], _range(value.get("minimum"), value.get("maximum"))


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "" if low is None else f"{low:g} or more"
    return f"{low:,g} to {high:,g}" if high >= 1e4 else f"{low:g} to {high:g}"


def _code(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _codes(values: Iterable[object]) -> str:
    return ", ".join(map(_code, values))


def _mark(value: bool) -> str:
    return "yes" if value else ""


def _verbs(prefix: str, verbs: argparse.ArgumentParser) -> Iterator[list[str]]:
    for action in verbs._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                command = f"{prefix} {name}"
                deeper = list(_verbs(command, verb))
                yield from deeper or [[f"`{' '.join([command, *_required(verb)])}`", verb.description]]


def _required(verb: argparse.ArgumentParser) -> Iterator[str]:
    for action in verb._actions:
        if action.option_strings and action.required:
            yield f"{action.option_strings[0]} {action.metavar}"
        elif not action.option_strings:
            yield f"[{action.metavar}…]" if action.nargs in ("*", "?") else str(action.metavar)


if __name__ == "__main__":
    main()
