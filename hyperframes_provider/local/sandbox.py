"""The first process of one Lambda execution environment: whatever the function starts ends with it.

It runs the command it is given and adopts every orphan of it (`PR_SET_CHILD_SUBREAPER`), so that a grandchild in a session of its own
(Chromium, a Playwright driver) cannot outlive the environment. Its standard input is a pipe held by the endpoint: the end of that pipe
means "stop", and it comes by itself when the endpoint is killed, however that happened. When the command ends first, the rest is killed
too and the command's own exit status is passed on.

A script of its own, run with `-I -S`: standard library only, up in milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> None:
    """Run `command` until it ends or standard input closes; then kill all descendants and end the same way."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child_ended, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        # Python ignores these; a program expects the defaults.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],
    )
    status = None
    while status is None:
        readable, _, _ = select.select([0, child_ended], [], [])
        if 0 in readable:
            break
        os.read(child_ended, 512)
        status = _reap(child)
    _kill_descendants()
    _end_like(status)


def _reap(child: int) -> int | None:
    """Collect everything that has ended; the exit code of `child` (negative: a signal) when it was among it."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            return None


def _kill_descendants() -> None:
    """Kill the children, and then those who become children because their parent died, until there are none."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    me = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text(errors="replace").rpartition(")")[2].split()[1] == me:
                found.append(int(stat.parent.name))
    return found


def _end_like(status: int | None) -> None:
    if status is None:
        sys.exit(0)
    if status < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
