"""Conditions and intrinsic functions of a template, evaluated against parameters and resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperframes_provider.local.cloudformation.template import SUBSTITUTION, Template, TemplateError, sub_arguments

_FUNCTIONS = frozenset({"Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Split", "Fn::Select", "Fn::If"})

NO_VALUE = object()
"""The value of `AWS::NoValue`: the property is removed."""


@dataclass(frozen=True)
class Scope:
    """The names that a template's values can refer to. `resource` returns a `Ref` value (attribute None) or an attribute."""

    parameters: Mapping[str, str | list[str]]
    pseudo: Mapping[str, str]
    resource: Callable[[str, str | None], Any]
    conditions: dict[str, bool] = field(default_factory=dict)

    def ref(self, name: str) -> Any:
        """Return the value of `Ref: name`."""
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.resource(name, None)


def scope(
    template: Template, parameters: Mapping[str, str], pseudo: Mapping[str, str], resource: Callable[[str, str | None], Any]
) -> Scope:
    """Return a scope with the template's conditions evaluated; `parameters` come from `resolve_parameters`."""
    values: dict[str, str | list[str]] = {
        name: value.split(",") if template.parameters[name].get("Type") == "CommaDelimitedList" else value
        for name, value in parameters.items()
    }
    made = Scope(values, pseudo, resource)
    for name in template.conditions:
        _condition(template, name, made)
    return made


def _condition(template: Template, name: str, within: Scope) -> bool:
    if name not in within.conditions:
        if name not in template.conditions:
            raise TemplateError(f"Template format error: Unresolved condition dependency {name}")
        within.conditions[name] = is_true(template, template.conditions[name], within)
    return within.conditions[name]


def is_true(template: Template, expression: Any, within: Scope) -> bool:
    """Evaluate a condition. Raise `TemplateError` if it is malformed or refers to nothing."""
    match expression:
        case {"Condition": str(name)}:
            return _condition(template, name, within)
        case {"Fn::Equals": [left, right]}:
            return bool(as_text(evaluate(left, within)) == as_text(evaluate(right, within)))
        case {"Fn::Not": [inner]}:
            return not is_true(template, inner, within)
        case {"Fn::And": [*inner]}:
            return all(is_true(template, one, within) for one in inner)
        case {"Fn::Or": [*inner]}:
            return any(is_true(template, one, within) for one in inner)
    raise TemplateError(f"Template format error: the embedded endpoint does not support the condition {expression}")


def evaluate(value: Any, within: Scope) -> Any:
    """Return `value` with all intrinsic functions evaluated."""
    if isinstance(value, list):
        return [item for item in (evaluate(item, within) for item in value) if item is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name, argument) = next(iter(value.items()))
        if name == "Ref":
            return within.ref(argument)
        if name in _FUNCTIONS:
            return _call(name, argument, within)
        if name.startswith("Fn::"):
            raise TemplateError(f"Template error: the embedded endpoint does not support {name}")
    resolved = {key: evaluate(item, within) for key, item in value.items()}
    return {key: item for key, item in resolved.items() if item is not NO_VALUE}


def _call(name: str, argument: Any, within: Scope) -> Any:
    match name, argument:
        case "Fn::GetAtt", [str(resource), str(attribute)]:
            return within.resource(resource, attribute)
        case "Fn::Sub", _:
            return _substitute(argument, within)
        case "Fn::Join", [delimiter, items]:
            return as_text(evaluate(delimiter, within)).join(map(as_text, evaluate(items, within)))
        case "Fn::Split", [delimiter, text]:
            return as_text(evaluate(text, within)).split(as_text(evaluate(delimiter, within)))
        case "Fn::Select", [index, items]:
            return evaluate(items, within)[int(evaluate(index, within))]
        case "Fn::If", [str(condition), yes, no]:
            if condition not in within.conditions:
                raise TemplateError(f"Template format error: Unresolved condition dependency {condition}")
            return evaluate(yes if within.conditions[condition] else no, within)
    raise TemplateError(f"Template error: {name} cannot take {argument}")


def _substitute(argument: Any, within: Scope) -> str:
    text, own = sub_arguments(argument)

    def replacement(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        if name in own:
            return as_text(evaluate(own[name], within))
        resource, _, attribute = name.partition(".")
        return as_text(within.resource(resource, attribute) if attribute else within.ref(resource))

    return SUBSTITUTION.sub(replacement, text)


def as_text(value: Any) -> str:
    """Return a value as the string that CloudFormation makes of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
