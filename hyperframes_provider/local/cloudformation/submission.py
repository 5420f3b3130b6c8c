"""Requests for a state of a stack, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from moto.core.exceptions import ServiceException

from hyperframes_provider.local.cloudformation.parameters import resolve_parameters
from hyperframes_provider.local.cloudformation.resources import RESOURCE_TYPES
from hyperframes_provider.local.cloudformation.stacks import Change, Stack
from hyperframes_provider.local.cloudformation.template import Template, TemplateError, parse_template


class StackRequestError(ServiceException):
    """A request that CloudFormation refuses, with the service's code."""

    code = "ValidationError"


@dataclass(frozen=True)
class Submission:
    """The requested state of a stack."""

    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    capabilities: list[str]


@dataclass
class ChangeSet:
    """A computed change that can be executed."""

    id: str
    name: str
    kind: str
    """CREATE or UPDATE."""
    stack: Stack
    submission: Submission
    changes: list[Change]
    status: str
    execution_status: str
    reason: str | None = None
    description: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


def check_submission(
    *,
    stack: Stack | None,
    body: str | None,
    parameters: Mapping[str, str | None],
    tags: Mapping[str, str] | None,
    capabilities: list[str],
) -> Submission:
    """Check a request. `body` None keeps the stack's template, a parameter None its value. Raise `StackRequestError`."""
    try:
        if body is None:
            if stack is None or stack.template is None:
                raise StackRequestError("Either Template URL or Template Body must be specified.")
            template = stack.template
        else:
            template = checked_template(body)
        given = {}
        for name, value in parameters.items():
            if value is None and (stack is None or name not in stack.parameters):
                raise TemplateError(f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a new parameter")
            given[name] = stack.parameters[name] if value is None and stack is not None else str(value)
        values = resolve_parameters(template, given)
    except TemplateError as error:
        raise StackRequestError(str(error)) from error
    _check_capabilities(template, capabilities)
    kept = stack.tags if stack is not None else {}
    return Submission(template, values, dict(kept if tags is None else tags), capabilities)


def checked_template(body: str) -> Template:
    """Parse a template and refuse unsupported resource types. Raise `TemplateError`."""
    template = parse_template(body)
    if unknown := sorted({resource.type for resource in template.resources.values()} - set(RESOURCE_TYPES)):
        raise TemplateError(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    return template


def needed_capability(template: Template) -> str | None:
    """Return the capability that the caller must acknowledge: for roles, or for roles with custom names."""
    roles = [resource for resource in template.resources.values() if resource.type == "AWS::IAM::Role"]
    if not roles:
        return None
    return "CAPABILITY_NAMED_IAM" if any("RoleName" in role.properties for role in roles) else "CAPABILITY_IAM"


def _check_capabilities(template: Template, given: list[str]) -> None:
    needed = needed_capability(template)
    if needed is not None and needed not in given and "CAPABILITY_NAMED_IAM" not in given:
        raise StackRequestError("InsufficientCapabilitiesException", f"Requires capabilities : [{needed}]")
