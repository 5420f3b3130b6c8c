"""The reference render: the same engine in a process on this machine, without AWS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.evaluation.quality import frame_count

_GRACE_SECONDS = 20.0
"""Time for an interrupted engine to end its browsers."""


class LocalRenderFailed(HyperFramesClientError):
    """The engine could not render the project on this machine; the message has its last lines."""

    retryable = False


@dataclass(frozen=True)
class LocalRender:
    """A finished render."""

    path: Path
    frames: int
    seconds: float
    """Wall time of the process, including its start."""


def render_locally(project: Path, output: Path, *, options: Sequence[str] = ()) -> LocalRender:
    """Render `project` to `output`; `options` go to `python -m hyperframes_lambda render`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hyperframes_lambda", "render", str(project), "-o", str(output), *options]
    started = time.monotonic()
    # In a new session, so that Ctrl-C on the terminal reaches the engine only once, from here.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            _interrupt(process)
            raise
    if process.returncode:
        raise LocalRenderFailed(f"the render on this machine failed (exit {process.returncode}):\n{said.strip()[-1500:]}")
    seconds = time.monotonic() - started
    return LocalRender(output, frame_count(output), round(seconds, 2))


def _interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
