"""Stacks, events, resources and change sets as CloudFormation's answers show them."""

from __future__ import annotations

from typing import Any

from hyperframes_provider.local.cloudformation.stacks import Change, Event, Stack, StackResource
from hyperframes_provider.local.cloudformation.submission import ChangeSet, needed_capability
from hyperframes_provider.local.cloudformation.template import Template


def _parameters(values: dict[str, str], template: Template | None) -> list[dict[str, str]]:
    specs = template.parameters if template else {}
    hidden = {name for name, spec in specs.items() if str(spec.get("NoEcho", "")).lower() == "true"}
    return [{"ParameterKey": name, "ParameterValue": "****" if name in hidden else value} for name, value in values.items()]


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def describe_stack(stack: Stack) -> dict[str, Any]:
    """An item of DescribeStacks."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "Description": stack.template.description if stack.template else None,
        "Parameters": _parameters(stack.parameters, stack.template),
        "Outputs": stack.outputs,
        "Tags": _tags(stack.tags),
        "Capabilities": stack.capabilities,
        "ChangeSetId": stack.change_set_id,
        "DisableRollback": False,
        "EnableTerminationProtection": False,
        "NotificationARNs": [],
    }


def summarize_template(template: Template) -> dict[str, Any]:
    """The answer of GetTemplateSummary."""
    needed = needed_capability(template)
    return {
        "Description": template.description,
        "Parameters": [
            {
                "ParameterKey": name,
                "ParameterType": spec.get("Type"),
                "DefaultValue": None if "Default" not in spec else str(spec["Default"]),
                "NoEcho": str(spec.get("NoEcho", "")).lower() == "true",
                "Description": spec.get("Description"),
            }
            for name, spec in template.parameters.items()
        ],
        "ResourceTypes": sorted({resource.type for resource in template.resources.values()}),
        "Capabilities": [needed] if needed else [],
    }


def describe_event(stack: Stack, event: Event) -> dict[str, Any]:
    """An item of DescribeStackEvents."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "EventId": event.event_id,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason,
        "Timestamp": event.timestamp,
    }


def describe_resource(stack: Stack, resource: StackResource) -> dict[str, Any]:
    """An item of DescribeStackResources and ListStackResources."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.made.physical_id,
        "ResourceType": resource.type,
        "ResourceStatus": resource.status,
        "Timestamp": resource.changed,
        "LastUpdatedTimestamp": resource.changed,
    }


def describe_change_set(change_set: ChangeSet) -> dict[str, Any]:
    """The answer of DescribeChangeSet."""
    return {
        "ChangeSetName": change_set.name,
        "ChangeSetId": change_set.id,
        "StackId": change_set.stack.id,
        "StackName": change_set.stack.name,
        "Description": change_set.description,
        "Parameters": _parameters(change_set.submission.parameters, change_set.submission.template),
        "Tags": _tags(change_set.submission.tags),
        "Capabilities": change_set.submission.capabilities,
        "CreationTime": change_set.created,
        "ExecutionStatus": change_set.execution_status,
        "Status": change_set.status,
        "StatusReason": change_set.reason,
        "Changes": [{"Type": "Resource", "ResourceChange": _describe_change(change)} for change in change_set.changes],
    }


def _describe_change(change: Change) -> dict[str, Any]:
    return {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "PhysicalResourceId": change.physical_id,
        "ResourceType": change.type,
        "Replacement": None if change.replacement is None else str(change.replacement),
    }
