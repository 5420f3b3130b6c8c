"""Parameters of a template: defaults, constraints and rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hyperframes_provider.local.cloudformation.intrinsics import Scope, as_text, is_true
from hyperframes_provider.local.cloudformation.template import Template, TemplateError


def resolve_parameters(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every declared parameter; raise `TemplateError` that names an unknown, missing or invalid one."""
    if unknown := [name for name in given if name not in template.parameters]:
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    if missing := [name for name, spec in template.parameters.items() if name not in given and "Default" not in spec]:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: given[name] if name in given else as_text(spec["Default"]) for name, spec in template.parameters.items()}
    for name, value in values.items():
        problem = _parameter_problem(template.parameters[name], value)
        if problem is not None:
            constraint = template.parameters[name].get("ConstraintDescription")
            raise TemplateError(
                f"Parameter {name} failed to satisfy constraint: {constraint}" if constraint else f"Parameter '{name}' {problem}"
            )
    _check_rules(template, values)
    return values


def _check_rules(template: Template, values: Mapping[str, str]) -> None:
    """Raise `TemplateError` with the description of the first assertion that does not hold."""

    def nothing(name: str, attribute: str | None) -> Any:  # noqa: ARG001
        raise TemplateError(f"Template format error: {name} in the Rules block is not a parameter")

    within = Scope(values, {}, nothing)
    for name, rule in template.rules.items():
        if "RuleCondition" in rule and not is_true(template, rule["RuleCondition"], within):
            continue
        for assertion in rule["Assertions"]:
            if not is_true(template, assertion["Assert"], within):
                raise TemplateError(f"Template error: Rule {name} failed: {assertion.get('AssertDescription', 'an assertion is false')}")


def _parameter_problem(spec: Mapping[str, Any], value: str) -> str | None:
    if "AllowedValues" in spec and value not in map(as_text, spec["AllowedValues"]):
        return f"must be one of AllowedValues [{', '.join(map(as_text, spec['AllowedValues']))}]"
    if "AllowedPattern" in spec and not re.fullmatch(spec["AllowedPattern"], value):
        return f"must match pattern {spec['AllowedPattern']}"
    if len(value) < int(spec.get("MinLength", 0)):
        return f"must contain at least {spec['MinLength']} characters"
    if "MaxLength" in spec and len(value) > int(spec["MaxLength"]):
        return f"must contain at most {spec['MaxLength']} characters"
    kind = spec.get("Type")
    if kind == "Number":
        try:
            number = float(value)
        except ValueError:
            return "must be a number"
        if "MinValue" in spec and number < float(spec["MinValue"]):
            return f"must be a number not less than {spec['MinValue']}"
        if "MaxValue" in spec and number > float(spec["MaxValue"]):
            return f"must be a number not greater than {spec['MaxValue']}"
    elif kind not in ("String", "CommaDelimitedList"):
        return f"has type {kind}, which the embedded endpoint does not support"
    return None
