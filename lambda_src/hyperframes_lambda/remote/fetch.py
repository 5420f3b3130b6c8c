"""Guarded requests: public hosts only, at the vetted address, within limits of time, size and number.

Redirects are not followed here: the caller requests each hop, which is vetted like any other address.
"""

from __future__ import annotations

import errno
import hashlib
import os
import ssl
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, ReadTimeoutError, SSLError
from urllib3.response import BaseHTTPResponse

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.remote.addresses import is_allowed, refusal, resolve

REACH_SECONDS = 3.0
"""Longest time to resolve a host and to connect to it; a slower host counts as unreachable."""
ANSWER_SECONDS = 4.0
"""Longest wait for the first byte of an answer and between two of its pieces, in each of two attempts."""
BODY_SECONDS = 120.0
"""Longest time for a whole body."""
LARGEST_BODY = 512 << 20
LARGEST_TOTAL = 2 << 30
"""Bytes of one file, and of all remote files of a render."""
MOST_REQUESTS = 2000

_ATTEMPTS = 2
_PAUSE_SECONDS = 0.3
_CONNECTIONS = 8
"""Connections kept open to a host."""
_BLOCK = 1 << 18
_PASSING = frozenset({408, 425, 429})
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": urllib3.make_headers(accept_encoding=True)["accept-encoding"],
    # Some hosts reject clients that identify as a library.
    "User-Agent": "Mozilla/5.0 (compatible; HyperFrames)",
}


class HostUnreachable(RenderError):
    """The host cannot be found or connected to, which says nothing about the file."""


@dataclass(frozen=True)
class Fetched:
    """An answer. `headers` have lower-case names, `path` holds the decoded body, and `sha256` is its digest."""

    status: int
    headers: Mapping[str, str]
    path: Path
    sha256: str
    size: int


class Fetcher:
    """Fetches for one plan and remembers unreachable hosts. Safe to use from several threads."""

    def __init__(self, folder: Path, *, allowed_hosts: Collection[str] = (), environ: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._allowed = tuple(allowed_hosts)
        self._environ = environ
        self._lock = threading.Lock()
        self._requests = 0
        self._bytes = 0
        self._reached_any = False
        self._unreachable: dict[tuple[str, int], str] = {}
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._proxies: dict[str, urllib3.ProxyManager] = {}

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, reach_seconds: float | None = None) -> Fetched:
        """Return the answer to a GET of `url` with `headers`, for any status below 500.

        `reach_seconds` limits resolving and connecting (default: `REACH_SECONDS`).

        Raise `HostUnreachable` (ASSET_UNAVAILABLE, or ASSET_FETCH_FAILED when other hosts have answered), `ASSET_UNAVAILABLE` for a
        refused address or a crossed limit, and `ASSET_FETCH_FAILED` for a time-out, a broken connection or a status from 500 after a retry.
        """
        with self._lock:
            self._requests += 1
            if self._requests > MOST_REQUESTS:
                raise _refused(url, f"exceeds the {MOST_REQUESTS} remote requests that a render may make")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _refused(url, "is neither http nor https")
        reach = REACH_SECONDS if reach_seconds is None else reach_seconds
        pool, target = self._route(url, parts, reach)
        sent = urllib3.HTTPHeaderDict(_HEADERS)
        sent.update(headers or {})
        sent["Host"] = parts.netloc.rpartition("@")[2]
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._attempt(url, pool, target, sent, reach)
            except (HTTPError, OSError) as error:
                fault = self._fault(url, parts, error)
                if isinstance(fault, HostUnreachable) or fault.code is not ErrorCode.ASSET_FETCH_FAILED or attempt == _ATTEMPTS:
                    raise fault from error
            except RenderError as error:
                if error.code is not ErrorCode.ASSET_FETCH_FAILED or attempt == _ATTEMPTS:
                    raise
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    def _route(self, url: str, parts: SplitResult, reach: float) -> tuple[urllib3.HTTPConnectionPool | urllib3.ProxyManager, str]:
        """Return the connection pool or proxy for a request, and the request's target there."""
        host = str(parts.hostname)
        port = _port(url, parts)
        known = self._unreachable.get((host, port))
        if known is not None:
            raise self._host_unreachable(url, known)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = self._proxy(parts.scheme, host)
        if proxy:
            # The proxy resolves names, and its owner decides what it may reach; literal addresses are vetted here all the same.
            self._vet_literal(url, host, port)
            with self._lock:
                manager = self._proxies.get(proxy) or self._proxies.setdefault(proxy, self._proxy_manager(proxy))
            return manager, url.partition("#")[0]
        pool = self._pools.get((parts.scheme, host, port))
        return pool or self._open_pool(parts.scheme, host, port, self._vetted_address(url, host, port, reach)), target

    def _vetted_address(self, url: str, host: str, port: int, reach: float) -> str:
        """Return the address to connect to. The connection uses it directly, so a name that resolves differently later gains nothing."""
        try:
            addresses = resolve(host, port, reach)
        except TimeoutError as error:
            raise self._note_unreachable(url, host, port, str(error)) from error
        except OSError as error:
            raise self._note_unreachable(url, host, port, f"unknown host {host} ({error.strerror or error})") from error
        # Not every machine that resolves IPv6 addresses can use them.
        addresses.sort(key=lambda address: ":" in address)
        if is_allowed(host, port, self._allowed):
            return addresses[0]
        kinds = {address: refusal(address) for address in addresses}
        public = [address for address, kind in kinds.items() if kind is None]
        if not public:
            address, kind = next(iter(kinds.items()))
            raise _private(url, host, address, str(kind))
        return public[0]

    def _vet_literal(self, url: str, host: str, port: int) -> None:
        try:
            kind = "this machine" if host == "localhost" or host.endswith(".localhost") else refusal(host)
        except ValueError:
            return
        if kind is not None and not is_allowed(host, port, self._allowed):
            raise _private(url, host, host, kind)

    def _open_pool(self, scheme: str, host: str, port: int, address: str) -> urllib3.HTTPConnectionPool:
        if scheme == "https":
            pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                address,
                port,
                maxsize=_CONNECTIONS,
                ssl_context=self._ssl_context(),
                server_hostname=host,
                assert_hostname=host,
            )
        else:
            pool = urllib3.HTTPConnectionPool(address, port, maxsize=_CONNECTIONS)
        with self._lock:
            return self._pools.setdefault((scheme, host, port), pool)

    def _proxy(self, scheme: str, host: str) -> str | None:
        proxies = _proxies(self._environ)
        direct = [name.strip().lower().lstrip(".") for name in proxies.get("no", "").split(",")]
        if "*" in direct or any(name and (host == name or host.endswith(f".{name}")) for name in direct):
            return None
        return proxies.get(scheme) or proxies.get("all")

    def _proxy_manager(self, proxy: str) -> urllib3.ProxyManager:
        secret = urlsplit(proxy)
        headers = None
        if secret.username:
            headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(secret.username)}:{unquote(secret.password or '')}")
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=headers,
            ssl_context=self._ssl_context(),
        )

    def _ssl_context(self) -> ssl.SSLContext:
        """Trust the system's certificate authorities and those in `REQUESTS_CA_BUNDLE`."""
        context = ssl.create_default_context()
        bundle = self._environ.get("REQUESTS_CA_BUNDLE")
        if bundle:
            context.load_verify_locations(**{"capath" if Path(bundle).is_dir() else "cafile": bundle})
        return context

    def _attempt(
        self, url: str, pool: urllib3.HTTPConnectionPool | urllib3.ProxyManager, target: str, headers: Mapping[str, str], reach: float
    ) -> Fetched:
        timeout = urllib3.Timeout(connect=reach, read=ANSWER_SECONDS)
        response = pool.urlopen("GET", target, headers=headers, timeout=timeout, redirect=False, retries=False, preload_content=False)
        try:
            self._reached_any = True
            if response.status >= 500 or response.status in _PASSING:
                raise RenderError(ErrorCode.ASSET_FETCH_FAILED, f"{url} answered {response.status} {response.reason or ''}".rstrip())
            return self._store(url, response)
        finally:
            # Drops an unread rest; a connection read to its end has already returned to the pool.
            response.close()

    def _store(self, url: str, response: BaseHTTPResponse) -> Fetched:
        digest, size = hashlib.sha256(), 0
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{threading.get_ident()}.part"
        try:
            with part.open("wb") as file:
                for block in self._blocks(url, response):
                    size += len(block)
                    digest.update(block)
                    file.write(block)
            path = self._folder / digest.hexdigest()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Fetched(response.status, headers, path, digest.hexdigest(), size)

    def _blocks(self, url: str, response: BaseHTTPResponse) -> Iterator[bytes]:
        deadline = time.monotonic() + BODY_SECONDS
        size = 0
        for block in response.stream(_BLOCK, decode_content=True):
            size += len(block)
            with self._lock:
                self._bytes += len(block)
            if size > LARGEST_BODY:
                raise _refused(url, f"is larger than {LARGEST_BODY >> 20} MB, the limit for a remote file")
            if self._bytes > LARGEST_TOTAL:
                raise _refused(url, f"exceeds the {LARGEST_TOTAL >> 20} MB of remote files that a render may fetch")
            if time.monotonic() > deadline:
                raise RenderError(ErrorCode.ASSET_FETCH_FAILED, f"{url} was still incomplete after {BODY_SECONDS:g} s")
            yield block

    def _fault(self, url: str, parts: SplitResult, error: HTTPError | OSError) -> RenderError:
        """Return the typed error for a failed attempt."""
        host, port = str(parts.hostname), _port(url, parts)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return RenderError(ErrorCode.DISK_FULL, f"{url} cannot be stored: {error.strerror}")
        if isinstance(error, SSLError):
            return _refused(url, f"has no trusted certificate: {error}")
        if isinstance(error, ProxyError | ConnectTimeoutError | NewConnectionError):
            return self._note_unreachable(url, host, port, f"{host} cannot be connected to ({_cause(error)})")
        if isinstance(error, ReadTimeoutError):
            return RenderError(ErrorCode.ASSET_FETCH_FAILED, f"{url} timed out: no data for {ANSWER_SECONDS:g} s")
        return RenderError(ErrorCode.ASSET_FETCH_FAILED, f"{url} broke off: {_cause(error)}")

    def _note_unreachable(self, url: str, host: str, port: int, why: str) -> HostUnreachable:
        self._unreachable[(host, port)] = why
        return self._host_unreachable(url, why)

    def _host_unreachable(self, url: str, why: str) -> HostUnreachable:
        # If no host answers at all, the machine has no network, and a retry would fail too.
        passing = self._reached_any and not why.startswith("unknown host")
        code = ErrorCode.ASSET_FETCH_FAILED if passing else ErrorCode.ASSET_UNAVAILABLE
        return HostUnreachable(code, f"{url} cannot be fetched: {why}", hint=COPY_IT)


COPY_IT = "Check the URL and the network of the machine that plans the render, or copy the file into the project."


def _port(url: str, parts: SplitResult) -> int:
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise _refused(url, "has an invalid port") from error


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` by scheme; lower case takes precedence, as in curl."""
    found: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        lowered = name.lower()
        # In a CGI program, a request header can set HTTP_PROXY in capitals.
        if lowered.endswith("_proxy") and value and name != "HTTP_PROXY":
            found[lowered.removesuffix("_proxy")] = value
    return found


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error.__context__
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return str(error).rpartition(": ")[2] or type(error).__name__


def _refused(url: str, why: str) -> RenderError:
    return RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{url} {why}", hint="Copy the file into the project and refer to it by its path.")


def _private(url: str, host: str, address: str, kind: str) -> RenderError:
    shown = host if host == address else f"{host} ({address})"
    return RenderError(
        ErrorCode.ASSET_UNAVAILABLE,
        f"{url} is refused: {shown} is {kind}, and a composition may not access the network of the machine that renders it",
        hint=f'To allow the host, set config.allowedHosts = ["{host}"].',
    )
