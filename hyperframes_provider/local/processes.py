"""Processes as the endpoint sees them: who a process is, what its tree weighs, and how a tree is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil


def start_ticks(pid: int) -> int | None:
    """When process `pid` was started, in clock ticks since boot: with the pid, its identity. None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def tree(pid: int) -> list[psutil.Process]:
    """All descendants of `pid` that live now, without `pid` itself."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Sum of the resident sets: cheap, and never below what the processes really use, for shared pages count once for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def proportional_bytes(processes: Iterable[psutil.Process]) -> int:
    """Sum of the proportional set sizes: shared pages count once. Costs a walk of the page tables; RSS where it may not be read."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.AccessDenied:
            total += resident_bytes([process])
        except psutil.Error:
            continue
    return total


def wait_until_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait at most `seconds`; the processes that still live. A zombie that nobody collects counts as gone."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if _lives(process)]
        if not alive or time.monotonic() >= deadline:
            return alive
        time.sleep(0.02)


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL each process that is still the one it was."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The processes that were started with `variable=value` in their environment, as far as this user may look."""
    needle = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError, psutil.Error):
            if pid != os.getpid() and needle in (entry / "environ").read_bytes().split(b"\0"):
                found.append(psutil.Process(pid))
    return found


def terminate(pid: int) -> None:
    """Ask a process to end (SIGTERM); nothing when it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
