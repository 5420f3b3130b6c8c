"""How many chunks may really be rendered at once: what is asked for, what is reserved for the function, and what the account has.

Found out before a render is started, so that it is cut for what there is and its chunks do not spend their time being refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import InvalidRequest, is_denied


class NoConcurrency(InvalidRequest):
    """Not a single invocation of the function may run: a render would wait until it gives up."""


@dataclass(frozen=True)
class Decision:
    """What was found out, and what follows."""

    limit: int | None
    """Invocations of the function that may run at once; None where nobody may say."""
    text: str
    """The decision and its reason, as one line."""
    warning: bool = False
    """More was asked for than there is."""


@dataclass(frozen=True)
class Quota:
    """An account's concurrent executions of all Lambda functions of a region."""

    total: int
    unreserved: int
    """What functions without a reservation share."""


def reconcile(function_arn: str, *, asked: int | None) -> Steps[Decision]:
    """How many chunks the function renders at once. `NoConcurrency` when none.

    :param function_arn: the function that renders chunks
    :param asked: the configuration's `maxParallelChunks`
    """
    try:
        reserved = yield from reserved_concurrency(function_arn)
        quota = yield from account_quota()
    except ClientError as error:
        if not is_denied(error):
            raise
        return Decision(None, f"concurrency unknown: no permission for {error.operation_name}; Lambda itself limits how much runs at once")
    return decide(function_arn.rsplit(":", 1)[-1], reserved, quota, asked)


def decide(function: str, reserved: int | None, quota: Quota, asked: int | None) -> Decision:
    """The decision, of numbers: a reservation is the function's own, without one it shares what nobody has reserved."""
    if reserved is None:
        limit, reason = min(quota.unreserved, quota.total), f"{quota.unreserved:,} of the account's {quota.total:,} are not reserved"
    else:
        limit, reason = min(reserved, quota.total), f"{reserved:,} of the account's {quota.total:,} are reserved for {function}"
    if limit < 1:
        raise NoConcurrency(
            f"{function} cannot run at all: {reason}",
            hint="Deploy the stack with another ReservedConcurrency (-1: none), or have the quota of concurrent executions raised.",
        )
    if asked is not None and asked > limit:
        return Decision(limit, f"maxParallelChunks {asked:,} is more than can run at once: {limit:,}, because {reason}", warning=True)
    at_once = limit if asked is None else asked
    return Decision(limit, f"up to {at_once:,} {'chunk' if at_once == 1 else 'chunks'} at once: {reason}")


def reserved_concurrency(function_arn: str) -> Steps[int | None]:
    """Invocations that are reserved for the function, which are also the most it may have; None without a reservation."""
    answer = yield Call("lambda", "get_function_concurrency", {"FunctionName": function_arn})
    reserved = answer.get("ReservedConcurrentExecutions")
    return None if reserved is None else int(reserved)


def account_quota() -> Steps[Quota]:
    """The account's quota in this region."""
    answer = yield Call("lambda", "get_account_settings", {})
    limits = answer["AccountLimit"]
    total = int(limits["ConcurrentExecutions"])
    return Quota(total, int(limits.get("UnreservedConcurrentExecutions", total)))
