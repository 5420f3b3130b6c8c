"""The source-video frames of a stretch of output frames: which clip shows which picture, made when it is asked for.

Pictures live in memory and by URL path, for as long as the output frame that shows them. How one source is read is `source_stream`'s
business, and the arithmetic `source_index`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from hyperframes_lambda.contract.media import MediaSource, VideoClip
from hyperframes_lambda.media.source_index import Sampled, sampled_from, shown
from hyperframes_lambda.media.source_stream import SampledSource, SourceStream

FRAMES_PATH = "__hyperframes/frames/"

_WORTH_READING_ON = 1
"""Seconds of source between two wanted frames up to which ffmpeg reads on; over more than that it is started anew, at a key frame."""


class Picture(NamedTuple):
    """What one `<video>` shows: the element's number, where the picture is served, and the moment of the source in seconds."""

    element: int
    path: str
    time: float


class SourceFrames:
    """Pictures of `clips` for the output frames `frames`, in that order; to be closed.

    `sources` are by key of the manifest's files, and `file` knows where these are. `pictures` is what the loopback server serves; `at`
    fills it.
    """

    def __init__(
        self,
        ffmpeg: Path,
        clips: Sequence[VideoClip],
        sources: Mapping[str, MediaSource],
        file: Callable[[str], Path],
        *,
        frames: Sequence[int],
        fps: Fraction,
        pictures: dict[str, bytes],
    ) -> None:
        self._pictures = pictures
        self._clips = [_ClipFrames(ffmpeg, clip, sources[clip.file], file(clip.file), frames, fps) for clip in clips]

    def at(self, frame: int) -> list[Picture]:
        """The pictures of output frame `frame`, ready to be served; those of the frame before are gone unless they are the same.

        Raises `MEDIA_UNREADABLE` naming element and file when one cannot be decoded.
        """
        shown_now = []
        served: dict[str, bytes] = {}
        for clip in self._clips:
            sampled, png = clip.at(frame)
            if sampled is None or png is None:
                continue
            path = f"{FRAMES_PATH}{clip.element}/{sampled.index}.png"
            served[path] = png
            shown_now.append(Picture(clip.element, path, sampled.time))
        for path in self._pictures.keys() - served.keys():
            del self._pictures[path]
        self._pictures.update(served)
        return shown_now

    def close(self) -> None:
        """End every ffmpeg."""
        for clip in self._clips:
            clip.close()

    def __enter__(self) -> Self:
        """The frames themselves."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()


class _ClipFrames:
    """One clip over the stretch, and the ffmpeg that is reading its source."""

    def __init__(self, ffmpeg: Path, clip: VideoClip, source: MediaSource, file: Path, frames: Sequence[int], fps: Fraction) -> None:
        if source.video is None:
            raise ValueError(f"{clip.element} has no picture")
        self.element = clip.index
        self._ffmpeg = ffmpeg
        self._source = SampledSource(file, source.video, sampled_from(clip, source.video), fps, f"{clip.element}: {clip.file!r}")
        self._shown = {frame: found for frame in frames if (found := shown(clip, source, frame, fps))}
        self._runs = list(_runs([found.index for found in self._shown.values()], math.ceil(fps * _WORTH_READING_ON)))
        self._stream: SourceStream | None = None
        self._left: list[int] = []

    def at(self, frame: int) -> tuple[Sampled | None, bytes | None]:
        """What it shows in `frame`, with its PNG; twice None when that is nothing."""
        found = self._shown.get(frame)
        if found is None:
            self.close()
            return None, None
        if self._stream is None or found.index not in self._left:
            self.close()
            run = next(run for run in self._runs if found.index in run)
            self._left = run[run.index(found.index) :]
            self._stream = SourceStream(self._ffmpeg, self._source, self._left)
        self._left = self._left[self._left.index(found.index) :]
        return found, self._stream.frame(found.index)

    def close(self) -> None:
        """End its ffmpeg."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _runs(indices: Sequence[int], gap: int) -> Iterator[list[int]]:
    """`indices`, none twice in a row, cut where they go back or jump by more than `gap`."""
    run: list[int] = []
    for index in indices:
        if run and not run[-1] <= index <= run[-1] + gap:
            yield run
            run = []
        if not run or index > run[-1]:
            run.append(index)
    if run:
        yield run
