"""Operators that deploy and delete the stack that renders run on.

`hyperframes_provider.client.stack` does the work; the operators add a connection, a task log and an XCom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from hyperframes_provider.client.request.names import DEFAULT_STACK
from hyperframes_provider.client.stack.delete import DEFAULT_TIMEOUT, delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.events import StackEvent
from hyperframes_provider.operators.base import HyperFramesBaseOperator
from hyperframes_provider.operators.exceptions import airflow_errors

if TYPE_CHECKING:
    from airflow.sdk import Context


class _StackOperator(HyperFramesBaseOperator):
    """Base of both operators: names the stack, and logs CloudFormation's events as they happen.

    Killing the task does not stop the operation: CloudFormation completes it, and the next attempt waits for it.
    """

    def __init__(self, *, stack_name: str = DEFAULT_STACK, timeout: float = DEFAULT_TIMEOUT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stack_name = stack_name
        self.timeout = timeout

    def _log_event(self, event: StackEvent) -> None:
        if event.is_cause:
            self.log.error("%s", event)
        else:
            self.log.info("%s", event)


class HyperFramesDeployStackOperator(_StackOperator):
    """Create or update the HyperFrames stack.

    Idempotent: a second deploy of the same code and parameters changes nothing. Deletes and recreates a stack whose creation failed,
    waits for an operation that is still running, and refuses a wrong parameter before it creates or uploads anything. Does not log
    parameter values.

    XCom: `action` (`created`, `updated` or `unchanged`), `stack_name`, `stack_id`, `status`, `bucket`, `state_machine_arn`,
    `function_arn`, `code` (location of the ZIP or the image), `resources` (their number) and `seconds`.

    :param stack_name: the stack's name, unique in its account and region. (templated)
    :param parameters: the stack's parameters, such as `{"LambdaMemoryMb": 8192, "AllowedBuckets": "studio"}`. A parameter that is not
        given takes the template's default, even if an earlier deploy set it; `ProjectName` defaults to `stack_name`. (templated)
    :param code: the render function's ZIP: `s3://bucket/key.zip` in the stack's region, or a path on the worker, which is uploaded by
        content hash. CloudFormation compares keys, not contents, so a changed ZIP in S3 needs a new key. Default: the ZIP of
        `hyperframes-airflow build`, built on the worker (which needs the extra `local`) and kept in its cache; on the embedded endpoint,
        the slim ZIP. (templated)
    :param tags: tags of the stack, which passes them on to its resources; None keeps those of an existing stack. (templated)
    :param role_arn: a role that CloudFormation assumes for this and every later operation on the stack; `hyperframes-airflow policies
        role` prints its policy. None: the role of an earlier deploy, else the connection's own permissions. (templated)
    :param timeout: seconds until the task fails; a retry waits for the operation that is still running.
    """

    template_fields: Sequence[str] = aws_template_fields("stack_name", "parameters", "code", "tags", "role_arn")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json", "tags": "json"}

    def __init__(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        code: str | None = None,
        tags: Mapping[str, str] | None = None,
        role_arn: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.parameters = parameters
        self.code = code
        self.tags = tags
        self.role_arn = role_arn

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # the base class's signature
        """Deploy the stack, wait, and return its outputs."""
        with airflow_errors():
            result = deploy_stack(
                self.hook.connect,
                self.stack_name,
                parameters=self.parameters,
                code=self.code,
                build_code=_build,
                tags=self.tags,
                role_arn=self.role_arn,
                on_event=self._log_event,
                timeout=self.timeout,
            )
        stack = result.outputs
        self.log.info("stack %s %s · %s · %d resources, %.1fs", stack.name, result.action, stack.status, result.resources, result.seconds)
        return {
            "action": result.action,
            "stack_name": stack.name,
            "stack_id": stack.stack_id,
            "status": stack.status,
            "bucket": stack.bucket,
            "state_machine_arn": stack.state_machine_arn,
            "function_arn": stack.function_arn,
            "code": str(result.code),
            "resources": result.resources,
            "seconds": round(result.seconds, 3),
        }


def _build() -> Path:
    """Build the full ZIP; only a deploy without code imports the packages for it."""
    from hyperframes_provider.bundle import ensure_bundle

    return ensure_bundle()


class HyperFramesDeleteStackOperator(_StackOperator):
    """Delete the HyperFrames stack and wait until it is gone. The render bucket stays, with its projects and videos.

    Succeeds if the stack does not exist. XCom: `action` (`deleted` or `absent`), `stack_name` and `kept_bucket`, the name of the bucket,
    which is now yours to keep or to delete.

    :param stack_name: the stack's name. (templated)
    :param timeout: seconds until the task fails; a retry waits for the deletion.
    """

    template_fields: Sequence[str] = aws_template_fields("stack_name")

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # the base class's signature
        """Delete the stack, wait, and return the name of the kept bucket."""
        with airflow_errors():
            result = delete_stack(self.hook.connect, self.stack_name, on_event=self._log_event, timeout=self.timeout)
        self.log.info("stack %s %s%s", self.stack_name, result.action, f" · bucket {result.kept_bucket} kept" if result.kept_bucket else "")
        return {"action": result.action, "stack_name": self.stack_name, "kept_bucket": result.kept_bucket}
