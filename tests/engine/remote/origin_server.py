"""A web server that plays a remote host: routes to answers, and a record of what was asked."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Reply:
    """One answer; `cut` ends the connection after so many bytes of the body, with a reset."""

    body: bytes = b""
    kind: str = "text/plain"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Bytes of the body after which the connection is reset."""
    never: bool = False
    """The answer never comes."""


Route = Reply | Callable[[int], Reply]
"""A reply, or one by the number of the request to this path, from 1."""


@dataclass
class Origin:
    """A running server."""

    port: int
    asked: list[tuple[str, dict[str, str]]]
    """Path and headers of every request, in order."""
    ended: threading.Event

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """For `allowedHosts`."""
        return f"127.0.0.1:{self.port}"

    def count(self, path: str) -> int:
        """How often `path` was asked for."""
        return sum(asked == path for asked, _ in self.asked)


@contextmanager
def serve_origin(routes: Mapping[str, Route], *, certificate: Path | None = None) -> Iterator[Origin]:
    """Serve `routes` on a port of its own until the block ends; what is not in it is 404. With a certificate, by TLS."""
    asked: list[tuple[str, dict[str, str]]] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            route = routes.get(self.path, Reply(b"no such file", status=404))
            reply = route if isinstance(route, Reply) else route(sum(path == self.path for path, _ in asked))
            if reply.never:
                ended.wait()
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.wfile.flush()
                # Closed with nothing lingering, a connection is reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Origin(server.server_address[1], asked, ended)
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
