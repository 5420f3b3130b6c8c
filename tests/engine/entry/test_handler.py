"""The Lambda entry on an in-process S3: results, reuse, signals, and errors under the names that Step Functions sees."""

from __future__ import annotations

import base64
import errno
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import boto3
import pytest
from moto import mock_aws

from hyperframes_lambda.contract.chunks import ChunkRange
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import RenderChunkEvent, parse_event
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.contract.plan import parse_manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.job import FinishedSegment
from hyperframes_lambda.entry import handler as handler_module
from hyperframes_lambda.entry import plan as plan_module
from hyperframes_lambda.entry import segment_upload
from hyperframes_lambda.entry import signals as signals_module
from hyperframes_lambda.entry.handler import handler
from hyperframes_lambda.entry.render_folder import RenderFolder
from hyperframes_lambda.entry.segment_upload import SegmentUpload
from hyperframes_lambda.entry.signals import ChunkSignals
from hyperframes_lambda.entry.storage import S3Location, Storage
from hyperframes_lambda.machine import workspace as workspace_module
from hyperframes_lambda.machine.workspace import as_disk_full, workspace
from hyperframes_provider.client.execution.objects import fetch_package
from tests.engine.media.drawn_render import manifest_of

BUCKET = "render-bucket"
PREFIX = f"s3://{BUCKET}/renders/r1/"
MANIFEST = f"{PREFIX}plan/manifest.json"
PROJECT = f"s3://{BUCKET}/sites/s/project.tar.gz"
OUTPUT = f"s3://{BUCKET}/outputs/out.mp4"
CONTEXT = SimpleNamespace(
    function_name="hyperframes-render",
    memory_limit_in_mb=3008,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 900_000,
)
PAGE = """<!doctype html><html><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="160" data-height="90" data-duration="1">
<div id="box" style="position:absolute;width:20px;height:20px;background:red"></div></div>
<script>document.getElementById("box").animate([{transform:"none"},{transform:"translateX(100px)"}],{duration:1000,fill:"both"})</script>
</body></html>"""


def archive(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, given in files.items():
            content = given.encode() if isinstance(given, str) else given
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Bucket:
    """The stack's bucket as a test sees it."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)

    def put(self, uri: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=body)

    def get(self, uri: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))["Body"].read())

    def etags(self, prefix: str) -> dict[str, str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix.removeprefix(f"s3://{BUCKET}/"))
        return {item["Key"].rpartition("/")[2]: item["ETag"] for item in found.get("Contents", [])}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HYPERFRAMES_BUCKET": BUCKET,
        "HYPERFRAMES_ALLOWED_BUCKETS": "",
        # One processor: how a chunk is divided does not depend on how busy this machine is.
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    handler_module._storage.cache_clear()
    with mock_aws():
        found = Bucket()
        found.put(PROJECT, archive(index__html=PAGE))
        yield found
    handler_module._storage.cache_clear()
    assert list((tmp_path / "scratch").iterdir()) == [], "a warm sandbox would fill its disk"


def plan_event(**changes: Any) -> dict[str, Any]:
    config = {"fps": 24, "chunkSize": 12, "quality": "draft"}
    return {"Action": "plan", "ProjectS3Uri": PROJECT, "PlanOutputS3Prefix": PREFIX, "Config": config, "ExecutionName": "e1"} | changes


def chunk_event(plan_hash: str, index: int = 0, **changes: Any) -> dict[str, Any]:
    event = {"Action": "renderChunk", "ManifestS3Uri": MANIFEST, "PlanHash": plan_hash, "ChunkIndex": index, "ExecutionName": "e1"}
    return event | changes


def assemble_event(plan_hash: str, **changes: Any) -> dict[str, Any]:
    event = {"Action": "assemble", "ManifestS3Uri": MANIFEST, "PlanHash": plan_hash, "OutputS3Uri": OUTPUT, "ExecutionName": "e1"}
    return event | changes


def refused(event: dict[str, Any]) -> tuple[str, str]:
    """The error's name and text as Lambda would report them."""
    with pytest.raises(Exception, match=":") as caught:
        handler(event, CONTEXT)
    return type(caught.value).__name__, str(caught.value)


def test_a_render_from_archive_to_video(bucket: Bucket, tmp_path: Path, packets: Any) -> None:
    planned = handler({"Payload": plan_event()}, CONTEXT)
    plan_hash = planned["PlanHash"]
    assert planned | {"DurationMs": 0, "PlanHash": ""} == {
        "ManifestS3Uri": MANIFEST,
        "PlanHash": "",
        "ChunkCount": 2,
        "Chunks": [0, 1],
        "ChunksBucket": BUCKET,
        "ChunksKey": "renders/r1/plan/chunks.json",
        "MaxParallelChunks": 8,
        "Workers": 1,
        "SegmentFrames": 12,
        "Sizing": planned["Sizing"],
        "EstimatedSeconds": planned["EstimatedSeconds"],
        "TotalFrames": 24,
        "Fps": 24,
        "Duration": 1.0,
        "Width": 160,
        "Height": 90,
        "Format": "mp4",
        "HasAudio": False,
        "RendererVersion": planned["RendererVersion"],
        "BrowserVersion": planned["BrowserVersion"],
        "FfmpegVersion": planned["FfmpegVersion"],
        "RuntimeVersion": planned["RuntimeVersion"],
        "Reused": False,
        "ColdStart": planned["ColdStart"],
        "DurationMs": 0,
    }
    assert planned["Sizing"].startswith("2 chunks of 12 frames, 1 worker each: as chunkSize 12 asks")
    assert json.loads(bucket.get(f"{PREFIX}plan/chunks.json")) == [0, 1]
    again = handler(plan_event(), CONTEXT)
    assert again | {"DurationMs": 0} == planned | {"DurationMs": 0, "Reused": True, "ColdStart": False}

    chunks = [handler(chunk_event(plan_hash, index), CONTEXT) for index in (0, 1)]
    assert [chunk["FramesEncoded"] for chunk in chunks] == [12, 12]
    measured = {name: chunks[1][name] for name in ("CaptureMs", "EncodeMs", "DurationMs")}
    assert all(milliseconds > 0 for milliseconds in measured.values())
    assert chunks[1] == measured | {
        "ChunkIndex": 1,
        "Complete": True,
        "FramesEncoded": 12,
        "FramesRendered": 12,
        "SegmentS3Uris": [f"{PREFIX}chunks/{plan_hash}/000001-12-23.mp4"],
        "Reused": False,
        "Workers": 1,
        "ColdStart": False,
    }
    progress = json.loads(bucket.get(f"{PREFIX}progress/000001.json"))
    assert (progress["FramesDone"], progress["FramesTotal"], progress["Complete"], progress["Reused"]) == (12, 12, True, False)

    segments = bucket.etags(f"{PREFIX}chunks/")
    assert sorted(segments) == [name + ending for name in ("000000-0-11.mp4", "000001-12-23.mp4") for ending in ("", ".frames", ".json")]
    again = handler(chunk_event(plan_hash, 1), CONTEXT)
    nothing = {"FramesRendered": 0, "SegmentS3Uris": [], "Workers": 0, "CaptureMs": 0, "EncodeMs": 0}
    assert again | {"DurationMs": 0} == chunks[1] | nothing | {"Reused": True, "DurationMs": 0}
    assert bucket.etags(f"{PREFIX}chunks/") == segments
    assert json.loads(bucket.get(f"{PREFIX}progress/000001.json"))["Reused"] is True

    bucket.put(OUTPUT, b"an older video")
    done = handler(assemble_event(plan_hash), CONTEXT)
    assert (done["OutputS3Uri"], done["FramesEncoded"], done["Duration"], done["ChunkCount"]) == (OUTPUT, 24, 1.0, 2)
    assert done["Verification"]["DecodedFrames"] == 24
    (tmp_path / "out.mp4").write_bytes(bucket.get(OUTPUT))
    assert (tmp_path / "out.mp4").stat().st_size == done["FileSize"]
    assert len(packets(tmp_path / "out.mp4").times) == 24

    # What is damaged is named, never rendered with; what is finished is not touched.
    name, text = refused(chunk_event("0" * 64))
    assert (name, text.startswith("RenderChunk 0: ")) == ("PLAN_HASH_MISMATCH", True)
    assert refused(assemble_event("0" * 64))[0] == "PLAN_HASH_MISMATCH"
    assert refused(chunk_event(plan_hash, 2))[0] == "INVALID_EVENT"
    bucket.s3.delete_object(Bucket=BUCKET, Key=f"renders/r1/chunks/{plan_hash}/000001-12-23.mp4")
    name, text = refused(assemble_event(plan_hash))
    assert (name, "frames 12 to 23 of chunk 1 are not in" in text) == ("VERIFICATION_FAILED", True)
    for key in bucket.s3.list_objects_v2(Bucket=BUCKET, Prefix="renders/r1/plan/blobs/")["Contents"]:
        bucket.s3.put_object(Bucket=BUCKET, Key=key["Key"], Body=b"not what its name says")
    name, text = refused(chunk_event(plan_hash, 1))
    assert name == "PLAN_ARTIFACT_DIGEST_MISMATCH"
    assert text.startswith("RenderChunk 1 (frames 12\N{EN DASH}23): ")
    assert handler(chunk_event(plan_hash, 0), CONTEXT)["Reused"] is True


def short_of_time(milliseconds: int) -> SimpleNamespace:
    return SimpleNamespace(**(vars(CONTEXT) | {"get_remaining_time_in_millis": lambda: milliseconds}))


def test_a_chunk_without_time_goes_on_where_it_stopped(bucket: Bucket) -> None:
    plan_hash = handler(plan_event(), CONTEXT)["PlanHash"]
    # The time is over before the first frame: one is drawn nevertheless, or it would be so for ever.
    first = handler(chunk_event(plan_hash), short_of_time(10))
    assert (first["Complete"], first["NextFrame"], first["FramesEncoded"], first["FramesRendered"]) == (False, 1, 1, 1)
    progress = json.loads(bucket.get(f"{PREFIX}progress/000000.json"))
    assert (progress["FramesDone"], progress["Complete"], progress["Checkpoints"]) == (1, False, 1)
    name, text = refused(assemble_event(plan_hash))
    assert (name, "frames 1 to 11 of chunk 0 are not in" in text) == ("VERIFICATION_FAILED", True)

    second = handler(chunk_event(plan_hash), CONTEXT)
    assert (second["Complete"], second["FramesEncoded"], second["FramesRendered"], "NextFrame" in second) == (True, 12, 11, False)
    assert second["SegmentS3Uris"] == [f"{PREFIX}chunks/{plan_hash}/000000-1-11.mp4"]
    # A damaged segment is not taken, nor what nothing vouches for.
    handler(chunk_event(plan_hash, 1), CONTEXT)
    bucket.put(f"{PREFIX}chunks/{plan_hash}/000000-0-5.mp4", b"of an invocation that died")
    assert handler(assemble_event(plan_hash), CONTEXT)["FramesEncoded"] == 24
    bucket.put(f"{PREFIX}chunks/{plan_hash}/000000-1-11.mp4", b"damaged")
    name, text = refused(assemble_event(plan_hash))
    assert (name, "000000-1-11.mp4 has a wrong digest" in text) == ("VERIFICATION_FAILED", True)


def test_without_a_runtime_cap_there_is_no_deadline(bucket: Bucket) -> None:
    config = {"fps": 24, "quality": "draft", "chunkSize": 12, "runtimeCap": "none"}
    plan_hash = handler(plan_event(Config=config), CONTEXT)["PlanHash"]
    assert handler(chunk_event(plan_hash), short_of_time(10))["Complete"] is True


def test_a_segment_that_cannot_be_stored_ends_the_chunk(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_hash = handler(plan_event(), CONTEXT)["PlanHash"]
    upload = Storage.upload

    def refuse_segments(self: Storage, path: Path, location: S3Location, **options: Any) -> None:
        if path.suffix == ".mp4":
            raise RenderError(ErrorCode.S3_ACCESS_FAILED, "S3 is away")
        upload(self, path, location, **options)

    monkeypatch.setattr(Storage, "upload", refuse_segments)
    assert refused(chunk_event(plan_hash))[0] == "S3_ACCESS_FAILED"
    monkeypatch.undo()
    assert sorted(bucket.etags(f"{PREFIX}chunks/")) == ["000000-0-11.mp4.frames"]


def test_finished_segments_wait_for_their_place_in_s3(tmp_path: Path) -> None:
    """Drawing that is faster than S3 fills no disk."""
    stored = threading.Semaphore(0)

    class Slow(Storage):
        def upload(self, path: Path, location: S3Location, **_: Any) -> None:
            if path.suffix == ".mp4":
                assert stored.acquire(timeout=20)
                if location.name == "000000-1-1.mp4":
                    raise RenderError(ErrorCode.S3_ACCESS_FAILED, "S3 is away")

        def write(self, location: S3Location, content: bytes, **_: Any) -> None:
            return

    def finished(number: int) -> FinishedSegment:
        path = tmp_path / f"000000-{number}-{number}.mp4"
        record = tmp_path / f"{path.name}.frames"
        path.touch()
        record.touch()
        return FinishedSegment(Segment(0, number, number), path, record, "ab")

    folder = RenderFolder(Slow(None, {BUCKET}), S3Location(BUCKET, "renders/r1/"))
    manifest = manifest_of(RenderConfig(format=OutputFormat.MP4))
    most = segment_upload._PENDING
    added: list[int] = []

    def add_all(upload: SegmentUpload) -> None:
        for number in range(most + 2):
            upload.add(finished(number))
            added.append(number)

    with (
        pytest.raises(RenderError, match="S3 is away"),
        SegmentUpload(lambda segment: folder.store_segment(manifest, segment)) as upload,
        ThreadPoolExecutor(1) as pool,
    ):
        drawing = pool.submit(add_all, upload)
        with pytest.raises(TimeoutError):
            drawing.result(timeout=0.5)
        assert len(added) == most
        stored.release(most + 2)
        drawing.result(timeout=20)


def test_tools_that_cannot_be_removed_hide_no_error(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, "the bundle is damaged")

    monkeypatch.setattr(plan_module, "find_tools", fail)
    monkeypatch.setattr(handler_module, "discard_unpacked", fail)
    with pytest.raises(Exception, match="the bundle is damaged") as caught:
        handler(plan_event(), CONTEXT)
    assert (type(caught.value).__name__, str(caught.value)) == ("CHROME_UNAVAILABLE", "Plan: the bundle is damaged")
    # It leads to where it came from, without the error itself, whose text is not redacted.
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "fail"
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None
    assert "cannot remove the unpacked tools" in caplog.messages


def test_what_may_run_at_once_is_the_accounts_and_not_the_plans(bucket: Bucket) -> None:
    config = {"fps": 24, "quality": "draft", "chunkSize": 3}
    planned = handler(plan_event(Config=config | {"concurrencyLimit": 2}), CONTEXT)
    assert (planned["ChunkCount"], planned["MaxParallelChunks"]) == (8, 2)
    again = handler(plan_event(Config=config), CONTEXT)
    assert (again["PlanHash"], again["Reused"]) == (planned["PlanHash"], True)
    assert again["EstimatedSeconds"] == planned["EstimatedSeconds"] > 0
    alone = handler(plan_event(Config=config | {"concurrencyLimit": 1}), CONTEXT)
    assert (alone["Reused"], alone["MaxParallelChunks"]) == (True, 1)
    assert alone["EstimatedSeconds"] == pytest.approx(2 * planned["EstimatedSeconds"])
    for wrong in (0, "2", True):
        name, text = refused(plan_event(Config=config | {"concurrencyLimit": wrong}))
        assert (name, f"ConcurrencyLimit: {wrong!r}" in text) == ("INVALID_CONFIG", True)


def test_plan_chooses_for_the_function_that_renders_the_chunks(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008")
    planned = handler(plan_event(Config={"fps": 24}), CONTEXT)
    assert (planned["Chunks"], planned["MaxParallelChunks"]) == ([0], 1)
    assert "a frame measured" in planned["Sizing"] and "3,008 MB = 1.7 vCPUs" in planned["Sizing"]
    monkeypatch.setenv("HYPERFRAMES_CHUNK_MEMORY_MB", "10240")
    monkeypatch.setenv("HYPERFRAMES_CHUNK_TIMEOUT_SEC", "60")
    assert "10,240 MB = 5.8 vCPUs" in handler(plan_event(Config={"fps": 25}), CONTEXT)["Sizing"]


def test_the_segments_of_ten_thousand_chunks_are_found() -> None:
    """The plan that Plan writes, and the checks of Assemble before it fetches anything."""
    chunks = [ChunkRange(index=index, first=3 * index, last=3 * index + 2) for index in range(10_000)]
    changes = {"total_frames": 30_000, "segment_frames": 3, "chunks": chunks}
    started = time.monotonic()
    manifest = manifest_of(RenderConfig(format=OutputFormat.MP4)).model_copy(update=changes).sealed()
    assert parse_manifest(manifest.to_json()) == manifest
    names = [f"{chunk.index:06d}-{chunk.first}-{chunk.last}.mp4" for chunk in chunks]

    class Listed(Storage):
        def keys(self, prefix: S3Location) -> set[str]:
            return {name + ending for name in names for ending in ("", ".frames", ".json")}

    found = RenderFolder(Listed(None, {BUCKET}), S3Location(BUCKET, "renders/r1/")).finished_segments(manifest)
    assert sorted(found) == [Segment(chunk.index, chunk.first, chunk.last) for chunk in chunks]
    assert all(manifest.coverage(segment.chunk, [segment]).complete for segment in found)
    assert time.monotonic() - started < 10


def test_variables_that_outgrew_the_input_are_read_from_where_it_says(bucket: Bucket) -> None:
    variables = {"rows": [{"name": f"row {number}", "value": number} for number in range(2000)], "title": "Größe"}
    uri = f"{PREFIX}variables.json"
    bucket.put(uri, json.dumps(variables).encode())

    planned = handler(plan_event(Config={"fps": 24, "variablesS3Uri": uri}), CONTEXT)

    manifest = json.loads(bucket.get(planned["ManifestS3Uri"]))
    assert manifest["variables"] == manifest["config"]["variables"] == variables
    assert handler(plan_event(Config={"fps": 24, "variablesS3Uri": uri}), CONTEXT)["Reused"] is True
    bucket.put(uri, b'{"title": "changed"}')
    assert handler(plan_event(Config={"fps": 24, "variablesS3Uri": uri}), CONTEXT)["PlanHash"] != planned["PlanHash"]


def test_a_png_sequence_ends_as_one_tar(bucket: Bucket) -> None:
    config = {"fps": 24, "format": "png-sequence", "chunkSize": 24}
    planned = handler(plan_event(Config=config), CONTEXT)
    handler(chunk_event(planned["PlanHash"]), CONTEXT)
    done = handler(assemble_event(planned["PlanHash"], OutputS3Uri=f"s3://{BUCKET}/outputs/frames.tar"), CONTEXT)
    with tarfile.open(fileobj=io.BytesIO(bucket.get(done["OutputS3Uri"]))) as tar:
        assert tar.getnames() == [f"{number:06d}.png" for number in range(24)]
    assert bucket.s3.head_object(Bucket=BUCKET, Key="outputs/frames.tar")["ContentType"] == "application/x-tar"


TONE = PAGE.replace("</div>\n<script>", '<audio id="tone" src="tone.wav" data-start="0" data-duration="1"></audio></div>\n<script>')


def tone() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(b"".join(round(9000 * math.sin(number / 17)).to_bytes(2, "little", signed=True) for number in range(48_000)))
    return buffer.getvalue()


def test_an_hls_package_lies_beside_its_playlist(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(PROJECT, archive(index__html=TONE, tone__wav=tone()))
    config = {"fps": 24, "format": "hls", "chunkSize": 12, "quality": "draft"}
    planned = handler(plan_event(Config=config), CONTEXT)
    for index in planned["Chunks"]:
        handler(chunk_event(planned["PlanHash"], index), CONTEXT)
    done = handler(assemble_event(planned["PlanHash"], OutputS3Uri=f"s3://{BUCKET}/outputs/r1/week.m3u8"), CONTEXT)

    names = sorted(bucket.etags("outputs/r1/"))
    assert names == ["week-00000.m4s", "week-init.mp4", "week-media.m3u8", "week.m3u8"]
    heads = {name: bucket.s3.head_object(Bucket=BUCKET, Key=f"outputs/r1/{name}") for name in names}
    types = ["video/iso.segment", "video/mp4", "application/vnd.apple.mpegurl", "application/vnd.apple.mpegurl"]
    assert [heads[name]["ContentType"] for name in names] == types
    assert done["FileSize"] == sum(head["ContentLength"] for head in heads.values())
    assert (done["HasAudio"], done["Verification"]["AudioCodec"]) == (True, "aac")
    fetched = fetch_package(boto3.client, done["OutputS3Uri"], tmp_path / "copy" / "film.m3u8")
    assert sorted(path.name for path in fetched) == ["film-00000.m4s", "film-init.mp4", "film-media.m3u8", "film.m3u8"]
    with av.open(str(fetched[0])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24


def test_sound_alone_is_planned_without_chunks(bucket: Bucket) -> None:
    bucket.put(PROJECT, archive(index__html=TONE, tone__wav=tone()))
    planned = handler(plan_event(Config={"fps": 24, "format": "m4a"}), CONTEXT)
    assert (planned["Chunks"], planned["ChunkCount"], planned["TotalFrames"], planned["HasAudio"]) == ([], 0, 24, True)
    done = handler(assemble_event(planned["PlanHash"], OutputS3Uri=f"s3://{BUCKET}/outputs/tone.m4a"), CONTEXT)
    assert (done["Duration"], done["Format"], done["ChunkCount"]) == (1.0, "m4a", 0)
    assert bucket.s3.head_object(Bucket=BUCKET, Key="outputs/tone.m4a")["ContentType"] == "audio/mp4"

    bucket.put(PROJECT, archive(index__html=PAGE))
    name, text = refused(plan_event(Config={"fps": 24, "format": "m4a"}))
    assert (name, "has no sound for a m4a" in text) == ("COMPOSITION_EMPTY", True)


def test_sidecars_lie_beside_the_output_and_a_chunk_without_its_record_is_rendered_again(bucket: Bucket) -> None:
    project = {"index__html": PAGE.replace('data-duration="1"', 'data-duration="0.25"'), "captions__vtt": "WEBVTT\n"}
    bucket.put(PROJECT, archive(**project))
    wanted = {"fps": 24, "quality": "draft", "sidecars": ["poster", "contact-sheet", "captions", "report"]}
    plan_hash = handler(plan_event(Config=wanted), CONTEXT)["PlanHash"]
    handler(chunk_event(plan_hash), CONTEXT)
    bucket.s3.delete_object(Bucket=BUCKET, Key=f"renders/r1/chunks/{plan_hash}/000000-0-5.mp4.frames")
    assert handler(chunk_event(plan_hash), CONTEXT)["Reused"] is False

    done = handler(assemble_event(plan_hash, OutputS3Uri=f"s3://{BUCKET}/outputs/week.47/film.mp4"), CONTEXT)
    assert done["Sidecars"] == {
        "poster": f"s3://{BUCKET}/outputs/week.47/film.poster.jpg",
        "contact-sheet": f"s3://{BUCKET}/outputs/week.47/film.contact-sheet.jpg",
        "captions.vtt": f"s3://{BUCKET}/outputs/week.47/film.vtt",
        "report": f"s3://{BUCKET}/outputs/week.47/film.report.json",
    }
    assert bucket.get(done["Sidecars"]["captions.vtt"]) == b"WEBVTT\n"
    assert json.loads(bucket.get(done["Sidecars"]["report"]))["Verification"] == done["Verification"]
    assert bucket.get(done["Sidecars"]["poster"]).startswith(b"\xff\xd8")
    types = {
        name: bucket.s3.head_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))["ContentType"]
        for name, uri in done["Sidecars"].items()
    }
    assert types == {
        "poster": "image/jpeg",
        "contact-sheet": "image/jpeg",
        "captions.vtt": "text/vtt; charset=utf-8",
        "report": "application/json",
    }


def test_assemble_brings_the_sources_of_the_sound(bucket: Bucket) -> None:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(b"\x00\x20" * 4_000)
    source = f"data:audio/wav;base64,{base64.b64encode(sound.getvalue()).decode()}"
    bucket.put(PROJECT, archive(index__html=PAGE.replace("</div></div>", f'</div><audio src="{source}" data-start="0"></audio></div>')))
    planned = handler(plan_event(Config={"fps": 24, "format": "wav"}), CONTEXT)
    assert planned["HasAudio"] and planned["Chunks"] == []
    done = handler(assemble_event(planned["PlanHash"], OutputS3Uri=f"s3://{BUCKET}/outputs/sound.wav"), CONTEXT)
    assert done["HasAudio"] and done["Duration"] == 1.0
    assert bucket.get(done["OutputS3Uri"]).startswith(b"RIFF")


@pytest.mark.parametrize(
    ("event", "name", "words"),
    [
        ({"Action": "paint"}, "INVALID_EVENT", ["Event: ", "renderChunk"]),
        (plan_event(Config={"widht": 1}), "INVALID_CONFIG", ["Plan: ", "Config.widht", "width"]),
        (plan_event(ProjectS3Uri="s3://else/p.tar.gz"), "S3_URI_NOT_ALLOWED", ["Plan: ", "else", "AllowedBuckets"]),
        (plan_event(PlanOutputS3Prefix="s3://else/r/"), "S3_URI_NOT_ALLOWED", ["else"]),
        (plan_event(OutputS3Uri="s3://else/out.mp4"), "S3_URI_NOT_ALLOWED", ["Plan: ", "else"]),
        (plan_event(ProjectS3Uri=f"s3://{BUCKET}/none.tar.gz"), "S3_OBJECT_NOT_FOUND", ["none.tar.gz"]),
        (plan_event(Config={"entryFile": "intro.html"}), "ARCHIVE_REJECTED", ["intro.html", "index.html"]),
        (plan_event(Config={"variablesS3Uri": f"{PREFIX}none.json"}), "S3_OBJECT_NOT_FOUND", ["none.json"]),
        (plan_event(Config={"variablesS3Uri": "s3://else/v.json"}), "S3_URI_NOT_ALLOWED", ["else"]),
        (plan_event(Config={"variablesS3Uri": 3}), "INVALID_CONFIG", ["VariablesS3Uri", "3"]),
        (plan_event(Config={"variablesS3Uri": PROJECT, "variables": {}}), "INVALID_CONFIG", ["in place of variables"]),
        (chunk_event("0" * 64), "S3_OBJECT_NOT_FOUND", ["RenderChunk 0: ", "manifest.json"]),
        (chunk_event("0" * 64, ManifestS3Uri=f"{PREFIX}manifest.json"), "INVALID_EVENT", ["ManifestS3Uri"]),
        (assemble_event("0" * 64, OutputS3Uri="s3://else/out.mp4"), "S3_URI_NOT_ALLOWED", ["Assemble: ", "else"]),
    ],
)
def test_a_known_fault_has_its_code_for_a_name(bucket: Bucket, event: dict[str, Any], name: str, words: list[str]) -> None:
    found, text = refused(event)
    assert found == name
    assert [word for word in words if word not in text] == [], text


def test_an_unknown_fault_passes_through(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(plan_module, "plan", broken)
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        handler(plan_event(), CONTEXT)


def test_a_damaged_earlier_plan_is_made_anew(bucket: Bucket) -> None:
    bucket.put(MANIFEST, b"{")
    first = handler(plan_event(), CONTEXT)
    assert first["Reused"] is False
    blob = bucket.s3.list_objects_v2(Bucket=BUCKET, Prefix="renders/r1/plan/blobs/")["Contents"][0]["Key"]
    bucket.s3.delete_object(Bucket=BUCKET, Key=blob)
    measured = {"DurationMs": 0, "EstimatedSeconds": 0, "Sizing": "", "ColdStart": False}
    assert handler(plan_event(), CONTEXT) | measured == first | measured
    bucket.s3.head_object(Bucket=BUCKET, Key=blob)


def marker(execution: str) -> bytes:
    return json.dumps({"ExecutionName": execution, "Cause": "no longer wanted"}).encode()


def test_a_cancel_marker_ends_its_own_execution_at_the_start(bucket: Bucket) -> None:
    bucket.put(f"{PREFIX}cancel", marker("e1"))
    for event in (plan_event(), chunk_event("0" * 64), assemble_event("0" * 64)):
        name, text = refused(event)
        assert (name, "no longer wanted" in text) == ("RENDER_CANCELLED", True)
    for other in (marker("e0"), b"not json"):
        bucket.put(f"{PREFIX}cancel", other)
        assert refused(chunk_event("0" * 64))[0] == "S3_OBJECT_NOT_FOUND"


@pytest.fixture
def signals(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> ChunkSignals:
    monkeypatch.setattr(signals_module, "_INTERVAL_SECONDS", 0.02)
    event = parse_event(chunk_event("0" * 64, 7))
    assert isinstance(event, RenderChunkEvent)
    return ChunkSignals(RenderFolder(Storage(bucket.s3, {BUCKET}), S3Location(BUCKET, "renders/r1/")), event, frames=10)


def test_a_cancel_marker_is_seen_while_rendering(bucket: Bucket, signals: ChunkSignals) -> None:
    with signals:
        bucket.put(f"{PREFIX}cancel", marker("e1"))
        assert signals.cancelled.wait(10)


def test_progress_is_written_from_the_start_to_the_end(bucket: Bucket, signals: ChunkSignals, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, Any]] = []
    done = threading.Event()
    write = Storage.write

    def noted(self: Storage, location: S3Location, content: bytes, **options: Any) -> None:
        write(self, location, content, **options)
        assert location.key == "renders/r1/progress/000007.json"
        written.append(json.loads(content))
        if written[-1]["FramesDone"] == 4:
            done.set()

    monkeypatch.setattr(Storage, "write", noted)
    with signals:
        assert [entry["FramesDone"] for entry in written] == [0]
        signals.report(4)
        assert done.wait(10)
        signals.end(10)
    assert [(entry["FramesDone"], entry["Complete"]) for entry in written] == [(0, False), (4, False), (10, True)]
    assert len({entry["StartedAt"] for entry in written}) == 1


def test_signals_that_cannot_be_sent_do_not_end_the_render(signals: ChunkSignals, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def refuse(*_: object, **__: object) -> None:
        tried.set()
        raise RenderError(ErrorCode.S3_ACCESS_FAILED, "S3 is away")

    monkeypatch.setattr(Storage, "write", refuse)
    monkeypatch.setattr(Storage, "read", refuse)
    with signals:
        tried.clear()
        signals.report(3)
        assert tried.wait(10)
        signals.end(10)
    assert not signals.cancelled.is_set()


def test_what_a_killed_invocation_left_is_removed_and_a_running_ones_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import os, tempfile\nfrom hyperframes_lambda.machine.workspace import workspace\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\nwith workspace() as folder:\n    print(folder, flush=True)\n    input()\n    os._exit(1)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with workspace() as ours:
            assert {theirs, ours} == set(tmp_path.iterdir())
        assert theirs.is_dir()
        other.communicate("\n")
    (tmp_path / "hyperframes-work-half-removed").mkdir()
    with workspace() as ours:
        assert list(tmp_path.iterdir()) == [ours]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "free", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "frame.png"), 1 << 30, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 1 << 30, True),
        (OSError(errno.ENOENT, "No such file"), 0, False),
        (RenderError(ErrorCode.DISK_FULL, "encoding 000001.mp4: no space is left"), 1 << 30, True),
        (RenderError(ErrorCode.BROWSER_CRASHED, "the browser ended"), 1000, True),
        (RenderError(ErrorCode.BROWSER_CRASHED, "the browser ended"), 1 << 30, False),
        (RenderError(ErrorCode.INVALID_CONFIG, "fps"), 0, False),
    ],
)
def test_a_full_disk_is_recognised_and_named(
    error: Exception, free: int, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=free, total=48 << 20))
    found = as_disk_full(error, tmp_path)
    assert (found is not None) == full
    if found is not None:
        assert found.code is ErrorCode.DISK_FULL
        assert str(tmp_path) in found.message
        assert "of 48 MB free" in found.message
        assert found.hint or error.args
