"""The rules of the wire: frame arithmetic, configuration, events, manifest and the error table."""

from __future__ import annotations

import json
import math
import pickle
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.contract.chunks import frame_time, plan_chunks, total_frames
from hyperframes_lambda.contract.config import RenderConfig, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError, Retry
from hyperframes_lambda.contract.events import AssembleEvent, PlanEvent, RenderChunkEvent, parse_event
from hyperframes_lambda.contract.formats import FRAME_RATES, OutputFormat
from hyperframes_lambda.contract.plan import Build, Canvas, Manifest, parse_manifest


@pytest.mark.parametrize(
    ("total", "chunk_size", "parallel", "sizes"),
    [
        (121, 10, 12, [11] * 11),
        (60, 15, 16, [15] * 4),
        (240, None, 8, [30] * 8),
        (25, None, 8, [10, 10, 5]),
        (1, None, 1, [1]),
        (1, 3600, 1000, [1]),
        (7, 3, 100, [3, 3, 1]),
        (100, 10, 1, [100]),
        (3, 1, 1000, [1, 1, 1]),
    ],
)
def test_chunk_sizes(total: int, chunk_size: int | None, parallel: int, sizes: list[int]) -> None:
    assert [chunk.frames for chunk in plan_chunks(total, chunk_size, parallel)] == sizes


@given(st.integers(1, 500_000), st.none() | st.integers(1, 3600), st.integers(1, 1000))
def test_chunks_cover_every_frame_once_and_none_is_empty(total: int, chunk_size: int | None, parallel: int) -> None:
    chunks = plan_chunks(total, chunk_size, parallel)
    assert len(chunks) <= parallel
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert chunks[0].first == 0
    assert chunks[-1].last == total - 1
    assert all(before.last + 1 == after.first for before, after in pairwise(chunks))
    assert len({chunk.frames for chunk in chunks[:-1]}) <= 1
    assert 1 <= chunks[-1].frames <= chunks[0].frames
    if chunk_size is not None:
        assert chunks[0].frames >= min(chunk_size, total)


@pytest.mark.parametrize("arguments", [(0, None, 1), (1, 0, 1), (1, None, 0), (-5, 10, 10)])
def test_chunk_arithmetic_refuses_what_is_not_positive(arguments: tuple[int, int | None, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        plan_chunks(*arguments)


@pytest.mark.parametrize(
    ("duration", "fps", "frames"),
    [
        (8.0, Fraction(30), 240),
        (8.000000001, Fraction(30), 240),
        (7.999999999, Fraction(30), 240),
        (10.0, Fraction(30000, 1001), 300),
        (0.001, Fraction(24), 1),
        (1 / 3, Fraction(24), 8),
        (1.01, Fraction(30), 31),
        (1.02, Fraction(24), 25),
        (1001 / 30, Fraction(30000, 1001), 1000),
    ],
)
def test_total_frames(duration: float, fps: Fraction, frames: int) -> None:
    assert total_frames(duration, fps) == frames


@given(st.integers(1, 100_000), st.sampled_from(FRAME_RATES))
def test_a_duration_of_whole_frames_has_that_many(frames: int, fps: Fraction) -> None:
    assert total_frames(float(frames / fps), fps) == frames
    assert math.isclose(frame_time(frames, fps) * float(fps), frames, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"fps": 23}, ["config.fps", "23", "30000/1001"]),
        ({"fps": "abc"}, ["config.fps", "'abc'"]),
        ({"fps": True}, ["config.fps", "True"]),
        ({"fps": "1/0"}, ["config.fps"]),
        ({"width": 15}, ["config.width", "15"]),
        ({"width": 101}, ["config.width", "101", "even"]),
        ({"height": 7682}, ["config.height", "7682"]),
        ({"width": "640"}, ["config.width"]),
        ({"format": "avi"}, ["config.format", "avi", "mp4"]),
        ({"codec": "av1"}, ["config.codec", "av1", "h265"]),
        ({"quality": "best"}, ["config.quality", "best", "standard"]),
        ({"crf": 52}, ["config.crf", "52"]),
        ({"bitrate": "8 mbit"}, ["config.bitrate", "8 mbit"]),
        ({"crf": 20, "bitrate": "8M"}, ["crf and bitrate"]),
        ({"format": "png-sequence", "crf": 20}, ["png-sequence", "lossless"]),
        ({"chunkSize": 0}, ["config.chunkSize", "0"]),
        ({"chunkSize": 3601}, ["config.chunkSize", "3601"]),
        ({"targetChunkFrames": 0}, ["config.targetChunkFrames", "0"]),
        ({"targetChunkFrames": 30, "chunkSize": 30}, ["config.targetChunkFrames", "chunkSize and targetChunkFrames exclude each other"]),
        ({"maxParallelChunks": 10_001}, ["config.maxParallelChunks", "10001"]),
        ({"runtimeCap": "forever"}, ["config.runtimeCap", "forever"]),
        ({"variables": [1]}, ["config.variables"]),
        ({"strictVariables": "yes"}, ["config.strictVariables"]),
        ({"entryFile": "../index.html"}, ["entryFile", "inside the project"]),
        ({"entryFile": "/index.html"}, ["entryFile", "inside the project"]),
        ({"chunksize": 10}, ["config.chunksize", "unknown field", "chunk"]),
        ({"colour": "red"}, ["config.colour", "unknown field"]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_wrong_configuration_names_field_value_and_what_is_accepted(config: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RenderError) as caught:
        parse_config(config)
    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)


def test_every_fault_of_a_configuration_is_named_at_once() -> None:
    with pytest.raises(RenderError) as caught:
        parse_config({"fps": 1, "width": 3, "colour": "red"})
    assert len(str(caught.value).splitlines()) == 3


def test_a_configuration_survives_the_wire() -> None:
    config = RenderConfig(fps=Fraction(30000, 1001), width=1920, format=OutputFormat.PNG_SEQUENCE, variables={"title": "Ünï", "n": 1.5})
    assert config.to_wire() == {"fps": "30000/1001", "width": 1920, "format": "png-sequence", "variables": {"title": "Ünï", "n": 1.5}}
    assert parse_config(json.loads(json.dumps(config.to_wire()))) == config
    assert RenderConfig().to_wire() == {}


PLAN = {"Action": "plan", "ProjectS3Uri": "s3://bucket/p.tar.gz", "PlanOutputS3Prefix": "s3://bucket/renders/r/", "Config": {"fps": 30}}
CHUNK = {"Action": "renderChunk", "ManifestS3Uri": "s3://bucket/renders/r/plan/manifest.json", "PlanHash": "a" * 64, "ChunkIndex": 3}
ASSEMBLE = CHUNK | {"Action": "assemble", "OutputS3Uri": "s3://bucket/out.mp4"}


@pytest.mark.parametrize(("event", "kind"), [(PLAN, PlanEvent), (CHUNK, RenderChunkEvent), (ASSEMBLE, AssembleEvent)])
@pytest.mark.parametrize("wrapping", [(), ("Payload",), ("Input",), ("Payload", "Input", "Payload", "Input")])
def test_events_are_read_wrapped_or_not(event: dict[str, Any], kind: type, wrapping: tuple[str, ...]) -> None:
    wrapped = event | {"FromANewerStateMachine": 1}
    for name in wrapping:
        wrapped = {name: wrapped}
    assert isinstance(parse_event(wrapped), kind)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, ["action", "renderChunk"]),
        ({"Action": "render"}, ["plan, renderChunk, assemble"]),
        ({"Payload": {"Payload": {"Payload": {"Payload": {"Payload": PLAN}}}}}, ["action"]),
        ({"Payload": "plan"}, ["action"]),
        ({key: value for key, value in PLAN.items() if key != "ProjectS3Uri"}, ["ProjectS3Uri"]),
        (PLAN | {"ProjectS3Uri": "https://bucket/p.tar.gz"}, ["ProjectS3Uri"]),
        (PLAN | {"PlanOutputS3Prefix": "s3://bucket/renders/r"}, ["PlanOutputS3Prefix"]),
        (CHUNK | {"PlanHash": "abc"}, ["PlanHash"]),
        (CHUNK | {"ChunkIndex": -1}, ["ChunkIndex"]),
    ],
)
def test_a_wrong_event_names_its_field(event: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RenderError) as caught:
        parse_event(event)
    assert caught.value.code is ErrorCode.INVALID_EVENT
    assert [word for word in words if word.lower() not in str(caught.value).lower()] == [], str(caught.value)


def test_every_code_has_one_row() -> None:
    assert len(ErrorCode.__members__) == len(set(ErrorCode))
    assert all(ErrorCode(code.value) is code and code.meaning and code.retry in Retry for code in ErrorCode)


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        (ErrorCode.INVALID_CONFIG, Retry.NEVER),
        (ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, Retry.NEVER),
        (ErrorCode.COMPOSITION_NOT_READY, Retry.NEVER),
        (ErrorCode.ENCODER_FAILED, Retry.NEVER),
        (ErrorCode.RENDER_CANCELLED, Retry.NEVER),
        (ErrorCode.CHROME_UNAVAILABLE, Retry.TRANSIENT),
        (ErrorCode.BROWSER_CRASHED, Retry.TRANSIENT),
        (ErrorCode.CAPTURE_STALLED, Retry.TRANSIENT),
        (ErrorCode.ENCODER_CRASHED, Retry.TRANSIENT),
        (ErrorCode.ASSET_FETCH_FAILED, Retry.TRANSIENT),
        (ErrorCode.LAMBDA_TOO_MANY_REQUESTS, Retry.THROTTLED),
        (ErrorCode.SANDBOX_TIMEDOUT, Retry.LOST),
        (ErrorCode.RUNTIME_EXIT, Retry.LOST),
    ],
)
def test_what_a_retry_is_good_for(code: ErrorCode, retry: Retry) -> None:
    assert code.retry is retry


def test_an_error_crosses_a_process_border_whole() -> None:
    error = pickle.loads(pickle.dumps(RenderError(ErrorCode.DISK_FULL, "what was wrong", hint="what to do")))
    assert (error.code, error.message, error.hint, str(error)) == (
        ErrorCode.DISK_FULL,
        "what was wrong",
        "what to do",
        "what was wrong\nwhat to do",
    )


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "project_sha256": "b" * 64,
        "config": RenderConfig(),
        "build": Build(renderer="1", browser="2", ffmpeg="3", runtime="4"),
        "entry": "index.html",
        "files": {},
        "canvas": Canvas(width=640, height=360, scale=1.0),
        "fps": Fraction(30000, 1001),
        "format": OutputFormat.MP4,
        "width": 640,
        "height": 360,
        "total_frames": 25,
        "chunks": plan_chunks(25, 10, 8),
        "segment_frames": 5,
    }
    return Manifest.model_validate(fields | changes).sealed()


def test_a_manifest_survives_its_file_and_notices_every_change() -> None:
    written = manifest(variables={"title": "Ünï"})
    assert parse_manifest(written.to_json()) == written
    altered = json.loads(written.to_json()) | {"totalFrames": 26}
    for text, code in (
        (json.dumps(altered), ErrorCode.PLAN_HASH_MISMATCH),
        ("{", ErrorCode.PLAN_HASH_MISMATCH),
        (json.dumps(json.loads(written.to_json()) | {"unknown": 1}), ErrorCode.PLAN_HASH_MISMATCH),
        (json.dumps({"protocol": 1}), ErrorCode.PLAN_PROTOCOL_UNSUPPORTED),
        ("[]", ErrorCode.PLAN_PROTOCOL_UNSUPPORTED),
    ):
        with pytest.raises(RenderError) as caught:
            parse_manifest(text)
        assert caught.value.code is code


def test_a_damaged_manifest_is_named_without_what_is_in_it() -> None:
    altered = json.loads(manifest(variables={"title": "Weekly recap"}).to_json()) | {"variables": "Weekly recap", "fps": "Weekly recap"}
    with pytest.raises(RenderError) as caught:
        parse_manifest(json.dumps(altered))
    assert "the plan manifest is damaged: " in str(caught.value) and "variables: Input should be a valid dictionary" in str(caught.value)
    assert "Weekly recap" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_plan_hash_depends_on_content_alone() -> None:
    measured = {"workers": 4, "sizing": "as measured", "estimated_seconds": 8.5, "max_parallel_chunks": 3}
    assert manifest().plan_hash == manifest(**measured).plan_hash
    assert manifest().plan_hash != manifest(segment_frames=6).plan_hash
    assert manifest().plan_hash != manifest(config=RenderConfig(crf=20)).plan_hash
    assert manifest().plan_hash != manifest(build=Build(renderer="1", browser="2", ffmpeg="3", runtime="5")).plan_hash
