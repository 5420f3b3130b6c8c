"""Byte pipes between two network namespaces: connections to a listening socket of one reach a loopback port of the other.

A socket belongs to the namespace in which it was created, whichever process holds it. The jail creates the listening sockets, and this
process, which stays outside, accepts their connections: inside, only these ports of the machine are visible.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_BLOCK = 1 << 17
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def serve(listener: socket.socket, port: int) -> None:
    """Join every connection of `listener` to 127.0.0.1:`port`, in the background until the process ends."""
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        inner, _ = listener.accept()
        threading.Thread(target=_join, args=(inner, port), daemon=True).start()


def _join(inner: socket.socket, port: int) -> None:
    with inner:
        try:
            outer = socket.create_connection(("127.0.0.1", port))
        except OSError:
            # Nothing listens: reset the connection, as the port itself would.
            _reset(inner)
            return
        with outer:
            for end in (inner, outer):
                # Each side has chosen how to batch its writes; Nagle's delay here would come on top.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(outer, inner), daemon=True)
            back.start()
            _pump(inner, outer)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes until the end of `source`, no faster than `target` reads; an error on one side resets both."""
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
    """Close so that the other side sees a failure, and wake all users of this socket."""
    with contextlib.suppress(OSError):  # already closed by the other direction
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.shutdown(socket.SHUT_RDWR)
