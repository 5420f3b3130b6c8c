"""The seam into moto: its Lambda service keeps functions and their configuration, and real processes run them.

API, CloudFormation and the Step Functions interpreter all reach a function through `LocalLambdaBackend.invoke`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moto.awslambda.urls as urls
import moto.awslambda_simple.models as simple_lambda
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.exceptions import JsonRESTError
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import LogsBackend
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from hyperframes_provider.local import requirements  # noqa: F401  (refuses any other moto before its internals are touched)
from hyperframes_provider.local.functions.environment import Environment, FunctionConfig
from hyperframes_provider.local.functions.pool import LambdaPool, ThrottledError
from hyperframes_provider.local.sandbox.code import Code, unpack
from hyperframes_provider.local.sandbox.enclosure import code_variables, lambda_variables

ToolsetPath = Callable[[], Path]


def install(url: str, code_dir: Path, toolset: ToolsetPath) -> LambdaPool:
    """Make the endpoint at `url` run functions as processes; ZIPs are unpacked under `code_dir`. Returns the pool, to be closed."""
    runner = _Runner(url, code_dir, toolset)
    LocalLambdaBackend.runner = runner
    default_user_config["lambda"] = {"use_docker": False}
    LambdaResponse.get_account_settings = _account_settings  # type: ignore[attr-defined]
    urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch
    simple_lambda.lambda_simple_backends = BackendDict(LocalLambdaBackend, "lambda")  # type: ignore[arg-type]
    return runner.pool


def _account_settings(_response: LambdaResponse) -> tuple[int, dict[str, str], str]:
    """The quota of concurrent executions: what this machine really runs at once."""
    cores = os.cpu_count() or 1
    return 200, {}, json.dumps({"AccountLimit": {"ConcurrentExecutions": cores, "UnreservedConcurrentExecutions": cores}})


class LocalLambdaBackend(LambdaBackend):
    """moto's Lambda with functions that run."""

    runner: _Runner

    def create_function(self, spec: dict[str, Any]) -> LambdaFunction:
        """As on Lambda, a missing code object is the caller's error."""
        self._require_code(spec["Code"])
        return super().create_function(spec)

    def update_function_code(self, function_name: str, qualifier: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """New code means new environments."""
        self._require_code(body)
        answer = super().update_function_code(function_name, qualifier, body)
        self.runner.pool.forget(self.get_function(function_name).function_arn)
        return answer

    def update_function_configuration(self, function_name: str, qualifier: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Also what moto leaves out of an update."""
        function = self.get_function(function_name, qualifier)
        if "EphemeralStorage" in body:
            function.ephemeral_storage = body["EphemeralStorage"]["Size"]
        if "TracingConfig" in body:
            function.tracing_config = body["TracingConfig"]
        answer = super().update_function_configuration(function_name, qualifier, body)
        self.runner.pool.forget(function.function_arn)
        return answer

    def delete_function(self, name: str, qualifier: str | None = None) -> None:
        """The function's environments end with it."""
        arn = self.get_function(name).function_arn
        super().delete_function(name, qualifier)
        self.runner.pool.forget(arn)

    def _require_code(self, code: dict[str, Any]) -> None:
        """Refuse what moto would make an empty function of."""
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if bucket is None or key is None:
            return
        try:
            found = s3_backends[self.account_id][self.partition].get_object(bucket, key)
        except MissingBucket:
            found = None
        if found is None:
            raise JsonRESTError(
                "InvalidParameterValueException",
                f"Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: s3://{bucket}/{key} does not exist.",
            )

    def invoke(self, function_name: str, qualifier: str | None, body: Any, headers: Any, response_headers: Any) -> str | bytes | None:
        """Run the function and answer as Lambda does: the payload, and `x-amz-function-error` when it failed."""
        function = self.get_function(function_name, qualifier)
        kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind != "RequestResponse":
            raise JsonRESTError(
                "InvalidParameterValueException", f"The embedded endpoint has no invocation type {kind}; use RequestResponse"
            )
        if function.package_type == "Image":
            raise JsonRESTError(
                "InvalidParameterValueException", "The embedded endpoint cannot run container images: deploy the code as a ZIP"
            )
        event = body.encode() if isinstance(body, str) else body
        reserved = None if function.reserved_concurrency is None else int(function.reserved_concurrency)
        try:
            result = self.runner.pool.invoke(self.runner.config(function), reserved, event or b"{}", headers.get("X-Amz-Client-Context"))
        except ThrottledError:
            raise _TooManyRequestsError from None
        if result.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        response_headers["x-amzn-RequestId"] = result.request_id
        response_headers["X-Amz-Executed-Version"] = "$LATEST"
        response_headers["Content-Length"] = str(len(result.payload))
        return result.payload


class _TooManyRequestsError(JsonRESTError):
    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


class _Runner:
    """Turns moto's function objects into environments."""

    def __init__(self, url: str, code_dir: Path, toolset: ToolsetPath) -> None:
        self._url = url
        self._code_dir = code_dir
        self._toolset = toolset
        self._unpacking = threading.Lock()
        self._functions: dict[str, LambdaFunction] = {}
        self.pool = LambdaPool(os.cpu_count() or 1, self._start)

    def config(self, function: LambdaFunction) -> FunctionConfig:
        """What decides whether a warm environment fits the function as it is now."""
        self._functions[function.function_arn] = function
        code = self._unpack(function)
        variables = {
            **lambda_variables(
                function.function_name, str(function.handler), int(function.memory_size), str(function.run_time), function.region, self._url
            ),
            **code_variables(code, self._toolset()),
            # As many environments as processors run at once, so each has one, whatever its memory would bring on Lambda.
            "HYPERFRAMES_CHUNK_VCPUS": "1",
            **{name: str(value) for name, value in function.environment_vars.items()},
        }
        return FunctionConfig(
            arn=function.function_arn,
            handler=str(function.handler),
            code=code,
            memory_mb=int(function.memory_size),
            timeout=float(function.timeout),
            variables=tuple(sorted(variables.items())),
            runtime=str(function.run_time),
            tmp_mb=int(function.ephemeral_storage),
        )

    def _start(self, config: FunctionConfig) -> Environment:
        function = self._functions[config.arn]
        group = function.logs_group_name
        stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        logs = function.logs_backend
        logs.ensure_log_group(group)
        logs.create_log_stream(group, stream)
        log = log_to(logs, group, stream)
        return Environment(config, {"AWS_LAMBDA_LOG_GROUP_NAME": group, "AWS_LAMBDA_LOG_STREAM_NAME": stream}, log)

    def _unpack(self, function: LambdaFunction) -> Code:
        digest = hashlib.sha256(function.code_sha_256.encode()).hexdigest()[:16]
        with self._unpacking:
            return unpack(io.BytesIO(function.code_bytes), self._code_dir / digest)


def log_to(logs: LogsBackend, group: str, stream: str) -> Callable[[str], None]:
    """What writes a line to the stream, one at a time.

    A deleted group or stream takes its lines with it, as on AWS when the stack is gone before its last invocation.
    """
    writing = threading.Lock()

    def log(line: str) -> None:
        with writing, contextlib.suppress(ResourceNotFoundException):
            logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}])

    return log
