"""A started function process and its walls, if it has any."""

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
    """What keeps a function from the machine."""

    NAMESPACES = "namespaces"
    """The walls of `jail`."""
    NONE = "none"
    """A plain process with the rights of this user: it can write where the user can, and reach what the user can."""


@dataclass
class Enclosure:
    """A started function process, and what holds it."""

    process: subprocess.Popen[bytes]
    isolation: Isolation
    reason: str
    """Why there are no walls; empty when there are."""
    interpreter: Interpreter | None
    """None for slim code, which runs in this environment."""
    substitutes: Substitutes = _NO_SUBSTITUTES
    """Packages of this environment that stand in for those of the ZIP."""
    _link: socket.socket | None = None
    _root: int | None = None
    """The jail's root folder, which can be looked at from here while this descriptor is open."""
    _scratch: Path | None = None
    _using_root: threading.Lock = field(default_factory=threading.Lock, init=False)
    _halted: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def restartable(self) -> bool:
        """Whether the function can be started again in it, with what it left in /tmp, as Lambda does with one that died."""
        return self._link is not None and self.process.poll() is None

    def watch(self, on_end: Callable[[int], None]) -> None:
        """Call `on_end` with the exit code (negative: a signal) whenever the function's process has ended, until it cannot any more."""
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
        """Kill everything inside a restartable one; returns when nothing runs there any more."""
        self._halted.clear()
        self._ask(jail.HALT)
        self._halted.wait(_STOP_SECONDS)

    def restart(self) -> None:
        """Start the function anew, after `halt`."""
        self._ask(jail.START)

    def _ask(self, what: bytes) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):  # gone, which `watch` tells
                self._link.send(what)

    def tmp_bytes(self) -> int:
        """What the function's temporary folder holds now; nothing when it is gone."""
        with self._using_root:
            if self._root is not None:
                descriptor = os.open("tmp", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root)
                try:
                    room = os.fstatvfs(descriptor)
                finally:
                    os.close(descriptor)
                return (room.f_blocks - room.f_bfree) * room.f_frsize
        return _size(self._scratch) if self._scratch is not None else 0

    def outside(self) -> Outside | None:
        """A look at what the function sees outside /tmp; None without walls, where that would be the whole machine."""
        with self._using_root:
            return None if self._root is None else Outside(self._root)

    def stop(self) -> None:
        """End every process in it and let its folders go; may be called twice."""
        if self._link is not None:
            # The end of this link, or of the pipe, is what makes the first process kill everything. It also wakes `watch`.
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
