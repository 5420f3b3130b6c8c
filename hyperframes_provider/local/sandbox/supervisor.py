"""The first process of one Lambda execution environment: everything the function starts ends with it.

It runs a command and adopts its orphans (`PR_SET_CHILD_SUBREAPER`), so that no grandchild in another session, such as Chromium, outlives
the environment. Its standard input is a pipe from the endpoint. The end of that pipe means "stop", and also comes when the endpoint is
killed. When the command ends first, all other descendants are killed and this process ends with the command's exit status.

A script, run with `-I -S`: standard library only, up in milliseconds. `jail` does the same inside walls.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> None:
    """Run `command` until it ends or standard input closes; then kill all descendants and end the same way."""
    adopt_orphans()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child_ended = wake_on_child()
    child = spawn(command, os.environ)
    status = None
    while status is None:
        readable, _, _ = select.select([0, child_ended], [], [])
        if 0 in readable:
            break
        os.read(child_ended, 512)
        status = reap(child)
    _kill_descendants()
    _end_like(status)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends; call it before starting one."""
    child_ended, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return child_ended


def spawn(command: list[str], variables: Mapping[str, str]) -> int:
    """Start `command` without input; return its process ID. Raise `OSError`."""
    return os.posix_spawn(
        command[0],
        command,
        variables,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        # Python ignores these signals; programs expect the defaults.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],
    )


def _end_like(status: int | None) -> None:
    """End this process with the given exit code or signal; None counts as success."""
    if status is None:
        sys.exit(0)
    if status < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def reap(child: int | None) -> int | None:
    """Collect all ended children; return the exit code of `child`, negative for a signal, if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):  # nothing is left to collect
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == child:
                found = os.waitstatus_to_exitcode(ended[1])
    return found


def _kill_descendants() -> None:
    """Kill all children, and the orphans they leave, until none remain."""
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


if __name__ == "__main__":
    main(sys.argv[1:])
