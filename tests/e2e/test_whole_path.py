"""Upload, state machine, handler processes, output: what a good render leaves, and how a fault of each kind ends.

The faults themselves are proved where they are found: in `tests/engine/browser/test_errors.py`, `tests/engine/test_roles.py`,
`tests/engine/media` and `tests/engine/entry`. Three of them take the whole way to the execution's error here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.e2e.whole_path import Execution, WholePath, archive

PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body>
<div data-composition-id="page" data-start="0" {attributes} data-width="320" data-height="180">{body}</div>
<script>{script}</script></body></html>"""


def page(*, body: str = "<p>Hello</p>", script: str = "", attributes: str = 'data-duration="1" data-no-timeline') -> dict[str, bytes]:
    return {"index.html": PAGE.format(body=body, script=script, attributes=attributes).encode()}


def moving(seconds: int) -> dict[str, bytes]:
    return page(
        body='<div id="box" style="position:absolute;width:40px;height:40px;background:red"></div>',
        script='document.getElementById("box").animate([{transform:"none"},{transform:"translateX(200px)"}],{duration:4000,fill:"both"})',
        attributes=f'data-duration="{seconds}" data-no-timeline',
    )


MOVING = moving(2)
LONG = moving(8)
"""Its chunk takes several times as long as the interval at which it reports, so that a test can strike in the middle of it."""
LONG_FRAMES = 480
LONG_CONFIG = {"fps": 60, "chunkSize": LONG_FRAMES, "maxParallelChunks": 1}


@pytest.fixture(scope="module")
def rendered(stack: WholePath, handlers: Callable[[str], list[psutil.Process]]) -> tuple[dict[str, Any], Execution, list[psutil.Process]]:
    """The request of an undisturbed render, the finished execution, and the function's processes seen on the way."""
    request = stack.request(stack.upload(MOVING))
    arn = stack.start(request)
    runtime = stack.wait_for(lambda: [process for process in handlers("python") if "awslambdaric" in " ".join(process.cmdline())])
    return request, stack.finish(arn), runtime


def test_a_render_runs_plan_a_map_over_the_chunks_and_assemble_in_processes_of_their_own(
    rendered, stack: WholePath, packets, tmp_path
) -> None:
    request, done, runtime = rendered

    assert done.status == "SUCCEEDED", done.cause
    assert (done.attempts("Plan"), done.attempts("RenderChunk"), done.attempts("Assemble")) == (1, 4, 1)
    entered = [event["stateEnteredEventDetails"]["name"] for event in done.events if "stateEnteredEventDetails" in event]
    assert entered[0] == "Plan"
    assert entered[-1] == "Assemble"
    assert all(process.pid != psutil.Process().pid for process in runtime)
    assert done.output["FramesEncoded"] == 48
    assert done.output["OutputS3Uri"] == request["OutputS3Uri"]
    video = stack.fetch(request["OutputS3Uri"], tmp_path / "out.mp4")
    assert video.stat().st_size == done.output["FileSize"]
    assert len(packets(video).times) == 48


def test_a_wrong_plan_hash_is_refused_by_chunk_and_assemble(rendered, stack: WholePath) -> None:
    request, _, _ = rendered
    manifest = request["PlanOutputS3Prefix"] + "plan/manifest.json"

    chunk = stack.invoke({"Action": "renderChunk", "ManifestS3Uri": manifest, "PlanHash": "0" * 64, "ChunkIndex": 0})
    joined = stack.invoke({"Action": "assemble", "ManifestS3Uri": manifest, "PlanHash": "0" * 64, "OutputS3Uri": request["OutputS3Uri"]})

    assert (chunk["errorType"], joined["errorType"]) == ("PLAN_HASH_MISMATCH", "PLAN_HASH_MISMATCH")


SEEKING = page(script="requestAnimationFrame(function step(t) { if (t > 400) lost(); requestAnimationFrame(step); });")
FAULTS = {
    "script that throws while seeking": (SEEKING, "COMPOSITION_ERROR", ["lost"]),
    "path traversal": (archive({"index.html": b"<p>", "../outside.txt": b"x"}), "ARCHIVE_REJECTED", ["../outside.txt"]),
    "missing project": (None, "S3_OBJECT_NOT_FOUND", ["sites/none/project.tar.gz"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_request_fails_in_plan_once_with_its_code_and_an_actionable_message(fault: str, stack: WholePath) -> None:
    content, code, words = FAULTS[fault]
    project = stack.upload(content) if content is not None else f"s3://{stack.bucket}/sites/none/project.tar.gz"

    done = stack.run(stack.request(project))

    assert (done.status, done.error) == ("FAILED", code), done.cause
    assert done.attempts("Plan") == 1
    assert done.attempts("RenderChunk") == 0
    message = json.loads(done.cause)["errorMessage"]
    assert message.startswith("Plan: ")
    assert [word for word in words if word not in message] == [], message


def test_a_corrupted_blob_fails_the_chunk_once_and_a_second_render_keeps_the_finished_chunks(rendered, stack: WholePath) -> None:
    request, _, _ = rendered
    prefix = request["PlanOutputS3Prefix"]
    segments = stack.keys(prefix + "chunks/")
    lost = sorted(key for key in segments if key.endswith(".mp4"))[3]
    for key in [key for key in segments if key.startswith(lost)]:
        stack.client("s3").delete_object(Bucket=stack.bucket, Key=key)

    again = stack.run(request)

    assert again.status == "SUCCEEDED"
    after = stack.keys(prefix + "chunks/")
    assert lost in after
    assert {key: tag for key, tag in after.items() if not key.startswith(lost)} == {
        key: tag for key, tag in segments.items() if not key.startswith(lost)
    }

    for key in [key for key in after if key.startswith(lost)]:
        stack.client("s3").delete_object(Bucket=stack.bucket, Key=key)
    blobs = stack.keys(prefix + "plan/blobs/")
    for blob in blobs:
        stack.client("s3").put_object(Bucket=stack.bucket, Key=blob, Body=b"not what its name says")

    broken = stack.run(request)

    assert (broken.status, broken.error) == ("FAILED", "PLAN_ARTIFACT_DIGEST_MISMATCH")
    assert broken.failures() == ["PLAN_ARTIFACT_DIGEST_MISMATCH"]
    assert any(blob in broken.cause for blob in blobs)
    assert set(stack.keys(prefix + "chunks/")) == {key for key in segments if not key.startswith(lost)}


def test_a_killed_browser_and_then_a_killed_encoder_are_retried_and_the_video_is_whole(
    stack: WholePath, handlers, packets, tmp_path
) -> None:
    request = stack.request(stack.upload(LONG), Config=LONG_CONFIG)
    arn = stack.start(request)
    stack.wait_for(lambda: stack.frames_done(request))
    for victim, code in (("chromium", "BROWSER_CRASHED"), ("ffmpeg", "ENCODER_CRASHED")):
        for process in stack.wait_for(lambda victim=victim: alive(handlers(victim))):
            # A browser's helpers go with their parent.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        stack.wait_for(lambda code=code: code in stack.failures(arn))

    done = stack.finish(arn)

    assert done.status == "SUCCEEDED", done.cause
    assert done.failures() == ["BROWSER_CRASHED", "ENCODER_CRASHED"]
    assert done.attempts("RenderChunk") == 3
    assert done.output["FramesEncoded"] == LONG_FRAMES
    assert len(packets(stack.fetch(request["OutputS3Uri"], tmp_path / "out.mp4")).times) == LONG_FRAMES


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_stopped_execution_ends_aborted_with_its_cause_and_its_chunks_stop(stack: WholePath, handlers) -> None:
    request = stack.request(stack.upload(LONG), Config=LONG_CONFIG)
    arn = stack.start(request)
    stack.wait_for(lambda: stack.frames_done(request))
    bucket, _, prefix = request["PlanOutputS3Prefix"].removeprefix("s3://").partition("/")
    marker = {"ExecutionName": arn.rpartition(":")[2], "Cause": "no longer wanted"}
    stack.client("s3").put_object(Bucket=bucket, Key=prefix + "cancel", Body=json.dumps(marker).encode())
    stack.client("stepfunctions").stop_execution(executionArn=arn, error="Cancelled", cause="no longer wanted")

    done = stack.finish(arn)

    assert (done.status, done.cause) == ("ABORTED", "no longer wanted")
    stack.wait_for(lambda: not alive(handlers("ffmpeg")))
    # Segments that were finished stay, for a redrive to go on with; the chunk itself never was.
    assert [key for key in stack.keys(request["PlanOutputS3Prefix"] + "chunks/") if f"-{LONG_FRAMES - 1}." in key] == []
