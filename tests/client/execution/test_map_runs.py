"""From a parent that only says that too many children failed to the child that did."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.execution import map_runs
from hyperframes_provider.client.execution.ending import conclude
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:render"
PARENT = "arn:aws:states:us-east-1:123456789012:execution:render:weekly-0f0e0d0c-0b0a-5908-8706-050403020100-g1"
RUN = "arn:aws:states:us-east-1:123456789012:mapRun:render/chunks:1f0c"
CHILDREN = "arn:aws:states:us-east-1:123456789012:execution:render/chunks"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render"


class Script:
    """The answers that are to come."""

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
        self.clients = {name: session.client(name) for name in ("stepfunctions", "lambda", "logs")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}

    def connect(self, service: str) -> Any:
        return self.clients[service]

    def runs(self) -> Script:
        entry = {"executionArn": PARENT, "mapRunArn": RUN, "stateMachineArn": f"{MACHINE}/chunks", "startDate": NOW}
        self.stubs["stepfunctions"].add_response("list_map_runs", {"mapRuns": [entry]}, {"executionArn": PARENT})
        return self

    def listed(self, status: str, *names: str, token: str | None = None, more: str | None = None) -> Script:
        wanted = {"mapRunArn": RUN, "statusFilter": status, "maxResults": 1000, **({"nextToken": token} if token else {})}
        items = [
            {"executionArn": f"{CHILDREN}:{name}", "stateMachineArn": f"{MACHINE}/chunks", "name": name, "status": status, "startDate": NOW}
            for name in names
        ]
        self.stubs["stepfunctions"].add_response("list_executions", {"executions": items, **({"nextToken": more} if more else {})}, wanted)
        return self

    def described(self, arn: str, status: str, **more: Any) -> Script:
        answer = {"executionArn": arn, "stateMachineArn": MACHINE, "status": status, "startDate": NOW, "stopDate": NOW, **more}
        self.stubs["stepfunctions"].add_response("describe_execution", answer, {"executionArn": arn})
        return self

    def history(self, events: list[dict[str, Any]]) -> Script:
        stamped = [{"id": number, "previousEventId": number - 1, "timestamp": NOW, **event} for number, event in enumerate(events, start=1)]
        self.stubs["stepfunctions"].add_response("get_execution_history", {"events": stamped[::-1]})
        return self

    def play(self, steps: Any) -> Any:
        for stub in self.stubs.values():
            stub.activate()
        try:
            return run(self.connect, steps)
        finally:
            for stub in self.stubs.values():
                stub.assert_no_pending_responses()


PARENTS_EVENTS = [
    {"type": "ExecutionStarted"},
    {"type": "MapStateEntered", "stateEnteredEventDetails": {"name": "RenderChunksDistributed"}},
    {"type": "MapRunStarted", "mapRunStartedEventDetails": {"mapRunArn": RUN}},
    {"type": "MapRunFailed", "mapRunFailedEventDetails": {"error": map_runs.EXCEEDED, "cause": "exceeded"}},
]


def child_events(error: str, tries: int) -> list[dict[str, Any]]:
    parameters = json.dumps({"FunctionName": FUNCTION, "Payload": {"Action": "renderChunk", "ChunkIndex": 412, "ExecutionName": "x"}})
    names = {"resourceType": "lambda", "resource": "invoke"}
    cause = json.dumps({"errorMessage": "the page died", "errorType": error})
    attempt = [
        {"type": "TaskScheduled", "taskScheduledEventDetails": {**names, "region": "us-east-1", "parameters": parameters}},
        {"type": "TaskStarted", "taskStartedEventDetails": names},
        {"type": "TaskFailed", "taskFailedEventDetails": {**names, "error": error, "cause": cause}},
    ]
    entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "RenderDistributedChunk"}}
    return [{"type": "ExecutionStarted"}, entered, *attempt * tries]


def failed_parent(script: Script) -> Script:
    script.described(PARENT, "FAILED", error=map_runs.EXCEEDED, cause="The specified tolerated failure threshold was exceeded")
    return script.history(PARENTS_EVENTS).runs()


def test_the_failure_of_a_distributed_render_is_that_of_its_first_failing_chunk() -> None:
    script = failed_parent(Script()).listed("FAILED", "third", "second", more="page").listed("FAILED", "first", token="page")
    cause = json.dumps({"errorMessage": "the page died"})
    script.described(f"{CHILDREN}:first", "FAILED", error="BROWSER_CRASHED", cause=cause).history(child_events("BROWSER_CRASHED", 4))
    script.stubs["logs"].add_response("filter_log_events", {"events": [{"message": "the last words"}]})

    with pytest.raises(RenderFailed) as raised:
        script.play(conclude(PARENT))

    failure = raised.value.failure
    assert (failure.error, failure.message, failure.chunk, failure.attempts) == ("BROWSER_CRASHED", "the page died", 412, 4)
    assert (failure.log_group, failure.log_tail) == ("/aws/lambda/hyperframes-render", ("the last words",))
    assert raised.value.retryable
    assert str(raised.value).startswith("BROWSER_CRASHED in RenderDistributedChunk, chunk 412 (tried 4 times)")


def test_a_chunk_that_found_the_cancel_marker_makes_the_render_a_cancelled_one() -> None:
    script = failed_parent(Script()).listed("FAILED", "first")
    script.described(f"{CHILDREN}:first", "FAILED", error="RENDER_CANCELLED", cause="{}").history(child_events("RENDER_CANCELLED", 1))

    with pytest.raises(RenderCancelled):
        script.play(conclude(PARENT))


def test_a_chunk_that_ran_out_of_time_is_found_where_none_failed() -> None:
    script = Script().runs().listed("FAILED").listed("TIMED_OUT", "first")
    script.described(f"{CHILDREN}:first", "TIMED_OUT").history(child_events("States.Timeout", 1))

    child = script.play(map_runs.failing_child(parent(map_runs.EXCEEDED)))

    assert child.execution.status is Status.TIMED_OUT


def test_without_permission_or_with_another_error_the_parent_has_the_last_word() -> None:
    denied = Script()
    denied.stubs["stepfunctions"].add_client_error("list_map_runs", "AccessDeniedException")

    assert denied.play(map_runs.failing_child(parent(map_runs.EXCEEDED))) is None
    assert Script().play(map_runs.failing_child(parent("INVALID_CONFIG"))) is None


def parent(error: str) -> Execution:
    return Execution(PARENT, Status.FAILED, NOW, NOW, None, "", error, "", redrivable=False)


@pytest.mark.parametrize("denied", [False, True])
def test_complete_chunks_are_counted_by_the_map_run_where_it_may_be_asked(denied: bool) -> None:
    script = Script()
    counts = dict.fromkeys(("pending", "running", "failed", "timedOut", "aborted", "resultsWritten"), 0) | {"succeeded": 7, "total": 60}
    if denied:
        script.stubs["stepfunctions"].add_client_error("describe_map_run", "AccessDeniedException")
    else:
        answer = {
            "mapRunArn": RUN, "executionArn": PARENT, "status": "RUNNING", "startDate": NOW, "maxConcurrency": 40,
            "toleratedFailurePercentage": 0.0, "toleratedFailureCount": 0, "itemCounts": counts, "executionCounts": counts,
        }  # fmt: skip
        script.stubs["stepfunctions"].add_response("describe_map_run", answer, {"mapRunArn": RUN})

    assert script.play(map_runs.completed(RUN)) == (0 if denied else 7)
