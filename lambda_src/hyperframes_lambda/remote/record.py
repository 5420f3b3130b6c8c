"""Recording: every remote request of a page that is being planned is answered here, once, and kept for the chunks."""

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
"""To reach a host whose files can be had elsewhere; the registry gets its own seconds after that."""
_TEXT = frozenset({"text/html", "application/xhtml+xml", "text/plain", "application/json", "text/css", "text/javascript"})


@dataclass(frozen=True)
class _Recorded:
    response: RemoteResponse
    body: Path | None


class Recorder:
    """Answers the remote requests of one plan; bodies lie below a folder of its own until it is closed."""

    prefixes: Sequence[str] = ("http://", "https://")
    """Plan does not know yet what a page will ask for."""

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
        """The recorder itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the bodies."""
        if self._registry is not None:
            self._registry.close()
        self._home.cleanup()

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        """What `url` answers, and its body; asked for once, however often it is wanted. Statuses below 500 are answers.

        Raises `ASSET_UNAVAILABLE`, `ASSET_FETCH_FAILED` or `FONT_UNAVAILABLE`, the same again for the same address.
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
        """Fetch the source of a media element, redirects followed; the key under which `files` has it.

        `element` is how the message calls it. Raises what `answer` raises, `ASSET_UNAVAILABLE` for a status from 400, and
        `NOT_MEDIA_PAYLOAD` for a page or text.
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
                raise unavailable(hop, response.status, f" (wanted by {element})")
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind in _TEXT:
                raise RenderError(
                    ErrorCode.NOT_MEDIA_PAYLOAD,
                    f"{hop} is {kind}, not a video or sound (wanted by {element})",
                    hint="Name the media file itself, not a page that shows it.",
                )
            return str(response.file)
        raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} redirects more than {_MOST_HOPS} times (wanted by {element})")

    def responses(self) -> dict[str, RemoteResponse]:
        """What was answered, by address: `Manifest.remote`."""
        return {url: recorded.response for url, recorded in sorted(self._recorded().items())}

    def files(self) -> dict[str, ServedFile]:
        """The bodies, by their keys of `Manifest.files`."""
        found = {}
        for recorded in self._recorded().values():
            if recorded.response.file is not None:
                kind = recorded.response.headers.get("content-type", "application/octet-stream")
                found[recorded.response.file] = ServedFile(kind, path=recorded.body)
        return dict(sorted(found.items()))

    def asked(self) -> set[str]:
        """Keys of `files` that were asked for by `answer`, and not only as the source of a media element."""
        return {recorded.response.file for url, recorded in self._recorded().items() if url in self._asked and recorded.response.file}

    def _recorded(self) -> dict[str, _Recorded]:
        return {url: outcome for url, outcome in list(self._outcomes.items()) if isinstance(outcome, _Recorded)}

    def _obtain(self, url: str, headers: Mapping[str, str]) -> _Recorded:
        file = google_fonts.font_file(url)
        if file is not None and self._registry is not None:
            try:
                return self._packaged(self._registry.package(file.package, file.version), file.path)
            except RenderError as error:
                raise RenderError(error.code, f"{url}: {error.message}", hint=error.hint) from error
        sent = {name: value for name, value in headers.items() if name.lower() in _SENT_HEADERS}
        replaceable = self._registry is not None and (cdn.package_file(url) is not None or google_fonts.sheet_of(url) is not None)
        try:
            return self._fetched(url, self._fetcher.get(url, sent, reach_seconds=_REPLACEABLE_SECONDS if replaceable else None))
        except RenderError as error:
            # An answer is an answer; only where there is none does the file come from elsewhere.
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
        """The same file from the package registry; `error` where there is no such file, or no registry."""
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
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{package.spec} has {what}", hint="Check version and path in the URL.")
        if file.entry is cdn.Entry.UNPKG and (file.version, file.path) != (package.version, path):
            # unpkg sends the browser to the exact address, against which the file's own imports are resolved.
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


def unavailable(url: str, status: int, wanted: str) -> RenderError:
    """`ASSET_UNAVAILABLE` for a remote file that was refused with `status`; `wanted` says by whom, in brackets."""
    return RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} answered {status}{wanted}", hint=COPY_IT)


def _suffix(path: str, kind: str) -> str:
    """A file name's ending, for people who look at a plan and programs that go by it."""
    suffix = PurePosixPath(path).suffix.lower()
    if 1 < len(suffix) <= 8 and suffix[1:].isalnum():
        return suffix
    return mimetypes.guess_extension(kind.partition(";")[0].strip()) or ""
