"""The loopback server of the planned files: HTTP/1.1 with keep-alive and byte ranges."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_BLOCK = 1 << 18

_PLAYERS = frozenset({"video", "audio"})
"""Values of `Sec-Fetch-Dest` for bytes that the browser would play."""


@contextmanager
def serve(
    files: Mapping[str, tuple[Path, str]], pictures: Mapping[str, bytes] | None = None, *, asked: set[str] | None = None
) -> Iterator[str]:
    """Serve `files` (URL path without the leading slash → file on disk and media type) on 127.0.0.1; yield the base URL with its slash.

    Paths are looked up, never joined, so a request cannot leave the mapping; anything else is 404. `pictures` are PNGs by URL path. They
    may change while the server runs. A `<video>` or `<audio>` gets a 404: ffmpeg reads its file, and loading it in the browser would only
    cost time and connections. `asked` collects the paths of the files that were sent.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.files = files
    server.pictures = {} if pictures is None else pictures
    server.asked = set() if asked is None else asked
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="composition-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    files: Mapping[str, tuple[Path, str]]
    pictures: Mapping[str, bytes]
    asked: set[str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Headers and a small body are two writes. With Nagle's algorithm, each answer would wait for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        picture = self.server.pictures.get(name)
        if picture is not None:
            self._answer_picture(picture)
            return
        found = self.server.files.get(name)
        if found is None or not found[0].is_file() or self.headers.get("Sec-Fetch-Dest") in _PLAYERS:
            self._start(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", 0)
            self.end_headers()
            return
        self.server.asked.add(name)
        path, content_type = found
        size = path.stat().st_size
        span = _byte_range(self.headers.get("Range"), size)
        if span is None:
            self._start(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, content_type, 0)
            self.send_header("Content-Range", f"bytes */{size}")
            self.end_headers()
            return
        length = span.last - span.first + 1
        self._start(HTTPStatus.PARTIAL_CONTENT if span.partial else HTTPStatus.OK, content_type, length)
        if span.partial:
            self.send_header("Content-Range", f"bytes {span.first}-{span.last}/{size}")
        self.end_headers()
        if with_body:
            self._send(path, span.first, length)

    def _answer_picture(self, picture: bytes) -> None:
        self._start(HTTPStatus.OK, "image/png", len(picture), cache="no-store")
        self.end_headers()
        with self._reader_may_leave():
            self.wfile.write(picture)

    def _start(self, status: HTTPStatus, content_type: str, length: int, *, cache: str = "no-cache") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        # A second page of the same browser must not reuse answers to the first.
        self.send_header("Cache-Control", cache)

    def _send(self, path: Path, first: int, length: int) -> None:
        with self._reader_may_leave(), path.open("rb") as file:
            file.seek(first)
            while length > 0:
                block = file.read(min(_BLOCK, length))
                if not block:
                    break
                self.wfile.write(block)
                length -= len(block)

    @contextmanager
    def _reader_may_leave(self) -> Iterator[None]:
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            # The browser stops reading when a page closes. That is not an error.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the page that made a request reports its failure."""


class _Span(NamedTuple):
    """First and last byte of an answer, and whether a range was requested."""

    first: int
    last: int
    partial: bool


def _byte_range(header: str | None, size: int) -> _Span | None:
    """Return the span of a single-range request: the whole file without a valid range, None for an unsatisfiable one."""
    whole = _Span(0, size - 1, partial=False)
    unit, _, spec = (header or "").partition("=")
    start, dash, end = spec.strip().partition("-")
    understood = all(part == "" or (part.isascii() and part.isdigit()) for part in (start, end)) and (start or end)
    if unit.strip().lower() != "bytes" or not dash or not understood:
        return whole
    if start == "":
        return _Span(max(0, size - int(end)), size - 1, partial=True) if int(end) > 0 and size > 0 else None
    first, last = int(start), min(int(end), size - 1) if end else size - 1
    if end and int(end) < first:
        return whole
    return _Span(first, last, partial=True) if first < size else None
