"""Batches: rows as files have them, what is refused before anything is started, and thousands of renders with few calls."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hyperframes_lambda.contract.events import AssembleResult
from hyperframes_provider.cli.batch import Report
from hyperframes_provider.cli.console import Console
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.errors import AccessDenied, InvalidRequest
from hyperframes_provider.client.batch.batch import Batch
from hyperframes_provider.client.batch.items import prepare_batch, project_version
from hyperframes_provider.client.batch.outcomes import BatchProgress, Outcome, RowState
from hyperframes_provider.client.batch.rows import InvalidBatch, PlannedRow, Row, plan_rows, read_rows
from hyperframes_provider.client.request.request import RenderTarget

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:render"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = RenderTarget("bucket", MACHINE)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", '{"variables": {"t": 1}}\n\n{"output": "b.mp4"}\n', [Row(1, {"t": 1}), Row(2, output="b.mp4")]),
        ("a.json", '[{"config": {"fps": 24}}]', [Row(1, {}, {"fps": 24})]),
        (
            "a.csv",
            'title,week,output,config.fps,variables.output\n"A, B",47,x.mp4,24,o\nnull,,,,\n',
            [Row(1, {"title": "A, B", "week": 47, "output": "o"}, {"fps": 24}, "x.mp4"), Row(2, {"title": None})],
        ),
        ("a.csv", '\ufefftitle,tags\n007,"[1, 2]"\n', [Row(1, {"title": "007", "tags": [1, 2]})]),
    ],
)
def test_rows_are_read(name: str, text: str, expected: list[Row], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert read_rows(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", ".jsonl"),
        ("a.jsonl", "\n", "no rows"),
        ("a.jsonl", '{"title": "x"}\n', "row 1: title: unknown; a row has variables, config, output"),
        ("a.jsonl", "{}\n[1]\n{\n", "row 2: expected an object, not [1]\nrow 3: not JSON"),
        ("a.jsonl", '{"variables": []}\n', "row 1: variables: expected an object"),
        ("a.jsonl", '{"output": 1}\n', "row 1: output: expected a string"),
        ("a.json", "{}", "expected an array of rows"),
        ("a.json", "[", "not JSON"),
        ("a.csv", "a,a\n1,2\n", "each column needs a unique name"),
        ("a.csv", "a\n1,2\n", "row 1: not JSON: more cells"),
        ("a.csv", 'a\n"1\n', "line"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        read_rows(tmp_path / name)
    assert said in str(caught.value)


def test_a_row_has_the_batchs_configuration_but_for_its_own(tmp_path: Path) -> None:
    template = str(tmp_path / "{row:03d}-{title}.webm")
    rows = [Row(1, {"title": "Ä/../b"}), Row(2, {"title": "x", "week": 1}, {"chunk_size": 9, "format": "mp4"}, str(tmp_path / "o.mp4"))]
    planned = plan_rows(rows, {"chunkSize": 5, "variables": {"week": 47}}, template=template)
    assert [row.output for row in planned] == [str(tmp_path / "001-b.webm"), str(tmp_path / "o.mp4")]
    assert [row.config.format.value for row in planned] == ["webm", "mp4"]
    assert [row.config.chunk_size for row in planned] == [5, 9]
    assert [row.config.variables["week"] for row in planned] == [47, 1]


def test_every_faulty_row_is_named_before_anything_is_done(tmp_path: Path) -> None:
    rows = [
        Row(1, {"t": 1}, {"fps": 31}),
        Row(2, {}, {}),
        Row(3, {"t": 1}, {"format": "gif"}),
        Row(4, {"t": 1}),
        Row(5, {"t": 1}),
        Row(6, {"t": 2}, {"nonsense": 1}),
    ]
    with pytest.raises(InvalidBatch) as caught:
        plan_rows(rows, {}, template=str(tmp_path / "{t}.mp4"))
    assert [fault.number for fault in caught.value.faults] == [1, 2, 3, 5, 6]
    for said in ("row 1: config.fps", "no variable 't'", ".gif", "also that of row 4", "nonsense"):
        assert said in str(caught.value)


class FakeAws:
    """Step Functions and S3 as far as a batch asks them; what runs ends between two polls."""

    def __init__(self, fails: Callable[[str], bool] = lambda _: False) -> None:
        self.calls: Counter[str] = Counter()
        self.executions: dict[str, dict[str, Any]] = {}
        self.fails = fails
        self.most_running = 0

    def connect(self, service: str) -> FakeAws:
        assert service in ("stepfunctions", "s3")
        return self

    def pass_time(self, _seconds: float) -> None:
        for execution in list(self.executions.values()):
            if execution["status"] == "RUNNING":
                execution["status"] = "FAILED" if self.fails(execution["input"]) else "SUCCEEDED"

    def start_execution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: N803  # as boto3 has them
        self.calls["start"] += 1
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        if arn in self.executions:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}, "StartExecution")
        self.executions[arn] = {"executionArn": arn, "name": name, "status": "RUNNING", "startDate": NOW, "input": input}
        self.most_running = max(self.most_running, sum(item["status"] == "RUNNING" for item in list(self.executions.values())))
        return {"executionArn": arn}

    def list_executions(self, **arguments: Any) -> dict[str, Any]:
        self.calls["list"] += 1
        wanted = arguments.get("statusFilter")
        found = [item for item in reversed(list(self.executions.values())) if wanted in (None, item["status"])]
        start = int(arguments.get("nextToken", 0))
        end = start + arguments["maxResults"]
        return {"executions": found[start:end], **({"nextToken": str(end)} if end < len(found) else {})}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.calls["describe"] += 1
        execution = dict(self.executions[executionArn])
        if execution["status"] == "SUCCEEDED":
            execution |= {"stopDate": NOW + timedelta(seconds=4), "output": ASSEMBLED}
        elif execution["status"] == "FAILED":
            execution |= {"stopDate": NOW + timedelta(seconds=4), "error": "COMPOSITION_ERROR", "cause": '{"errorMessage": "line 3"}'}
        return execution

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        self.calls["history"] += 1
        return {"events": []}

    def head_object(self, **_: Any) -> dict[str, Any]:
        self.calls["head"] += 1
        return {"ContentLength": 1000}


ASSEMBLED = AssembleResult(
    output_s3_uri="s3://bucket/outputs/x.mp4",
    frames_encoded=60,
    file_size=1000,
    duration=2.0,
    width=64,
    height=36,
    format="mp4",
    has_audio=False,
    chunk_count=1,
    plan_hash="0" * 64,
    renderer_version="1",
    verification={},
    workers=1,
    sizing="",
    cold_start=False,
    duration_ms=1,
).model_dump_json(by_alias=True)


def batch_of(aws: FakeAws, count: int, **more: Any) -> Batch:
    rows = plan_rows([Row(number, {"n": number}) for number in range(1, count + 1)], {})
    items = prepare_batch(TARGET, rows, project="s3://bucket/project.tar.gz", label="card")
    return Batch(aws.connect, items, sleep=aws.pass_time, **more)


@pytest.fixture(autouse=True)
def _no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of the fake has what was just started."""
    monkeypatch.setattr("hyperframes_provider.client.batch.batch._LISTING_LAG", -1.0)


def test_thousands_of_rows_take_one_poll_for_all_that_run() -> None:
    aws = FakeAws(fails=lambda text: json.loads(text)["Config"]["variables"]["n"] % 500 == 0)
    seen: list[BatchProgress] = []
    outcomes = batch_of(aws, 2000, max_running=200, on_progress=seen.append).run()
    assert Counter(outcome.state for outcome in outcomes) == {RowState.SUCCEEDED: 1996, RowState.FAILED: 4}
    assert [outcome.row for outcome in outcomes] == list(range(1, 2001))
    failed = [(outcome.row, outcome.code, outcome.message) for outcome in outcomes if outcome.state is RowState.FAILED]
    assert failed == [(number, "COMPOSITION_ERROR", "line 3") for number in (500, 1000, 1500, 2000)]
    assert aws.most_running <= 200
    # A start and a look at its end for each, whatever it takes; what runs is asked for together.
    assert aws.calls == {"start": 2000, "describe": 2000, "history": 2000, "list": 11}
    assert (seen[-1].ended, seen[-1].failed, seen[-1].running) == (2000, 4, 0)


def test_the_same_batch_again_starts_only_what_failed() -> None:
    aws = FakeAws(fails=lambda text: json.loads(text)["Config"]["variables"]["n"] == 7)
    batch_of(aws, 20).run()
    aws.calls.clear()
    aws.fails = lambda _: False
    outcomes = batch_of(aws, 20).run()
    assert {outcome.row for outcome in outcomes if outcome.how == "started"} == {7}
    assert all(outcome.state is RowState.SUCCEEDED for outcome in outcomes)
    assert outcomes[6].execution_arn.endswith("-g2")
    assert aws.calls["start"] == 1


def test_a_row_that_runs_already_is_adopted() -> None:
    aws = FakeAws()
    first = batch_of(aws, 3, max_running=3)
    first.sleep = _interrupt
    with pytest.raises(KeyboardInterrupt):
        first.run()
    outcomes = batch_of(aws, 3).run()
    assert [(outcome.state, outcome.how) for outcome in outcomes] == [(RowState.SUCCEEDED, "adopted")] * 3
    assert aws.calls["start"] == 3


def test_rows_that_aws_is_too_busy_for_are_started_later() -> None:
    class Busy(FakeAws):
        def start_execution(self, **more: Any) -> dict[str, Any]:
            if self.calls["refused"] < 5:
                self.calls["refused"] += 1
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "StartExecution")
            return super().start_execution(**more)

    aws = Busy()
    outcomes = batch_of(aws, 4, max_running=2).run()
    assert {outcome.state for outcome in outcomes} == {RowState.SUCCEEDED}
    assert (aws.calls["refused"], aws.calls["start"]) == (5, 4)


def test_one_that_cannot_be_stopped_keeps_nobody_from_stopping_the_others() -> None:
    class Stubborn(FakeAws):
        def stop_execution(self, executionArn: str, **_: Any) -> dict[str, Any]:  # noqa: N803
            if executionArn == stubborn:
                raise ClientError({"Error": {"Code": "InternalError", "Message": ""}}, "StopExecution")
            self.executions[executionArn]["status"] = "ABORTED"
            return {}

        def put_object(self, **_: Any) -> dict[str, Any]:
            return {}

    aws = Stubborn()
    batch = batch_of(aws, 5)
    batch.sleep = _interrupt
    with pytest.raises(KeyboardInterrupt):
        batch.run()
    stubborn, done, *rest = aws.executions
    aws.executions[done]["status"] = "SUCCEEDED"
    cancelled = batch.cancel("a test")
    assert (cancelled.count, set(cancelled.failures)) == (3, {stubborn})
    assert {outcome.execution_arn for outcome in batch.outcomes.values()} == set(rest)
    assert aws.executions[done]["status"] == "SUCCEEDED"


def test_large_variables_are_written_for_each_execution_that_is_started() -> None:
    class Forgetful(FakeAws):
        def put_object(self, **_: Any) -> dict[str, Any]:
            self.calls["put"] += 1
            return {}

        def head_object(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject")

    aws = Forgetful()
    items = prepare_batch(TARGET, plan_rows([Row(1, {"n": "x" * 300_000})], {}), project="s3://bucket/project.tar.gz", label="card")
    for generation in (1, 2):
        (outcome,) = Batch(aws.connect, items, sleep=aws.pass_time).run()
        assert outcome.execution_arn.endswith(f"-g{generation}")
        assert aws.calls["put"] == generation


def test_another_archive_at_the_same_place_is_another_project() -> None:
    class Versions(FakeAws):
        def head_object(self, **_: Any) -> dict[str, Any]:
            return {"ETag": f'"{self.calls["put"]}"', "ContentLength": 1}

    def render_id() -> str:
        identity = ("batch", run(aws.connect, project_version("s3://bucket/project.tar.gz")))
        rows = plan_rows([Row(1, {"n": 1})], {})
        (item,) = prepare_batch(TARGET, rows, project="s3://bucket/project.tar.gz", label="card", identity=identity)
        return item.prepared.render_id

    aws = Versions()
    first, again = render_id(), render_id()
    aws.calls["put"] += 1
    assert first == again != render_id()
    assert run(aws.connect, project_version("folder")) == ""


def test_a_row_whose_video_is_not_fetched_any_more_is_written_without_its_path(tmp_path: Path) -> None:
    class Full(ThreadPoolExecutor):
        def submit(self, *_: Any) -> Future[Any]:  # type: ignore[override]  # what waits when the pool is shut down
            waiting: Future[Any] = Future()
            waiting.cancel()
            return waiting

    aws = FakeAws()
    rows = plan_rows([Row(1, output=str(tmp_path / "a.mp4"))], {})
    batch = Batch(aws.connect, prepare_batch(TARGET, rows, project="s3://bucket/project.tar.gz", label="card"), sleep=aws.pass_time)
    lines = io.StringIO()
    report = Report(aws.connect, Console(as_json=True), lines, Full())
    batch.on_outcome = report.ended
    batch.run()
    report.finish()
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["state"], line["frames"]) == ("succeeded", 60)
    assert "path" not in line


def test_rows_are_written_although_waiting_for_their_videos_was_interrupted(tmp_path: Path) -> None:
    class Interrupted(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            raise KeyboardInterrupt

    class Slow(ThreadPoolExecutor):
        def submit(self, *_: Any) -> Future[Any]:  # type: ignore[override]  # never begins, as when others are fetched
            futures.append(Interrupted())
            return futures[-1]

    aws, futures = FakeAws(), list[Future[Any]]()
    rows = plan_rows([Row(number, {"n": number}) for number in (1, 2, 3)], {}, template=str(tmp_path / "{row}.mp4"))
    batch = Batch(aws.connect, prepare_batch(TARGET, rows, project="s3://bucket/project.tar.gz", label="card"), sleep=aws.pass_time)
    lines = io.StringIO()
    report = Report(aws.connect, Console(as_json=True), lines, Slow())
    batch.on_outcome = report.ended
    batch.run()
    with pytest.raises(KeyboardInterrupt):
        report.finish()
    assert lines.getvalue() == ""
    for future in futures:
        future.cancel()
    report.finish()
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["row"], line["state"], "path" in line) for line in written] == [(number, "succeeded", False) for number in (1, 2, 3)]


def test_what_concerns_all_rows_stops_the_batch() -> None:
    class Denied(FakeAws):
        def start_execution(self, **_: Any) -> dict[str, Any]:  # type: ignore[override]  # refuses whatever it is asked
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "StartExecution")

    with pytest.raises(AccessDenied):
        batch_of(Denied(), 3).run()


def test_rows_that_are_the_same_are_refused() -> None:
    rows = plan_rows([Row(1, {"n": 1}), Row(2, {"n": 1})], {})
    with pytest.raises(InvalidBatch, match="row 2: it is the same as row 1"):
        prepare_batch(TARGET, rows, project="s3://bucket/project.tar.gz", label="card")


def test_an_outcome_is_a_line_of_json() -> None:
    line = Outcome(3, RowState.FAILED, "started", "arn", "s3://b/k", code="X", message="y").to_json()
    assert json.loads(json.dumps(line)) == {
        "row": 3,
        "state": "failed",
        "how": "started",
        "execution_arn": "arn",
        "output_uri": "s3://b/k",
        "code": "X",
        "message": "y",
    }


def test_outputs_are_remote_or_of_this_machine(tmp_path: Path) -> None:
    remote, local = plan_rows([Row(1, output="s3://bucket/a.mp4"), Row(2, output=str(tmp_path / "a.mp4"))], {})
    assert (remote.remote, remote.path) == ("s3://bucket/a.mp4", None)
    assert (local.remote, local.path) == (None, tmp_path / "a.mp4")
    assert PlannedRow(1, remote.config, None).path is None


def _interrupt(_seconds: float) -> None:
    raise KeyboardInterrupt
