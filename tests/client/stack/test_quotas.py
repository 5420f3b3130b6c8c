"""Quotas of an account, from written answers that only AWS gives, and an estimate's arithmetic."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hyperframes_lambda.contract.authoring import MeasuredProject
from hyperframes_lambda.contract.config import parse_config
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.execution.estimate import estimate
from hyperframes_provider.client.stack.quotas import Quotas, read_quotas

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:studio-render"


def asked(settings: object, reserved: object, applied: object, states: list[object]) -> Quotas:
    """The quotas for four answers; a text is the code of a refusal."""
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    clients = {name: session.client(name) for name in ("lambda", "service-quotas")}
    stubs = {name: Stubber(client) for name, client in clients.items()}
    calls = [
        ("lambda", "get_account_settings", settings),
        ("lambda", "get_function_concurrency", reserved),
        ("service-quotas", "get_service_quota", applied),
        *(("service-quotas", "list_service_quotas", page) for page in states),
    ]
    for service, operation, answer in calls:
        if isinstance(answer, str):
            stubs[service].add_client_error(operation, answer)
        else:
            stubs[service].add_response(operation, answer)
    for stub in stubs.values():
        stub.activate()
    found = run(lambda service: clients[service], read_quotas(FUNCTION))
    for stub in stubs.values():
        stub.assert_no_pending_responses()
    return found


def settings(total: int, unreserved: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}}


def test_all_that_is_told_is_shown() -> None:
    pages: list[object] = [
        {"Quotas": [{"QuotaName": "StartExecution throttle token bucket size", "Value": 1300.0, "Adjustable": True}], "NextToken": "2"},
        {"Quotas": [{"QuotaName": "Registered activities", "Value": 1.0}]},
    ]
    found = asked(settings(1000, 900), {"ReservedConcurrentExecutions": 50}, {"Quota": {"Value": 1000.0, "Adjustable": True}}, pages)
    assert [(value.service, value.value, value.adjustable, value.problem) for value in found.values] == [
        ("lambda", 1000, None, ""),
        ("lambda", 900, None, ""),
        ("lambda", 50, None, ""),
        ("lambda", 1000, True, ""),
        ("states", 1300, True, ""),
    ]
    assert found.chunks_at_once == 50
    assert found.meaning == ("up to 50 chunks of all renders together run at once (reserved for the function); further ones wait",)


def test_a_refusal_is_an_answer() -> None:
    found = asked("AccessDeniedException", "AccessDeniedException", "AccessDeniedException", ["AccessDeniedException"])
    assert found.chunks_at_once is None
    assert {value.problem for value in found.values} == {
        "no permission for GetAccountSettings",
        "no permission for GetFunctionConcurrency",
        "no permission for GetServiceQuota",
        "no permission for ListServiceQuotas",
    }


def test_a_new_account_is_told_what_to_do() -> None:
    found = asked(settings(10, 0), {}, {"Quota": {}}, [{"Quotas": []}])
    assert found.chunks_at_once == 0
    assert "nothing can be rendered" in found.meaning[1]
    assert "Service Quotas" in found.meaning[2]


MEASURED = MeasuredProject(frames=3000, width=1920, height=1080, fps=30, duration=100, capture=0.1, worst=0.2, encode=0.02, plan_seconds=5)


def test_an_estimate_grows_with_what_a_frame_takes() -> None:
    config = parse_config({"chunkSize": 300})
    one = estimate(MEASURED, config, memory_mb=10240, timeout=900, concurrency=5)
    two = estimate(MEASURED, config, memory_mb=10240, timeout=900, concurrency=5, vcpu_factor=2)
    assert (one.chunks, one.at_once, one.frames) == (8, 5, 3000)  # chunkSize alone means 8 chunks at most, as with the reference
    assert one.seconds < two.seconds < 2 * one.seconds
    assert one.cost_usd < two.cost_usd < 2 * one.cost_usd
    # 5.8 vCPUs at $0.0000166667 a GB second: what is billed is nearly all of it.
    assert one.cost_usd == pytest.approx(one.lambda_seconds * 10 * 0.0000166667, rel=0.1)


def test_sound_alone_has_no_chunks() -> None:
    sound = MEASURED.model_copy(update={"frames": 0})
    found = estimate(sound, parse_config({"format": "m4a"}), memory_mb=2048, timeout=900)
    assert (found.chunks, found.frames, found.at_once) == (0, 0, 0)
    assert found.cost_usd > 0


def test_a_factor_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="vcpu_factor"):
        estimate(MEASURED, parse_config({}), memory_mb=2048, timeout=900, vcpu_factor=0)
