"""Byte pipes between two network namespaces: what connects to a listening socket of the one reaches a loopback port of the other.

A socket belongs to the namespace that it was made in, whoever holds it. So the jail makes the listening sockets, and this process, which
stays outside, accepts what comes in through them: nothing of the machine is visible inside but these ports.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_BLOCK = 1 << 17
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(door: socket.socket, port: int) -> None:
    """Join every connection that `door` gets with one to 127.0.0.1:`port`; returns at once, ends with the process."""
    threading.Thread(target=_accept, args=(door, port), daemon=True).start()


def _accept(door: socket.socket, port: int) -> None:
    while True:
        inner, _ = door.accept()
        threading.Thread(target=_join, args=(inner, port), daemon=True).start()


def _join(inner: socket.socket, port: int) -> None:
    with inner:
        try:
            outer = socket.create_connection(("127.0.0.1", port))
        except OSError:
            # Nobody is there: the one inside sees what it would have seen outside, a connection that does not come about.
            _reset(inner)
            return
        with outer:
            for end in (inner, outer):
                # Each side has chosen its own way to write; a second delay here would be added to it.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(outer, inner), daemon=True)
            back.start()
            _pump(inner, outer)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on until the end of `source`, no faster than `target` takes it; what breaks on one side breaks on the other."""
    block = bytearray(_BLOCK)
    view = memoryview(block)
    try:
        while length := source.recv_into(block):
            target.sendall(view[:length])
        target.shutdown(socket.SHUT_WR)
    except OSError:
        _reset(source)
        _reset(target)


def _reset(end: socket.socket) -> None:
    """Close so that the other side learns of a failure, and wake whoever waits for this socket."""
    with contextlib.suppress(OSError):  # already closed by the other direction
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.shutdown(socket.SHUT_RDWR)
