"""Media of a composition: find and probe the files of its elements, and list the clips that show their pictures.

Only Plan looks into the files; `drawing.planned_media` repeats its findings in a chunk. `audio_inventory` covers sound.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from hyperframes_lambda.browser.media_elements import MediaElement, MediaFacts, MediaReference
from hyperframes_lambda.composition import ServedFile
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import MediaSource, SpeedPoint, VideoClip
from hyperframes_lambda.contract.plan import PlanFile, blob_path
from hyperframes_lambda.drawing.planned_media import data_key, facts, local_key
from hyperframes_lambda.machine.plan_folder import write_blobs
from hyperframes_lambda.media.audio_automation import speed_points
from hyperframes_lambda.media.probe import probe
from hyperframes_lambda.media.time_map import TimeMap
from hyperframes_lambda.remote import Recorder


@dataclass(frozen=True)
class FoundMedia:
    """A media element with its probed file and its window. Elements with pictures become clips, those with sound tracks."""

    element: MediaElement
    file: str
    """Key of `Manifest.files`."""
    source: MediaSource
    start: float
    end: float
    """Seconds of the composition, `start < end`."""
    media_start: float
    """Source time at `start`."""
    speed: list[SpeedPoint] = field(default_factory=list)
    """See `MediaWindow`."""

    @property
    def file_end(self) -> float:
        """End of the file at this speed, in seconds of the composition."""
        return self.start + TimeMap(self.element.rate, self.speed).elapsed(self.source.duration - self.media_start)


class MediaSearch:
    """Finds and probes the files of the page's elements: in the project, on the network, or in the page itself."""

    def __init__(self, ffmpeg: Path, base_url: str, files: Mapping[str, tuple[Path, str]], remote: Recorder, plan_dir: Path) -> None:
        self.sources: dict[str, MediaSource] = {}
        """Probed files, by key of `Manifest.files`."""
        self.carried: dict[str, PlanFile] = {}
        """Files found in data: URLs; their blobs are in the plan's folder."""
        self._ffmpeg = ffmpeg
        self._base_url = base_url
        self._files = files
        self._remote = remote
        self._plan_dir = plan_dir
        self._keys: dict[str, str] = {}

    def look_up(self, wanted: MediaReference) -> MediaFacts:
        """Return the facts about an element's file.

        Raise `ASSET_UNAVAILABLE` for a missing file and the errors of fetching and probing, naming element and file.
        """
        key = self._key(wanted)
        self._keys[wanted.url] = key
        if key not in self.sources:
            self.sources[key] = probe(self._ffmpeg, self.file(key), f"{wanted.name}: {key}")
        return facts(self.sources[key])

    def file(self, key: str) -> Path:
        """Return the local copy of a key of `Manifest.files`."""
        if key in self._files:
            return self._files[key][0]
        if key in self.carried:
            return self._plan_dir / blob_path(self.carried[key].sha256)
        body = self._remote.files()[key].path
        if body is None:
            raise ValueError(f"{key} was recorded without a body")
        return body

    def found(self, elements: Sequence[MediaElement], seconds: float) -> list[FoundMedia]:
        """Return the elements that play within the composition's `seconds`, with their files."""
        media = []
        for element in elements:
            key = self._keys[element.src]
            found = _found(element, key, self.sources[key])
            end = element.ends(found.file_end, seconds)
            if element.start < end:
                media.append(replace(found, end=end))
        return media

    def _key(self, wanted: MediaReference) -> str:
        url = wanted.url
        scheme = urlsplit(url).scheme
        if url.startswith(self._base_url):
            key = local_key(url)
            if key not in self._files:
                raise RenderError(
                    ErrorCode.ASSET_UNAVAILABLE,
                    f"the project has no {key} (wanted by {wanted.name})",
                    hint=f"Add the file to the project, or correct the path in {wanted.page}.",
                )
            return key
        if scheme in ("http", "https"):
            return self._remote.fetch_media(url, wanted.name)
        if scheme == "data":
            return self._carry(url, wanted)
        raise RenderError(
            ErrorCode.COMPOSITION_UNSUPPORTED,
            f"{wanted.name} plays {url[:80]}, which is not a file that ffmpeg can read",
            hint="Put the video or sound into the project and refer to it by its path.",
        )

    def _carry(self, url: str, wanted: MediaReference) -> str:
        key = data_key(url)
        try:
            file = _data_file(url)
        except ValueError as error:
            message = f"the data: URL of {wanted.name} cannot be decoded: {error}"
            raise RenderError(ErrorCode.NOT_MEDIA_PAYLOAD, message, hint="Put the file into the project instead.") from error
        self.carried |= write_blobs(self._plan_dir, {key: file})
        return key


def video_clips(found: Sequence[FoundMedia]) -> list[VideoClip]:
    """Return the clips of the `<video>` elements that show pictures."""
    return [
        VideoClip(
            index=media.element.index,
            element=media.element.name,
            file=media.file,
            start=media.start,
            end=media.end,
            media_start=media.media_start,
            rate=media.element.rate,
            speed=media.speed,
            loop=media.element.loop,
        )
        for media in found
        if media.element.tag == "video" and media.source.video is not None and not media.element.hidden
    ]


def require_settled(strays: Sequence[MediaReference]) -> None:
    """Raise `COMPOSITION_UNSUPPORTED` for a source that a script added after the page was ready: it has no planned clip."""
    if strays:
        first = strays[0]
        raise RenderError(
            ErrorCode.COMPOSITION_UNSUPPORTED,
            f"a script created {first.name}, or gave it another source ({first.url[:200]}), while the composition was playing",
            hint="Put every <video> and <audio> into the page from the start, one for each file, with data-start and data-duration.",
        )


def _found(element: MediaElement, key: str, source: MediaSource) -> FoundMedia:
    """Return `element` with its speed, and without the end of its window."""
    speed = [] if element.hidden else speed_points(element.sound.automation, element=element.name)
    before = TimeMap(element.rate, speed).source(Fraction(element.head))
    speed = [point.model_copy(update={"time": point.time - element.head}) for point in speed]
    return FoundMedia(element, key, source, element.start, element.start, element.media_start + float(before), speed)


def _data_file(url: str) -> ServedFile:
    head, _, body = url.removeprefix("data:").partition(",")
    kind, *parameters = head.split(";")
    raw = unquote_to_bytes(body)
    return ServedFile(kind or "application/octet-stream", content=b64decode(raw) if "base64" in parameters else raw)
