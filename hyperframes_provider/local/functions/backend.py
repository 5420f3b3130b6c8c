"""moto's Lambda with real functions: HTTP API, CloudFormation and Step Functions all call `LocalLambdaBackend.invoke`."""

from __future__ import annotations

from typing import Any

from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.core.exceptions import JsonRESTError
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from hyperframes_provider.local.functions.pool import ThrottledError
from hyperframes_provider.local.functions.runner import Runner


class LocalLambdaBackend(LambdaBackend):
    """moto's Lambda with functions that run as processes of `runner`."""

    runner: Runner

    def create_function(self, spec: dict[str, Any]) -> LambdaFunction:
        """Refuse a missing code object, as Lambda does."""
        self._require_code(spec["Code"])
        return super().create_function(spec)

    def update_function_code(self, function_name: str, qualifier: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Replace the code, and with it the function's environments."""
        self._require_code(body)
        answer = super().update_function_code(function_name, qualifier, body)
        self.runner.pool.forget(self.get_function(function_name).function_arn)
        return answer

    def update_function_configuration(self, function_name: str, qualifier: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Update the configuration, including the settings that moto ignores, and replace the function's environments."""
        function = self.get_function(function_name, qualifier)
        if "EphemeralStorage" in body:
            function.ephemeral_storage = body["EphemeralStorage"]["Size"]
        if "TracingConfig" in body:
            function.tracing_config = body["TracingConfig"]
        answer = super().update_function_configuration(function_name, qualifier, body)
        self.runner.pool.forget(function.function_arn)
        return answer

    def delete_function(self, name: str, qualifier: str | None = None) -> None:
        """Delete the function and end its environments."""
        arn = self.get_function(name).function_arn
        super().delete_function(name, qualifier)
        self.runner.pool.forget(arn)

    def _require_code(self, code: dict[str, Any]) -> None:
        """Refuse a missing object, from which moto would create an empty function."""
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
        """Run the function; return its payload, and set `x-amz-function-error` if it failed."""
        function = self.get_function(function_name, qualifier)
        kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return b""
        if kind != "RequestResponse":
            raise JsonRESTError(
                "InvalidParameterValueException", f"The embedded endpoint does not support the invocation type {kind}: use RequestResponse"
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
