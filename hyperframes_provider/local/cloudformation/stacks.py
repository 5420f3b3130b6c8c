"""A CloudFormation stack while it changes: its resources, its events, and the way from one state to another and back.

One change at a time, resource by resource in order of dependence. `service` decides whether a change may start.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hyperframes_provider.local.cloudformation.intrinsics import Scope, evaluate, scope
from hyperframes_provider.local.cloudformation.resources import Made, ResourceError, ResourceType
from hyperframes_provider.local.cloudformation.template import Template, TemplateError, creation_order
from hyperframes_provider.local.connections import ACCOUNT_ID

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""Placeholder in a preview for the name of a resource that does not exist yet."""


class ChangeFailedError(Exception):
    """A change failed. `resource` could not be created or changed; None if no resource is to blame."""

    def __init__(self, reason: str, rollback: Rollback, resource: str | None = None) -> None:
        super().__init__(reason)
        self.rollback = rollback
        self.resource = resource


@dataclass(frozen=True)
class Event:
    """One line of the stack's history."""

    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str | None
    timestamp: datetime
    event_id: str


@dataclass(frozen=True)
class StackResource:
    """An existing resource with its resolved properties."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    deletion_policy: str
    replace_policy: str
    made: Made
    status: str = "CREATE_COMPLETE"
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Change:
    """One line of a change set."""

    action: str
    """Add, Modify or Remove."""
    logical_id: str
    type: str
    physical_id: str | None = None
    replacement: bool | None = None


@dataclass
class Stack:
    """The state and history of a stack."""

    id: str
    name: str
    region: str
    status: str
    reason: str | None = None
    template: Template | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    capabilities: list[str] = field(default_factory=list)
    resources: dict[str, StackResource] = field(default_factory=dict)
    outputs: list[dict[str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    change_set_id: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime | None = None
    deleted: datetime | None = None

    def set_status(self, status: str, reason: str | None = None) -> None:
        """Change the status and record an event."""
        self.add_event(self.name, self.id, "AWS::CloudFormation::Stack", status, reason)
        self.reason = reason
        self.status = status

    def add_event(self, logical_id: str, physical_id: str, type_name: str, status: str, reason: str | None = None) -> None:
        """Append an event."""
        self.events.append(Event(logical_id, physical_id, type_name, status, reason, datetime.now(UTC), str(uuid.uuid4())))

    def pseudo_parameters(self) -> dict[str, str]:
        """Return the values of the `AWS::…` references."""
        return {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackId": self.id,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }


TypeOf = Callable[[str], ResourceType]


def preview(stack: Stack, template: Template, parameters: Mapping[str, str], type_of: TypeOf) -> list[Change]:
    """Return the changes that `transform` would make."""
    unmade: set[str] = set()

    def known(name: str, attribute: str | None) -> Any:
        _check_attribute(template.resources[name].type, attribute, type_of)
        current = stack.resources.get(name)
        return KNOWN_AFTER_APPLY if current is None or name in unmade else _value_of(current, attribute)

    changes = []
    within = scope(template, parameters, stack.pseudo_parameters(), known)
    active = _active(template, within)
    for name in creation_order(template, active):
        resource, current = template.resources[name], stack.resources.get(name)
        properties = evaluate(resource.properties, within)
        if current is None:
            unmade.add(name)
            changes.append(Change("Add", name, resource.type))
        elif current.type != resource.type or properties != current.properties:
            replaced = current.type != resource.type or type_of(resource.type).replaces(current.properties, properties)
            if replaced:
                unmade.add(name)
            changes.append(Change("Modify", name, resource.type, current.made.physical_id, replaced))
    _outputs(template, within)
    for name, current in stack.resources.items():
        if name not in active:
            changes.append(Change("Remove", name, current.type, current.made.physical_id))
    return changes


def transform(stack: Stack, template: Template, parameters: Mapping[str, str], type_of: TypeOf) -> Rollback:
    """Create and change, but not delete, resources of `template`. Raise `ChangeFailedError`, whose `rollback` leads back."""
    rollback = Rollback(stack, type_of)

    def existing(name: str, attribute: str | None) -> Any:
        if name not in stack.resources:
            raise TemplateError(f"Template error: {name} is referenced, but the stack's conditions exclude it")
        _check_attribute(stack.resources[name].type, attribute, type_of)
        return _value_of(stack.resources[name], attribute)

    name = None
    try:
        within = scope(template, parameters, stack.pseudo_parameters(), existing)
        for name in creation_order(template, _active(template, within)):
            resource, current = template.resources[name], stack.resources.get(name)
            properties = evaluate(resource.properties, within)
            desired = StackResource(
                name, resource.type, properties, resource.deletion_policy, resource.replace_policy, current.made if current else Made("")
            )
            if current is None:
                made = _create(stack, desired, type_of)
                rollback.note_made(made)
            elif current.type == resource.type and properties == current.properties:
                made = replace(desired, status=current.status, changed=current.changed)
            elif current.type != resource.type or type_of(resource.type).replaces(current.properties, properties):
                made = _create(stack, desired, type_of, replacing=current)
                rollback.replaced.append(current)
                rollback.note_made(made)
            else:
                rollback.note_changed(desired)
                made = _update(stack, current, desired, type_of)
            # Copied on write: readers in other threads see the resources before or after a step, never in between.
            stack.resources = {**stack.resources, name: made}
        stack.outputs = _outputs(template, within)
    except ResourceError as error:
        raise ChangeFailedError(str(error), rollback, name) from error
    except TemplateError as error:
        raise ChangeFailedError(str(error), rollback) from error
    return rollback


class Rollback:
    """The steps taken so far, to undo them or to clean up after them."""

    def __init__(self, stack: Stack, type_of: TypeOf) -> None:
        self._stack = stack
        self._type_of = type_of
        self._before = dict(stack.resources)
        self._made: list[StackResource] = []
        self._changed: list[StackResource] = []
        self.replaced: list[StackResource] = []

    def note_made(self, resource: StackResource) -> None:
        """Record a new resource."""
        self._made.append(resource)

    def note_changed(self, attempt: StackResource) -> None:
        """Record that a resource is about to be changed into `attempt`, which may fail half-way."""
        self._changed.append(attempt)

    def undo(self) -> list[str]:
        """Restore changed resources and delete new ones; return the logical IDs for which that failed."""
        failed = []
        for attempt in reversed(self._changed):
            name, before = attempt.logical_id, self._before[attempt.logical_id]
            self._stack.add_event(name, before.made.physical_id, before.type, "UPDATE_IN_PROGRESS")
            try:
                self._type_of(before.type).update(before.made.physical_id, attempt.properties, before.properties)
            except ResourceError as error:
                self._stack.add_event(name, before.made.physical_id, before.type, "UPDATE_FAILED", str(error))
                failed.append(name)
            else:
                self._stack.add_event(name, before.made.physical_id, before.type, "UPDATE_COMPLETE")
        for resource in reversed(self._made):
            if not delete_resource(self._stack, resource, self._type_of, resource.deletion_policy):
                failed.append(resource.logical_id)
        self._stack.resources = self._before
        return failed


def deletion_order(stack: Stack) -> list[StackResource]:
    """Return the stack's resources, each before those that it refers to."""
    made = set(stack.resources)
    ordered = creation_order(stack.template, made) if stack.template is not None else []
    # Remains of a failed rollback may be missing in the template; nothing in it depends on them.
    return [stack.resources[name] for name in [*(made - set(ordered)), *reversed(ordered)]]


def _active(template: Template, within: Scope) -> set[str]:
    return {name for name, resource in template.resources.items() if resource.condition is None or within.conditions[resource.condition]}


def _value_of(resource: StackResource, attribute: str | None) -> str:
    return resource.made.physical_id if attribute is None else resource.made.attributes[attribute]


def _check_attribute(type_name: str, attribute: str | None, type_of: TypeOf) -> None:
    if attribute is not None and attribute not in type_of(type_name).attributes:
        short = type_name.rpartition("::")[2]
        raise TemplateError(f"Template error: resource {short} does not support attribute type {attribute} in Fn::GetAtt")


def _create(stack: Stack, desired: StackResource, type_of: TypeOf, replacing: StackResource | None = None) -> StackResource:
    name, verb = desired.logical_id, "CREATE" if replacing is None else "UPDATE"
    note = None if replacing is None else "Requested update requires the creation of a new physical resource; hence creating one."
    stack.add_event(name, replacing.made.physical_id if replacing else "", desired.type, f"{verb}_IN_PROGRESS", note)
    try:
        made = type_of(desired.type).create(stack.name, name, desired.properties)
    except ResourceError as error:
        stack.add_event(name, "", desired.type, f"{verb}_FAILED", str(error))
        raise
    stack.add_event(name, made.physical_id, desired.type, f"{verb}_IN_PROGRESS", "Resource creation Initiated")
    stack.add_event(name, made.physical_id, desired.type, f"{verb}_COMPLETE")
    return replace(desired, made=made, status=f"{verb}_COMPLETE")


def _update(stack: Stack, current: StackResource, desired: StackResource, type_of: TypeOf) -> StackResource:
    name, physical_id = desired.logical_id, current.made.physical_id
    stack.add_event(name, physical_id, desired.type, "UPDATE_IN_PROGRESS")
    try:
        made = type_of(desired.type).update(physical_id, current.properties, desired.properties)
    except ResourceError as error:
        stack.add_event(name, physical_id, desired.type, "UPDATE_FAILED", str(error))
        raise
    stack.add_event(name, physical_id, desired.type, "UPDATE_COMPLETE")
    return replace(desired, made=made, status="UPDATE_COMPLETE")


def delete_resource(stack: Stack, resource: StackResource, type_of: TypeOf, policy: str) -> bool:
    """Delete one resource, or keep it if `policy` is Retain; return False if it could not be deleted."""
    name, physical_id = resource.logical_id, resource.made.physical_id
    if policy == "Retain":
        stack.add_event(name, physical_id, resource.type, "DELETE_SKIPPED")
        return True
    stack.add_event(name, physical_id, resource.type, "DELETE_IN_PROGRESS")
    try:
        type_of(resource.type).delete(physical_id, resource.properties)
    except ResourceError as error:
        stack.add_event(name, physical_id, resource.type, "DELETE_FAILED", str(error))
        return False
    stack.add_event(name, physical_id, resource.type, "DELETE_COMPLETE")
    return True


def _outputs(template: Template, within: Scope) -> list[dict[str, str]]:
    outputs = []
    for key, spec in template.outputs.items():
        if "Condition" in spec and not within.conditions[spec["Condition"]]:
            continue
        output = {"OutputKey": key, "OutputValue": str(evaluate(spec["Value"], within))}
        if "Description" in spec:
            output["Description"] = str(spec["Description"])
        if "Export" in spec:
            output["ExportName"] = str(evaluate(spec["Export"]["Name"], within))
        outputs.append(output)
    return outputs
