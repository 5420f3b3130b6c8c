"""Plan, RenderChunk and Assemble over local folders, with the real browser where a page has to be looked at."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.composition import Declaration
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest, blob_path
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.machine.plan_folder import read_manifest
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.media.verify import verify_video
from hyperframes_lambda.plan import plan
from hyperframes_lambda.planning.look import sampled_frames
from hyperframes_lambda.planning.reuse import project_digest, reusable
from hyperframes_lambda.planning.size import output_size
from hyperframes_lambda.render_chunk import render_chunk

PAGE = """<!doctype html><html><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="160" data-height="90" {attributes}>
<div id="box" style="position:absolute;width:20px;height:20px;background:red"></div></div>
<script>{script}</script></body></html>"""
MOVE = 'document.getElementById("box").animate([{transform:"none"},{transform:"translateX(100px)"}],{duration:1000,fill:"both"})'


def project(folder: Path, *, script: str = MOVE, attributes: str = 'data-duration="1"', **files: str) -> Path:
    folder.mkdir()
    (folder / "index.html").write_text(PAGE.format(script=script, attributes=attributes))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def config(**fields: Any) -> RenderConfig:
    return RenderConfig.model_validate({"fps": 24, "chunkSize": 10, "maxParallelChunks": 100, "quality": "draft"} | fields)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Manifest]:
    """A project, its plan folder and its manifest; tests only read them."""
    folder = tmp_path_factory.mktemp("planned")
    source = project(folder / "project")
    return source, folder / "plan", plan(source, config(), folder / "plan")


def refusal(code: ErrorCode, action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(RenderError) as caught:
        action(*arguments, **options)
    assert caught.value.code is code, str(caught.value)
    return str(caught.value)


def test_a_plan_holds_what_its_chunks_need(planned: tuple[Path, Path, Manifest]) -> None:
    source, plan_dir, manifest = planned
    assert (manifest.width, manifest.height, manifest.canvas.scale) == (160, 90, 1.0)
    assert (manifest.fps, manifest.total_frames, [chunk.frames for chunk in manifest.chunks]) == (Fraction(24), 24, [10, 10, 4])
    assert manifest.build == find_tools().build()
    assert manifest.project_sha256 == project_digest(source)
    assert manifest.entry in manifest.files
    assert read_manifest(plan_dir, manifest.plan_hash) == manifest
    for file in manifest.files.values():
        content = (plan_dir / blob_path(file.sha256)).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (file.sha256, file.size)


def test_the_same_request_is_not_looked_at_again(planned: tuple[Path, Path, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    source, plan_dir, manifest = planned

    def launch(*_: object, **__: object) -> None:
        raise AssertionError("the browser was launched")

    monkeypatch.setattr("hyperframes_lambda.planning.look.launch", launch)
    assert plan(source, config(), plan_dir) == manifest
    build = manifest.build
    for other in (
        (config(crf=20), build, manifest.project_sha256),
        (config(), build.model_copy(update={"ffmpeg": "1"}), manifest.project_sha256),
        (config(), build, "0" * 64),
    ):
        assert reusable(plan_dir, *other) is None


def test_the_rate_defaults_to_the_compositions_and_planning_is_deterministic(tmp_path: Path) -> None:
    source = project(tmp_path / "project", script="", attributes='data-duration="0.4" data-fps="50"')
    first = plan(source, RenderConfig(), tmp_path / "1")
    assert (first.fps, first.total_frames) == (Fraction(50), 20)
    assert plan(source, RenderConfig(), tmp_path / "2").plan_hash == first.plan_hash


def test_a_script_that_throws_late_fails_in_plan(tmp_path: Path) -> None:
    late = "requestAnimationFrame(function step(t) { if (t > 900) lostFunction(); requestAnimationFrame(step); });"
    message = refusal(ErrorCode.COMPOSITION_ERROR, plan, project(tmp_path / "project", script=late), config(), tmp_path / "plan")
    assert "lostFunction" in message
    assert not (tmp_path / "plan" / "manifest.json").exists()


def test_an_image_that_is_wanted_late_and_missing_fails_in_plan(tmp_path: Path) -> None:
    late = (
        "requestAnimationFrame(function step(t) { if (t > 700 && !window.asked) { window.asked = true;"
        " document.body.append(Object.assign(new Image(), {src: 'late.png'})); } requestAnimationFrame(step); });"
    )
    message = refusal(ErrorCode.ASSET_UNAVAILABLE, plan, project(tmp_path / "project", script=late), config(), tmp_path / "plan")
    assert "late.png" in message


def test_a_project_without_its_entry_names_the_pages_it_has(tmp_path: Path) -> None:
    source = project(tmp_path / "project")
    message = refusal(ErrorCode.INVALID_CONFIG, plan, source, config(entryFile="intro.html"), tmp_path / "plan")
    assert "intro.html" in message
    assert "index.html" in message


def declaration(width: int | None, height: int | None) -> Declaration:
    return Declaration(composition_id="c", width=width, height=height, fps=None, duration=None, variables=())


@pytest.mark.parametrize(
    ("asked", "own", "expected"),
    [
        ({}, (640, 360), (640, 360, 1.0)),
        ({"width": 1280}, (640, 360), (1280, 720, 2.0)),
        ({"height": 180}, (640, 360), (320, 180, 0.5)),
        ({"width": 1280, "height": 720}, (1920, 1080), (1280, 720, 1280 / 1920)),
        ({}, (None, None), (1080, 1920, 1.0)),
        ({"width": 400, "height": 400}, (None, None), (400, 400, 1.0)),
        ({"format": "png-sequence"}, (375, 667), (375, 667, 1.0)),
        ({"format": "gif"}, (375, 667), (375, 667, 1.0)),
        ({"format": "mov"}, (375, 667), (375, 667, 1.0)),
        ({"width": 3840}, (1920, 1080), (3840, 2160, 2.0)),
        ({"width": 750}, (375, 666), (750, 1332, 2.0)),
        ({"codec": "h265"}, (7680, 32), (7680, 32, 1.0)),
        ({"codec": "h265"}, (16, 4216), (16, 4216, 1.0)),
        ({"codec": "h264"}, (7680, 16), (7680, 16, 1.0)),
    ],
)
def test_output_sizes(asked: dict[str, Any], own: tuple[int | None, int | None], expected: tuple[int, int, float]) -> None:
    canvas, width, height = output_size(RenderConfig.model_validate(asked), declaration(*own))
    assert (width, height, canvas.scale) == expected


@pytest.mark.parametrize(
    ("asked", "own", "words"),
    [
        ({"width": 400, "height": 400}, (640, 360), ["400x400", "640x360"]),
        ({"width": 1000}, (640, 360), ["1000x562.5", "640x360"]),
        ({}, (375, 667), ["375x667", "even"]),
        ({"format": "webm"}, (375, 667), ["webm", "375x667", "even"]),
        ({"format": "hls"}, (375, 667), ["hls", "375x667", "even"]),
        ({}, (8, 8), ["8x8"]),
        ({"height": 7680}, (1920, 1080), ["shape"]),
        ({"height": 7560}, (1920, 1080), ["13440x7560"]),
        ({"codec": "h265"}, (7680, 16), ["h265", "7680x16", "4216"]),
        ({"codec": "h265"}, (30, 4218), ["h265", "30x4218", "32"]),
    ],
)
def test_sizes_that_cannot_be(asked: dict[str, Any], own: tuple[int, int], words: list[str]) -> None:
    message = refusal(ErrorCode.INVALID_CONFIG, output_size, RenderConfig.model_validate(asked), declaration(*own))
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(("total", "frames"), [(1, [0]), (2, [0, 1]), (9, list(range(9))), (161, list(range(0, 161, 20)))])
def test_looks_are_spread_from_the_first_frame_to_the_last(total: int, frames: list[int]) -> None:
    assert sampled_frames(total) == frames


def test_chunks_become_a_verified_video(planned: tuple[Path, Path, Manifest], tmp_path: Path, toolset: Toolset) -> None:
    _, plan_dir, manifest = planned
    reports: list[int] = []
    segments: list[Path] = []
    for chunk in manifest.chunks:
        outcome = render_chunk(plan_dir, chunk.index, tmp_path, plan_hash=manifest.plan_hash, on_progress=reports.append)
        (finished,) = outcome.finished
        assert finished.sha256 == hashlib.sha256(finished.path.read_bytes()).hexdigest()
        assert (outcome.complete, outcome.frames, reports[-1], outcome.workers) == (True, chunk.frames, chunk.frames, 1)
        assert outcome.effort.capture > 0 and outcome.effort.encode > 0
        segments.append(finished.path)
    assert [path.name for path in segments] == ["000000-0-9.mp4", "000001-10-19.mp4", "000002-20-23.mp4"]
    out = tmp_path / "videos" / "out.mp4"
    joined = assemble(plan_dir, segments, out)
    assert (joined.frames, joined.duration, joined.size) == (24, 1.0, out.stat().st_size)
    assert joined.verification["DecodedFrames"] == 24
    verify_video(toolset.ffmpeg.path, out, fps=Fraction(24), frames=24, width=160, height=90, segment_starts=[0, 10, 20])

    # A wrong set of segments is refused by name, and the finished video stays.
    before = out.read_bytes()
    message = refusal(ErrorCode.VERIFICATION_FAILED, assemble, plan_dir, segments[:2], out)
    assert "chunk 2 needs a segment of frames 20 to at most 23, but got nothing" in message
    message = refusal(ErrorCode.VERIFICATION_FAILED, assemble, plan_dir, [segments[1], segments[0], segments[2]], out)
    assert "chunk 0 needs a segment of frames 0 to at most 9, but got 000001-10-19.mp4" in message
    segments[2].write_bytes(segments[1].read_bytes())
    assert "30 frames; planned: 24" in refusal(ErrorCode.VERIFICATION_FAILED, assemble, plan_dir, segments, out)
    segments[2].unlink()
    assert "does not exist" in refusal(ErrorCode.VERIFICATION_FAILED, assemble, plan_dir, segments, out)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4"]


def test_a_chunk_that_is_told_to_stop_leaves_no_segment(planned: tuple[Path, Path, Manifest], tmp_path: Path) -> None:
    _, plan_dir, _ = planned
    asked: list[None] = []

    def should_stop() -> bool:
        asked.append(None)
        return len(asked) > 3

    message = refusal(ErrorCode.RENDER_CANCELLED, render_chunk, plan_dir, 1, tmp_path, should_stop=should_stop)
    assert "before frame 13; 3 of 10 frames" in message
    assert list(tmp_path.iterdir()) == []


def copied(plan_dir: Path, into: Path, manifest: Manifest, **changes: Any) -> Path:
    for file in manifest.files.values():
        blob = into / blob_path(file.sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes((plan_dir / blob_path(file.sha256)).read_bytes())
    (into / "manifest.json").write_text(manifest.model_copy(update=changes).sealed().to_json())
    return into


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("renderer", ErrorCode.RENDERER_VERSION_MISMATCH),
        ("ffmpeg", ErrorCode.FFMPEG_VERSION_MISMATCH),
        ("browser", ErrorCode.RUNTIME_ENV_MISMATCH),
        ("runtime", ErrorCode.RUNTIME_ENV_MISMATCH),
        ("fonts", ErrorCode.RUNTIME_ENV_MISMATCH),
    ],
)
def test_another_build_is_refused(part: str, code: ErrorCode, planned: tuple[Path, Path, Manifest], tmp_path: Path) -> None:
    _, plan_dir, manifest = planned
    build = manifest.build.model_copy(update={part: "0.0.1"})
    other = copied(plan_dir, tmp_path / "plan", manifest, build=build)
    assert "0.0.1" in refusal(code, render_chunk, other, 0, tmp_path)
    assert "0.0.1" in refusal(code, assemble, other, [], tmp_path / "out.mp4")


def test_a_plan_that_is_not_what_it_should_be_is_refused(planned: tuple[Path, Path, Manifest], tmp_path: Path) -> None:
    _, plan_dir, manifest = planned
    assert "000000000000" in refusal(ErrorCode.PLAN_HASH_MISMATCH, render_chunk, plan_dir, 0, tmp_path, plan_hash="0" * 64)
    refusal(ErrorCode.PLAN_HASH_MISMATCH, assemble, plan_dir, [], tmp_path / "out.mp4", plan_hash="0" * 64)
    assert "no plan" in refusal(ErrorCode.PLAN_HASH_MISMATCH, render_chunk, tmp_path / "none", 0, tmp_path)
    assert "chunks 0 to 2" in refusal(ErrorCode.INVALID_EVENT, render_chunk, plan_dir, 3, tmp_path)

    damaged = copied(plan_dir, tmp_path / "plan", manifest)
    page = damaged / blob_path(manifest.files["index.html"].sha256)
    page.write_bytes(b"not what its name says")
    assert "'index.html'" in refusal(ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, render_chunk, damaged, 0, tmp_path)
    page.unlink()
    assert "is missing" in refusal(ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, render_chunk, damaged, 0, tmp_path)
    newer = json.loads(manifest.to_json()) | {"protocol": 99}
    (damaged / "manifest.json").write_text(json.dumps(newer))
    assert "99" in refusal(ErrorCode.PLAN_PROTOCOL_UNSUPPORTED, render_chunk, damaged, 0, tmp_path)
