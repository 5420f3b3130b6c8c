"""Common behaviour of resource types: names, refusals, and arguments in the types that an operation expects."""

from __future__ import annotations

import secrets
import string
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from hyperframes_provider.local.connections import Connections

Properties = Mapping[str, Any]


class ResourceError(Exception):
    """A resource cannot be created, changed or deleted; the message is the event's reason."""


@dataclass(frozen=True)
class Made:
    """An existing resource: its physical ID (the value of `Ref`) and its attributes (`Fn::GetAtt`)."""

    physical_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class ResourceType(ABC):
    """One CloudFormation resource type in one region."""

    name: ClassVar[str]
    name_property: ClassVar[str] = ""
    """The property that names the resource; if it is missing, a name is generated."""
    known: ClassVar[frozenset[str]]
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change replaces the resource."""
    attributes: ClassVar[frozenset[str]] = frozenset({"Arn"})
    longest_name: ClassVar[int] = 64

    def __init__(self, connections: Connections, region: str) -> None:
        self._connections = connections
        self._region = region

    def create(self, stack: str, logical_id: str, properties: Properties) -> Made:
        """Create the resource. Raise `ResourceError`."""
        self._check(properties)
        with _reasons():
            return self._create(properties.get(self.name_property) or self._generated_name(stack, logical_id), properties)

    def update(self, physical_id: str, old: Properties, new: Properties) -> Made:
        """Change the resource in place. Raise `ResourceError`."""
        self._check(new)
        with _reasons():
            return self._update(physical_id, old, new)

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete the resource; one that no longer exists counts as deleted. Raise `ResourceError`."""
        with suppress(_GoneError), _reasons():
            self._delete(physical_id, properties)

    def replaces(self, old: Properties, new: Properties) -> bool:
        """Whether the change replaces the resource."""
        return any(old.get(name) != new.get(name) for name in self.fixed)

    def _create(self, name: str, properties: Properties) -> Made:
        return self._update(name, {}, properties)

    @abstractmethod
    def _update(self, physical_id: str, old: Properties, new: Properties) -> Made: ...

    @abstractmethod
    def _delete(self, physical_id: str, properties: Properties) -> None: ...

    def _client(self, service: str) -> Any:
        return self._connections.client(service, self._region)

    def _check(self, properties: Properties) -> None:
        if unknown := sorted(set(properties) - self.known):
            raise ResourceError(f"Encountered unsupported property {unknown[0]}: the embedded endpoint does not support it for {self.name}")

    def _generated_name(self, stack: str, logical_id: str) -> str:
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{f'{stack}-{logical_id}'[: self.longest_name - 13]}-{suffix}"


_GONE = frozenset({"NoSuchBucket", "NoSuchBucketPolicy", "NoSuchEntity", "NotFound", "ResourceNotFound", "ResourceNotFoundException"})
_GONE |= {"AWS.SimpleQueueService.NonExistentQueue"}
"""Error codes for something that no longer exists."""


class _GoneError(ResourceError):
    pass


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn a service's refusal into the reason of an event."""
    try:
        yield
    except KeyError as error:
        raise ResourceError(f"Missing required property {error.args[0]}") from error
    except ClientError as error:
        answer = error.response["Error"]
        reason = f"{answer.get('Message') or answer['Code']} ({answer['Code']} from {error.operation_name})"
        raise (_GoneError if answer["Code"] in _GONE else ResourceError)(reason) from error


def fit(client: Any, method: str, arguments: Properties) -> dict[str, Any]:
    """Return the arguments in the types that the operation expects: in a template, numbers and booleans may be strings."""
    operation = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    fitted: dict[str, Any] = _fit_shape(operation.input_shape, arguments)
    return fitted


def _fit_shape(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        if unknown := sorted(set(value) - set(shape.members)):
            raise ResourceError(f"Encountered unsupported property {unknown[0]}")
        return {name: _fit_shape(shape.members[name], item) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_fit_shape(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {name: _fit_shape(shape.value, item) for name, item in value.items()}
    match shape.type_name:
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def lower_first(value: Any) -> Any:
    """Return names in Step Functions' spelling, with a lower-case first letter."""
    if isinstance(value, Mapping):
        return {name[0].lower() + name[1:]: lower_first(item) for name, item in value.items()}
    if isinstance(value, list):
        return [lower_first(item) for item in value]
    return value
