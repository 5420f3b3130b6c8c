"""Process helpers: identity, memory and termination of process trees."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil


def start_ticks(pid: int) -> int | None:
    """Return the start time of process `pid` in clock ticks since boot (with the pid, its identity), or None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def tree(pid: int) -> list[psutil.Process]:
    """Return all current descendants of `pid`, without `pid` itself."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the sum of the resident sets: cheap, and an upper bound, since shared pages count once per process."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def proportional_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the sum of the proportional set sizes, in which shared pages count once; slow, since it walks the page tables."""
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
    """Wait at most `seconds`; return the processes that still run. A zombie counts as gone."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if _lives(process)]
        if not alive or time.monotonic() >= deadline:
            return alive
        time.sleep(0.02)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to each process, unless its pid has been reused."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def marked(variable: str, value: str) -> list[psutil.Process]:
    """Return the processes started with `variable=value` in their environment, as far as this user may see."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(process)
    return found


def terminate(pid: int) -> None:
    """Send SIGTERM to a process, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
