"""What an account allows, and what that means for renders. A value that may not be asked for says so; it is no error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.errors import error_code, is_denied

_LAMBDA_CONCURRENCY = ("lambda", "L-B99A9384")
"""Service and quota code of "Concurrent executions"."""
_LEAST_ACCOUNT = 1000
"""Concurrent executions that AWS gives an account by default; new ones may begin with fewer."""
_STATES = ("open executions", "StartExecution", "DescribeExecution", "ListExecutions", "open Map Runs")
"""Parts of the names of the Step Functions quotas that renders meet."""


@dataclass(frozen=True)
class QuotaValue:
    """One value, or why there is none."""

    service: str
    name: str
    value: float | None
    source: str
    """The API call that said so."""
    adjustable: bool | None = None
    """Whether AWS raises it on request; None where that is unknown."""
    problem: str = ""
    """Why there is no value: no permission, or not offered here."""


@dataclass(frozen=True)
class Quotas:
    """What was found, and what follows."""

    values: tuple[QuotaValue, ...]
    chunks_at_once: int | None
    """Invocations of the render function that can run at the same time; None where nobody may say."""
    meaning: tuple[str, ...]
    """Sentences for a person."""


def read_quotas(function_arn: str, *, service_quotas: bool = True) -> Steps[Quotas]:
    """Ask Lambda, and Service Quotas about Lambda and Step Functions.

    :param service_quotas: whether there is that service: not on the embedded endpoint, whose concurrency is that of this machine
    """
    settings = yield from _ask(Call("lambda", "get_account_settings", {}))
    reservation = yield from _ask(Call("lambda", "get_function_concurrency", {"FunctionName": function_arn}))
    values = [*_account(settings), _reserved(reservation, function_arn)]
    if service_quotas:
        service, code = _LAMBDA_CONCURRENCY
        applied = yield from _ask(Call("service-quotas", "get_service_quota", {"ServiceCode": service, "QuotaCode": code}))
        values.append(_applied("lambda", "Concurrent executions, applied", applied))
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
        return ["how many chunks run at once is unknown; Lambda itself limits it, and what is refused waits"]
    reason = "reserved for the function" if reserved is not None else "what no function has reserved"
    said = [f"{at_once:,} chunks of all renders together run at once ({reason}); further ones wait"]
    if at_once < 1:
        said.append("nothing can be rendered: deploy with another ReservedConcurrency, or have the quota raised")
    if total is not None and total < _LEAST_ACCOUNT:
        said.append(f"the account has fewer than the usual {_LEAST_ACCOUNT:,}: ask for more in the Service Quotas console, Lambda")
    return said


def _account(answer: dict[str, Any] | ClientError) -> list[QuotaValue]:
    fields = {"Concurrent executions": "ConcurrentExecutions", "Unreserved concurrent executions": "UnreservedConcurrentExecutions"}
    source = "lambda:GetAccountSettings"
    if isinstance(answer, ClientError):
        return [QuotaValue("lambda", name, None, source, problem=_problem(answer)) for name in fields]
    limits = answer.get("AccountLimit", {})
    return [
        QuotaValue("lambda", name, limits.get(key), source, problem="" if key in limits else "not said") for name, key in fields.items()
    ]


def _reserved(answer: dict[str, Any] | ClientError, function_arn: str) -> QuotaValue:
    name, source = f"Reserved for {function_arn.rsplit(':', 1)[-1]}", "lambda:GetFunctionConcurrency"
    if isinstance(answer, ClientError):
        return QuotaValue("lambda", name, None, source, problem=_problem(answer))
    value = answer.get("ReservedConcurrentExecutions")
    return QuotaValue("lambda", name, value, source, problem="" if value is not None else "nothing is reserved")


def _applied(service: str, name: str, answer: dict[str, Any] | ClientError) -> QuotaValue:
    source = "servicequotas:GetServiceQuota"
    if isinstance(answer, ClientError):
        return QuotaValue(service, name, None, source, problem=_problem(answer))
    quota = answer["Quota"]
    return QuotaValue(service, name, quota.get("Value"), source, quota.get("Adjustable"))


def _states() -> Steps[list[QuotaValue]]:
    source = "servicequotas:ListServiceQuotas"
    arguments: dict[str, Any] = {"ServiceCode": "states", "MaxResults": 100}
    found: list[QuotaValue] = []
    while True:
        answer = yield from _ask(Call("service-quotas", "list_service_quotas", arguments))
        if isinstance(answer, ClientError):
            return [*found, QuotaValue("states", "Step Functions", None, source, problem=_problem(answer))]
        for quota in answer["Quotas"]:
            if any(part.lower() in quota["QuotaName"].lower() for part in _STATES):
                found.append(QuotaValue("states", quota["QuotaName"], quota.get("Value"), source, quota.get("Adjustable")))
        if not answer.get("NextToken"):
            return found
        arguments = {**arguments, "NextToken": answer["NextToken"]}


def _ask(call: Call) -> Steps[dict[str, Any] | ClientError]:
    """The answer, or the refusal as a value."""
    answers = yield [call]
    answer: dict[str, Any] | ClientError = answers[0]
    return answer


def _problem(error: ClientError) -> str:
    if is_denied(error):
        return f"no permission for {error.operation_name}"
    return f"{error.operation_name} is not offered here: {error_code(error)}"
