"""The resource types of the stack's template, created over the endpoint's public API.

Each type lists the properties it supports and those that cannot be changed in place. An unknown property is an error, as on AWS. So is one
that only AWS supports: a property dropped silently would surface in production.
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
