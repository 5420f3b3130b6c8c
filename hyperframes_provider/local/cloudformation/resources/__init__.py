"""The resource types of the stack's template, made over the endpoint's public API.

Each type says which properties it knows and which of them cannot be changed in place. An unknown property is an error, as it is on AWS;
so is one that AWS knows and this endpoint does not, because a property that is dropped in silence is found out in production.
"""

from __future__ import annotations

from hyperframes_provider.local.cloudformation.resources.base import Made, ResourceError, ResourceType
from hyperframes_provider.local.cloudformation.resources.functions import EventInvokeConfig, Function, Permission
from hyperframes_provider.local.cloudformation.resources.identity import Role, RolePolicy
from hyperframes_provider.local.cloudformation.resources.machines import StateMachine
from hyperframes_provider.local.cloudformation.resources.messages import Queue, QueuePolicy, Rule, Topic, TopicPolicy
from hyperframes_provider.local.cloudformation.resources.storage import Bucket, BucketPolicy
from hyperframes_provider.local.cloudformation.resources.watching import Alarm, Dashboard, LogGroup

__all__ = ["RESOURCE_TYPES", "Made", "ResourceError", "ResourceType"]

RESOURCE_TYPES: dict[str, type[ResourceType]] = {
    kind.name: kind
    for kind in (
        Alarm,
        Bucket,
        BucketPolicy,
        Dashboard,
        EventInvokeConfig,
        Function,
        LogGroup,
        Permission,
        Queue,
        QueuePolicy,
        Role,
        RolePolicy,
        Rule,
        StateMachine,
        Topic,
        TopicPolicy,
    )
}
