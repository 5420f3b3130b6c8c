"""Long chunks, many chunks and too many invocations at once, on the whole path with a browser and the embedded endpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda.contract.config import parse_config
from hyperframes_lambda.contract.segments import parse_segment
from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.client.execution.watch import RenderWatch
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.request import PLAN_RESERVE, PreparedRender
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from tests.e2e.whole_path import WholePath, archive

STACK, SPLIT = "hyperframes-e2e", "hyperframes-e2e-split"
WORK = 8_000_000
"""Rounds of arithmetic that make a frame take several times as long."""

PAGE = """<!doctype html>
<html data-composition-variables='[{"id": "work", "type": "number", "label": "Rounds of arithmetic a frame", "default": 0}]'>
<head><meta charset="utf-8"></head><body>
<div data-composition-id="busy" data-start="0" data-duration="SECONDS" data-no-timeline data-width="320" data-height="180">
<canvas width="320" height="180"></canvas></div>
<script>
const pen = document.querySelector("canvas").getContext("2d"), { work } = window.__hyperframes.getVariables();
requestAnimationFrame(function draw(time) {
  let sum = 0;
  for (let round = 0; round < work; round++) sum = Math.imul(sum, 31) + round | 0;
  pen.fillStyle = `hsl(${time / 10 % 360} 80% ${sum === 0.5 ? 0 : 50}%)`;
  pen.fillRect(0, 0, 320, 180);
  pen.fillStyle = "white";
  pen.fillRect(time / 20 % 300, 80, 20, 20);
  requestAnimationFrame(draw);
});
</script></body></html>"""


@pytest.fixture(scope="module")
def client(stack: WholePath) -> RenderClient:
    return RenderClient(connect_local(stack.endpoint_url))


@pytest.fixture(scope="module")
def split(stack: WholePath, tmp_path_factory: pytest.TempPathFactory) -> WholePath:
    """A stack with its own function for Plan and Assemble, which keeps its time limit when the chunks' limit is cut."""
    code = tmp_path_factory.mktemp("code") / "handler.zip"
    build_slim_zip(code)
    parameters = {"LambdaMemoryMb": "3008", "CoordinatorMemoryMb": "2048"}
    outputs = deploy_stack(connect_local(stack.endpoint_url), SPLIT, parameters=parameters, code=code).outputs
    return WholePath(stack.endpoint_url, outputs.bucket, outputs.state_machine_arn, outputs.function_arn)


@pytest.fixture
def prepared(client: RenderClient):
    def prepare(where: WholePath, name: str, frames: int, config: dict[str, Any]) -> PreparedRender:
        project = where.upload(archive({"index.html": PAGE.replace("SECONDS", str(frames / 25)).encode()}))
        target = client.target(SPLIT if SPLIT in where.function else STACK)
        return client.prepare(target, project=project, config=parse_config({"fps": 25, **config}), label=name, identity=(name,))

    return prepare


@contextmanager
def configured(stack: WholePath, *, timeout: int | None = None, reserved: int | None = None) -> Iterator[None]:
    """Change the limits of the deployed function for a while."""
    function: Any = stack.client("lambda")
    before = function.get_function_configuration(FunctionName=stack.function)
    variables = before["Environment"]["Variables"]
    if timeout is not None:
        changed = {**variables, "HYPERFRAMES_CHUNK_TIMEOUT_SEC": str(timeout)}
        function.update_function_configuration(FunctionName=stack.function, Timeout=timeout, Environment={"Variables": changed})
    if reserved is not None:
        function.put_function_concurrency(FunctionName=stack.function, ReservedConcurrentExecutions=reserved)
    try:
        yield
    finally:
        function.update_function_configuration(FunctionName=stack.function, Timeout=before["Timeout"], Environment={"Variables": variables})
        function.delete_function_concurrency(FunctionName=stack.function)


def captured(stack: WholePath, prepared: PreparedRender, tmp_path: Path) -> dict[int, str]:
    """Return frame number → checksum of the captured picture, from the records beside the segments."""
    found: dict[int, str] = {}
    for key in stack.keys(f"{prepared.prefix.uri}chunks/"):
        segment = parse_segment(key.rsplit("/", 1)[-1], ".mp4")
        if segment is not None:
            (record,) = [other for other in stack.keys(f"s3://{stack.bucket}/{key}") if other not in (key, f"{key}.json")]
            text = stack.fetch(f"s3://{stack.bucket}/{record}", tmp_path / "record.json").read_text()
            digests = json.loads(text)["digests"]
            assert len(digests) == segment.frames
            found |= dict(zip(range(segment.first, segment.last + 1), digests, strict=True))
    return found


def test_chunks_that_each_need_twice_the_deadline_are_done_by_checkpoints_with_the_same_frames(
    client: RenderClient, split: WholePath, prepared, tmp_path: Path
) -> None:
    start, frame = measured(client, split, prepared(split, "probe", 40, {"chunkSize": 20, "variables": {"work": WORK}}))
    # As short as this machine can bear now: an invocation starts, draws something and keeps a tenth for its end.
    deadline = math.ceil(max(3, 3 * start, 20 * frame))
    # Half as many again as needed: the machine may be quicker now than it was for the probe.
    frames = math.ceil(3 * deadline / frame)
    quick = prepared(split, "quick", 2 * frames, {"chunkSize": frames, "variables": {"work": 0}})
    client.wait(client.start(quick).execution_arn)
    slow = prepared(split, "slow", 2 * frames, {"chunkSize": frames, "variables": {"work": WORK}})
    with configured(split, timeout=deadline):
        arn = client.start(slow).execution_arn
        client.wait(arn)
    result = client.conclude(arn)

    assert (result.chunks, result.frames, result.throttled) == (2, 2 * frames, 0)
    reports = [json.loads(split.fetch(f"s3://{split.bucket}/{key}", tmp_path / "r.json").read_text()) for key in progress_keys(split, slow)]
    assert [report["Complete"] for report in reports] == [True, True]
    assert all(report["BilledSeconds"] > 2 * deadline for report in reports), reports
    assert all(report["Checkpoints"] >= 2 for report in reports), reports
    # A busy machine may lose an invocation to the deadline. Nothing else is a retry.
    assert result.retries == sum(report["Invocations"] - report["Checkpoints"] - 1 for report in reports)
    assert result.invocations == 2 + sum(report["Invocations"] for report in reports)
    pictures = captured(split, slow, tmp_path)
    assert sorted(pictures) == list(range(2 * frames))
    assert pictures == captured(split, quick, tmp_path)


def measured(client: RenderClient, split: WholePath, prepared: PreparedRender) -> tuple[float, float]:
    """Return the seconds of an invocation outside drawing and those of one frame, the larger of two parallel chunks."""
    arn = client.start(prepared).execution_arn
    client.wait(arn)
    events = split.client("stepfunctions").get_execution_history(executionArn=arn, maxResults=1000)["events"]
    outputs = [json.loads(event["taskSucceededEventDetails"]["output"])["Payload"] for event in events if event["type"] == "TaskSucceeded"]
    chunks = [output for output in outputs if "ChunkIndex" in output]
    start = max(chunk["DurationMs"] - chunk["CaptureMs"] for chunk in chunks)
    return start / 1000, max(chunk["CaptureMs"] / chunk["FramesRendered"] for chunk in chunks) / 1000


def progress_keys(stack: WholePath, prepared: PreparedRender) -> list[str]:
    return sorted(stack.keys(f"{prepared.prefix.uri}progress/"))


def test_chunks_that_share_two_invocations_with_another_render_fail_nowhere(client: RenderClient, stack: WholePath, prepared) -> None:
    chunks = (12, 4)
    renders = [prepared(stack, f"shared-{count}", 12, {"chunkSize": 12 // count, "maxParallelChunks": 12}) for count in chunks]
    lines: list[str] = []
    with configured(stack, reserved=2):
        arns = [client.start(render, warn=lines.append).execution_arn for render in renders]
        for arn in arns:
            client.wait(arn, say=lines.append)
    results = [client.conclude(arn) for arn in arns]

    assert [(result.chunks, result.frames, result.retries) for result in results] == [(count, 12, 0) for count in chunks]
    assert [result.invocations for result in results] == [count + 2 for count in chunks]
    assert sum(result.throttled for result in results) > 0
    assert not [line for line in lines if "retried" in line]
    assert "maxParallelChunks 12 is more than can run at once: 2, because" in lines[0]
    for arn in arns:
        watch = RenderWatch(arn)
        assert client.snapshot(watch).plan.max_parallel_chunks == 2
        assert {attempt.error for attempt in watch.history.attempts} == {
            "",
            "Lambda.TooManyRequestsException",
        } or not watch.history.throttled


def test_more_chunks_than_an_inline_map_takes_are_executions_of_their_own(client: RenderClient, stack: WholePath, prepared) -> None:
    render = prepared(stack, "wide", 42, {"chunkSize": 1, "maxParallelChunks": 42})
    lines: list[str] = []
    arn = client.start(render).execution_arn
    last = client.wait(arn, say=lines.append, poll_interval=1.0)
    result = client.conclude(arn)

    assert (result.chunks, result.frames, result.invocations, result.retries) == (42, 42, 44, 0)
    assert result.cost_usd >= round(last.cost_usd, 6) > 0
    assert (last.progress.chunks_done, last.progress.frames_done) == (42, 42)
    assert sum("/42 chunks" in line for line in lines) >= 2
    assert client.start(render).how == "finished"


def test_ten_thousand_chunks_are_planned_with_a_result_that_stays_small(stack: WholePath) -> None:
    project = stack.upload(archive({"index.html": PAGE.replace("SECONDS", "400").encode()}))
    prefix = f"s3://{stack.bucket}/renders/ten-thousand/"
    config = {"fps": 25, "chunkSize": 1, "maxParallelChunks": 10_000, "concurrencyLimit": 1000}
    planned = stack.invoke({"Action": "plan", "ProjectS3Uri": project, "PlanOutputS3Prefix": prefix, "Config": config})

    assert (planned["ChunkCount"], planned["Chunks"], planned["MaxParallelChunks"]) == (10_000, [], 1000), planned
    assert len(json.dumps(planned)) < PLAN_RESERVE
    listed = stack.client("s3").get_object(Bucket=planned["ChunksBucket"], Key=planned["ChunksKey"])["Body"].read()
    assert json.loads(listed) == list(range(10_000))
