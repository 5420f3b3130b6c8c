"""Render the chunks of one plan on one machine, several at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.render_chunk import render_chunk

_POLL_SECONDS = 0.1


def render_chunks(
    plan_dir: Path, manifest: Manifest, out_dir: Path, *, workers: int, scratch: Path, on_progress: Callable[[int, int], None]
) -> None:
    """Render every chunk of the plan to its segment in `out_dir`; `on_progress` is told how many frames and chunks are done.

    A plan without chunks is done at once. The first failure, or Ctrl-C, stops the other chunks before it is raised; a worker that dies
    raises `Runtime.ExitError`.
    """
    if not manifest.chunks:
        return
    context = multiprocessing.get_context("spawn")
    reports, stop = context.SimpleQueue(), context.Event()
    chunks = manifest.chunks
    frames_done = dict.fromkeys((chunk.index for chunk in chunks), 0)
    arguments = (reports, stop, os.getpid())
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context, initializer=_start_worker, initargs=arguments) as pool:
        pending: set[Future[None]] = {pool.submit(_work, plan_dir, chunk.index, out_dir, scratch) for chunk in chunks}
        try:
            while pending:
                done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                while not reports.empty():
                    index, frames = reports.get()
                    frames_done[index] = frames
                for future in done:
                    future.result()
                on_progress(sum(frames_done.values()), len(chunks) - len(pending))
        except BrokenProcessPool as error:
            message = "a worker process ended: killed, or out of memory"
            raise RenderError(ErrorCode.RUNTIME_EXIT, message, hint="Use fewer --workers.") from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}
"""In a worker process: what it was started with."""


def _start_worker(reports: Any, stop: Any, parent: int) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker.update(reports=reports, stop=stop, parent=parent)


def _work(plan_dir: Path, index: int, out_dir: Path, scratch: Path) -> None:
    def should_stop() -> bool:
        # A parent that was killed can no longer say so.
        return bool(_worker["stop"].is_set()) or os.getppid() != _worker["parent"]

    def report(frames: int) -> None:
        _worker["reports"].put((index, frames))

    render_chunk(plan_dir, index, out_dir, on_progress=report, should_stop=should_stop, scratch=scratch)
