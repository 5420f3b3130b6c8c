"""Media of a planned composition: the facts that Plan found in the files, and the pictures of source videos."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from hyperframes_lambda.browser.media_elements import MediaFacts, MediaReference
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import MediaSource, RemoteResponse
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.source_frames import SourceFrames

_DATA_PATHS = "__hyperframes/media/"
"""Prefix among `Manifest.files` of files that a page carries in data: URLs."""


class PlannedMedia:
    """Answers a chunk's page from the facts that Plan found in the files."""

    def __init__(self, manifest: Manifest, base_url: str) -> None:
        self._manifest = manifest
        self._base_url = base_url

    def look_up(self, wanted: MediaReference) -> MediaFacts:
        """Return the facts that Plan found in a file; `ASSET_UNAVAILABLE` for one that no element used then."""
        source = self._manifest.sources.get(self._key(wanted.url) or "")
        if source is None:
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"{wanted.name} plays {wanted.url[:200]}, but did not when the render was planned",
                hint="A script must choose the same file every time the page is opened.",
            )
        return facts(source)

    def _key(self, url: str) -> str | None:
        if url.startswith(self._base_url):
            return local_key(url)
        return data_key(url) if urlsplit(url).scheme == "data" else _redirected(url, self._manifest.remote)


def planned_frames(
    ffmpeg: Path, manifest: Manifest, files: Mapping[str, tuple[Path, str]], frames: Sequence[int], pictures: dict[str, bytes]
) -> SourceFrames:
    """Return the pictures of the plan's source videos for `frames`, which fill the server's `pictures`; `files` are the plan's."""

    def file(key: str) -> Path:
        return files[key][0]

    return SourceFrames(ffmpeg, manifest.clips, manifest.sources, file, frames=frames, fps=manifest.fps, pictures=pictures)


def facts(source: MediaSource) -> MediaFacts:
    """Return the facts that a page needs about a source."""
    video = source.video
    return MediaFacts(source.duration, video.width if video else 0, video.height if video else 0)


def local_key(url: str) -> str:
    """Return the key of `Manifest.files` for a URL of the loopback server."""
    return unquote(urlsplit(url).path).removeprefix("/")


def data_key(url: str) -> str:
    """Return the key of `Manifest.files` for the content of a data: URL."""
    return f"{_DATA_PATHS}{hashlib.sha256(url.encode()).hexdigest()}"


def _redirected(url: str, responses: Mapping[str, RemoteResponse]) -> str | None:
    seen: set[str] = set()
    while url in responses and url not in seen:
        seen.add(url)
        response = responses[url]
        if response.file is not None:
            return response.file
        url = urljoin(url, response.headers.get("location", url))
    return None
