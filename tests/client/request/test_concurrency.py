"""Reservation, account quota and request become one number before anything starts."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hyperframes_provider.client.aws import errors
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.request.concurrency import Decision, NoConcurrency, Quota, decide, reconcile

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render"

CASES: dict[str, tuple[int | None, Quota, int | None, int, str, bool]] = {
    "nothing reserved, nothing asked": (None, Quota(1000, 900), None, 900, "up to 900 chunks at once: 900 of the account's 1,000", False),
    "nothing reserved, little asked": (None, Quota(1000, 900), 8, 900, "up to 8 chunks at once", False),
    "reserved": (20, Quota(1000, 900), None, 20, "20 of the account's 1,000 are reserved for hyperframes-render", False),
    "one": (1, Quota(1000, 900), None, 1, "up to 1 chunk at once", False),
    "more asked than reserved": (2, Quota(1000, 900), 40, 2, "maxParallelChunks 40 is more than can run at once: 2, because", True),
    "as much asked as reserved": (40, Quota(1000, 900), 40, 40, "up to 40 chunks at once", False),
    "a new account": (None, Quota(10, 10), 5000, 10, "maxParallelChunks 5,000 is more than can run at once: 10", True),
    "reserved more than the quota, as before it was lowered": (500, Quota(100, 0), None, 100, "up to 100", False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_decision_and_its_reason(case: str) -> None:
    reserved, quota, asked, limit, text, warning = CASES[case]

    decision = decide("hyperframes-render", reserved, quota, asked)

    assert (decision.limit, decision.warning) == (limit, warning)
    assert decision.text.startswith(text) or text in decision.text
    assert "\n" not in decision.text


@pytest.mark.parametrize(("reserved", "quota"), [(0, Quota(1000, 900)), (None, Quota(1000, 0))])
def test_a_function_that_may_not_run_at_all_is_an_error(reserved: int | None, quota: Quota) -> None:
    with pytest.raises(NoConcurrency, match="hyperframes-render cannot run at all") as raised:
        decide("hyperframes-render", reserved, quota, 8)
    assert not raised.value.retryable
    assert "ReservedConcurrency" in str(raised.value.hint)


def asked_of_lambda(prepare: Any, *, asked: int | None = None) -> Decision:
    client = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        prepare(stub)
        decision = run(lambda _: client, reconcile(FUNCTION, asked=asked))
        stub.assert_no_pending_responses()
    return decision


def settings(stub: Stubber, **limits: int) -> None:
    stub.add_response("get_account_settings", {"AccountLimit": limits}, {})


@pytest.mark.parametrize(("answer", "limit"), [({"ReservedConcurrentExecutions": 3}, 3), ({}, 950)])
def test_lambda_is_asked_for_both(answer: dict[str, int], limit: int) -> None:
    def prepare(stub: Stubber) -> None:
        stub.add_response("get_function_concurrency", answer, {"FunctionName": FUNCTION})
        settings(stub, ConcurrentExecutions=1000, UnreservedConcurrentExecutions=950)

    assert asked_of_lambda(prepare).limit == limit


@pytest.mark.parametrize("code", ["AccessDeniedException", "AccessDenied"])
def test_without_permission_the_render_goes_on_without_a_limit_and_says_so(code: str) -> None:
    decision = asked_of_lambda(lambda stub: stub.add_client_error("get_function_concurrency", code), asked=40)

    assert (decision.limit, decision.warning) == (None, False)
    assert "no permission for GetFunctionConcurrency" in decision.text


def test_any_other_error_is_one() -> None:
    with pytest.raises(errors.ServiceError, match="ServiceException"):
        asked_of_lambda(lambda stub: stub.add_client_error("get_function_concurrency", "ServiceException"))
