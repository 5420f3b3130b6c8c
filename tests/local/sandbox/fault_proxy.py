"""S3 on a bad day: a proxy in front of the endpoint that answers, delays or breaks chosen requests."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}


@dataclass
class Rule:
    """A fault for the next `times` requests whose method and path match `pattern`, such as `PUT .*\\.mp4`."""

    pattern: str
    times: int = 1
    status: int | None = None
    """Answer with this instead of asking the endpoint."""
    code: str = "InternalError"
    seconds: float = 0.0
    """Delay."""
    garble: bool = False
    """Change the answer's body, and drop the checksums by which the SDK would notice."""
    before: Callable[[], None] | None = None
    """Called before the request is passed on."""
    after: Callable[[], None] | None = None
    """Called when the endpoint has answered, before the answer is passed on."""
    seen: int = field(default=0, init=False)


class FaultProxy:
    """A server on a loopback port until `close`. Without rules it passes everything on."""

    def __init__(self, endpoint_port: int) -> None:
        self.endpoint_port = endpoint_port
        self.requests: list[str] = []
        """Method and path of every request."""
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @contextmanager
    def ruled(self, *rules: Rule) -> Iterator[None]:
        """Apply rules within the context. The first that matches and is not used up applies."""
        with self._lock:
            self._rules = list(rules)
        try:
            yield
        finally:
            with self._lock:
                self._rules = []

    def rule_for(self, request: str) -> Rule | None:
        with self._lock:
            self.requests.append(request)
            rule = next((rule for rule in self._rules if rule.seen < rule.times and re.search(rule.pattern, request)), None)
            if rule is not None:
                rule.seen += 1
            return rule

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy

    def handle_error(self, *_: Any) -> None:
        """Nothing: functions are killed here in the middle of a request."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        body = self._body()
        rule = self.server.proxy.rule_for(f"{self.command} {self.path}")
        if rule is None:
            self._answer(*self._ask(body))
            return
        time.sleep(rule.seconds)
        if rule.before:
            rule.before()
        if rule.status is not None:
            fault = f"<Error><Code>{rule.code}</Code><Message>injected</Message></Error>".encode()
            self._answer(rule.status, [("Content-Type", "application/xml")], fault)
            return
        status, headers, answer = self._ask(body)
        if rule.after:
            rule.after()
        if rule.garble:
            headers = [(name, value) for name, value in headers if not name.lower().startswith("x-amz-checksum")]
            answer = bytes(byte ^ 1 for byte in answer)
        self._answer(status, headers, answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        endpoint = http.client.HTTPConnection("127.0.0.1", self.server.proxy.endpoint_port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
            endpoint.request(self.command, self.path, body, headers)
            answer = endpoint.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            endpoint.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
