"""CloudFormation templates: parsing, references, and the order of creation, as far as the stack's own template needs them.

Anything beyond is refused by name, never skipped. Nothing here knows about stacks or creates resources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_SECTIONS = frozenset({"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Conditions", "Resources", "Outputs"})
_RESOURCE_KEYS = frozenset({"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"})

SUBSTITUTION = re.compile(r"\$\{(!?)([^}]*)\}")
"""A variable of `Fn::Sub`: `!` for a literal, and the name."""


class TemplateError(Exception):
    """The template or a parameter is invalid; the message uses CloudFormation's words where they exist."""


@dataclass(frozen=True)
class Resource:
    """One entry of `Resources`, unresolved."""

    type: str
    properties: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    """`UpdateReplacePolicy`: the fate of the old resource when an update replaces it."""


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


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # yaml ships no type information
    """YAML with CloudFormation's short forms, parsed by libyaml if available. Dates stay strings, such as a policy's version."""


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
    """Parse YAML or JSON. Raise `TemplateError` for a malformed or unsupported template and for references to nothing."""
    try:
        document = yaml.load(body, _Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError("Template format error: unsupported structure.")
    if unknown := sorted(set(document) - _SECTIONS):
        raise TemplateError(f"Invalid template property or properties {unknown}: the embedded endpoint supports {sorted(_SECTIONS)}")
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
    """Yield the names of the parameters, pseudo parameters and resources that `value` refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if set(value) == {"Ref"}:
            yield value["Ref"]
        elif set(value) == {"Fn::GetAtt"}:
            yield value["Fn::GetAtt"][0]
        elif set(value) == {"Fn::Sub"}:
            text, own = sub_arguments(value["Fn::Sub"])
            yield from (name.split(".")[0] for literal, name in SUBSTITUTION.findall(text) if not literal and name not in own)
            yield from references(list(own.values()))
        else:
            yield from references(list(value.values()))


def creation_order(template: Template, active: set[str]) -> list[str]:
    """Return the `active` resources, each after those it depends on. Raise `TemplateError` for a circle."""
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


def sub_arguments(argument: Any) -> tuple[str, dict[str, Any]]:
    """Return the text and the local variables of `Fn::Sub`."""
    match argument:
        case str(text):
            return text, {}
        case [str(text), dict(own)]:
            return text, own
    raise TemplateError(f"Template error: Fn::Sub cannot take {argument}")
