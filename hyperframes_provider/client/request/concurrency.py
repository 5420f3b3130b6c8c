"""The number of chunks that can run at once: the request, the function's reservation and the account's quota.

It is determined before a render starts, so that the plan fits the capacity and chunks do not spend their time being throttled.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import InvalidRequest, is_denied


class NoConcurrency(InvalidRequest):
    """No invocation of the function may run, so a render would wait until it times out."""


@dataclass(frozen=True)
class Decision:
    """The concurrency of a render, and the reason."""

    limit: int | None
    """Invocations of the function that may run at once; None if AWS does not permit the question."""
    text: str
    """The decision and its reason in one line."""
    warning: bool = False
    """Whether the request exceeds the limit."""


@dataclass(frozen=True)
class Quota:
    """Concurrent executions that an account may have across all Lambda functions of a region."""

    total: int
    unreserved: int
    """The share left to functions without a reservation."""


def reconcile(function_arn: str, *, asked: int | None) -> Steps[Decision]:
    """Determine how many chunks the function renders at once; raise `NoConcurrency` if it is none.

    :param function_arn: the function that renders chunks
    :param asked: `maxParallelChunks` of the configuration
    """
    try:
        reserved = yield from reserved_concurrency(function_arn)
        quota = yield from account_quota()
    except ClientError as error:
        if not is_denied(error):
            raise
        return Decision(None, f"concurrency unknown: no permission for {error.operation_name}; Lambda throttles any excess")
    return decide(function_arn.rsplit(":", 1)[-1], reserved, quota, asked)


def decide(function: str, reserved: int | None, quota: Quota, asked: int | None) -> Decision:
    """Decide from numbers alone: a function has its reservation or, without one, shares the unreserved rest of the quota."""
    if reserved is None:
        limit, reason = min(quota.unreserved, quota.total), f"{quota.unreserved:,} of the account's {quota.total:,} are not reserved"
    else:
        limit, reason = min(reserved, quota.total), f"{reserved:,} of the account's {quota.total:,} are reserved for {function}"
    if limit < 1:
        raise NoConcurrency(
            f"{function} cannot run at all: {reason}",
            hint="Deploy the stack with another ReservedConcurrency (-1 for none), or request a higher quota of concurrent executions.",
        )
    if asked is not None and asked > limit:
        return Decision(limit, f"maxParallelChunks {asked:,} is more than can run at once: {limit:,}, because {reason}", warning=True)
    at_once = limit if asked is None else asked
    return Decision(limit, f"up to {at_once:,} {'chunk' if at_once == 1 else 'chunks'} at once: {reason}")


def reserved_concurrency(function_arn: str) -> Steps[int | None]:
    """Return the function's reserved invocations, which are also its maximum; None without a reservation."""
    answer = yield Call("lambda", "get_function_concurrency", {"FunctionName": function_arn})
    reserved = answer.get("ReservedConcurrentExecutions")
    return None if reserved is None else int(reserved)


def account_quota() -> Steps[Quota]:
    """Return the account's quota in this region."""
    answer = yield Call("lambda", "get_account_settings", {})
    limits = answer["AccountLimit"]
    total = int(limits["ConcurrentExecutions"])
    return Quota(total, int(limits.get("UnreservedConcurrentExecutions", total)))
