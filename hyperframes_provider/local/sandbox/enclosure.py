"""A started function process and its isolation."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from hyperframes_provider.local.sandbox import jail
from hyperframes_provider.local.sandbox.interpreter import Interpreter, Substitutes
from hyperframes_provider.local.sandbox.outside import Outside

_STOP_SECONDS = 10.0
_NO_SUBSTITUTES = Substitutes((), ())


class Isolation(StrEnum):
    """Isolation of a function from this machine."""

    NAMESPACES = "namespaces"
    """The walls of `jail`."""
    NONE = "none"
    """A plain process with all rights of this user."""


@dataclass
class Enclosure:
    """A started function process and its surroundings."""

    process: subprocess.Popen[bytes]
    isolation: Isolation
    reason: str
    """Reason for the lack of isolation; empty if isolated."""
    interpreter: Interpreter | None
    """None for slim code, which runs in this Python environment."""
    substitutes: Substitutes = _NO_SUBSTITUTES
    """Packages of this Python environment in place of the ZIP's."""
    _link: socket.socket | None = None
    _root: int | None = None
    """Descriptor of the jail's root folder, which is visible from outside while it is open."""
    _scratch: Path | None = None
    _using_root: threading.Lock = field(default_factory=threading.Lock, init=False)
    _halted: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def restartable(self) -> bool:
        """Whether a dead function can be restarted in it with its /tmp unchanged, as on Lambda."""
        return self._link is not None and self.process.poll() is None

    def watch(self, on_end: Callable[[int], None]) -> None:
        """Call `on_end` with the exit code (negative for a signal) each time the function's process ends, until `stop`."""
        if self._link is None:
            on_end(self.process.wait())
            return
        while True:
            try:
                data = self._link.recv(jail.LONGEST_MESSAGE)
            except OSError:  # closed by `stop`
                data = b""
            message: jail.Message = json.loads(data) if data else jail.Message(ended=-signal.SIGKILL)
            if "halted" in message:
                self._halted.set()
            if "ended" in message:
                on_end(message["ended"])
            if not data:
                self._halted.set()
                return

    def halt(self) -> None:
        """Kill everything inside a restartable enclosure; return once nothing runs there."""
        self._halted.clear()
        self._ask(jail.HALT)
        self._halted.wait(_STOP_SECONDS)

    def restart(self) -> None:
        """Restart the function after `halt`."""
        self._ask(jail.START)

    def _ask(self, request: bytes) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):  # gone; `watch` reports that
                self._link.send(request)

    def tmp_bytes(self) -> int:
        """Return the current size of the function's temporary folder, 0 once it is gone."""
        with self._using_root:
            if self._root is not None:
                room = os.statvfs(f"/proc/self/fd/{self._root}/tmp")
                return (room.f_blocks - room.f_bfree) * room.f_frsize
        return _size(self._scratch) if self._scratch is not None else 0

    def outside(self) -> Outside | None:
        """Return a snapshot of the function's files outside /tmp; None without isolation, when that is the whole machine."""
        with self._using_root:
            return None if self._root is None else Outside(self._root)

    def stop(self) -> None:
        """End every process in it and remove its folders. Later calls do nothing."""
        if self._link is not None:
            # When this link or the pipe closes, the first process kills everything. Closing the link also wakes `watch`.
            with contextlib.suppress(OSError):  # not connected any more
                self._link.shutdown(socket.SHUT_RDWR)
            self._link.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self._using_root:
            if self._root is not None:
                os.close(self._root)
                self._root = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(root, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
