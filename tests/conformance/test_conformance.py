"""Every case of the table: each frame equals its formula, and the frames are the same bytes for one, four and seven chunks."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conformance_cases import CASES, Case
from PIL import Image

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.plan import Manifest, PlannedChunk
from hyperframes_lambda.plan import plan
from hyperframes_lambda.plan_folder import write_manifest
from hyperframes_lambda.render_chunk import render_chunk

CHUNKS = (1, 4, 7)


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_frame_equals_the_formula_whatever_the_chunking(
    case: Case, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    plan_dir = tmp_path / "plan"
    manifest = plan(conformance_project(case.folder), sequence(case), plan_dir)
    assert manifest.total_frames == case.frames

    frames = render(manifest, plan_dir, 1, tmp_path)
    others = {chunks: render(manifest, plan_dir, chunks, tmp_path) for chunks in CHUNKS[1:]}

    for chunks, other in others.items():
        different = [number for number in range(case.frames) if other[number] != frames[number]]
        assert not different, f"{case.name} in {chunks} chunks: frames {different} are other bytes than in one"
    errors = [case.error(picture_of(frame), float(number / manifest.fps)) for number, frame in enumerate(frames)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= case.tolerance, f"frame {worst} of {case.name} is {errors[worst]:.2f} from the formula"


def sequence(case: Case) -> RenderConfig:
    return RenderConfig.model_validate({"fps": 25, "format": "png-sequence", "variables": case.variables, **case.config})


def render(manifest: Manifest, plan_dir: Path, chunks: int, work: Path) -> list[bytes]:
    """The PNG bytes of every frame, rendered in so many chunks of the same plan."""
    total = manifest.total_frames
    bounds = [total * number // chunks for number in range(chunks + 1)]
    planned = [PlannedChunk(index=n, first=bounds[n], last=bounds[n + 1] - 1) for n in range(chunks)]
    split = manifest.model_copy(update={"chunks": planned}).sealed()
    write_manifest(plan_dir, split)
    out = work / f"in-{chunks}"
    out.mkdir()
    frames = []
    for chunk in planned:
        for finished in render_chunk(plan_dir, chunk.index, out).finished:
            with tarfile.open(finished.path) as archive:
                members = sorted(archive, key=lambda entry: entry.name)
                frames += [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
    assert len(frames) == total
    return frames


def picture_of(frame: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(frame)).convert("RGBA"))
