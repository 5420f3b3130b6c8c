"""The stack's template and state machine definition, and the template's parameters.

A wheel contains the files in `hyperframes_provider/cfn`, a checkout in `cfn/`. Values are checked against the template's own
constraints, so that an invalid one is refused before anything is created.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import hyperframes_provider
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest

PLACED_BY_DEPLOY = ("CodeBucket", "CodeKey", "DefinitionBucket", "DefinitionKey")
"""Parameters with the locations of the uploaded code and definition, which a deploy sets."""

_TOGETHER = (("CodeBucket", "CodeKey"), ("WebhookUrl", "WebhookSecretArn"), ("VpcSubnetIds", "VpcSecurityGroupIds"))
"""Pairs of parameters that the template's rules require together."""


class TemplateMissing(HyperFramesClientError):
    """The installation lacks `cfn/`."""

    retryable = False


class InvalidStackParameter(InvalidRequest):
    """A stack parameter is unknown, or the template does not accept its value."""


@dataclass(frozen=True)
class Parameter:
    """One declaration of the template's `Parameters` section."""

    name: str
    type: str
    default: str | None
    allowed: tuple[str, ...]
    pattern: str | None
    minimum: float | None
    maximum: float | None
    min_length: int | None
    max_length: int | None
    description: str
    constraint: str | None
    """The template's description of `pattern`."""

    def fault(self, value: str) -> str | None:
        """Return what is accepted instead of `value`, None if `value` is. The checks are those of CloudFormation."""
        if self.allowed:
            return None if value in self.allowed else f"accepted: {', '.join(self.allowed)}"
        if self.type == "Number":
            return self._number_fault(value)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"accepted: {self.constraint or self.pattern}"
        if not (self.min_length or 0) <= len(value) <= (self.max_length or len(value)):
            return f"accepted: {self.min_length or 0} to {self.max_length or 'any number of'} characters"
        return None

    def _number_fault(self, value: str) -> str | None:
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return "accepted: a number"
        low, high = self.minimum, self.maximum
        if (low is None or float(value) >= low) and (high is None or float(value) <= high):
            return None
        if low is not None and high is not None:
            return f"accepted: {low:g} to {high:g}"
        return f"accepted: {low:g} or more" if low is not None else f"accepted: {high:g} or less"


@dataclass(frozen=True)
class StackTemplate:
    """The template's text, the state machine's definition and the declared parameters by name."""

    body: str
    definition: bytes
    parameters: Mapping[str, Parameter]

    def resolve(self, given: Mapping[str, object], *, later: Collection[str] = ()) -> dict[str, str]:
        """Return every parameter's value in CloudFormation's form, with defaults, except for those that are set `later`.

        Raise `InvalidStackParameter` with one line per fault: an unknown name, a value out of range, a missing value without a default, or
        a contradiction.
        """
        faults = [self._unknown(name) for name in given if name not in self.parameters]
        values: dict[str, str] = {}
        for name, parameter in self.parameters.items():
            if name in later:
                continue
            value = _as_text(given[name]) if name in given else parameter.default
            if value is None:
                faults.append(f"{name}: a value is required; {parameter.description}")
                continue
            fault = parameter.fault(value)
            if fault is not None:
                faults.append(f"{name}: {value!r} is not accepted; {fault}")
            values[name] = value
        faults += _contradictions({**values, **dict.fromkeys(later, "given later")})
        if faults:
            raise InvalidStackParameter("\n".join(faults), hint="Nothing was created or changed. Correct the stack's parameters.")
        return values

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.parameters, n=1)
        known = ", ".join(sorted(set(self.parameters) - set(PLACED_BY_DEPLOY)))
        return f"{name}: unknown parameter, " + (f"did you mean {near[0]}?" if near else f"known: {known}")


def _contradictions(values: Mapping[str, str]) -> list[str]:
    """Return the violations of the template's rules."""
    faults = [
        f"{one}: requires {other}, and vice versa; give both or neither"
        for one, other in _TOGETHER
        if bool(values.get(one)) != bool(values.get(other))
    ]
    if bool(values.get("CodeKey")) == bool(values.get("ImageUri")):
        faults.append("ImageUri: give either ImageUri, or CodeBucket and CodeKey")
    return faults


def cfn_folder() -> Path:
    """Return the folder with `template.yaml` and `render.asl.json`; raise `TemplateMissing` if the installation has none."""
    package = Path(hyperframes_provider.__file__).parent
    for folder in (package / "cfn", package.parent / "cfn"):
        if (folder / "template.yaml").is_file():
            return folder
    raise TemplateMissing(
        f"no cfn/template.yaml in {package} or beside it", hint="Reinstall hyperframes-provider; its wheel contains the template."
    )


@cache
def load_template() -> StackTemplate:
    """Read both files, once per process."""
    folder = cfn_folder()
    body = (folder / "template.yaml").read_text(encoding="utf-8")
    declared: dict[str, dict[str, Any]] = yaml.load(body, Loader=_TemplateLoader)["Parameters"]
    return StackTemplate(
        body=body,
        definition=(folder / "render.asl.json").read_bytes(),
        parameters={name: _parameter(name, entry) for name, entry in declared.items()},
    )


class _TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML ships no types
    """Loader of a template as plain data. CloudFormation's functions (`!Ref`, `!Sub`) become None; parameters have none."""


_TemplateLoader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def _parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        type=entry["Type"],
        default=_as_text(entry["Default"]) if "Default" in entry else None,
        allowed=tuple(_as_text(value) for value in entry.get("AllowedValues", ())),
        pattern=entry.get("AllowedPattern"),
        minimum=entry.get("MinValue"),
        maximum=entry.get("MaxValue"),
        min_length=entry.get("MinLength"),
        max_length=entry.get("MaxLength"),
        description=entry.get("Description", ""),
        constraint=entry.get("ConstraintDescription"),
    )


def _as_text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).strip()
