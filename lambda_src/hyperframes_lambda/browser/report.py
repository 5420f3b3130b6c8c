"""Errors and requests of an open page, from the events of one DevTools session.

One session for calls and events keeps them in order: when an answer arrives, every earlier event has been received.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import CDPSession, Page

from hyperframes_lambda.contract.errors import RenderError


@dataclass(frozen=True)
class FailedRequest:
    """A request of the page that failed.

    `path` is below the served root, or the whole URL of a remote file; `kind` is the browser's (script, stylesheet, image, font…);
    `wanted_by` is `file line n`, if known.
    """

    path: str
    kind: str
    status: str
    wanted_by: str | None = None


@dataclass
class PageReport:
    """Errors and failed requests so far, from the first byte to the last frame."""

    console_errors: list[str] = field(default_factory=list)
    script_errors: list[str] = field(default_factory=list)
    """Uncaught exceptions with `file:line`, and those that the runtime caught from a composition's script."""
    failed_requests: list[FailedRequest] = field(default_factory=list)
    """Missing files of the project."""
    remote_requests: list[FailedRequest] = field(default_factory=list)
    """Requests to other hosts that are not intercepted."""
    remote_faults: list[RenderError] = field(default_factory=list)
    """Errors of intercepted requests, with the initiator."""


_RUNTIME_SCRIPT_ERROR = "[HyperFrames] composition script error:"
"""Prefix of the HyperFrames runtime's console message when the script of a sub-composition throws."""

_NEVER_MISSED = frozenset({"favicon.ico"})

_OWN = "__hyperframes/"

_WORKER_SECONDS = 0.5
"""Time for a new worker to start and to request its files."""


@dataclass(frozen=True)
class _Request:
    url: str
    kind: str
    wanted_by: str | None


class Reporter:
    """Fills a `PageReport` from the session's events and keeps track of pending requests."""

    def __init__(self, page: Page, cdp: CDPSession, base_url: str, end_browser: Callable[[], None]) -> None:
        self.report = PageReport()
        self.crashed = False
        self._end_browser = end_browser
        self._base_url = base_url
        self._in_flight: dict[str, _Request] = {}
        self._intercepted: tuple[str, ...] = ()
        self._waiting: Counter[str] = Counter()
        self._remote_places: dict[str, str | None] = {}
        self._workers_until = 0.0
        page.on("crash", self._crash)
        cdp.on("Runtime.exceptionThrown", self._exception)
        cdp.on("Runtime.consoleAPICalled", self._console)
        cdp.on("Network.requestWillBeSent", self._requested)
        cdp.on("Network.responseReceived", self._answered)
        cdp.on("Network.loadingFinished", self._finished)
        cdp.on("Network.loadingFailed", self._failed)
        cdp.on("Network.webSocketCreated", self._web_socket)

    @property
    def loading(self) -> list[str]:
        """Paths of the project and remote addresses that are being loaded."""
        workers = ["a worker's files"] if time.monotonic() < self._workers_until else []
        return [*(self._path(request.url) for request in self._in_flight.values()), *self._waiting.elements(), *workers]

    def intercept(self, prefixes: Sequence[str]) -> None:
        """Treat remote requests that begin with one of `prefixes` like those of the project from now on."""
        self._intercepted = tuple(prefixes)

    @contextmanager
    def waiting_for(self, url: str) -> Iterator[None]:
        """Count `url` as loading. The browser reports no requests of workers."""
        self._waiting[url] += 1
        try:
            yield
        finally:
            self._waiting[url] -= 1

    def remote_fault(self, url: str, kind: str, error: RenderError) -> None:
        """Record that a remote file is unavailable."""
        place = self._remote_places.get(url)
        wanted = f" ({kind}, wanted by {place})" if place else f" ({kind})"
        self.report.remote_faults.append(RenderError(error.code, f"{error.message}{wanted}", hint=error.hint))

    def local_names(self, text: str) -> str:
        """Return `text` without the server's address, so that a stack names the project's files."""
        return text.replace(self._base_url, "")

    def _crash(self, _page: Page) -> None:
        self.crashed = True
        # A dead page never answers a pending call. Ending its browser ends the call.
        self._end_browser()

    def _exception(self, event: dict[str, Any]) -> None:
        details = event["exceptionDetails"]
        text = str(details.get("exception", {}).get("description") or details.get("text", "")).strip()
        url, line = str(details.get("url") or ""), int(details.get("lineNumber", 0)) + 1
        if url and f"{url}:" not in text:
            text += f"\n    at {url}:{line}"
        self.report.script_errors.append(self.local_names(text))

    def _console(self, event: dict[str, Any]) -> None:
        if event["type"] != "error":
            return
        text = self.local_names(" ".join(str(argument.get("value", argument.get("description", ""))) for argument in event["args"]))
        self.report.console_errors.append(text)
        if text.startswith(_RUNTIME_SCRIPT_ERROR):
            self.report.script_errors.append(text.removeprefix(_RUNTIME_SCRIPT_ERROR).strip())

    def _requested(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        if event.get("type") == "Script" and not event.get("loaderId"):
            # The script of a worker belongs to no document, and the session gets no events of its arrival or of its requests.
            self._workers_until = time.monotonic() + _WORKER_SECONDS
            return
        if urlsplit(url).scheme in ("data", "blob", "about"):
            return
        request = _Request(url, str(event.get("type", "Other")).lower(), self._wanted_by(event.get("initiator", {})))
        if request.kind == "media":
            # ffmpeg reads media files; the browser's players get none.
            return
        if url.startswith(self._base_url):
            self._in_flight[event["requestId"]] = request
        elif url.startswith(self._intercepted):
            self._remote_places.setdefault(url, request.wanted_by)
            # Chromium never reports the end of a CORS preflight.
            if event.get("initiator", {}).get("type") != "preflight":
                self._in_flight[event["requestId"]] = request
        else:
            self.report.remote_requests.append(FailedRequest(url, request.kind, "remote", request.wanted_by))

    def _answered(self, event: dict[str, Any]) -> None:
        status = event["response"]["status"]
        # A refused request ends with its answer: for some kinds Chromium never reports the end.
        request = self._in_flight.pop(event["requestId"], None) if status >= 400 else None
        if request and self._path(request.url) not in _NEVER_MISSED:
            self._record(request, str(status))

    def _finished(self, event: dict[str, Any]) -> None:
        self._in_flight.pop(event["requestId"], None)

    def _failed(self, event: dict[str, Any]) -> None:
        request = self._in_flight.pop(event["requestId"], None)
        # A page may cancel a request that it no longer needs. A file that it needs, it requests again.
        if request and not event.get("canceled") and event.get("errorText") != "net::ERR_ABORTED":
            self._record(request, str(event.get("errorText") or "failed"))

    def _web_socket(self, event: dict[str, Any]) -> None:
        self.report.remote_requests.append(FailedRequest(event["url"], "websocket", "remote", self._wanted_by(event.get("initiator", {}))))

    def _record(self, request: _Request, status: str) -> None:
        if request.url in self._remote_places:
            return
        failure = FailedRequest(self._path(request.url), request.kind, status, request.wanted_by)
        if not any(known.path == failure.path for known in self.report.failed_requests):
            self.report.failed_requests.append(failure)

    def _wanted_by(self, initiator: dict[str, Any]) -> str | None:
        """`file line n` of the initiator: the tag, the style sheet, or the nearest of the author's lines on the stack."""
        places = [initiator, *initiator.get("stack", {}).get("callFrames", [])]
        for place in places:
            url = str(place.get("url") or "")
            if url.startswith(self._base_url) and not self._path(url).startswith(_OWN):
                line = place.get("lineNumber")
                return self._path(url) + (f" line {int(line) + 1}" if line is not None else "")
        # The initiator may be a remote style sheet or module.
        return next((str(place["url"]) for place in places if place.get("url") and not str(place["url"]).startswith(self._base_url)), None)

    def _path(self, url: str) -> str:
        return unquote(url.removeprefix(self._base_url).split("?")[0].split("#")[0])
