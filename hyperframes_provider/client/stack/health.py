"""Health of a deployed stack: existence, version, functions, bucket and free concurrency. The checks change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, error_code
from hyperframes_provider.client.stack import quotas
from hyperframes_provider.client.stack.describe import StackOutputs, describe_stack


@dataclass(frozen=True)
class StackCheck:
    """One verdict, with the next command to run as `hint`."""

    name: str
    state: Literal["ok", "warning", "missing", "damaged"]
    version: str = ""
    detail: str = ""
    hint: str = ""


def check_stack(connect: Connect, name: str, *, version: str) -> list[StackCheck]:
    """Check a stack; report a fault as a verdict, not as an error.

    :param version: version of the installed provider, which the stack should have
    """
    deploy = f"hyperframes-airflow deploy --stack-name {name}"
    try:
        stack = describe_stack(connect, name)
    except HyperFramesClientError as error:
        return [StackCheck("stack", "missing", "", error.message, deploy)]
    checks = [StackCheck("stack", "ok", "", f"{name}: {stack.status}"), _version(stack, version, deploy)]
    for arn in stack.functions:
        checks.append(run(connect, _function(arn, deploy)))
    checks.append(run(connect, _bucket(stack.bucket)))
    checks.append(_concurrency(run(connect, quotas.read_quotas(stack.function_arn, service_quotas=False))))
    return checks


def _version(stack: StackOutputs, version: str, deploy: str) -> StackCheck:
    if stack.provider_version is None:
        return StackCheck("versions", "warning", "", "the stack was deployed from another or an old template", deploy)
    if stack.provider_version != version:
        return StackCheck("versions", "warning", stack.provider_version, f"the installed version is {version}", deploy)
    return StackCheck("versions", "ok", version, "the stack has the installed version")


def _function(arn: str, deploy: str) -> Steps[StackCheck]:
    name = f"function {arn.rsplit(':', 1)[-1]}"
    try:
        found = yield Call("lambda", "get_function_configuration", {"FunctionName": arn})
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return StackCheck(name, "missing", "", "the stack's function was deleted outside CloudFormation", deploy)
        return StackCheck(name, "warning", "", f"{error.operation_name}: {error_code(error)}")
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    detail = f"{state}, {found['MemorySize']:,} MB, {found['Timeout']} s"
    if state == "Failed" or update == "Failed":
        why = found.get("StateReason") or found.get("LastUpdateStatusReason") or ""
        return StackCheck(name, "damaged", found.get("Runtime", ""), f"{detail}; {why}", deploy)
    # A function becomes inactive after weeks without use; the next invocation activates it.
    return StackCheck(name, "ok" if update == "Successful" else "warning", found.get("Runtime", ""), detail)


def _bucket(bucket: str) -> Steps[StackCheck]:
    try:
        yield Call("s3", "head_bucket", {"Bucket": bucket})
    except ClientError as error:
        missing = error_code(error) in ("404", "NoSuchBucket")
        detail = f"{bucket} does not exist" if missing else f"{bucket}: {error_code(error)}"
        return StackCheck("bucket", "missing" if missing else "damaged", "", detail, "hyperframes-airflow policies validate --render-only")
    return StackCheck("bucket", "ok", "", bucket)


def _concurrency(found: quotas.Quotas) -> StackCheck:
    state: Literal["ok", "warning", "damaged"] = "ok" if found.chunks_at_once else "warning" if found.chunks_at_once is None else "damaged"
    number = "" if found.chunks_at_once is None else f"{found.chunks_at_once:,}"
    return StackCheck("concurrency", state, number, found.meaning[0], "" if state == "ok" else "hyperframes-airflow quotas")
