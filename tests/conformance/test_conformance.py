"""Every case of the table: each frame equals its formula, and the frames are the same bytes for one, four and seven chunks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.plan import plan
from tests.chunked import differing, rendered_in
from tests.conformance.cases import CASES, Case


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_frame_equals_the_formula_whatever_the_chunking(
    case: Case, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    plan_dir = tmp_path / "plan"
    manifest = plan(conformance_project(case.folder), case.sequence, plan_dir)
    assert manifest.total_frames == case.frames

    frames = rendered_in(1, manifest, plan_dir, tmp_path)
    others = {chunks: rendered_in(chunks, manifest, plan_dir, tmp_path) for chunks in (4, 7)}

    for chunks, other in others.items():
        different = differing(frames, other)
        assert not different, f"{case.name} in {chunks} chunks: frames {different} are other bytes than in one"
    errors = [case.error(picture_of(frame), float(number / manifest.fps)) for number, frame in enumerate(frames)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= case.tolerance, f"frame {worst} of {case.name} is {errors[worst]:.2f} from the formula"


def picture_of(frame: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(frame)).convert("RGBA"))
