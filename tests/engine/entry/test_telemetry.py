"""The line that each invocation leaves for CloudWatch to make metrics of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import AssembleResult, PlanResult, RenderChunkResult
from hyperframes_lambda.contract.prices import PRICES
from hyperframes_lambda.entry import telemetry

HASH = "ab" * 32
CHUNK = RenderChunkResult(
    chunk_index=3,
    complete=False,
    next_frame=480,
    frames_encoded=120,
    frames_rendered=60,
    SegmentS3Uris=[],
    reused=False,
    workers=4,
    capture_ms=7000,
    encode_ms=3000,
    cold_start=True,
    duration_ms=2000,
)


@pytest.fixture(autouse=True)
def _function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "studio")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "4096")


def emitted(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The line, and its metrics' units."""
    line = json.loads(capsys.readouterr().out)
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "HyperFrames"
    assert [sorted(dimensions) for dimensions in declared["Dimensions"]] == [["role", "service"]]
    assert line["service"] == "studio"
    return line, {metric["Name"]: metric["Unit"] for metric in declared["Metrics"]}


def test_a_chunk(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.record(CHUNK, render="renders/r1/")
    line, units = emitted(capsys)
    assert (line["role"], line["render"], line["chunk"]) == ("renderChunk", "renders/r1/", "3")
    assert {name: line[name] for name in units} == {
        "Frames": [60.0],
        "FramesPerSecond": [30.0],
        "CaptureMs": [7000.0],
        "EncodeMs": [3000.0],
        "Checkpoint": [1.0],
        "Reused": [0.0],
        "DurationMs": [2000.0],
        "ColdStart": [1.0],
        "EstimatedCost": [pytest.approx(PRICES.invocation(2.0, 4096))],
    }
    assert (units["CaptureMs"], units["FramesPerSecond"], units["Frames"]) == ("Milliseconds", "Count/Second", "Count")


def test_a_chunk_that_was_there_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.record(CHUNK.model_copy(update={"complete": True, "reused": True, "frames_rendered": 0}), render="renders/r1/")
    line, units = emitted(capsys)
    assert "FramesPerSecond" not in units
    assert (line["Reused"], line["Checkpoint"]) == ([1.0], [0.0])


def test_plan_and_assemble(capsys: pytest.CaptureFixture[str]) -> None:
    planned = PlanResult(
        ManifestS3Uri="s3://bucket/renders/r1/plan/manifest.json",
        plan_hash=HASH,
        chunk_count=12,
        chunks=[],
        max_parallel_chunks=8,
        total_frames=720,
        fps=24,
        duration=30.0,
        width=160,
        height=90,
        format="mp4",
        has_audio=False,
        renderer_version="1",
        browser_version="1",
        ffmpeg_version="1",
        runtime_version="1",
        reused=True,
        duration_ms=900,
    )
    telemetry.record(planned, render="renders/r1/")
    line, _ = emitted(capsys)
    assert (line["role"], line["Chunks"], line["Reused"], line["plan"]) == ("plan", [12.0], [1.0], HASH)
    assembled = AssembleResult(
        OutputS3Uri="s3://bucket/outputs/o.mp4",
        frames_encoded=720,
        file_size=4096,
        duration=30.0,
        width=160,
        height=90,
        format="mp4",
        has_audio=False,
        chunk_count=12,
        plan_hash=HASH,
        renderer_version="1",
        verification={},
        duration_ms=800,
    )
    telemetry.record(assembled, render="renders/r1/")
    line, units = emitted(capsys)
    assert (line["role"], line["OutputBytes"], units["OutputBytes"]) == ("assemble", [4096.0], "Bytes")


def test_a_cancelled_invocation_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.record_failure("renderChunk", RenderError(ErrorCode.RENDER_CANCELLED, "x"), 1.5, render="renders/r1/")
    line, _ = emitted(capsys)
    assert (line["code"], line["Failure"], line["RetryableFailure"]) == ("RENDER_CANCELLED", [0.0], [0.0])


@pytest.mark.parametrize(
    ("error", "code", "repeated"),
    [
        (RenderError(ErrorCode.COMPOSITION_ERROR, "x"), "COMPOSITION_ERROR", 0.0),
        (RenderError(ErrorCode.BROWSER_CRASHED, "x"), "BROWSER_CRASHED", 1.0),
        (KeyError("x"), "KeyError", 1.0),
    ],
)
def test_a_failure(capsys: pytest.CaptureFixture[str], error: Exception, code: str, repeated: float) -> None:
    telemetry.record_failure("plan", error, 1.5, render="renders/r1/")
    line, _ = emitted(capsys)
    assert (line["role"], line["code"], line["Failure"], line["RetryableFailure"]) == ("plan", code, [1.0], [repeated])
    assert line["EstimatedCost"] == [pytest.approx(PRICES.invocation(1.5, 4096))]
