"""Upload, state machine, handler processes, output: what a good render leaves, and how each known fault ends."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.whole_path import WholePath, archive

PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body>
<div data-composition-id="page" data-start="0" {attributes} data-width="320" data-height="180">{body}</div>
<script>{script}</script></body></html>"""
REGISTER = "window.__timelines = window.__timelines || {};"


def page(*, body: str = "<p>Hello</p>", script: str = "", attributes: str = 'data-duration="1" data-no-timeline') -> dict[str, bytes]:
    return {"index.html": PAGE.format(body=body, script=script, attributes=attributes).encode()}


def moving(seconds: int) -> dict[str, bytes]:
    return page(
        body='<div id="box" style="position:absolute;width:40px;height:40px;background:red"></div>',
        script='document.getElementById("box").animate([{transform:"none"},{transform:"translateX(200px)"}],{duration:4000,fill:"both"})',
        attributes=f'data-duration="{seconds}" data-no-timeline',
    )


MOVING = moving(4)
LONG = moving(12)
"""Its chunks take several times as long as the interval at which they report, so that a test can strike in the middle of one."""


def test_a_render_runs_plan_a_map_over_the_chunks_and_assemble_in_processes_of_their_own(
    stack: WholePath, handlers, packets, tmp_path
) -> None:
    arn = stack.start(request := stack.request(stack.upload(MOVING)))
    runtime = stack.wait_for(lambda: [process for process in handlers("python") if "awslambdaric" in " ".join(process.cmdline())])
    done = stack.finish(arn)

    assert done.status == "SUCCEEDED", done.cause
    assert (done.attempts("Plan"), done.attempts("RenderChunk"), done.attempts("Assemble")) == (1, 8, 1)
    entered = [event["stateEnteredEventDetails"]["name"] for event in done.events if "stateEnteredEventDetails" in event]
    assert entered[0] == "Plan"
    assert entered[-1] == "Assemble"
    assert all(process.pid != psutil.Process().pid for process in runtime)
    assert done.output["FramesEncoded"] == 96
    assert done.output["OutputS3Uri"] == request["OutputS3Uri"]
    video = stack.fetch(request["OutputS3Uri"], tmp_path / "out.mp4")
    assert video.stat().st_size == done.output["FileSize"]
    assert len(packets(video).times) == 96


UNREGISTERED = page(script=REGISTER, attributes='data-duration="1"')
FAULTS = {
    "bad config field": (MOVING, {"Config": {"fps": 24, "widht": 320}}, "INVALID_CONFIG", ["widht", "width"]),
    "script that throws": (page(script="notDefined();"), {}, "COMPOSITION_ERROR", ["notDefined"]),
    "script that throws while seeking": (
        page(script="requestAnimationFrame(function step(t) { if (t > 400) lost(); requestAnimationFrame(step); });"),
        {},
        "COMPOSITION_ERROR",
        ["lost"],
    ),
    "timeline that never registers": (UNREGISTERED, {}, "COMPOSITION_NOT_READY", ["page", "__timelines"]),
    "missing image": (page(body='<img src="pictures/lost.png">'), {}, "ASSET_UNAVAILABLE", ["pictures/lost.png"]),
    "missing script": (page(body='<script src="lost.js"></script>'), {}, "ASSET_UNAVAILABLE", ["lost.js"]),
    "zero duration": (page(attributes='data-duration="0" data-no-timeline'), {}, "DURATION_OUT_OF_RANGE", ["duration"]),
    "nothing to render": ({"index.html": b"<!doctype html><p>Hello"}, {}, "COMPOSITION_EMPTY", ["data-composition-id"]),
    "no entry page": ({"readme.txt": b"hello"}, {}, "ARCHIVE_REJECTED", ["index.html"]),
    "remote script": (
        page(body='<script src="https://cdn.example.com/lib.js"></script>'),
        {},
        "ASSET_UNAVAILABLE",
        ["https://cdn.example.com/lib.js"],
    ),
    "missing source video": (page(body='<video id="clip" src="clip.mp4"></video>'), {}, "ASSET_UNAVAILABLE", ["clip.mp4"]),
    "missing audio": (page(body='<audio id="song" src="song.mp3"></audio>'), {}, "ASSET_UNAVAILABLE", ["song.mp3"]),
    "text as audio": (
        page(body='<audio id="song" src="song.mp3"></audio>') | {"song.mp3": b"no sound"},
        {},
        "NOT_MEDIA_PAYLOAD",
        ["song.mp3"],
    ),
    "sound of a silent composition": (MOVING, {"Config": {"format": "wav"}}, "COMPOSITION_EMPTY", ["wav"]),
    "path traversal": (archive({"index.html": b"<p>", "../outside.txt": b"x"}), {}, "ARCHIVE_REJECTED", ["../outside.txt"]),
    "not an archive": (b"this is no archive", {}, "ARCHIVE_REJECTED", ["gz"]),
    "undeclared variable": (
        MOVING,
        {"Config": {"fps": 24, "variables": {"titel": 1}, "strictVariables": True}},
        "INVALID_CONFIG",
        ["titel"],
    ),
    "another shape of picture": (MOVING, {"Config": {"fps": 24, "width": 400, "height": 400}}, "INVALID_CONFIG", ["400", "320"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_request_fails_in_plan_once_with_its_code_and_an_actionable_message(fault: str, stack: WholePath) -> None:
    project, changes, code, words = FAULTS[fault]

    done = stack.run(stack.request(stack.upload(project), **changes))

    assert (done.status, done.error) == ("FAILED", code), done.cause
    assert done.attempts("Plan") == 1
    assert done.attempts("RenderChunk") == 0
    message = json.loads(done.cause)["errorMessage"]
    assert message.startswith("Plan: ")
    assert [word for word in words if word not in message] == [], message


def test_a_missing_project_and_a_foreign_bucket_are_refused_once(stack: WholePath) -> None:
    missing = stack.run(stack.request(f"s3://{stack.bucket}/sites/none/project.tar.gz"))
    foreign = stack.run(stack.request("s3://somebody-elses-bucket/project.tar.gz"))
    output = stack.run(stack.request(stack.upload(MOVING), OutputS3Uri="s3://somebody-elses-bucket/out.mp4"))

    assert (missing.error, missing.attempts("Plan")) == ("S3_OBJECT_NOT_FOUND", 1)
    assert "sites/none/project.tar.gz" in missing.cause
    assert (foreign.error, foreign.attempts("Plan")) == ("S3_URI_NOT_ALLOWED", 1)
    assert "somebody-elses-bucket" in foreign.cause
    assert (output.error, output.attempts("Plan"), output.attempts("RenderChunk")) == ("S3_URI_NOT_ALLOWED", 1, 0)


def test_a_corrupted_blob_fails_the_chunk_once_and_a_second_render_keeps_the_finished_chunks(stack: WholePath) -> None:
    request = stack.request(stack.upload(MOVING))
    assert stack.run(request).status == "SUCCEEDED"
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
    for blob in stack.keys(prefix + "plan/blobs/"):
        stack.client("s3").put_object(Bucket=stack.bucket, Key=blob, Body=b"not what its name says")

    broken = stack.run(request)

    assert (broken.status, broken.error) == ("FAILED", "PLAN_ARTIFACT_DIGEST_MISMATCH")
    assert broken.failures() == ["PLAN_ARTIFACT_DIGEST_MISMATCH"]
    assert {key for key in segments if not key.startswith(lost)} <= set(stack.keys(prefix + "chunks/"))


def test_a_wrong_plan_hash_is_refused_by_chunk_and_assemble(stack: WholePath) -> None:
    request = stack.request(stack.upload(MOVING))
    assert stack.run(request).status == "SUCCEEDED"
    manifest = request["PlanOutputS3Prefix"] + "plan/manifest.json"

    chunk = stack.invoke({"Action": "renderChunk", "ManifestS3Uri": manifest, "PlanHash": "0" * 64, "ChunkIndex": 0})
    joined = stack.invoke({"Action": "assemble", "ManifestS3Uri": manifest, "PlanHash": "0" * 64, "OutputS3Uri": request["OutputS3Uri"]})

    assert (chunk["errorType"], joined["errorType"]) == ("PLAN_HASH_MISMATCH", "PLAN_HASH_MISMATCH")


@pytest.mark.parametrize(("victim", "code"), [("chromium", "BROWSER_CRASHED"), ("ffmpeg", "ENCODER_CRASHED")])
def test_a_killed_browser_or_encoder_is_retried_and_the_video_is_whole(
    victim: str, code: str, stack: WholePath, handlers, packets, tmp_path
) -> None:
    request = stack.request(stack.upload(LONG), Config={"fps": 60, "chunkSize": 720, "maxParallelChunks": 1})
    arn = stack.start(request)
    stack.wait_for(lambda: stack.frames_done(request))
    killed = stack.wait_for(lambda: [process for process in handlers(victim) if not killed_already(process)])
    for process in killed:
        # A browser's helpers go with their parent.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()

    done = stack.finish(arn)

    assert done.status == "SUCCEEDED", done.cause
    assert done.failures() == [code]
    assert done.attempts("RenderChunk") == 2
    assert done.output["FramesEncoded"] == len(packets(stack.fetch(request["OutputS3Uri"], tmp_path / "out.mp4")).times) == 720


def killed_already(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_stopped_execution_ends_aborted_with_its_cause_and_its_chunks_stop(stack: WholePath, handlers) -> None:
    request = stack.request(stack.upload(LONG), Config={"fps": 60, "chunkSize": 720, "maxParallelChunks": 1})
    arn = stack.start(request)
    stack.wait_for(lambda: stack.frames_done(request))
    bucket, _, prefix = request["PlanOutputS3Prefix"].removeprefix("s3://").partition("/")
    marker = {"ExecutionName": arn.rpartition(":")[2], "Cause": "no longer wanted"}
    stack.client("s3").put_object(Bucket=bucket, Key=prefix + "cancel", Body=json.dumps(marker).encode())
    stack.client("stepfunctions").stop_execution(executionArn=arn, error="Cancelled", cause="no longer wanted")

    done = stack.finish(arn)

    assert (done.status, done.cause) == ("ABORTED", "no longer wanted")
    stack.wait_for(lambda: not [process for process in handlers("ffmpeg") if not killed_already(process)])
    # Segments that were finished stay, for a redrive to go on with; the chunk itself never was.
    assert [key for key in stack.keys(request["PlanOutputS3Prefix"] + "chunks/") if "-719." in key] == []


def test_a_full_scratch_disk_fails_with_its_own_code_and_is_not_retried(tmp_path: Path) -> None:
    script = """
      const pen = document.querySelector("canvas").getContext("2d");
      requestAnimationFrame(function draw() {
        const noise = pen.createImageData(1280, 720);
        for (let i = 0; i < noise.data.length; i += 1) noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
        pen.putImageData(noise, 0, 0);
        requestAnimationFrame(draw);
      });"""
    heavy = PAGE.replace('"320"', '"1280"').replace('"180"', '"720"')
    html = heavy.format(body='<canvas width="1280" height="720"></canvas>', script=script, attributes='data-duration="2" data-no-timeline')
    state, project = tmp_path / "state", tmp_path / "project.tar.gz"
    project.write_bytes(archive({"index.html": html.encode()}))
    script_file = Path(__file__).with_name("full_disk.py")

    command = ["unshare", "-Urm", sys.executable, str(script_file), str(state), "48", str(project)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    assert answer.returncode == 0, answer.stderr
    done = json.loads(answer.stdout)
    assert (done["status"], done["error"]) == ("FAILED", "DISK_FULL"), done
    assert done["failures"] == ["DISK_FULL"]
    assert "/tmp" in done["cause"] or "scratch" in done["cause"]
