"""The Lambda Runtime API of one execution environment: four HTTP calls between the service and a language runtime.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. Each environment has its own port, which identifies the caller.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

_PREFIX = "/2018-06-01/runtime"
_OUTCOME = re.compile(rf"{_PREFIX}/invocation/(?P<id>[^/]+)/(?P<how>response|error)")


@dataclass(frozen=True)
class Invocation:
    """One event for the runtime."""

    request_id: str
    event: bytes
    deadline_ms: int
    """Milliseconds since the epoch."""
    trace_id: str
    client_context: str | None = None


class ReportKind(Enum):
    """Kind of a report."""

    READY = auto()
    """The runtime is loaded and asks for its first event."""
    RESPONSE = auto()
    ERROR = auto()
    """The handler raised."""
    INIT_ERROR = auto()
    """The handler could not be loaded."""
    EXITED = auto()


@dataclass(frozen=True)
class Report:
    """News of an environment; `body` is the JSON that the runtime sent."""

    kind: ReportKind
    body: bytes = b""
    status: int = 0
    """Exit code of a process that ended, negative for a signal."""
    at: float = field(default_factory=time.monotonic)
    """Time of the report (`time.monotonic`)."""


class RuntimeApi:
    """A server of the API on a free loopback port, until `close`; `reports` receives the runtime's reports."""

    def __init__(self, function_arn: str) -> None:
        self.function_arn = function_arn
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current = ""
        self._server = _Server(("127.0.0.1", 0), self)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name=f"runtime-api-{self.address}", daemon=True).start()

    def send(self, invocation: Invocation) -> None:
        """Queue an event for the runtime."""
        self._current = invocation.request_id
        self._invocations.put(invocation)

    def forget(self) -> None:
        """Drop the reports and the pending request of a runtime that is gone."""
        stale, self._invocations = self._invocations, queue.SimpleQueue()
        stale.put(None)
        self.reports = queue.SimpleQueue()
        self._current = ""

    def expects(self, request_id: str) -> bool:
        """Whether this is the current invocation, and not one of a killed runtime."""
        return request_id == self._current

    def next(self) -> Invocation | None:
        """Wait for the next event; return None when the environment closes."""
        self.reports.put(Report(ReportKind.READY))
        return self._invocations.get()

    def close(self) -> None:
        """Stop serving. Return at once; the port is free within half a second."""
        self._invocations.put(None)
        threading.Thread(target=self._close_server, daemon=True).start()

    def _close_server(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: RuntimeApi) -> None:
        super().__init__(address, _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without these two, each invocation waits twice for a delayed ACK of 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        api = cast(_Server, self.server).api
        if self.path != f"{_PREFIX}/invocation/next":
            self._answer(404)
            return
        invocation = api.next()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": api.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        self._answer(200, invocation.event, headers)

    def do_POST(self) -> None:
        api = cast(_Server, self.server).api
        body = self._body()
        if self.path == f"{_PREFIX}/init/error":
            api.reports.put(Report(ReportKind.INIT_ERROR, body))
        elif (match := _OUTCOME.fullmatch(self.path)) and api.expects(match["id"]):
            api.reports.put(Report(ReportKind.RESPONSE if match["how"] == "response" else ReportKind.ERROR, body))
        else:
            self._answer(404)
            return
        self._answer(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            # The runtime was killed in the middle of a request; its watcher reports that.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Drop the access log of the runtime's polling."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
