"""The decision how to fulfil a request for a render, as a table."""

from __future__ import annotations

import pytest

from hyperframes_provider.client.execution.executions import Status
from hyperframes_provider.client.execution.starting import BATCH, REDRIVE, RENDER, Action, Policy, decide

ENDED_BADLY = (Status.FAILED, Status.TIMED_OUT, Status.ABORTED)


@pytest.mark.parametrize("policy", [RENDER, BATCH, REDRIVE])
def test_every_policy_starts_the_first_generation_adopts_a_running_one_and_returns_a_wanted_result(policy: Policy) -> None:
    assert decide(None, policy) is Action.START
    assert {decide(status, policy) for status in (Status.RUNNING, Status.PENDING_REDRIVE)} == {Action.ADOPT}
    assert decide(Status.SUCCEEDED, policy, wanted=True) is Action.RETURN
    assert decide(Status.SUCCEEDED, policy, wanted=False, redrivable=True) is Action.START


@pytest.mark.parametrize(
    ("policy", "redriven"),
    [(RENDER, {Status.TIMED_OUT, Status.ABORTED}), (BATCH, set()), (REDRIVE, set(ENDED_BADLY))],
    ids=["render", "batch", "redrive"],
)
def test_a_policy_says_which_ends_are_redriven(policy: Policy, redriven: set[Status]) -> None:
    for status in ENDED_BADLY:
        expected = Action.REDRIVE if status in redriven else Action.START
        assert decide(status, policy, redrivable=True) is expected
        assert decide(status, policy, redrivable=False) is Action.START
        assert decide(status, policy, redrivable=True, stopped_by_us=True) is Action.START
