"""`smoke`: check that a new stack renders a composition like this machine does, with every number of chunks."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest
from hyperframes_provider.client.execution.report import dollars, size
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.request import RenderTarget
from hyperframes_provider.client.stack.events import StackEvent
from hyperframes_provider.evaluation import report
from hyperframes_provider.evaluation.distributed import Say, render_distributed
from hyperframes_provider.evaluation.fixtures import Fixture
from hyperframes_provider.evaluation.local_render import LocalRender, render_locally
from hyperframes_provider.evaluation.own_stack import OwnStack, own_stack
from hyperframes_provider.evaluation.quality import NotComparable, compare

CHUNK_COUNTS = (2, 4, 8)
PSNR_THRESHOLD = 40.0
"""Decibels for all frames, 10 less for the worst one. Equal pictures reach far more; a wrong frame misses the second limit."""


@dataclass(frozen=True)
class SmokeOptions:
    """The options of a smoke run."""

    fixture: Fixture
    output: Path
    """Folder for `results.json`, `renders/` and `histories/`."""
    code: Path | str | None = None
    """The function's code."""
    build_code: Callable[[], Path] | None = None
    """Builds the code if `code` is None. If this is None too, the run uses the slim ZIP, for the embedded endpoint only."""
    chunk_counts: Sequence[int] = CHUNK_COUNTS
    psnr_threshold: float = PSNR_THRESHOLD
    parameters: dict[str, object] = field(default_factory=dict)
    keep_stack: bool = False


def run_smoke(connect: Connect, options: SmokeOptions, *, say: Say, on_event: Callable[[StackEvent], None] | None = None) -> dict[str, Any]:
    """Deploy, render, compare and delete; write `results.json` and return its content. `passed` covers the deletion too.

    A failed render becomes a row of the report. Any other failure is raised after the stack is deleted and the report written.
    """
    counts = list(dict.fromkeys(options.chunk_counts))
    if not counts or min(counts) < 1:
        raise InvalidRequest(f"chunk counts {counts}: give positive numbers", hint="hyperframes-airflow smoke --chunk-counts 2,4,8")
    run = uuid.uuid4().hex[:8]
    document = report.heading("smoke", run, connect) | {
        "fixture": options.fixture.name,
        "psnr_threshold_db": options.psnr_threshold,
        "runs": [],
        "passed": False,
    }
    name = f"hyperframes-smoke-{run}"
    stack = OwnStack(name, run)
    try:
        # In one chunk, so that a fault at a seam cannot be in the reference too.
        whole = ["--max-parallel-chunks", "1"]
        reference = render_locally(options.fixture.project, options.output / "renders" / "in-process.mp4", options=whole)
        say(f"in-process · {reference.frames} frames · {reference.seconds:.1f} s")
        document["in_process"] = {"frames": reference.frames, "seconds": reference.seconds, "render": "renders/in-process.mp4"}
        _check_counts(counts, reference.frames)
        code = options.code
        if code is None and options.build_code is not None and not options.parameters.get("ImageUri"):
            code, took = _built(options.build_code)
            document["build"] = {"seconds": round(took, 1), "bytes": code.stat().st_size}
            say(f"code {code.name} · {size(code.stat().st_size)} · {took:.1f} s")
        with own_stack(
            connect, stack, parameters=options.parameters, code=code, keep=options.keep_stack, say=say, on_event=on_event
        ) as deployed:
            say(f"stack {name} · {deployed.resources} resources · {deployed.seconds:.1f} s")
            document["deploy"] = {"seconds": round(deployed.seconds, 1), "code": str(deployed.code)}
            target = RenderClient(connect).target(name)
            for count in counts:
                row = _one(connect, target, options, run, count, reference, say)
                document["runs"].append(row)
                say(_line(row))
        document["passed"] = all(row["passed"] for row in document["runs"]) and not stack.teardown.problem
    except BaseException as error:
        document["error"] = {"type": type(error).__name__, "message": str(error)}
        raise
    finally:
        document["stack"] = {"name": name, **stack.teardown.to_json()}
        report.write(options.output, document)
    return document


def _built(build: Callable[[], Path]) -> tuple[Path, float]:
    started = time.monotonic()
    return build(), time.monotonic() - started


def _one(
    connect: Connect, target: RenderTarget, options: SmokeOptions, run: str, count: int, reference: LocalRender, say: Say
) -> dict[str, Any]:
    """Render in `count` chunks, compare, and return the row of the report."""
    render, history = f"renders/chunks-{count}.mp4", f"histories/chunks-{count}.json"
    row: dict[str, Any] = {"chunk_count": count, "passed": False, "render": render, "history": history}
    # The size of the chunks determines their number.
    config = {"chunkSize": math.ceil(reference.frames / count), "maxParallelChunks": count}
    try:
        made = render_distributed(
            connect,
            target,
            options.fixture,
            config=config,
            identity=("smoke", run, count),
            output=options.output / render,
            history=options.output / history,
            say=lambda line: say(f"{count} chunks · {line}"),
        )
        quality = compare(made.path, reference.path)
    except NotComparable as error:
        return {**row, "problem": error.message}
    except HyperFramesClientError as error:
        return {**row, "problem": error.message, "render": None}
    result = made.result
    row |= {
        "chunks": result.chunks,
        "frames": result.frames,
        "seconds": result.seconds,
        "wall_seconds": made.wall_seconds,
        "cost_usd": result.cost_usd,
        "retries": result.retries,
        "throttled": result.throttled,
        "workers": result.workers,
        "plan_hash": result.plan_hash,
        "execution_arn": result.execution_arn,
        "quality": quality.to_json(),
    }
    if result.chunks != count:
        return {**row, "problem": f"rendered in {result.chunks} chunks instead"}
    if shortfall := quality.shortfall(options.psnr_threshold):
        return {**row, "problem": shortfall}
    return {**row, "passed": True}


def _check_counts(counts: Sequence[int], frames: int) -> None:
    wrong = [count for count in counts if math.ceil(frames / math.ceil(frames / count)) != count]
    if wrong:
        raise InvalidRequest(
            f"chunk counts {wrong}: {frames} frames cannot be cut into that many chunks of equal size",
            hint="Choose other --chunk-counts, or a longer fixture.",
        )


def _line(row: dict[str, Any]) -> str:
    if "quality" not in row:
        return f"{row['chunk_count']} chunks · failed: {row['problem'].splitlines()[0]}"
    psnr = row["quality"]["psnr_db"]
    like = "identical" if psnr is None else f"PSNR {psnr:.1f} dB"
    end = "passed" if row["passed"] else f"failed: {row['problem']}"
    return f"{row['chunk_count']} chunks · {row['frames']} frames · {row['seconds']:.1f} s · {dollars(row['cost_usd'])} · {like} · {end}"
