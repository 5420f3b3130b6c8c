"""An account's quotas, and their meaning for renders. A quota that cannot be read is reported, not raised."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Reply, Steps, pages
from hyperframes_provider.client.aws.errors import error_code, is_denied

_LAMBDA_CONCURRENCY = ("lambda", "L-B99A9384")
"""Service and quota code of "Concurrent executions"."""
_LEAST_ACCOUNT = 1000
"""Concurrent executions that AWS grants by default; new accounts may start with fewer."""
_STATES = ("open executions", "StartExecution", "DescribeExecution", "ListExecutions", "open Map Runs")
"""Parts of the names of Step Functions quotas that matter for renders."""


@dataclass(frozen=True)
class QuotaValue:
    """One quota, or the reason why it is unknown."""

    service: str
    name: str
    value: float | None
    source: str
    """The API call that returned it."""
    adjustable: bool | None = None
    """Whether AWS raises it on request; None if unknown."""
    problem: str = ""
    """Reason for a missing value, such as a missing permission."""


@dataclass(frozen=True)
class Quotas:
    """The quotas, and their meaning for renders."""

    values: tuple[QuotaValue, ...]
    chunks_at_once: int | None
    """Invocations of the render function that can run at once; None if unknown."""
    meaning: tuple[str, ...]
    """The consequences, as sentences."""


def read_quotas(function_arn: str, *, service_quotas: bool = True) -> Steps[Quotas]:
    """Read the quotas of Lambda and Step Functions.

    :param service_quotas: whether to ask Service Quotas, which the embedded endpoint lacks
    """
    account, function = "lambda:GetAccountSettings", "lambda:GetFunctionConcurrency"
    reserved_name = f"Reserved for {function_arn.rsplit(':', 1)[-1]}"
    settings = yield from _ask(Call("lambda", "get_account_settings", {}))
    reservation = yield from _ask(Call("lambda", "get_function_concurrency", {"FunctionName": function_arn}))
    values = [
        _quota("lambda", "Concurrent executions", account, settings, "AccountLimit", "ConcurrentExecutions"),
        _quota("lambda", "Unreserved concurrent executions", account, settings, "AccountLimit", "UnreservedConcurrentExecutions"),
        _quota("lambda", reserved_name, function, reservation, "ReservedConcurrentExecutions", absent="nothing is reserved"),
    ]
    if service_quotas:
        service, code = _LAMBDA_CONCURRENCY
        applied = yield from _ask(Call("service-quotas", "get_service_quota", {"ServiceCode": service, "QuotaCode": code}))
        values.append(_quota(service, "Concurrent executions, applied", "servicequotas:GetServiceQuota", applied, "Quota", "Value"))
        values += yield from _states()
    total, unreserved, reserved = (item.value for item in values[:3])
    at_once = _at_once(total, unreserved, reserved, known=isinstance(reservation, dict))
    return Quotas(tuple(values), at_once, tuple(_meaning(at_once, total if service_quotas else None, reserved)))


def _at_once(total: float | None, unreserved: float | None, reserved: float | None, *, known: bool) -> int | None:
    if total is None or not known:
        return None
    return int(min(total, reserved if reserved is not None else unreserved if unreserved is not None else total))


def _meaning(at_once: int | None, total: float | None, reserved: float | None) -> list[str]:
    if at_once is None:
        return ["the number of chunks that run at once is unknown; Lambda throttles the rest, which waits"]
    reason = "reserved for the function" if reserved is not None else "not reserved by any function"
    said = [f"up to {at_once:,} chunks of all renders together run at once ({reason}); further ones wait"]
    if at_once < 1:
        said.append("nothing can be rendered: deploy with another ReservedConcurrency, or request a higher quota")
    if total is not None and total < _LEAST_ACCOUNT:
        said.append(f"the account has fewer than the usual {_LEAST_ACCOUNT:,}: request more in the Service Quotas console under Lambda")
    return said


def _quota(service: str, name: str, source: str, answer: Reply, *path: str, absent: str = "missing in the answer") -> QuotaValue:
    """Return the value at `path` in an answer."""
    if isinstance(answer, ClientError):
        return QuotaValue(service, name, None, source, problem=_problem(answer))
    *outer, last = path
    for key in outer:
        answer = answer.get(key, {})
    value = answer.get(last)
    return QuotaValue(service, name, value, source, answer.get("Adjustable"), "" if value is not None else absent)


def _states() -> Steps[list[QuotaValue]]:
    source = "servicequotas:ListServiceQuotas"
    try:
        found = yield from pages(Call("service-quotas", "list_service_quotas", {"ServiceCode": "states", "MaxResults": 100}))
    except ClientError as error:
        return [QuotaValue("states", "Step Functions", None, source, problem=_problem(error))]
    return [
        QuotaValue("states", quota["QuotaName"], quota.get("Value"), source, quota.get("Adjustable"))
        for page in found
        for quota in page["Quotas"]
        if any(part.lower() in quota["QuotaName"].lower() for part in _STATES)
    ]


def _ask(call: Call) -> Steps[Reply]:
    """Return the answer, or the error as a value."""
    answers: list[Reply] = yield [call]
    return answers[0]


def _problem(error: ClientError) -> str:
    if is_denied(error):
        return f"no permission for {error.operation_name}"
    return f"{error.operation_name} is not available here: {error_code(error)}"
