"""`eval`: render the same compositions several times on this machine and on a stack; compare time, cost and pictures."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest
from hyperframes_provider.client.execution.report import dollars
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.request import RenderTarget
from hyperframes_provider.evaluation import report
from hyperframes_provider.evaluation.distributed import Say, render_distributed
from hyperframes_provider.evaluation.fixtures import Fixture
from hyperframes_provider.evaluation.local_render import render_locally
from hyperframes_provider.evaluation.quality import compare

ITERATIONS = 3
COLUMNS = ("fixture", "frames", "local", "stack", "speed-up", "local fps", "stack fps", "cost", "PSNR")


@dataclass(frozen=True)
class EvalOptions:
    """The options of an evaluation."""

    fixtures: Sequence[Fixture]
    stack_name: str
    output: Path
    """Folder for `results.json`, `renders/` and `histories/`."""
    iterations: int = ITERATIONS


def run_eval(connect: Connect, options: EvalOptions, *, say: Say) -> dict[str, Any]:
    """Render each fixture `iterations` times on this machine and on the stack; write `results.json` and return its content.

    Needs an existing stack and leaves it unchanged. A fixture that fails is reported with its problem, and the others continue; `passed`
    is true if none fails.
    """
    if options.iterations < 1:
        raise InvalidRequest(f"iterations: {options.iterations} is less than 1", hint="Example: hyperframes-airflow eval --iterations 3")
    if len({fixture.name for fixture in options.fixtures}) != len(options.fixtures):
        raise InvalidRequest("two fixtures have the same name", hint="Rename one of the project folders.")
    run = uuid.uuid4().hex[:8]
    client = RenderClient(connect)
    target = client.target(options.stack_name)
    document = report.heading("eval", run, connect) | {"stack": options.stack_name, "iterations": options.iterations, "fixtures": []}
    document["passed"] = False
    try:
        for fixture in options.fixtures:
            document["fixtures"].append(_fixture(connect, target, options, run, fixture, say))
        document["passed"] = all("problem" not in entry for entry in document["fixtures"])
    finally:
        report.write(options.output, document)
    return document


def table(document: dict[str, Any]) -> list[str]:
    """Return a table with the medians of each fixture."""
    return report.table(COLUMNS, [_row(entry) for entry in document["fixtures"]])


def _fixture(connect: Connect, target: RenderTarget, options: EvalOptions, run: str, fixture: Fixture, say: Say) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": fixture.name, "iterations": []}
    try:
        for number in range(1, options.iterations + 1):
            entry["iterations"].append(_iteration(connect, target, options, run, fixture, number, say))
    except HyperFramesClientError as error:
        say(f"{fixture.name} · failed: {error.message.splitlines()[0]}")
        return {**entry, "problem": error.message}
    first = entry["iterations"][0]
    shape = {name: first["distributed"][name] for name in ("frames", "width", "height", "duration")}
    return {**entry, **shape, "median": medians(entry["iterations"])}


def _iteration(
    connect: Connect, target: RenderTarget, options: EvalOptions, run: str, fixture: Fixture, number: int, say: Say
) -> dict[str, Any]:
    name = f"{fixture.name}-{number}"
    here, there = f"renders/{name}-local.mp4", f"renders/{name}-stack.mp4"
    history = f"histories/{name}.json"
    local = render_locally(fixture.project, options.output / here)
    made = render_distributed(
        connect,
        target,
        fixture,
        config={},
        identity=("eval", run, number),
        output=options.output / there,
        history=options.output / history,
        say=lambda line: say(f"{name} · {line}"),
    )
    result, quality = made.result, compare(made.path, local.path)
    say(f"{name} · local {local.seconds:.1f} s · stack {result.seconds:.1f} s · {report.decibels(quality)}")
    return {
        "local": {"seconds": local.seconds, "frames_per_second": _rate(local.frames, local.seconds), "render": here},
        "distributed": {
            "seconds": result.seconds,
            "wall_seconds": made.wall_seconds,
            "frames_per_second": _rate(result.frames, result.seconds),
            "cost_usd": result.cost_usd,
            "frames": result.frames,
            "width": result.width,
            "height": result.height,
            "duration": result.duration,
            "chunks": result.chunks,
            "workers": result.workers,
            "sizing": result.sizing,
            "retries": result.retries,
            "throttled": result.throttled,
            "execution_arn": result.execution_arn,
            "render": there,
            "history": history,
        },
        "quality": quality.to_json(),
    }


def medians(iterations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure. The speed-up is that of the median times; `psnr_db` is None if all renders are identical."""

    def middle(values: Iterable[float]) -> float:
        return statistics.median(values)

    local = middle(one["local"]["seconds"] for one in iterations)
    distributed = middle(one["distributed"]["seconds"] for one in iterations)
    ratios = [one["quality"]["psnr_db"] for one in iterations if one["quality"]["psnr_db"] is not None]
    return {
        "local_seconds": local,
        "distributed_seconds": distributed,
        "distributed_wall_seconds": middle(one["distributed"]["wall_seconds"] for one in iterations),
        "speed_up": round(local / distributed, 3) if distributed else None,
        "local_frames_per_second": middle(one["local"]["frames_per_second"] for one in iterations),
        "distributed_frames_per_second": middle(one["distributed"]["frames_per_second"] for one in iterations),
        "cost_usd": middle(one["distributed"]["cost_usd"] for one in iterations),
        "psnr_db": middle(ratios) if ratios else None,
    }


def _rate(frames: int, seconds: float) -> float:
    return round(frames / seconds, 3) if seconds else 0.0


def _row(entry: dict[str, Any]) -> list[str]:
    if "median" not in entry:
        return [entry["name"], "-", "-", "-", "-", "-", "-", "-", "failed"]
    median = entry["median"]
    psnr = median["psnr_db"]
    return [
        entry["name"],
        str(entry["frames"]),
        f"{median['local_seconds']:.1f} s",
        f"{median['distributed_seconds']:.1f} s",
        "-" if median["speed_up"] is None else f"{median['speed_up']:.2f}x",
        f"{median['local_frames_per_second']:.1f}",
        f"{median['distributed_frames_per_second']:.1f}",
        dollars(median["cost_usd"]),
        "identical" if psnr is None else f"{psnr:.1f} dB",
    ]
