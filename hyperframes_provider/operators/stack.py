"""Operators that deploy and delete the stack a render runs on.

What a deploy does is in `hyperframes_provider.client.stack`; here it gets a connection, a task log and an XCom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from hyperframes_provider.client.stack.delete import DEFAULT_TIMEOUT, delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.events import StackEvent
from hyperframes_provider.operators.base import HyperFramesBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class _StackOperator(HyperFramesBaseOperator):
    """What both operators do: name the stack, and write CloudFormation's events to the task log as they happen.

    A killed task does not stop the operation: CloudFormation carries it through, and the next attempt waits for it.
    """

    def __init__(self, *, stack_name: str = "hyperframes", timeout: float = DEFAULT_TIMEOUT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stack_name = stack_name
        self.timeout = timeout

    def _log_event(self, event: StackEvent) -> None:
        if event.is_cause:
            self.log.error("%s", event)
        else:
            self.log.info("%s", event)


class HyperFramesDeployStackOperator(_StackOperator):
    """Create or update the HyperFrames stack, or find that nothing changed.

    Idempotent: the same code and parameters twice change nothing. A stack whose creation failed is deleted and created anew; an
    operation that is still running is waited for. A wrong parameter is refused before anything is created or uploaded. Parameter values
    are not logged.

    XCom: `action` (`created`, `updated` or `unchanged`), `stack_name`, `stack_id`, `status`, `bucket`, `state_machine_arn`,
    `function_arn`, `code` (where the ZIP or the image lies), `resources` (how many the stack has) and `seconds`.

    :param stack_name: the stack's name; one stack a name, account and region. (templated)
    :param parameters: the stack's parameters, such as `{"LambdaMemoryMb": 8192, "AllowedBuckets": "studio"}`; the template's default
        applies to each one that is not given, also when an earlier deploy gave it. `ProjectName` follows `stack_name` unless given.
        (templated)
    :param code: the render function's ZIP: `s3://bucket/key.zip` in the stack's region, or a path on the worker, which is uploaded by
        content hash. CloudFormation compares keys and not contents, so a changed ZIP in S3 needs a new key. Default: the ZIP that
        `hyperframes-airflow build` makes, built on the worker and kept in its cache, for which the worker needs the extra `local`; on the
        embedded endpoint the slim ZIP. (templated)
    :param tags: tags of the stack and, through it, of its resources; None leaves those of an existing stack. (templated)
    :param role_arn: a role that CloudFormation takes for this and every later operation on the stack, with the policy that
        `hyperframes-airflow policies role` prints; None: the connection's own permissions, or the role of an earlier deploy. (templated)
    :param timeout: seconds that the deploy may take; afterwards the task fails, may be retried, and waits for what is still running.
    :param aws_conn_id: the Airflow connection of type `aws`; its `endpoint_url` decides between AWS and the embedded endpoint.
    :param region_name: the AWS region; default: the connection's, else boto3's.
    :param verify: whether, or with which CA bundle, TLS certificates are verified.
    :param botocore_config: keyword arguments of :class:`botocore.config.Config`.
    """

    template_fields: Sequence[str] = aws_template_fields("stack_name", "parameters", "code", "tags", "role_arn")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json", "tags": "json"}

    def __init__(
        self,
        *,
        stack_name: str = "hyperframes",
        parameters: Mapping[str, Any] | None = None,
        code: str | None = None,
        tags: Mapping[str, str] | None = None,
        role_arn: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            stack_name=stack_name,
            timeout=timeout,
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=botocore_config,
            **kwargs,
        )
        self.parameters = parameters
        self.code = code
        self.tags = tags
        self.role_arn = role_arn

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # the base class's signature
        """Deploy, wait and return the stack's outputs."""
        with self.airflow_errors():
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
    """Bring the whole ZIP; the packages that this takes are loaded by a deploy that builds only."""
    from hyperframes_provider.bundle import ensure_bundle

    return ensure_bundle()


class HyperFramesDeleteStackOperator(_StackOperator):
    """Delete the HyperFrames stack and wait until it is gone; the render bucket stays, with its projects and videos.

    A stack that does not exist is no failure. XCom: `action` (`deleted` or `absent`), `stack_name` and `kept_bucket`, the name of the
    bucket that is now yours to keep or to delete.

    :param stack_name: the stack's name. (templated)
    :param timeout: seconds that the deletion may take; afterwards the task fails and may be retried.
    :param aws_conn_id: the Airflow connection of type `aws`; its `endpoint_url` decides between AWS and the embedded endpoint.
    :param region_name: the AWS region; default: the connection's, else boto3's.
    :param verify: whether, or with which CA bundle, TLS certificates are verified.
    :param botocore_config: keyword arguments of :class:`botocore.config.Config`.
    """

    template_fields: Sequence[str] = aws_template_fields("stack_name")

    def __init__(
        self,
        *,
        stack_name: str = "hyperframes",
        timeout: float = DEFAULT_TIMEOUT,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            stack_name=stack_name,
            timeout=timeout,
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=botocore_config,
            **kwargs,
        )

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # the base class's signature
        """Delete, wait and return what was kept."""
        with self.airflow_errors():
            result = delete_stack(self.hook.connect, self.stack_name, on_event=self._log_event, timeout=self.timeout)
        self.log.info("stack %s %s%s", self.stack_name, result.action, f" · bucket {result.kept_bucket} kept" if result.kept_bucket else "")
        return {"action": result.action, "stack_name": self.stack_name, "kept_bucket": result.kept_bucket}
