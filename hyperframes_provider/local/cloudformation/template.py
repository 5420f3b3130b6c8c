"""CloudFormation templates: parsing, parameters, conditions and intrinsic functions, as far as the stack's own template goes.

What lies beyond is refused by name, never skipped. Nothing here knows about stacks or makes resources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

_SECTIONS = frozenset({"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Conditions", "Resources", "Outputs"})
_RESOURCE_KEYS = frozenset({"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"})
_FUNCTIONS = frozenset({"Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Split", "Fn::Select", "Fn::If"})
_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]*)\}")

NO_VALUE = object()
"""What `AWS::NoValue` stands for: the property is not there."""


class TemplateError(Exception):
    """The template or a parameter is not acceptable, in CloudFormation's words where it has some."""


@dataclass(frozen=True)
class Resource:
    """One entry of `Resources`, unresolved."""

    type: str
    properties: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    """`UpdateReplacePolicy`: what happens to the old one when an update replaces it."""


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    body: str
    description: str | None
    parameters: dict[str, dict[str, Any]]
    rules: dict[str, dict[str, Any]]
    conditions: dict[str, Any]
    resources: dict[str, Resource]
    outputs: dict[str, dict[str, Any]]

    def content(self) -> tuple[object, ...]:
        """What decides whether two templates differ: layout and comments do not."""
        return self.description, self.parameters, self.rules, self.conditions, self.resources, self.outputs


@dataclass(frozen=True)
class Scope:
    """Everything that a value of a template can refer to.

    `resource` gives a resource's `Ref` value (attribute None) or one of its attributes; it raises `TemplateError` for an unknown attribute.
    """

    parameters: Mapping[str, str | list[str]]
    pseudo: Mapping[str, str]
    resource: Callable[[str, str | None], Any]
    conditions: dict[str, bool] = field(default_factory=dict)

    def ref(self, name: str) -> Any:
        """The value of `Ref: name`."""
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.resource(name, None)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # yaml ships no type information
    """YAML with CloudFormation's short forms, by libyaml where there is one. Dates stay strings: a policy's version is one."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse_template(body: str) -> Template:
    """Parse YAML or JSON. Raises `TemplateError` for what is malformed, refers to nothing, or lies beyond this module."""
    try:
        document = yaml.load(body, _Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError("Template format error: unsupported structure.")
    if unknown := sorted(set(document) - _SECTIONS):
        raise TemplateError(f"Invalid template property or properties {unknown}: the embedded endpoint knows {sorted(_SECTIONS)}")
    if not document.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    template = Template(
        body=body,
        description=document.get("Description"),
        parameters=document.get("Parameters") or {},
        rules=document.get("Rules") or {},
        conditions=document.get("Conditions") or {},
        resources={name: _parse_resource(name, entry) for name, entry in document["Resources"].items()},
        outputs=document.get("Outputs") or {},
    )
    _check_references(template)
    return template


def _parse_resource(name: str, entry: Mapping[str, Any]) -> Resource:
    if "Type" not in entry:
        raise TemplateError(f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member.")
    if unknown := sorted(set(entry) - _RESOURCE_KEYS):
        raise TemplateError(f"Invalid template resource property '{unknown[0]}' of {name}")
    depends_on = entry.get("DependsOn", ())
    return Resource(
        type=entry["Type"],
        properties=entry.get("Properties") or {},
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=entry.get("Condition"),
        deletion_policy=entry.get("DeletionPolicy", "Delete"),
        replace_policy=entry.get("UpdateReplacePolicy", "Delete"),
    )


def _check_references(template: Template) -> None:
    known = {*template.parameters, *template.resources}
    for where, value in (
        *((f"Resources block, {name}", resource.properties) for name, resource in template.resources.items()),
        *((f"Outputs block, {name}", output) for name, output in template.outputs.items()),
    ):
        lost = sorted({name for name in references(value) if name not in known and not name.startswith("AWS::")})
        if lost:
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{', '.join(lost)}] in the {where} of the template"
            )
    named = {resource.condition for resource in template.resources.values()} | {
        output.get("Condition") for output in template.outputs.values()
    }
    if missing := sorted(name for name in named if name is not None and name not in template.conditions):
        raise TemplateError(f"Template format error: Unresolved condition dependency {missing[0]}")
    creation_order(template, set(template.resources))


def references(value: Any) -> Iterator[str]:
    """Names of the parameters, pseudo parameters and resources that `value` refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if set(value) == {"Ref"}:
            yield value["Ref"]
        elif set(value) == {"Fn::GetAtt"}:
            yield value["Fn::GetAtt"][0]
        elif set(value) == {"Fn::Sub"}:
            text, own = _sub_arguments(value["Fn::Sub"])
            yield from (name.split(".")[0] for literal, name in _SUBSTITUTION.findall(text) if not literal and name not in own)
            yield from references(list(own.values()))
        else:
            yield from references(list(value.values()))


def creation_order(template: Template, active: set[str]) -> list[str]:
    """`active` resources, each after those it refers to or depends on. Raises `TemplateError` for a circle."""
    order: list[str] = []
    entered: set[str] = set()

    def visit(name: str) -> None:
        if name in order or name not in active:
            return
        if name in entered:
            raise TemplateError(f"Circular dependency between resources: [{', '.join(sorted(entered))}]")
        entered.add(name)
        resource = template.resources[name]
        for needed in (*resource.depends_on, *references(resource.properties)):
            if needed in template.resources:
                visit(needed)
        entered.discard(name)
        order.append(name)

    for name in template.resources:
        visit(name)
    return order


def resolve_parameters(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """The value of every declared parameter. Raises `TemplateError` naming the parameter that is unknown, missing or out of its bounds."""
    if unknown := [name for name in given if name not in template.parameters]:
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    if missing := [name for name, spec in template.parameters.items() if name not in given and "Default" not in spec]:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    values = {name: given[name] if name in given else _text(spec["Default"]) for name, spec in template.parameters.items()}
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
    """Raise `TemplateError` with the description of the first assertion about parameters that does not hold."""

    def nothing(name: str, attribute: str | None) -> Any:  # noqa: ARG001
        raise TemplateError(f"Template format error: {name} in the Rules block is not a parameter")

    within = Scope(values, {}, nothing)
    for name, rule in template.rules.items():
        if "RuleCondition" in rule and not _test(template, rule["RuleCondition"], within):
            continue
        for assertion in rule["Assertions"]:
            if not _test(template, assertion["Assert"], within):
                raise TemplateError(f"Template error: Rule {name} failed: {assertion.get('AssertDescription', 'an assertion is false')}")


def _parameter_problem(spec: Mapping[str, Any], value: str) -> str | None:
    if "AllowedValues" in spec and value not in map(_text, spec["AllowedValues"]):
        return f"must be one of AllowedValues [{', '.join(map(_text, spec['AllowedValues']))}]"
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
        return f"has type {kind}, which the embedded endpoint does not know"
    return None


def scope(
    template: Template, parameters: Mapping[str, str], pseudo: Mapping[str, str], resource: Callable[[str, str | None], Any]
) -> Scope:
    """A scope with the template's conditions decided. `parameters` are those of `resolve_parameters`."""
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
        within.conditions[name] = _test(template, template.conditions[name], within)
    return within.conditions[name]


def _test(template: Template, expression: Any, within: Scope) -> bool:
    match expression:
        case {"Condition": str(name)}:
            return _condition(template, name, within)
        case {"Fn::Equals": [left, right]}:
            return bool(_text(evaluate(left, within)) == _text(evaluate(right, within)))
        case {"Fn::Not": [inner]}:
            return not _test(template, inner, within)
        case {"Fn::And": [*inner]}:
            return all(_test(template, one, within) for one in inner)
        case {"Fn::Or": [*inner]}:
            return any(_test(template, one, within) for one in inner)
    raise TemplateError(f"Template format error: {expression} is not a condition that the embedded endpoint knows")


def evaluate(value: Any, within: Scope) -> Any:
    """`value` with all intrinsic functions replaced by what they give."""
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
            raise TemplateError(f"Template error: the embedded endpoint does not know {name}")
    resolved = {key: evaluate(item, within) for key, item in value.items()}
    return {key: item for key, item in resolved.items() if item is not NO_VALUE}


def _call(name: str, argument: Any, within: Scope) -> Any:
    match name, argument:
        case "Fn::GetAtt", [str(resource), str(attribute)]:
            return within.resource(resource, attribute)
        case "Fn::Sub", _:
            return _substitute(argument, within)
        case "Fn::Join", [delimiter, items]:
            return _text(evaluate(delimiter, within)).join(map(_text, evaluate(items, within)))
        case "Fn::Split", [delimiter, text]:
            return _text(evaluate(text, within)).split(_text(evaluate(delimiter, within)))
        case "Fn::Select", [index, items]:
            return evaluate(items, within)[int(evaluate(index, within))]
        case "Fn::If", [str(condition), yes, no]:
            if condition not in within.conditions:
                raise TemplateError(f"Template format error: Unresolved condition dependency {condition}")
            return evaluate(yes if within.conditions[condition] else no, within)
    raise TemplateError(f"Template error: {name} cannot take {argument}")


def _substitute(argument: Any, within: Scope) -> str:
    text, own = _sub_arguments(argument)

    def replacement(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        if name in own:
            return _text(evaluate(own[name], within))
        resource, _, attribute = name.partition(".")
        return _text(within.resource(resource, attribute) if attribute else within.ref(resource))

    return _SUBSTITUTION.sub(replacement, text)


def _sub_arguments(argument: Any) -> tuple[str, dict[str, Any]]:
    match argument:
        case str(text):
            return text, {}
        case [str(text), dict(own)]:
            return text, own
    raise TemplateError(f"Template error: Fn::Sub cannot take {argument}")


def _text(value: Any) -> str:
    """A value as CloudFormation turns it into a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
