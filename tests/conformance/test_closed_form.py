"""The closed-form compositions at other rates, and as finished videos."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import render_chunk
from tests.chunked import rendered_in
from tests.conformance.cases import CLOSED_FORM, Case
from tests.conformance.closed_form import HEIGHT, WIDTH

pytestmark = pytest.mark.usefixtures("one_browser")

SECONDS = 2


def rendered_segments(project: Path, work: Path, config: RenderConfig) -> tuple[Manifest, list[Path]]:
    plan_dir, segments = work / "plan", work / "segments"
    manifest = plan(project, config, plan_dir)
    segments.mkdir()
    return manifest, [one.path for chunk in manifest.chunks for one in render_chunk(plan_dir, chunk.index, segments).finished]


BY_CLOCK = [case for case in CLOSED_FORM if case.name in ("gsap-box", "css-keyframes", "waapi", "raf-canvas")]
"""One composition for each clock that a page may follow."""


@pytest.mark.parametrize("case", BY_CLOCK, ids=lambda case: case.name)
def test_every_frame_equals_the_formula_at_60_fps(case: Case, composition, tmp_path: Path) -> None:
    """At 60 fps, which has every moment of 30 fps; `test_conformance` draws all compositions at 24 fps."""
    fast = replace(case, config={"fps": 60})
    manifest = plan(composition(case.name), fast.sequence, tmp_path / "plan")

    assert (manifest.total_frames, manifest.width, manifest.height) == (60 * SECONDS, WIDTH, HEIGHT)
    fast.require(rendered_in(1, manifest, tmp_path / "plan", tmp_path), manifest.fps)


@pytest.mark.parametrize(("rate", "chunk_size"), [("24", 17), ("30", 23), ("60", 50), ("25", 19), ("50", 33), ("30000/1001", 31)])
def test_the_mp4_has_the_planned_frames_evenly_spaced_with_a_keyframe_at_every_seam(
    rate: str, chunk_size: int, composition, packets, tmp_path: Path
) -> None:
    config = RenderConfig.model_validate({"fps": rate, "chunkSize": chunk_size, "maxParallelChunks": 100})
    manifest, segments = rendered_segments(composition("css-keyframes"), tmp_path, config)
    video = tmp_path / "out.mp4"

    assemble(tmp_path / "plan", segments, video)

    found = packets(video)
    fps = Fraction(rate)
    assert manifest.total_frames == len(found.times) == round(SECONDS * fps)
    assert found.times == [number / fps for number in range(manifest.total_frames)]
    assert len(manifest.chunks) > 1
    assert {chunk.first for chunk in manifest.chunks} <= found.keyframes
    assert found.duration == manifest.total_frames / fps
    assert found.warnings == ""


def test_the_mp4_shows_the_frames_that_were_captured(composition, decoded, tmp_path: Path) -> None:
    case = next(case for case in CLOSED_FORM if case.name == "iframe")
    config = RenderConfig.model_validate({"fps": 30, "chunkSize": 30, "maxParallelChunks": 100, "quality": "high"})
    _, segments = rendered_segments(composition(case.name), tmp_path, config)
    video = tmp_path / "out.mp4"

    assemble(tmp_path / "plan", segments, video)

    errors = [case.error(picture, number / 30) for number, picture in enumerate(decoded(video, WIDTH, HEIGHT))]
    assert len(errors) == 60
    assert max(errors) <= 1.0
