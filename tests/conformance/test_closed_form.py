"""Every frame of the closed-form compositions equals its formula, whatever the rate and the chunking."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.browser import kept_driver
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import render_chunk
from tests.chunked import differing, rendered_in
from tests.conformance.closed_form import CASES, HEIGHT, WIDTH, Case

SECONDS = 2


@pytest.fixture(scope="module", autouse=True)
def _driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Playwright driver for the module; a plan or chunk launches a browser of its own unless they share one."""
    with kept_driver(tmp_path_factory.mktemp("driver")):
        yield


def rendered_segments(project: Path, work: Path, config: RenderConfig) -> tuple[Manifest, list[Path]]:
    plan_dir, segments = work / "plan", work / "segments"
    manifest = plan(project, config, plan_dir)
    segments.mkdir()
    return manifest, [one.path for chunk in manifest.chunks for one in render_chunk(plan_dir, chunk.index, segments).finished]


def planned(case: Case, project: Path, fps: int, plan_dir: Path) -> Manifest:
    config = RenderConfig.model_validate({"fps": fps, "format": "png-sequence", "variables": case.variables})
    manifest = plan(project, config, plan_dir)
    assert manifest.total_frames == SECONDS * fps
    return manifest


def equal_the_formula(case: Case, frames: list[bytes], fps: int) -> None:
    errors = []
    for number, frame in enumerate(frames):
        picture = np.asarray(Image.open(io.BytesIO(frame)).convert("RGB"))
        assert picture.shape == (HEIGHT, WIDTH, 3)
        errors.append(case.error(picture, number / fps))
    worst = int(np.argmax(errors))
    assert errors[worst] <= 1.0, f"frame {worst} of {case.name} at {fps} fps is {errors[worst]:.2f} px from the formula"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("fps", [30, 60])
def test_every_frame_equals_the_formula_within_a_pixel(case: Case, fps: int, composition, tmp_path: Path) -> None:
    manifest = planned(case, composition(case.name), fps, tmp_path / "plan")

    equal_the_formula(case, rendered_in(1, manifest, tmp_path / "plan", tmp_path), fps)


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_frames_equal_the_formula_and_are_byte_identical_for_one_four_and_seven_chunks_and_for_two_runs(
    case: Case, composition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, first, second = composition(case.name), tmp_path / "first", tmp_path / "second"
    manifest = planned(case, project, 24, first / "plan")
    frames = rendered_in(1, manifest, first / "plan", first)

    equal_the_formula(case, frames, 24)
    for chunks in (4, 7):
        assert differing(frames, rendered_in(chunks, manifest, first / "plan", first)) == [], f"in {chunks} chunks"
    monkeypatch.undo()
    # Plan and chunk have a browser of their own now.
    again = planned(case, project, 24, second / "plan")
    assert differing(frames, rendered_in(1, again, second / "plan", second)) == []


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize(("rate", "chunk_size"), [("24", 7), ("30", 16), ("60", 30), ("25", 9), ("50", 33), ("30000/1001", 11)])
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
    assert {chunk.first for chunk in manifest.chunks} <= found.keyframes
    assert found.duration == manifest.total_frames / fps
    assert found.warnings == ""


def test_the_mp4_shows_the_frames_that_were_captured(composition, decoded, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "iframe")
    config = RenderConfig.model_validate({"fps": 30, "chunkSize": 15, "maxParallelChunks": 100, "quality": "high"})
    _, segments = rendered_segments(composition(case.name), tmp_path, config)
    video = tmp_path / "out.mp4"

    assemble(tmp_path / "plan", segments, video)

    errors = [case.error(picture, number / 30) for number, picture in enumerate(decoded(video, WIDTH, HEIGHT))]
    assert len(errors) == 60
    assert max(errors) <= 1.0
