"""Every place where the endpoint replaces a part of moto, with the reason for each.

Replacements that are more than a few lines live in the room of their service; they are installed here and nowhere else. Any other version
of moto may have changed these parts, so only `MOTO_VERSION` is accepted. moto's services are imported when they are patched: some take
more than a second, and most are needed only once a request asks for them.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperframes_provider.local.connections import Connections
from hyperframes_provider.local.errors import EndpointError

if TYPE_CHECKING:
    from moto.awslambda.responses import LambdaResponse
    from moto.logs.responses import LogsResponse

    from hyperframes_provider.local.functions.pool import LambdaPool

MOTO_VERSION = "5.2.5"


def require_moto() -> None:
    """Raise `EndpointError` unless exactly `MOTO_VERSION` of moto is installed."""
    advice = 'Install it with: pip install "hyperframes-provider[local]"'
    try:
        found = version("moto")
    except PackageNotFoundError:
        raise EndpointError(f"The embedded endpoint needs moto {MOTO_VERSION}, which is not installed. {advice}") from None
    if found != MOTO_VERSION:
        raise EndpointError(f"The embedded endpoint needs moto {MOTO_VERSION}, but moto {found} is installed. {advice}")


require_moto()


def install(connections: Connections, outputs: Path, code_dir: Path) -> tuple[Any, LambdaPool]:
    """Patch moto; return its WSGI application and the pool of functions, which the caller closes.

    Finished objects are mirrored to `outputs`, and functions' ZIPs are unpacked below `code_dir`. Step Functions and CloudWatch Logs are
    patched by their first request, since they are also imported only then.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    _patch_storage(outputs)
    pool = _patch_functions(connections.url, code_dir)
    services = DomainDispatcherApplication(lambda service: _application(service, connections))
    # moto scans its own folders for every request, holding a lock that all other requests wait for.
    services.get_backend_for_host = functools.lru_cache(services.get_backend_for_host)  # type: ignore[method-assign]
    return services, pool


def load_interpreter(connections: Connections) -> None:
    """Import the interpreter of Step Functions, which takes more than a second, and make it call services through `connections`."""
    import moto.stepfunctions.parser.asl.utils.boto_client as interpreter_client

    def client_for(region: str, service: str, state_credentials: object = None) -> Any:  # noqa: ARG001
        return connections.client(service, region)

    # The interpreter makes a new boto3 client for every task, which takes tens of milliseconds. Its modules bind this function when they
    # are imported, so it must be replaced before that.
    interpreter_client.boto_client_for = client_for
    from hyperframes_provider.local.stepfunctions import api  # noqa: F401


def _application(service: Any, connections: Connections) -> Any:
    """Create the WSGI application of a service at its first request."""
    from moto.moto_server.werkzeug_app import create_backend_app

    if service == "cloudformation":
        # moto's CloudFormation changes everything at once, cannot roll back, skips unknown properties and checks no parameter. Mending it
        # would mean replacing most of it, and its import alone takes more than a second.
        from hyperframes_provider.local.cloudformation import api

        return api.application(connections)
    if service == "stepfunctions":
        _patch_step_functions(connections)
    if service == "logs":
        _patch_logs()
    return create_backend_app(service)


def _patch_storage(outputs: Path) -> None:
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket, s3_backends

    from hyperframes_provider.local.storage.backend import MirroredS3Backend
    from hyperframes_provider.local.storage.outputs import OutputsFolder

    # Finished videos outlive the endpoint, which forgets everything when it ends.
    MirroredS3Backend.outputs = OutputsFolder(outputs)
    s3_backends.backend = MirroredS3Backend
    # moto ignores conditions (https://github.com/getmoto/moto/pull/2300), so the stack's TLS-only policy would deny every request. The
    # endpoint authorises nobody anyway.
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]


def _patch_functions(url: str, code_dir: Path) -> LambdaPool:
    import moto.awslambda_simple.models as simple_lambda
    from moto.awslambda import urls
    from moto.awslambda.responses import LambdaResponse
    from moto.core.base_backend import BackendDict
    from moto.core.config import default_user_config

    from hyperframes_provider.local.functions.backend import LocalLambdaBackend
    from hyperframes_provider.local.functions.runner import Runner

    # moto runs functions in Docker, or returns a fixed answer: here they run as processes of this machine.
    LocalLambdaBackend.runner = Runner(url, code_dir)
    default_user_config["lambda"] = {"use_docker": False}
    simple_lambda.lambda_simple_backends = BackendDict(LocalLambdaBackend, "lambda")  # type: ignore[arg-type]
    # moto has no GetAccountSettings.
    LambdaResponse.get_account_settings = _account_settings  # type: ignore[attr-defined]
    urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch
    return LocalLambdaBackend.runner.pool


def _account_settings(_response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    """Answer with the number of functions that this machine runs at once."""
    cores = os.cpu_count() or 1
    return 200, {}, json.dumps({"AccountLimit": {"ConcurrentExecutions": cores, "UnreservedConcurrentExecutions": cores}})


def _patch_logs() -> None:
    from moto.logs.responses import LogsResponse

    # moto has neither operation, and a stack update changes the key of a log group with them. Nothing is encrypted here.
    LogsResponse.associate_kms_key = lambda response: _set_key(response, response._get_param("kmsKeyId"))  # type: ignore[attr-defined]
    LogsResponse.disassociate_kms_key = lambda response: _set_key(response, None)  # type: ignore[attr-defined]


def _set_key(response: LogsResponse, key: str | None) -> str:
    from moto.logs.exceptions import ResourceNotFoundException

    group = response.logs_backend.groups.get(response._get_param("logGroupName"))
    if group is None:
        raise ResourceNotFoundException
    group.kms_key_id = key
    return ""


def _patch_step_functions(connections: Connections) -> None:
    load_interpreter(connections)
    import moto.stepfunctions.parser.models as interpreter
    from moto.core.base_backend import BackendDict
    from moto.core.config import default_user_config
    from moto.stepfunctions import urls
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
        DistributedIterationComponent,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import InlineIterationComponent
    from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

    from hyperframes_provider.local.stepfunctions import evaluation
    from hyperframes_provider.local.stepfunctions.api import LocalStepFunctionsResponse
    from hyperframes_provider.local.stepfunctions.backend import LocalStepFunctionsBackend
    from hyperframes_provider.local.stepfunctions.execution import LocalExecution

    # Without this setting, moto answers every execution with a fixed result: https://github.com/getmoto/moto/issues/3544.
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # moto cannot stop an execution at once, redrive it, or page its history; it accepts broken definitions and reused names.
    LocalExecution.connections = connections
    interpreter.stepfunctions_parser_backends = BackendDict(LocalStepFunctionsBackend, "stepfunctions")
    urls.url_paths["{0}/$"] = LocalStepFunctionsResponse.dispatch
    # An inline Map starts all its iterations at once: a task's `TimeoutSeconds` would expire while its invocation waits for a core.
    InlineIterationComponent._eval_body = evaluation.iterate_on_cores  # type: ignore[method-assign, assignment]
    # moto evaluates the items of a distributed Map within the parent, keeps no trace of them, and ignores their failures.
    DistributedIterationComponent._eval_body = evaluation.run_as_children  # type: ignore[method-assign, assignment]
    # Parsing takes longer than a small execution, and moto parses the definition again for each one.
    ExecutionWorker._get_evaluation_entrypoint = evaluation.parsed_definition  # type: ignore[method-assign, assignment]
    # The worker of an inline Map calls itself once for each item it has finished.
    sys.setrecursionlimit(20_000)
