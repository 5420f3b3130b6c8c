"""Histories as Step Functions writes them for our state machine, made by a few words each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import ERROR_TABLE, Retry
from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_lambda.contract.prices import PRICES
from hyperframes_provider.client.execution.cost import Usage, cost, estimate_of, usage_of
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.failure import failure_of, message_of
from hyperframes_provider.client.execution.history import History, RetryNote
from hyperframes_provider.client.execution.report import failure_text
from hyperframes_provider.client.execution.result import result_of
from hyperframes_provider.client.request.dialect import OWN

START = datetime(2026, 1, 1, tzinfo=UTC)
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render"
PLAN = {
    "ManifestS3Uri": "s3://bucket/renders/x/plan/manifest.json", "PlanHash": "ab" * 32, "ChunkCount": 3, "Chunks": [0, 1, 2],
    "MaxParallelChunks": 8, "TotalFrames": 30, "Fps": 30, "Duration": 1.0, "Width": 320, "Height": 180, "Format": "mp4",
    "HasAudio": False, "RendererVersion": "0.1.0", "BrowserVersion": "1", "FfmpegVersion": "1", "RuntimeVersion": "1", "Reused": False,
    "DurationMs": 1,
}  # fmt: skip
COORDINATOR = "arn:aws:lambda:us-east-1:123456789012:function:hyperframes-coordinator"
RUN = "arn:aws:states:us-east-1:123456789012:mapRun:render/chunks:1f0c"
ASSEMBLED = {
    "OutputS3Uri": "s3://bucket/outputs/x.mp4", "FramesEncoded": 30, "FileSize": 9, "Duration": 1.0, "Width": 320, "Height": 180,
    "Format": "mp4", "HasAudio": False, "ChunkCount": 2, "PlanHash": "ab" * 32, "RendererVersion": "0.1.0", "Verification": {},
    "Workers": 5, "Sizing": "2 chunks of 15 frames: why", "DurationMs": 1,
}  # fmt: skip


def report(index: int, *, seconds: float = 1.0, invocations: int = 1, checkpoints: int = 0, reused: bool = False) -> ChunkProgress:
    return ChunkProgress(
        chunk_index=index,
        frames_done=15,
        frames_total=15,
        started_at=START.timestamp(),
        updated_at=START.timestamp() + seconds,
        complete=True,
        reused=reused,
        invocations=invocations,
        checkpoints=checkpoints,
        billed_seconds=seconds,
    )


@dataclass
class Tape:
    """Writes events; each method continues after a given event and returns its last one."""

    events: list[dict[str, Any]] = field(default_factory=list)
    second: float = 0.0

    def add(self, kind: str, after: int, **details: Any) -> int:
        number = len(self.events) + 1
        self.events.append(
            {"id": number, "previousEventId": after, "type": kind, "timestamp": START + timedelta(seconds=self.second), **details}
        )
        return number

    def enter(self, name: str, after: int, kind: str = "Task") -> int:
        return self.add(f"{kind}StateEntered", after, stateEnteredEventDetails={"name": name})

    def item(self, index: int, after: int) -> int:
        number = self.add("MapIterationStarted", after, mapIterationStartedEventDetails={"name": "RenderChunks", "index": index})
        return self.enter("RenderChunk", number)

    def begin(self, after: int, *, function: str = "", **payload: Any) -> int:
        parameters = json.dumps({"FunctionName": function or FUNCTION, "Payload": payload})
        return self.add("TaskStarted", self.add("TaskScheduled", after, taskScheduledEventDetails={"parameters": parameters}))

    def succeed(self, after: int, seconds: float, **payload: Any) -> int:
        self.second += seconds
        return self.add("TaskSucceeded", after, taskSucceededEventDetails={"output": json.dumps({"StatusCode": 200, "Payload": payload})})

    def fail(self, after: int, seconds: float, error: str, message: str = "it broke", kind: str = "Failed") -> int:
        self.second += seconds
        cause = json.dumps({"errorMessage": message, "errorType": error})
        return self.add(f"Task{kind}", after, **{f"task{kind}EventDetails": {"error": error, "cause": cause}})

    def planned(self) -> int:
        """Until the Map has begun: Plan took 2 s."""
        plan = self.succeed(self.begin(self.enter("Plan", 0)), 2, **PLAN)
        return self.add("MapStateStarted", self.enter("RenderChunks", self.add("TaskStateExited", plan), "Map"))


def history(tape: Tape) -> History:
    folded = History()
    folded.apply(tape.events)
    return folded


def execution(status: Status, seconds: float, error: str = "", cause: str = "") -> Execution:
    arn = "arn:aws:states:us-east-1:123456789012:execution:render:x-g1"
    return Execution(arn, status, START, START + timedelta(seconds=seconds), None, "", error, cause, redrivable=False)


def test_the_plan_the_reused_chunks_and_the_log_group_are_in_the_history() -> None:
    tape = Tape()
    started = tape.planned()
    first, second = tape.begin(tape.item(0, started)), tape.begin(tape.item(1, started))
    tape.succeed(second, 1, ChunkIndex=1, Reused=True)
    tape.succeed(first, 4, ChunkIndex=0, Reused=False)

    folded = history(tape)

    assert folded.plan is not None
    assert (folded.plan.chunk_count, folded.plan.total_frames) == (3, 30)
    assert folded.reused_chunks == {1}
    assert folded.log_group == "/aws/lambda/hyperframes-render"
    assert [
        (attempt.state, attempt.chunk, (attempt.ended - attempt.started).total_seconds()) for attempt in folded.attempts if attempt.ended
    ] == [
        ("Plan", None, 2.0),
        ("RenderChunk", 0, 5.0),
        ("RenderChunk", 1, 1.0),
    ]


def test_reading_in_pieces_is_reading_at_once() -> None:
    tape = Tape()
    tape.succeed(tape.begin(tape.item(0, tape.planned())), 1, ChunkIndex=0, Reused=False)
    pieces = History()
    for end in range(1, len(tape.events) + 1):
        pieces.apply(tape.events[max(0, end - 3) : end])

    assert pieces == history(tape)


def test_a_retry_is_told_from_a_first_try_though_chunks_run_side_by_side() -> None:
    tape = Tape()
    started = tape.planned()
    first, second = tape.begin(tape.item(0, started)), tape.begin(tape.item(1, started))
    failed = tape.fail(first, 3, "BROWSER_CRASHED")
    tape.succeed(second, 1, ChunkIndex=1, Reused=False)
    failed = tape.fail(tape.begin(failed), 3, "Sandbox.Timedout", kind="TimedOut")
    tape.succeed(tape.begin(failed), 3, ChunkIndex=0, Reused=False)

    folded = history(tape)

    assert folded.retries == [RetryNote("RenderChunk", 0, "BROWSER_CRASHED", 2), RetryNote("RenderChunk", 0, "Sandbox.Timedout", 3)]


def test_a_failure_names_error_state_chunk_and_attempts() -> None:
    tape = Tape()
    after = tape.item(2, tape.planned())
    for _ in range(4):
        after = tape.fail(tape.begin(after), 1, "BROWSER_CRASHED", "the page died\nTry less memory.")
    cause = json.dumps({"errorMessage": "the page died\nTry less memory.", "errorType": "BROWSER_CRASHED"})

    failure = failure_of(execution(Status.FAILED, 6, "BROWSER_CRASHED", cause), history(tape))

    assert (failure.error, failure.state, failure.chunk, failure.attempts, failure.retryable) == (
        "BROWSER_CRASHED",
        "RenderChunk",
        2,
        4,
        True,
    )
    assert failure.since == START + timedelta(seconds=5)
    text = failure_text(failure, "arn:aws:states:us-east-1:123456789012:execution:render:x-g1")
    assert text.splitlines()[:3] == ["BROWSER_CRASHED in RenderChunk, chunk 2 (tried 4 times)", "  the page died", "  Try less memory."]
    assert "https://console.aws.amazon.com/states/" in text
    assert text.endswith("log  /aws/lambda/hyperframes-render")


def test_an_execution_that_ran_out_of_time_names_what_was_running() -> None:
    tape = Tape()
    tape.begin(tape.item(1, tape.planned()))

    failure = failure_of(execution(Status.TIMED_OUT, 60), history(tape))

    assert (failure.error, failure.state, failure.chunk) == ("States.Timeout", "RenderChunk", 1)
    assert "exceeded the time" in failure.message


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ('{"errorMessage": "no such page", "errorType": "X"}', "no such page"),
        ("plain words", "plain words"),
        ('["a", "b"]', '["a", "b"]'),
        ('{"errorMessage": "cut o', '{"errorMessage": "cut o'),
        ("", ""),
    ],
)
def test_the_message_is_found_in_what_lambda_or_anybody_else_writes(cause: str, message: str) -> None:
    assert message_of(cause) == message


def test_what_is_final_follows_from_the_error_table() -> None:
    assert {code for code in ERROR_TABLE if OWN.is_final(code.value)} == {
        code for code, spec in ERROR_TABLE.items() if spec.retry is Retry.NEVER
    }
    assert not OWN.is_final("SomethingNew")


def test_the_cost_is_memory_by_time_plus_requests_transitions_and_puts() -> None:
    # 100 s of 10 GB, by hand: 1000 GB-s of memory and 950 GB-s of scratch space.
    used = Usage(lambda_seconds=100, invocations=10, transitions=8, puts=40)

    assert cost(used, memory_mb=10_240) == pytest.approx(
        1000 * 0.0000166667 + 950 * 0.0000000309 + 10 * 0.0000002 + 8 * 0.000025 + 40 * 0.000005
    )
    assert cost(used, memory_mb=5_120) == pytest.approx(cost(used) - 500 * PRICES.lambda_gb_second)
    assert cost(Usage(0, 0, 0, 0)) == 0


def test_the_usage_counts_failed_and_running_attempts_and_not_throttled_ones() -> None:
    tape = Tape()
    started = tape.planned()
    failed = tape.fail(tape.begin(tape.item(0, started)), 3, "BROWSER_CRASHED")
    throttled = tape.fail(tape.begin(failed), 0, "Lambda.TooManyRequestsException")
    tape.begin(throttled)

    used = usage_of(history(tape), START + timedelta(seconds=tape.second + 4))

    assert (used.coordinator_seconds, used.lambda_seconds) == (2, 3 + 4)
    assert used.invocations == 3
    assert used.transitions == 3 + 2


def test_a_throttled_try_is_counted_on_its_own_and_never_as_a_failure() -> None:
    tape = Tape()
    after = tape.item(0, tape.planned())
    for _ in range(3):
        after = tape.fail(tape.begin(after), 0, "Lambda.TooManyRequestsException")
    after = tape.fail(tape.begin(after), 3, "BROWSER_CRASHED")
    after = tape.fail(tape.begin(after), 0, "Lambda.TooManyRequestsException")
    tape.succeed(tape.begin(after), 3, ChunkIndex=0, Reused=False)

    folded = history(tape)

    assert (folded.throttled, folded.invocations) == (4, 3)
    assert folded.retries == [RetryNote("RenderChunk", 0, "BROWSER_CRASHED", 2)]
    assert [attempt.number for attempt in folded.attempts if attempt.chunk == 0 and not attempt.throttled] == [1, 2]


def test_a_chunk_that_goes_on_in_further_invocations_is_not_retried() -> None:
    tape = Tape()
    after = tape.item(0, tape.planned())
    for invocation in range(4):
        if invocation == 2:
            after = tape.fail(tape.begin(after), 5, "Runtime.ExitError")
        done = tape.succeed(tape.begin(after), 60, ChunkIndex=0, Complete=invocation == 3, Reused=False)
        choice = tape.enter("ChunkComplete", tape.add("TaskStateExited", done), "Choice")
        after = tape.enter("RenderChunk", tape.add("ChoiceStateExited", choice)) if invocation < 3 else choice

    folded = history(tape)

    assert folded.retries == [RetryNote("RenderChunk", 0, "Runtime.ExitError", 2)]
    assert [attempt.number for attempt in folded.attempts if attempt.chunk == 0] == [1, 1, 1, 2, 1]
    assert folded.invocations == 1 + 5
    assert usage_of(folded, START).lambda_seconds == 4 * 60 + 5


def test_attempts_are_counted_anew_after_a_redrive() -> None:
    tape = Tape()
    failed = tape.fail(tape.begin(tape.item(0, tape.planned())), 3, "BROWSER_CRASHED")
    tape.second += 60
    tape.add("ExecutionRedriven", len(tape.events), executionRedrivenEventDetails={"redriveCount": 1})
    tape.second += 1
    tape.succeed(tape.begin(failed), 3, ChunkIndex=0, Reused=False)

    assert history(tape).retries == []


def test_the_chunks_of_a_distributed_map_are_not_in_the_history_and_their_reports_say_what_they_cost() -> None:
    tape = Tape()
    plan = tape.succeed(tape.begin(tape.enter("Plan", 0), function=COORDINATOR), 2, **PLAN)
    chunks = tape.enter("RenderChunksDistributed", tape.add("TaskStateExited", plan), "Map")
    run = tape.add("MapRunStarted", chunks, mapRunStartedEventDetails={"mapRunArn": RUN})
    tape.second += 60
    tape.succeed(tape.begin(tape.enter("Assemble", tape.add("MapRunSucceeded", run)), function=COORDINATOR), 4, FileSize=1)
    reports = [report(0, seconds=40, invocations=1), report(1, seconds=70, invocations=3, checkpoints=1)]

    folded = history(tape)
    used = usage_of(folded, START, reports)

    assert (folded.map_run_arn, folded.coordinator_arn, folded.function_arn) == (RUN, COORDINATOR, "")
    assert (used.coordinator_seconds, used.lambda_seconds, used.invocations) == (2 + 4, 40 + 70, 2 + 4)
    assert used.transitions == 3 + 2 * 4 + 2
    small = cost(used, memory_mb=10_240, coordinator_memory_mb=2_048)
    assert cost(used, memory_mb=10_240) - small == pytest.approx(6 * 8 * PRICES.lambda_gb_second)
    assert usage_of(history(tape_of_one_chunk()), START, reports).lambda_seconds == 3


def tape_of_one_chunk() -> Tape:
    tape = Tape()
    tape.succeed(tape.begin(tape.item(0, tape.planned())), 3, ChunkIndex=0, Reused=False)
    return tape


def test_a_child_of_a_distributed_map_knows_its_chunk_by_what_it_hands_on() -> None:
    tape = Tape()
    after = tape.enter("RenderDistributedChunk", tape.add("ExecutionStarted", 0))
    after = tape.fail(tape.begin(after, ChunkIndex=17), 3, "BROWSER_CRASHED", "the page died")
    cause = json.dumps({"errorMessage": "the page died"})

    failure = failure_of(execution(Status.FAILED, 3, "BROWSER_CRASHED", cause), history(tape))

    assert (failure.state, failure.chunk, failure.message) == ("RenderDistributedChunk", 17, "the page died")
    assert failure.log_group == "/aws/lambda/hyperframes-render"


def test_an_estimate_is_what_the_render_takes_when_nothing_goes_wrong() -> None:
    plan = PlanResult.model_validate(PLAN | {"ChunkCount": 12, "MaxParallelChunks": 4, "EstimatedSeconds": 120.0, "DurationMs": 5000})

    expected = estimate_of(plan)

    assert (expected.lambda_seconds, expected.invocations) == (12 * 40, 14)
    assert expected.transitions == 4 + 12 * 3
    assert expected.coordinator_seconds >= 5


def test_the_result_of_a_distributed_render_counts_by_the_reports() -> None:
    tape = Tape()
    tape.add("MapRunStarted", 0, mapRunStartedEventDetails={"mapRunArn": RUN})
    done = replace(execution(Status.SUCCEEDED, 90), output=json.dumps(ASSEMBLED))

    result = result_of(done, history(tape), [report(0, invocations=3, checkpoints=1), report(1, reused=True)])

    assert (result.retries, result.invocations, result.chunks_reused, result.throttled) == (1, 4, 1, 0)
    assert (result.workers, result.sizing) == (5, "2 chunks of 15 frames: why")
