"""The source-video pictures of a stretch of output frames, made on demand.

Pictures are kept in memory by URL path while an output frame shows them. `source_stream` reads a source; `source_index` has the arithmetic.
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
"""Longest gap between two wanted frames, in seconds of the source, that ffmpeg reads through; beyond it ffmpeg restarts at a keyframe."""


class Picture(NamedTuple):
    """The picture of a `<video>`: the element's number, the URL path, and the moment of the source in seconds."""

    element: int
    path: str
    time: float


class SourceFrames:
    """The pictures of `clips` for the output frames `frames`, in that order. Close after use.

    `sources` has the manifest's media by key, and `file` returns their local copies. `at` keeps the current pictures in `pictures`, which
    the loopback server serves.
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
        """Return the pictures of output frame `frame`, ready to be served, and drop those of the previous frame.

        Raise `MEDIA_UNREADABLE`, naming element and file, when one cannot be decoded.
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
        """End every ffmpeg process."""
        for clip in self._clips:
            clip.close()

    def __enter__(self) -> Self:
        """Return the frames."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the frames."""
        self.close()


class _ClipFrames:
    """A clip over the stretch of frames, and the ffmpeg process that reads its source."""

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
        """Return the clip's sampled frame in output frame `frame` and its PNG; twice None when the clip shows nothing."""
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
        """End the clip's ffmpeg process."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _runs(indices: Sequence[int], gap: int) -> Iterator[list[int]]:
    """Yield `indices` without repetitions, cut where they go back or jump by more than `gap`."""
    run: list[int] = []
    for index in indices:
        if run and not run[-1] <= index <= run[-1] + gap:
            yield run
            run = []
        if not run or index > run[-1]:
            run.append(index)
    if run:
        yield run
