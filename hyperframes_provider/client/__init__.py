"""The documented API. Import from here only: the modules below may move.

Names are imported on first use, so that importing the package loads neither boto3 nor pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperframes_lambda.contract.authoring import MeasuredProject
    from hyperframes_lambda.contract.config import RenderConfig, parse_config
    from hyperframes_lambda.contract.errors import RenderError
    from hyperframes_provider.client.aws.calls import Steps, arun, run
    from hyperframes_provider.client.aws.connect import Connect, connect_from_session, connect_local
    from hyperframes_provider.client.aws.errors import (
        AccessDenied,
        EndpointUnreachable,
        ExecutionNotFound,
        HyperFramesClientError,
        InvalidRequest,
        ProjectNotFound,
        ProjectRejected,
        RequestTooLarge,
        ServiceError,
        Throttled,
    )
    from hyperframes_provider.client.batch.batch import Batch
    from hyperframes_provider.client.batch.items import BatchItem, prepare_batch, project_version
    from hyperframes_provider.client.batch.outcomes import BatchProgress, Outcome, RowState
    from hyperframes_provider.client.batch.rows import InvalidBatch, Row, plan_rows, read_rows
    from hyperframes_provider.client.execution.estimate import RenderEstimate, estimate
    from hyperframes_provider.client.execution.executions import Execution, Status, Stopped
    from hyperframes_provider.client.execution.failure import Failure, RenderCancelled, RenderFailed, RenderTimedOut
    from hyperframes_provider.client.execution.listing import RenderSummary
    from hyperframes_provider.client.execution.log_lines import LogLine, LogReader, log_text
    from hyperframes_provider.client.execution.objects import Fetched, fetch_object, fetch_render
    from hyperframes_provider.client.execution.result import RenderResult
    from hyperframes_provider.client.execution.sites import Site, SiteInUse, SiteNotFound, create_site, list_sites, remove_site, site_id
    from hyperframes_provider.client.execution.starting import Started
    from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot
    from hyperframes_provider.client.execution.webhooks import InvalidWebhook, WebhookMessage, WebhookType, verify_signature
    from hyperframes_provider.client.renders import RenderClient
    from hyperframes_provider.client.request.concurrency import NoConcurrency
    from hyperframes_provider.client.request.project import Project, Upload
    from hyperframes_provider.client.request.request import PreparedRender, RenderTarget
    from hyperframes_provider.client.stack.code_bucket import CodeImage, CodeLocation
    from hyperframes_provider.client.stack.delete import DeleteResult, StackFailed, delete_stack
    from hyperframes_provider.client.stack.deploy import DeployResult, deploy_stack
    from hyperframes_provider.client.stack.describe import StackNotFound, StackNotReady, StackOutputs, describe_stack
    from hyperframes_provider.client.stack.events import StackEvent, StackTimeout
    from hyperframes_provider.client.stack.health import StackCheck, check_stack
    from hyperframes_provider.client.stack.needs import Need, Scope
    from hyperframes_provider.client.stack.policies import caller_scope, policy_of, service_needs, service_role_trust, user_needs
    from hyperframes_provider.client.stack.policy_check import Missing, missing_for_caller, missing_in_policy
    from hyperframes_provider.client.stack.quotas import Quotas, read_quotas
    from hyperframes_provider.client.stack.template import InvalidStackParameter

__all__ = [  # static, for type checkers; packed by hand
    "AccessDenied", "Batch", "BatchItem", "BatchProgress", "CodeImage", "CodeLocation", "Connect", "DeleteResult", "DeployResult",
    "EndpointUnreachable", "Execution", "ExecutionNotFound", "Failure", "Fetched", "HyperFramesClientError", "InvalidBatch",
    "InvalidRequest", "InvalidStackParameter", "InvalidWebhook", "LogLine", "LogReader", "MeasuredProject", "Missing", "Need",
    "NoConcurrency", "Outcome", "PreparedRender", "Project", "ProjectNotFound", "ProjectRejected", "Quotas", "RenderCancelled",
    "RenderClient", "RenderConfig", "RenderError", "RenderEstimate", "RenderFailed", "RenderResult", "RenderSummary", "RenderTarget",
    "RenderTimedOut", "RenderWatch", "RequestTooLarge", "Row", "RowState", "Scope", "ServiceError", "Site", "SiteInUse", "SiteNotFound",
    "Snapshot", "StackCheck", "StackEvent", "StackFailed", "StackNotFound", "StackNotReady", "StackOutputs", "StackTimeout", "Started",
    "Status", "Steps", "Stopped", "Throttled", "Upload", "WebhookMessage", "WebhookType", "arun", "caller_scope", "check_stack",
    "connect_from_session", "connect_local", "create_site", "delete_stack", "deploy_stack", "describe_stack", "estimate", "fetch_object",
    "fetch_render", "list_sites", "log_text", "missing_for_caller", "missing_in_policy", "parse_config", "plan_rows", "policy_of",
    "prepare_batch", "project_version", "read_quotas", "read_rows", "remove_site", "run", "service_needs", "service_role_trust",
    "site_id", "user_needs", "verify_signature",
]  # fmt: skip

_MODULES = {
    "hyperframes_lambda.contract.authoring": "MeasuredProject",
    "hyperframes_lambda.contract.config": "RenderConfig parse_config",
    "hyperframes_lambda.contract.errors": "RenderError",
    "hyperframes_provider.client.aws.calls": "Steps arun run",
    "hyperframes_provider.client.aws.connect": "Connect connect_from_session connect_local",
    "hyperframes_provider.client.aws.errors": (
        "AccessDenied EndpointUnreachable ExecutionNotFound HyperFramesClientError InvalidRequest ProjectNotFound ProjectRejected "
        "RequestTooLarge ServiceError Throttled"
    ),
    "hyperframes_provider.client.batch.batch": "Batch",
    "hyperframes_provider.client.batch.items": "BatchItem prepare_batch project_version",
    "hyperframes_provider.client.batch.outcomes": "BatchProgress Outcome RowState",
    "hyperframes_provider.client.batch.rows": "InvalidBatch Row plan_rows read_rows",
    "hyperframes_provider.client.execution.estimate": "RenderEstimate estimate",
    "hyperframes_provider.client.execution.executions": "Execution Status Stopped",
    "hyperframes_provider.client.execution.failure": "Failure RenderCancelled RenderFailed RenderTimedOut",
    "hyperframes_provider.client.execution.listing": "RenderSummary",
    "hyperframes_provider.client.execution.log_lines": "LogLine LogReader log_text",
    "hyperframes_provider.client.execution.objects": "Fetched fetch_object fetch_render",
    "hyperframes_provider.client.execution.result": "RenderResult",
    "hyperframes_provider.client.execution.sites": "Site SiteInUse SiteNotFound create_site list_sites remove_site site_id",
    "hyperframes_provider.client.execution.starting": "Started",
    "hyperframes_provider.client.execution.watch": "RenderWatch Snapshot",
    "hyperframes_provider.client.execution.webhooks": "InvalidWebhook WebhookMessage WebhookType verify_signature",
    "hyperframes_provider.client.renders": "RenderClient",
    "hyperframes_provider.client.request.concurrency": "NoConcurrency",
    "hyperframes_provider.client.request.project": "Project Upload",
    "hyperframes_provider.client.request.request": "PreparedRender RenderTarget",
    "hyperframes_provider.client.stack.code_bucket": "CodeImage CodeLocation",
    "hyperframes_provider.client.stack.delete": "DeleteResult StackFailed delete_stack",
    "hyperframes_provider.client.stack.deploy": "DeployResult deploy_stack",
    "hyperframes_provider.client.stack.describe": "StackNotFound StackNotReady StackOutputs describe_stack",
    "hyperframes_provider.client.stack.events": "StackEvent StackTimeout",
    "hyperframes_provider.client.stack.health": "StackCheck check_stack",
    "hyperframes_provider.client.stack.needs": "Need Scope",
    "hyperframes_provider.client.stack.policies": "caller_scope policy_of service_needs service_role_trust user_needs",
    "hyperframes_provider.client.stack.policy_check": "Missing missing_for_caller missing_in_policy",
    "hyperframes_provider.client.stack.quotas": "Quotas read_quotas",
    "hyperframes_provider.client.stack.template": "InvalidStackParameter",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import the module that defines `name`, and keep the name here."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
