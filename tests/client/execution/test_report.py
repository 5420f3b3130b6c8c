from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.aws.calls import Call
from hyperframes_provider.client.aws.errors import AccessDenied, ExecutionNotFound, InvalidRequest, ServiceError, Throttled
from hyperframes_provider.client.aws.s3 import S3Location
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.history import RetryNote
from hyperframes_provider.client.execution.pace import Pace
from hyperframes_provider.client.execution.progress import Progress, ProgressReader, progress_of
from hyperframes_provider.client.execution.report import Reporter, dollars, done_line, progress_line, retry_line, size, started_line
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.execution.share import check_at_least, needed, reached
from hyperframes_provider.client.execution.watch import Estimate, Snapshot

NAME = "weekly-0f0e0d0c-0b0a-5908-8706-050403020100-g1"
EXECUTION = Execution(
    f"arn:aws:states:r:1:execution:m:{NAME}", Status.RUNNING, datetime(2026, 1, 1, tzinfo=UTC), None, None, "", "", "", False
)


def plan(chunks: int = 4, frames: int = 240, sizing: str = "") -> PlanResult:
    return PlanResult.model_construct(
        chunk_count=chunks, total_frames=frames, duration=frames / 30, width=1920, height=1080, fps=30, reused=False, sizing=sizing
    )


def chunk(index: int, done: int, *, started: float = 100.0, updated: float = 110.0, reused: bool = False) -> ChunkProgress:
    return ChunkProgress(
        chunk_index=index, frames_done=done, frames_total=60, started_at=started, updated_at=updated, complete=done == 60, reused=reused
    )


CASES: dict[str, tuple[list[ChunkProgress], PlanResult | None, Progress]] = {
    "nothing yet": ([], plan(), Progress(chunks_total=4, frames_total=240)),
    "no plan yet": ([chunk(0, 30)], None, Progress(frames_done=30, rate=3.0)),
    "two of four": (
        [chunk(0, 60), chunk(1, 60), chunk(2, 30)],
        plan(),
        Progress(2, 4, 0, 150, 240, rate=15.0, eta=6.0),
    ),
    "a reused chunk says nothing about the rate": (
        [chunk(0, 60, updated=101, started=101, reused=True), chunk(1, 30)],
        plan(),
        Progress(1, 4, 1, 90, 240, rate=3.0, eta=50.0),
    ),
    "reports of an earlier execution": (
        [chunk(0, 60, started=10, updated=20), chunk(1, 30)],
        plan(),
        Progress(0, 4, 0, 30, 240, 3.0, 70.0),
    ),
    "chunks of an earlier plan": ([chunk(7, 60), chunk(1, 30)], plan(), Progress(0, 4, 0, 30, 240, 3.0, 70.0)),
    "too short to measure": ([chunk(0, 2, updated=100.1)], plan(), Progress(0, 4, 0, 2, 240)),
    "done": ([chunk(i, 60) for i in range(4)], plan(), Progress(4, 4, 0, 240, 240, rate=24.0, eta=0.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_progress(case: str) -> None:
    chunks, planned, expected = CASES[case]

    assert progress_of(chunks, planned, since=99.0) == expected


def snapshot(progress: Progress | None = None, *, retries: tuple[RetryNote, ...] = (), planned: bool = True, cost: float = 0.0) -> Snapshot:
    return Snapshot(EXECUTION, plan() if planned else None, progress or Progress(), retries, cost)


def test_a_line_is_said_when_something_changed_and_never_twice() -> None:
    reporter = Reporter()
    half = Progress(2, 4, 0, 130, 240, rate=31.0, eta=3.5)
    note = RetryNote("RenderChunk", 1, "BROWSER_CRASHED", 2)

    assert reporter.lines(snapshot(planned=False)) == []
    (planned,) = reporter.lines(snapshot(Progress(0, 4, 0, 0, 240)))
    assert planned == "render 0f0e0d0c… · 4 chunks planned · 240 frames · 8.000 s · 1920\N{MULTIPLICATION SIGN}1080 at 30 fps"
    assert reporter.lines(snapshot(half, cost=0.00213)) == ["2/4 chunks · 130/240 frames · 31 fps · ETA 4 s · $0.0021"]
    assert reporter.lines(snapshot(half, cost=0.00214)) == []
    assert reporter.lines(snapshot(Progress(2, 4, 0, 140, 240))) == []
    assert reporter.lines(snapshot(half, retries=(note,))) == ["chunk 1 retried (BROWSER_CRASHED, attempt 2 of 4)"]
    assert reporter.lines(snapshot(half, retries=(note,))) == []
    assert len(reporter.lines(snapshot(Progress(2, 4, 0, 160, 240)))) == 1


def test_what_is_expected_and_why_is_said_with_the_plan() -> None:
    planned = Snapshot(EXECUTION, plan(sizing="4 chunks of 60 frames: so"), Progress(), (), 0.0, estimate=Estimate(41.2, 0.031))

    first, second = Reporter().lines(planned)

    assert first.endswith("at 30 fps · estimated 41 s, $0.031")
    assert second == "4 chunks of 60 frames: so"


def test_throttling_is_said_when_it_begins_and_when_it_has_grown_and_not_as_a_retry() -> None:
    reporter = Reporter()
    said = [reporter.lines(Snapshot(EXECUTION, None, Progress(), (), 0.0, throttled=count)) for count in (0, 1, 1, 3, 4, 5, 19, 21)]

    assert [len(lines) for lines in said] == [0, 1, 0, 0, 0, 1, 0, 1]
    assert said[1] == ["throttled 1 time: other invocations use the concurrency, chunks wait for their turn"]


@pytest.mark.parametrize(("completed", "done"), [(0, 1), (3, 3)])
def test_chunks_that_are_known_to_be_complete_count_before_their_reports_are_read(completed: int, done: int) -> None:
    assert progress_of([chunk(0, 60), chunk(1, 30)], plan(), since=99.0, completed=completed).chunks_done == done


def test_of_many_reports_some_are_fetched_in_each_poll_and_all_in_the_last() -> None:
    """An S3 of 2,500 reports that all change between two polls."""
    reader, fetched, version = ProgressReader(), [], 0

    def poll(most: int | None) -> int:
        steps = reader.read(S3Location("bucket", "renders/x/"), most=most)
        request, lists = next(steps), 0
        while True:
            if isinstance(request, Call):
                lists += 1
                start = int(request.arguments.get("ContinuationToken", 0))
                contents = [{"Key": f"{index:06d}", "ETag": str(version)} for index in range(start, min(2500, start + 1000))]
                more = {"IsTruncated": True, "NextContinuationToken": str(start + 1000)} if start < 2000 else {"IsTruncated": False}
                request = steps.send({"Contents": contents, **more})
                continue
            fetched.append([int(call.arguments["Key"]) for call in request])
            body = [{"Body": chunk(index, 30).model_dump_json(by_alias=True)} for index in fetched[-1]]
            try:
                steps.send(body)
            except StopIteration as done:
                assert lists == 3
                return len(done.value)

    for version in range(1, 6):
        assert poll(1000) == min(2500, 1000 * version)
    assert [len(keys) for keys in fetched] == [1000] * 5
    assert {key for keys in fetched[:3] for key in keys} == set(range(2500))
    assert poll(None) == 2500
    assert len(fetched[-1]) == 2500 - 1000


def test_the_lines_are_those_of_the_usage_page() -> None:
    result = RenderResult(
        "s3://studio/videos/recap-2026-11-16.mp4", 2880, 96.0, 1920, 1080, 14_200_000, 12, 0, 1, 38.4, 0.0296, "9e1f", "arn", "0.1.0"
    )

    assert progress_line(Progress(3, 12, 0, 720, 2880, 92.0, 23.4), 0.008) == "3/12 chunks · 720/2880 frames · 92 fps · ETA 23 s · $0.008"
    assert done_line(result) == "done · 2880 frames · 96.000 s · 14.2 MB · $0.0296 · s3://studio/videos/recap-2026-11-16.mp4"
    assert retry_line(RetryNote("Plan", None, "Lambda.Unknown", 3)) == "Plan retried (Lambda.Unknown, attempt 3 of 4)"
    assert started_line(NAME, "started") == "render 0f0e0d0c… started"
    assert "adopted" in started_line(NAME, "adopted")


@pytest.mark.parametrize(("amount", "text"), [(0, "$0.000"), (0.0296, "$0.0296"), (0.008, "$0.008"), (1.5, "$1.500"), (0.00001, "$0.000")])
def test_dollars(amount: float, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("count", "text"), [(5, "5 B"), (999, "999 B"), (1_500, "1.5 kB"), (14_200_000, "14.2 MB"), (3_000_000_000, "3.0 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("at_least", "total", "chunks"), [(1, 4, 1), (4, 4, 4), (0.5, 4, 2), (0.5, 5, 3), (1.0, 7, 7), (0.01, 4, 1), (0.7, 10, 7), (0.1, 30, 3)]
)
def test_how_many_chunks_are_enough(at_least: Any, total: int, chunks: int) -> None:
    assert needed(check_at_least(at_least), total) == chunks
    assert not reached(Progress(chunks_done=chunks - 1, chunks_total=total), at_least)
    assert reached(Progress(chunks_done=chunks, chunks_total=total), at_least)
    assert not reached(Progress(chunks_done=chunks), at_least)


def test_sound_alone_has_enough_chunks_without_any() -> None:
    assert reached(Progress(chunks_total=0, frames_total=48), 1.0)
    assert progress_line(Progress(chunks_total=0, frames_total=48), 0.0005) == "$0.0005"


def test_more_chunks_than_there_are_is_a_wrong_request() -> None:
    with pytest.raises(InvalidRequest, match="5 chunks can never be complete, the plan has 4"):
        needed(5, 4)


def test_polls_are_quick_at_first_then_slow_and_never_in_step() -> None:
    steady = Pace(10.0, spread=lambda: 0.5)
    delays = [steady.after_answer() for _ in range(20)]
    assert delays[0] == 1.0
    assert delays == sorted(delays)
    assert delays[-1] == 10.0
    assert [steady.after_answer(eta) for eta in (60.0, 5.0, 0.0)] == [10.0, 5.0, 2.0]
    spread = Pace(10.0, spread=random.Random(1).random)
    jittered = [spread.after_answer() for _ in range(200)][20:]
    assert min(jittered) >= 8.0
    assert max(jittered) <= 12.0
    assert len(set(jittered)) > 100


@pytest.mark.parametrize(
    ("error", "patience"),
    [(ServiceError("x"), 12), (ExecutionNotFound("x"), 4), (AccessDenied("x"), 0), (InvalidRequest("x"), 0)],
)
def test_errors_are_borne_for_as_long_as_they_may_pass(error, patience: int) -> None:
    pace = Pace(10.0, spread=lambda: 1.0)

    assert [pace.after_error(error) for _ in range(patience)] == [min(30.0, 2.0**number) for number in range(patience)]
    with pytest.raises(type(error)):
        pace.after_error(error)


def test_throttling_is_waited_out_and_an_answer_forgets_the_errors() -> None:
    pace = Pace(10.0)
    assert all(pace.after_error(Throttled("x")) is not None for _ in range(100))
    pace = Pace(10.0)
    for _ in range(5):
        assert all(pace.after_error(ServiceError("x")) is not None for _ in range(12))
        pace.after_answer()
