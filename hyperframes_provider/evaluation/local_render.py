"""The render that others are held to: the same engine on this machine, in a process of its own, without AWS of any kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.evaluation.quality import frame_count
from hyperframes_provider.toolset import toolset_path

_GRACE_SECONDS = 20.0
"""For the engine to end its browsers when it is interrupted."""


class LocalRenderFailed(HyperFramesClientError):
    """The engine could not render the project on this machine either; the text has its last lines."""

    retryable = False


@dataclass(frozen=True)
class LocalRender:
    """A finished one."""

    path: Path
    frames: int
    seconds: float
    """Wall time of the process, its start included."""


def render_locally(project: Path, output: Path, *, options: Sequence[str] = ()) -> LocalRender:
    """Render `project` to `output`; `options` are further ones of `python -m hyperframes_lambda render`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hyperframes_lambda", "render", str(project), "-o", str(output), *options]
    environment = {TOOLSET_VARIABLE: str(toolset_path()), **os.environ}
    started = time.monotonic()
    # A session of its own: Ctrl-C on the terminal is ours to hand on, once.
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
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
