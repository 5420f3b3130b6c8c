"""What a page said and asked for while it was open."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from playwright.sync_api import CDPSession, ConsoleMessage, Error, Page, Request, Response, WebSocket


@dataclass(frozen=True)
class FailedRequest:
    """A request of the page that was not answered with success.

    `path` is below the served root, or the whole URL of a remote one; `kind` is the browser's (script, stylesheet, image, font, document…);
    `wanted_by` is `file line n` where the browser knows it.
    """

    path: str
    kind: str
    status: str
    wanted_by: str | None = None

    def __str__(self) -> str:
        """`path (status, wanted by file line n)`."""
        wanted = f", wanted by {self.wanted_by}" if self.wanted_by else ""
        return f"{self.path} ({self.status}{wanted})"


@dataclass
class PageReport:
    """Collected from the first byte to the last frame; read it at any time."""

    console_errors: list[str] = field(default_factory=list)
    script_errors: list[str] = field(default_factory=list)
    """Uncaught exceptions with `file:line`, and what the runtime caught from a composition's script."""
    failed_requests: list[FailedRequest] = field(default_factory=list)
    """Files of the project that are not there."""
    remote_requests: list[FailedRequest] = field(default_factory=list)
    """Requests that would leave the machine; none of them does."""
    media: list[dict[str, str]] = field(default_factory=list)
    """`<video>` and `<audio>` elements: tag, id, src."""


_RUNTIME_SCRIPT_ERROR = "[HyperFrames] composition script error:"
"""What the HyperFrames runtime writes to the console when a sub-composition's script throws."""

_NEVER_MISSED = frozenset({"favicon.ico"})


class Reporter:
    """Fills a `PageReport` from Playwright's events and keeps the requests that are under way."""

    def __init__(self, page: Page, cdp: CDPSession, base_url: str) -> None:
        self.report = PageReport()
        self.crashed = False
        self.in_flight: set[Request] = set()
        self._base_url = base_url
        self._initiators: dict[str, str] = {}
        cdp.on("Network.requestWillBeSent", self._will_be_sent)
        page.on("console", self._console)
        page.on("pageerror", self._page_error)
        page.on("crash", self._crash)
        page.on("request", self._request)
        page.on("requestfinished", self._finished)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)
        page.on("websocket", self._web_socket)

    def local_names(self, text: str) -> str:
        """`text` with the server's address taken out, so that a stack names the project's files."""
        return text.replace(self._base_url, "")

    def _will_be_sent(self, event: dict[str, object]) -> None:
        request, initiator = event.get("request"), event.get("initiator")
        if not isinstance(request, dict) or not isinstance(initiator, dict):
            return
        url, line = initiator.get("url"), initiator.get("lineNumber")
        stack = initiator.get("stack")
        if isinstance(stack, dict) and stack.get("callFrames"):
            url, line = stack["callFrames"][0].get("url"), stack["callFrames"][0].get("lineNumber")
        if isinstance(url, str) and url.startswith(self._base_url) and not self._path(url).startswith("__hyperframes/"):
            place = f" line {int(line) + 1}" if isinstance(line, (int, float)) else ""
            self._initiators.setdefault(str(request.get("url")), f"{self._path(url)}{place}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        text = self.local_names(message.text)
        self.report.console_errors.append(text)
        if text.startswith(_RUNTIME_SCRIPT_ERROR):
            self.report.script_errors.append(text.removeprefix(_RUNTIME_SCRIPT_ERROR).strip())

    def _page_error(self, error: Error) -> None:
        self.report.script_errors.append(self.local_names(error.stack or error.message))

    def _crash(self, _page: Page) -> None:
        self.crashed = True

    def _request(self, request: Request) -> None:
        if self._is_local(request.url):
            self.in_flight.add(request)
        elif urlsplit(request.url).scheme not in ("data", "blob", "about"):
            self.report.remote_requests.append(self._describe(request, "remote"))

    def _web_socket(self, socket: WebSocket) -> None:
        self.report.remote_requests.append(FailedRequest(socket.url, "websocket", "remote"))

    def _finished(self, request: Request) -> None:
        self.in_flight.discard(request)

    def _failed(self, request: Request) -> None:
        self.in_flight.discard(request)
        # A page may drop a request it no longer wants; what it does want it asks for again.
        if self._is_local(request.url) and request.failure != "net::ERR_ABORTED":
            self.report.failed_requests.append(self._describe(request, request.failure or "failed"))

    def _response(self, response: Response) -> None:
        request = response.request
        if response.status >= 400 and self._is_local(request.url) and self._path(request.url) not in _NEVER_MISSED:
            self.report.failed_requests.append(self._describe(request, str(response.status)))

    def _describe(self, request: Request, status: str) -> FailedRequest:
        return FailedRequest(self._path(request.url), request.resource_type, status, self._initiators.get(request.url))

    def _is_local(self, url: str) -> bool:
        return url.startswith(self._base_url)

    def _path(self, url: str) -> str:
        return unquote(url.removeprefix(self._base_url).split("?")[0].split("#")[0]) if self._is_local(url) else url
