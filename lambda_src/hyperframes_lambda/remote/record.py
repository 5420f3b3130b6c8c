"""Recording: answer each remote request of a page being planned once, and keep the answer for the chunks."""

from __future__ import annotations

import hashlib
import mimetypes
import tempfile
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

from hyperframes_lambda.composition import ServedFile
from hyperframes_lambda.composition.files import content_type
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import RemoteResponse
from hyperframes_lambda.contract.toolset import Npm
from hyperframes_lambda.remote import cdn, google_fonts
from hyperframes_lambda.remote.fetch import COPY_IT, Fetched, Fetcher, HostUnreachable
from hyperframes_lambda.remote.packages import Package, Registry

REMOTE_PATHS = "__hyperframes/remote/"
"""Prefix of the recorded bodies among `Manifest.files`."""

_KEPT_HEADERS = ("content-type", "location", "x-content-type-options", "x-frame-options")
_SENT_HEADERS = ("accept", "accept-language", "user-agent")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 10
_REPLACEABLE_SECONDS = 2.0
"""Longest time to reach a host whose files the registry also has; the registry has a limit of its own."""
_TEXT = frozenset({"text/html", "application/xhtml+xml", "text/plain", "application/json", "text/css", "text/javascript"})


@dataclass(frozen=True)
class _Recorded:
    response: RemoteResponse
    body: Path | None


class Recorder:
    """Answers the remote requests of one plan. Bodies lie in a temporary folder until the recorder is closed."""

    prefixes: Sequence[str] = ("http://", "https://")
    """URL prefixes to intercept: all, because Plan does not know yet what a page requests."""

    def __init__(self, scratch: Path | None = None, *, allowed_hosts: Collection[str] = (), npm: Npm | None = None) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="hyperframes-remote-", dir=scratch, ignore_cleanup_errors=True)
        folder = Path(self._home.name)
        self._bodies = folder / "bodies"
        self._bodies.mkdir()
        self._fetcher = Fetcher(self._bodies, allowed_hosts=allowed_hosts)
        self._registry = Registry(npm, folder / "packages") if npm is not None else None
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._outcomes: dict[str, _Recorded | RenderError] = {}
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        """Return the recorder."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the bodies."""
        if self._registry is not None:
            self._registry.close()
        self._home.cleanup()

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        """Return the answer of `url` and its body. Each address is requested once; a status below 500 is an answer.

        Raise `ASSET_UNAVAILABLE`, `ASSET_FETCH_FAILED` or `FONT_UNAVAILABLE`, each time the same for the same address.
        """
        self._asked.add(url)
        return self._answer(url, headers)

    def _answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        with self._lock:
            turn = self._turns.setdefault(url, threading.Lock())
        with turn:
            outcome = self._outcomes.get(url)
            if outcome is None:
                try:
                    outcome = self._obtain(url, headers)
                except RenderError as error:
                    outcome = error
                self._outcomes[url] = outcome
        if isinstance(outcome, RenderError):
            raise outcome
        return outcome.response, outcome.body

    def fetch_media(self, url: str, element: str) -> str:
        """Fetch the source of a media element, following redirects, and return its key among `files`.

        `element` is its name in messages. Raise the errors of `answer`, `ASSET_UNAVAILABLE` for a status from 400, and `NOT_MEDIA_PAYLOAD`
        for a page or text.
        """
        hop = url
        for _ in range(_MOST_HOPS + 1):
            try:
                response, body = self._answer(hop, {})
            except RenderError as error:
                raise RenderError(error.code, f"{error.message} (wanted by {element})", hint=error.hint) from error
            if response.status in _REDIRECTS and "location" in response.headers:
                hop = urljoin(hop, response.headers["location"])
                continue
            if response.status >= 400 or body is None:
                message = f"{hop} answered {response.status} (wanted by {element})"
                raise RenderError(ErrorCode.ASSET_UNAVAILABLE, message, hint=COPY_IT)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind in _TEXT:
                raise RenderError(
                    ErrorCode.NOT_MEDIA_PAYLOAD,
                    f"{hop} is {kind}, not a video or sound (wanted by {element})",
                    hint="Use the address of the media file itself, not of a page that shows it.",
                )
            return str(response.file)
        raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} redirects more than {_MOST_HOPS} times (wanted by {element})")

    def responses(self) -> dict[str, RemoteResponse]:
        """Return the answers by address, for `Manifest.remote`."""
        return {url: recorded.response for url, recorded in sorted(self._recorded().items())}

    def files(self) -> dict[str, ServedFile]:
        """Return the bodies by their keys in `Manifest.files`."""
        found = {}
        for recorded in self._recorded().values():
            if recorded.response.file is not None:
                kind = recorded.response.headers.get("content-type", "application/octet-stream")
                found[recorded.response.file] = ServedFile(kind, path=recorded.body)
        return dict(sorted(found.items()))

    def asked(self) -> set[str]:
        """Return the keys of `files` that the page requested, as opposed to sources of media elements."""
        return {recorded.response.file for url, recorded in self._recorded().items() if url in self._asked and recorded.response.file}

    def _recorded(self) -> dict[str, _Recorded]:
        return {url: outcome for url, outcome in list(self._outcomes.items()) if isinstance(outcome, _Recorded)}

    def _obtain(self, url: str, headers: Mapping[str, str]) -> _Recorded:
        file = google_fonts.font_file(url)
        if file is not None and self._registry is not None:
            try:
                return self._packaged(self._registry.package(file.name, file.version), file.path)
            except RenderError as error:
                raise RenderError(error.code, f"{url}: {error.message}", hint=error.hint) from error
        sent = {name: value for name, value in headers.items() if name.lower() in _SENT_HEADERS}
        replaceable = self._registry is not None and (cdn.package_file(url) is not None or google_fonts.sheet_of(url) is not None)
        try:
            return self._fetched(url, self._fetcher.get(url, sent, reach_seconds=_REPLACEABLE_SECONDS if replaceable else None))
        except RenderError as error:
            # The registry replaces only a missing answer, never an unwelcome one.
            if not isinstance(error, HostUnreachable) and error.code is not ErrorCode.ASSET_FETCH_FAILED:
                raise
            return self._elsewhere(url, error)

    def _fetched(self, url: str, fetched: Fetched) -> _Recorded:
        kept = {name: fetched.headers[name] for name in _KEPT_HEADERS if name in fetched.headers}
        if fetched.status in _REDIRECTS and "location" in kept:
            kept["location"] = urljoin(url, kept["location"])
            return _Recorded(RemoteResponse(status=fetched.status, headers=kept), None)
        kept.pop("location", None)
        kept.setdefault("content-type", content_type(urlsplit(url).path))
        return self._kept(fetched.status, kept, fetched.path, fetched.sha256, urlsplit(url).path)

    def _elsewhere(self, url: str, error: RenderError) -> _Recorded:
        """Return the same file from the package registry; raise `error` when the registry is missing or lacks it."""
        own = cdn.own_work(url)
        if own is not None:
            raise RenderError(error.code, f"{error.message}; {own}", hint=cdn.MODULE_HINT) from error
        file, sheet = cdn.package_file(url), google_fonts.sheet_of(url)
        if self._registry is None or (file is None and sheet is None):
            raise error
        try:
            if file is not None:
                return self._package_file(url, file, self._registry)
            css = google_fonts.write_sheet(sheet, self._registry) if sheet is not None else ""
            return self._written(css.encode(), "text/css; charset=utf-8", ".css")
        except RenderError as other:
            raise RenderError(other.code, f"{error.message}; {other.message}", hint=other.hint or error.hint) from other

    def _package_file(self, url: str, file: cdn.PackageFile, registry: Registry) -> _Recorded:
        package = registry.package(file.name, file.version)
        path = cdn.find(file, package)
        if path is None:
            what = f"no {file.path}" if file.path else "no entry file for browsers"
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{package.spec} has {what}", hint="Check the version and the path in the URL.")
        if file.entry is cdn.Entry.UNPKG and (file.version, file.path) != (package.version, path):
            # unpkg redirects to the exact address, and the file's own imports are resolved against that.
            location = f"https://{urlsplit(url).hostname}/{package.spec}/{quote(path)}"
            return _Recorded(RemoteResponse(status=302, headers={"location": location}), None)
        return self._packaged(package, path)

    def _packaged(self, package: Package, path: str) -> _Recorded:
        if path not in package:
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{package.spec} has no {path}")
        return self._written(package.read(path), content_type(path), PurePosixPath(path).suffix)

    def _written(self, content: bytes, kind: str, suffix: str) -> _Recorded:
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._bodies / sha256
        part = path.with_name(f"{threading.get_ident()}.written")
        part.write_bytes(content)
        part.replace(path)
        return self._kept(200, {"content-type": kind}, path, sha256, f"x{suffix}")

    def _kept(self, status: int, headers: dict[str, str], body: Path, sha256: str, named: str) -> _Recorded:
        key = f"{REMOTE_PATHS}{sha256}{_suffix(named, headers['content-type'])}"
        return _Recorded(RemoteResponse(status=status, headers=headers, file=key), body)


def _suffix(path: str, kind: str) -> str:
    """Return the ending of a body's file name, for people who read a plan and programs that rely on endings."""
    suffix = PurePosixPath(path).suffix.lower()
    if 1 < len(suffix) <= 8 and suffix[1:].isalnum():
        return suffix
    return mimetypes.guess_extension(kind.partition(";")[0].strip()) or ""
