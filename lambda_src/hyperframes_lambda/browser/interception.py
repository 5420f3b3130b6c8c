"""Answers to a page's requests to other hosts, through the DevTools Fetch domain. The browser itself stays offline.

One session sees the requests of the page, its frames and its workers, module imports included. `RemoteFiles` decides the answer: a recorder
while a render is planned, the plan in a chunk.
"""

from __future__ import annotations

import base64
import errno
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import CDPSession, Error, Page

from hyperframes_lambda.browser.report import Reporter
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import RemoteResponse

_POLL_MS, _SLOWEST_POLL_MS = 2.0, 20.0
_AT_A_TIME = 8
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_DATA = frozenset({"xhr", "fetch"})
"""Kinds of request for data, as the Fetch domain names them. A script may cope with missing data."""


class RemoteFiles(Protocol):
    """The source of remote files."""

    @property
    def prefixes(self) -> Sequence[str]:
        """Prefixes of the addresses to intercept."""

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        """Return the response to a GET and the file with its body. Called in a thread; raises `RenderError`."""


class Interception:
    """Answers the remote requests of one page from `remote`, several at a time."""

    def __init__(self, page: Page, cdp: CDPSession, reporter: Reporter, remote: RemoteFiles, base_url: str) -> None:
        self._page = page
        self._cdp = cdp
        self._reporter = reporter
        self._remote = remote
        self._base_url = base_url
        self._room = threading.BoundedSemaphore(_AT_A_TIME)
        reporter.intercept(remote.prefixes)
        cdp.on("Fetch.requestPaused", self._paused)
        cdp.send("Fetch.enable", {"patterns": [{"urlPattern": f"{prefix}*"} for prefix in remote.prefixes]})

    def _paused(self, event: dict[str, Any]) -> None:
        # The page, and its requests with it, may be closed before the answer arrives.
        with suppress(Error):
            if event["request"]["url"].startswith(self._base_url):
                self._cdp.send("Fetch.continueRequest", {"requestId": event["requestId"]})
            else:
                self._answer(event)

    def _answer(self, event: dict[str, Any]) -> None:
        request = event["request"]
        url, method = str(request["url"]), str(request["method"])
        if method == "OPTIONS":
            self._fulfil(event, HTTPStatus.NO_CONTENT, {}, b"")
            return
        headers = {name.lower(): str(value) for name, value in request["headers"].items()}
        kind = str(event["resourceType"]).lower()
        if kind == "media":
            # ffmpeg reads media files; the browser's players get none.
            self._cdp.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "Aborted"})
            return
        try:
            with self._reporter.waiting_for(url):
                response, body = self._ask(url, method, headers)
            if response.status >= HTTPStatus.BAD_REQUEST and kind not in _DATA:
                raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} answered {response.status}", hint=_ELSEWHERE)
        except (RenderError, OSError) as error:
            # The event with the initiator of the request may arrive after the pause.
            self._page.wait_for_timeout(_POLL_MS)
            self._reporter.remote_fault(url, kind, error if isinstance(error, RenderError) else _not_kept(url, error))
            self._cdp.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "AddressUnreachable"})
            return
        status, added, content = _slice(response.status, body, headers.get("range"))
        self._fulfil(event, status, {**response.headers, **added}, content)

    def _ask(self, url: str, method: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        if method != "GET":
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"the page requests {url} with {method}; only GET can be recorded and replayed",
                hint="A render must not change anything on other hosts: fetch the data first, and put it into the project or a variable.",
            )
        if "text/event-stream" in headers.get("accept", ""):
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} is an event stream, which has no end to record", hint=_NO_STREAM)
        future: Future[tuple[RemoteResponse, Path | None]] = Future()

        def ask() -> None:
            with self._room:
                try:
                    future.set_result(self._remote.answer(url, headers))
                except (RenderError, OSError) as error:
                    future.set_exception(error)

        # A daemon, never joined: a page that fails must not wait for a slow host.
        thread = threading.Thread(target=ask, name="remote-file", daemon=True)
        thread.start()
        pause = _POLL_MS
        while thread.is_alive():
            self._page.wait_for_timeout(pause)
            pause = min(2 * pause, _SLOWEST_POLL_MS)
        return future.result(timeout=0)

    def _fulfil(self, event: dict[str, Any], status: int, headers: Mapping[str, str], content: bytes) -> None:
        origin = next((value for name, value in event["request"]["headers"].items() if name.lower() == "origin"), None)
        wanted = next((v for n, v in event["request"]["headers"].items() if n.lower() == "access-control-request-headers"), "*")
        # Allow cross-origin reads: the answer is one of the author's own files now, and the origin differs on every server.
        access = {
            "access-control-allow-origin": origin or "*",
            "access-control-allow-headers": wanted,
            "access-control-expose-headers": "*",
            "timing-allow-origin": "*",
        }
        if origin:
            access["access-control-allow-credentials"] = "true"
        self._cdp.send(
            "Fetch.fulfillRequest",
            {
                "requestId": event["requestId"],
                "responseCode": int(status),
                "responseHeaders": [{"name": name, "value": value} for name, value in {**headers, **access}.items()],
                "body": base64.b64encode(content).decode(),
            },
        )


def _not_kept(url: str, error: OSError) -> RenderError:
    code = ErrorCode.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ErrorCode.ASSET_FETCH_FAILED
    return RenderError(code, f"{url} cannot be stored: {error.strerror or error}", hint="Free space in the scratch folder.")


_ELSEWHERE = "Check the URL, or copy the file into the project and refer to it by its path."
_NO_STREAM = "Fetch the data before the render, and put it into the project or a variable."


def _slice(status: int, body: Path | None, wanted: str | None) -> tuple[int, dict[str, str], bytes]:
    """Return status, extra headers and bytes of the answer: the whole body, or the range that a script requests."""
    if body is None:
        return status, {}, b""
    span = _RANGE.fullmatch(wanted or "")
    if span is None or status != HTTPStatus.OK:
        return status, {}, body.read_bytes()
    size = body.stat().st_size
    first = int(span[1])
    last = min(int(span[2] or size - 1), size - 1)
    if first > last:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"content-range": f"bytes */{size}"}, b""
    with body.open("rb") as file:
        file.seek(first)
        content = file.read(last - first + 1)
    return HTTPStatus.PARTIAL_CONTENT, {"content-range": f"bytes {first}-{last}/{size}", "accept-ranges": "bytes"}, content
