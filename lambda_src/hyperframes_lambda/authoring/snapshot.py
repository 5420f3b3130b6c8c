"""`snapshot`: the frames of the video at given moments, as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hyperframes_lambda.contract.authoring import Picture
from hyperframes_lambda.contract.chunks import frame_time
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.drawing.page import planned_browser
from hyperframes_lambda.machine.plan_folder import write_atomically
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.plan import plan

_EARLY = 1e-9
"""Seconds by which a moment may fall short of its frame's time, because 0.1 + 0.2 is not 0.3 either."""


def snapshot(project: Path, config: RenderConfig, moments: Sequence[float], output: Path, work: Path) -> list[Picture]:
    """Write the frame at each of `moments` (seconds) as a PNG into `output`.

    Raise `INVALID_CONFIG` for a moment outside the composition, and the errors of planning and drawing.
    """
    tools = find_tools()
    manifest = plan(project, config, work / "plan", tools=tools, scratch=work)
    frames = [_frame_at(moment, manifest) for moment in moments]
    output.mkdir(parents=True, exist_ok=True)
    pictures = []
    with planned_browser(work / "plan", manifest, tools, work) as browser, browser.open(frames) as page:
        for frame in frames:
            seconds = frame_time(frame, manifest.fps)
            path = output / f"{project.resolve().name}-{seconds:.3f}s.png"
            write_atomically(path, page.capture(frame))
            pictures.append(Picture(path=str(path), frame=frame, time=seconds))
    return pictures


def _frame_at(moment: float, manifest: Manifest) -> int:
    frame = math.floor((moment + _EARLY) * manifest.fps) if math.isfinite(moment) else -1
    if not 0 <= frame < manifest.total_frames:
        last = frame_time(manifest.total_frames - 1, manifest.fps)
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"--at {moment:g}: the composition has frames from 0 to {last:.3f} s",
            hint="Use a moment before the end.",
        )
    return frame
