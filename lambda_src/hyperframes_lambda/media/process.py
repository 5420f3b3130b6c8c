"""Run ffmpeg, keep the end of its log, and turn a failure into a typed error.

The modules around build the commands with ffmpeg-python.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError

_KEPT_LINES = 200
_QUOTED_LINES = 8
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_SERIOUS = re.compile(r"\[(?:warning|error|fatal|panic)\]")
_ERROR = re.compile(r"\[(?:error|fatal|panic)\]")
_STOPPED_BY_SIGNAL = 255
"""ffmpeg's exit code after SIGTERM or SIGINT; EPERM truncates to the same code, but is logged as an error."""


def compile_command(stream: Any, ffmpeg: Path, *, log_level: str = "warning", tolerant: bool = False) -> list[str]:
    """Return the argument list of an ffmpeg-python `stream`. Every log line carries its level; existing output is overwritten.

    `tolerant` is for an author's files: damaged parts are skipped, as in players, unless that is most of the file.
    """
    strict = () if tolerant else ("-xerror",)
    options = ("-hide_banner", "-nostdin", "-nostats", *strict, "-loglevel", f"level+{log_level}")
    return [str(part) for part in stream.global_args(*options).overwrite_output().compile(cmd=str(ffmpeg))]


def environment() -> dict[str, str]:
    """Return the environment of an ffmpeg process.

    A static build that converts text, such as a transport stream's names, loads the converters of the machine's C library, which has
    another version, and crashes. Without a path to converters it leaves the text unchanged.
    """
    return {**os.environ, "GCONV_PATH": os.devnull}


class RunningFfmpeg:
    """An ffmpeg process whose log is read continuously, so that a full pipe never blocks it."""

    def __init__(
        self, command: Sequence[str], *, purpose: str, feed: bool = False, listen: bool = False, into: IO[bytes] | None = None
    ) -> None:
        self._purpose = purpose
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        try:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE if listen else subprocess.DEVNULL if into is None else into,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise
            message = f"{command[0]} cannot be started: {error.strerror}"
            raise RenderError(ErrorCode.FFMPEG_UNAVAILABLE, message, hint="Run: hyperframes-airflow setup") from error
        self._reader = threading.Thread(target=self._read_log, name="ffmpeg-log", daemon=True)
        self._reader.start()

    def wait(self) -> list[str]:
        """Wait for the end and return the last lines of the log; raise `failure` for a non-zero exit code."""
        code = self.process.wait()
        self._reader.join()
        log = list(self._log)
        if code != 0:
            raise failure(self._purpose, code, log)
        return log

    def kill(self) -> None:
        """End the process at once, leaving no zombie and no open log pipe. A process that has ended is fine."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read_log(self) -> None:
        stderr = pipe_of(self.process.stderr)
        with stderr:
            for line in stderr:
                text = _ADDRESS.sub("", line.decode("utf-8", "replace")).rstrip()
                if text:
                    self._log.append(text)


@contextmanager
def running(
    command: Sequence[str], *, purpose: str, feed: bool = False, listen: bool = False, into: IO[bytes] | None = None
) -> Iterator[RunningFfmpeg]:
    """Run ffmpeg for the duration of a `with` block, and end it on leaving. Its output goes `into` a file, if given."""
    ffmpeg = RunningFfmpeg(command, purpose=purpose, feed=feed, listen=listen, into=into)
    try:
        yield ffmpeg
    finally:
        ffmpeg.kill()
        for stream in (ffmpeg.process.stdin, ffmpeg.process.stdout):
            if stream is not None and not stream.closed:
                close_quietly(stream)


def run(command: Sequence[str], *, purpose: str, on_line: Callable[[str], None] | None = None) -> list[str]:
    """Run ffmpeg to its end and return the last lines of its log; `on_line` receives each line of its standard output."""
    with running(command, purpose=purpose, listen=on_line is not None) as ffmpeg:
        if on_line is not None:
            for line in pipe_of(ffmpeg.process.stdout):
                on_line(line.decode("utf-8", "replace").rstrip("\n"))
        return ffmpeg.wait()


def failure(purpose: str, code: int, log: Sequence[str]) -> RenderError:
    """Return the typed error for an exit code: DISK_FULL, ENCODER_CRASHED for a signal, else ENCODER_FAILED, with ffmpeg's last lines."""
    said = "\n".join(serious(log)[-_QUOTED_LINES:] or log[-_QUOTED_LINES:]) or "ffmpeg logged nothing"
    if any("No space left on device" in line or "Disk quota exceeded" in line for line in log):
        return RenderError(ErrorCode.DISK_FULL, f"{purpose}: no space left on the device\n{said}", hint=DISK_FULL_HINT)
    if code < 0:
        return RenderError(ErrorCode.ENCODER_CRASHED, f"{purpose}: ffmpeg was killed by {_signal_name(-code)}\n{said}")
    if code == _STOPPED_BY_SIGNAL and not any(_ERROR.search(line) for line in log):
        return RenderError(ErrorCode.ENCODER_CRASHED, f"{purpose}: ffmpeg was stopped by a signal\n{said}")
    return RenderError(ErrorCode.ENCODER_FAILED, f"{purpose}: ffmpeg ended with exit code {code}\n{said}")


DISK_FULL_HINT = "Render fewer frames per chunk (chunkSize), or give the function more ephemeral storage (locally: set TMPDIR)."


def serious(log: Sequence[str]) -> list[str]:
    """Return the lines of `log` that are warnings or worse."""
    return [line for line in log if _SERIOUS.search(line)]


def close_quietly(stream: IO[bytes]) -> None:
    """Close a pipe to a process that may be gone; unread data no longer matters."""
    try:
        stream.close()
    except BrokenPipeError:
        return


def pipe_of(stream: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe of a process; `ValueError` when the process was started without it."""
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
