"""`measure`: the size of a render and the cost of a frame on this machine, from which callers estimate costs elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from hyperframes_lambda.contract.authoring import MeasuredProject
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.formats import Kind
from hyperframes_lambda.contract.sizing import FrameCost
from hyperframes_lambda.plan import plan


def measure(project: Path, config: RenderConfig, work: Path) -> MeasuredProject:
    """Plan `project` in the folder `work`, as on Lambda, and return the measurements. Raise the errors of planning."""
    started = time.monotonic()
    costs: list[FrameCost] = []
    manifest = plan(project, config, work / "plan", scratch=work, on_cost=costs.append)
    cost = costs[-1]
    sound = config.format.spec.kind is Kind.SOUND
    return MeasuredProject(
        frames=0 if sound else manifest.total_frames,
        width=manifest.width,
        height=manifest.height,
        fps=manifest.fps,
        duration=float(manifest.total_frames / manifest.fps),
        capture=cost.capture,
        worst=cost.worst,
        encode=cost.encode,
        plan_seconds=round(time.monotonic() - started, 3),
    )
