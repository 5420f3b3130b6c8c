"""One run of ffmpeg over a source video, which reads sampled frames while the page draws earlier ones.

Nothing is written to disk. ffmpeg waits when it is two frames ahead.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import VideoStream
from hyperframes_lambda.media.probe import before_zero
from hyperframes_lambda.media.process import RunningFfmpeg, compile_command, pipe_of, running
from hyperframes_lambda.media.stored_png import stored_png
from hyperframes_lambda.media.time_map import exact

_AHEAD = 2
_BEFORE_SECONDS = Fraction(1, 4)
"""Margin by which reading begins early: a container's times may be off by the delay of reordered frames."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read WebM's second stream, which holds the transparency."""

_SCALING = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
_THREADS = 2


@dataclass(frozen=True)
class SampledSource:
    """A source sampled for a clip from `media_start` (source seconds) on, at `fps` frames a second."""

    file: Path
    video: VideoStream
    media_start: Fraction
    fps: Fraction
    name: str
    """Element and file, for messages."""

    @property
    def channels(self) -> int:
        """Bytes per pixel: RGB, or RGBA for a transparent source."""
        return 4 if self.video.alpha else 3


class SourceStream:
    """The sampled frames `wanted` (ascending) of a source as PNGs. Close after use."""

    def __init__(self, ffmpeg_path: Path, source: SampledSource, wanted: Sequence[int]) -> None:
        self._source = source
        self._wanted = wanted
        self._command = frames_command(ffmpeg_path, source, wanted[0])
        self._ready: queue.Queue[tuple[int, bytes] | Exception] = queue.Queue(maxsize=_AHEAD)
        self._closing = threading.Event()
        self._process: RunningFfmpeg | None = None
        self._current: tuple[int, bytes] | None = None
        self._thread = threading.Thread(target=self._read, name="source-video", daemon=True)
        self._thread.start()

    def frame(self, index: int) -> bytes:
        """Return the PNG of sampled frame `index`, which is in `wanted` and not before the last one; `MEDIA_UNREADABLE` if undecodable."""
        while self._current is None or self._current[0] < index:
            found = self._ready.get()
            if isinstance(found, Exception):
                raise found
            self._current = found
        return self._current[1]

    def close(self) -> None:
        """End ffmpeg and the thread."""
        self._closing.set()
        if self._process is not None:
            self._process.process.kill()
        # Makes room for the thread, which may be waiting for it.
        while not self._ready.empty():
            self._ready.get()
        self._thread.join()

    def _read(self) -> None:
        try:
            with running(self._command, purpose=f"reading {self._source.name}", listen=True) as process:
                self._process = process
                self._pass_on(pipe_of(process.process.stdout), process)
        except (RenderError, OSError, MemoryError) as error:
            # `frame` raises it again.
            if not self._closing.is_set():
                self._ready.put(error)

    def _pass_on(self, stdout: IO[bytes], process: RunningFfmpeg) -> None:
        video, channels = self._source.video, self._source.channels
        pixels = bytearray(video.width * video.height * channels)
        position = self._wanted[0]
        for index in self._wanted:
            while position <= index:
                if self._closing.is_set():
                    return
                if not _fill(stdout, pixels):
                    raise self._unreadable(process)
                position += 1
            self._ready.put((index, stored_png(pixels, video.width, video.height, channels)))

    def _unreadable(self, process: RunningFfmpeg) -> RenderError:
        said = "ffmpeg produced no picture"
        try:
            log = process.wait()
            said = log[-1] if log else said
        except RenderError as error:
            said = error.message
        return RenderError(
            ErrorCode.MEDIA_UNREADABLE,
            f"{self._source.name} cannot be decoded: {said}",
            hint="Check that the file plays to its end, or encode it again, for instance as H.264 in MP4.",
        )


def _fill(stream: IO[bytes], buffer: bytearray) -> bool:
    """Fill `buffer`; return False when the stream ends first."""
    view, at = memoryview(buffer), 0
    while at < len(buffer):
        count = stream.readinto(view[at:])  # type: ignore[attr-defined]  # a buffered reader, typed as IO
        if not count:
            return False
        at += count
    return True


def frames_command(ffmpeg_path: Path, source: SampledSource, first: int) -> list[str]:
    """Return the command that writes the sampled frames from `first` on, endlessly, as raw pixels to stdout.

    Every step keeps the source's own clock, so that the choice of pictures does not depend on where reading begins:

    - times are moved half a tick earlier, so that a frame rounded up to the next tick of the clock is not late for its moment;
    - the first picture read counts as no later than the first wanted one: it is the one before it, or the source's very first;
    - `fps` rounds up, so that a moment shows the last picture that is not later;
    - the last picture repeats endlessly.
    """
    video, fps = source.video, source.fps
    start = source.media_start + first / fps
    seek = min(start, exact(video.last)) - _BEFORE_SECONDS
    options: dict[str, Any] = {"copyts": None, "start_at_zero": None, "noaccurate_seek": None, "threads": _THREADS}
    options |= before_zero(ffmpeg_path, source.file)
    if video.alpha and video.codec in _ALPHA_DECODERS:
        options["c:v"] = _ALPHA_DECODERS[video.codec]
    if seek > 0 and video.seekable:
        options["ss"] = f"{float(seek):.6f}"
    own_clock = f"PTS-lte(TB,0.001)-round({source.media_start.numerator}/{source.media_start.denominator}/TB)"
    first_tick = f"floor({first * fps.denominator}/{fps.numerator}/TB)"
    pictures = (
        ffmpeg.input(str(source.file), **options)["V:0"]
        .filter("settb", expr="intb/2")
        .filter("setpts", expr=f"if(eq(N,0),min({own_clock},{first_tick}),{own_clock})")
        .filter("fps", fps=f"{fps.numerator}/{fps.denominator}", round="up")
        .filter("tpad", stop=-1, stop_mode="clone")
        .filter("trim", start_pts=first)
    )
    if video.hdr:
        pictures = _dimmed(pictures)
    elif video.matrix != "gbr":
        # Chromium does not convert between the gammas and primaries of ordinary video and of the screen.
        pictures = pictures.filter("setparams", colorspace=video.matrix, color_primaries="bt709", color_trc="iec61966-2-1")
    pictures = pictures.filter("scale", video.width, video.height, flags=_SCALING)
    output = pictures.output("pipe:1", format="rawvideo", pix_fmt="rgba" if video.alpha else "rgb24", fps_mode="passthrough")
    return compile_command(output, ffmpeg_path, tolerant=True)


def _dimmed(pictures: Any) -> Any:
    """Map high dynamic range to an ordinary screen: white at 100 nits, brighter values rolled off, as the reference does for SDR."""
    return (
        pictures.filter("setparams", colorspace="bt2020nc", color_primaries="bt2020")
        .filter("zscale", transfer="linear", npl=100)
        .filter("format", "gbrpf32le")
        .filter("tonemap", "hable", desat=0)
        .filter("zscale", primaries="bt709", transfer="bt709", matrix="bt709", range="tv")
        .filter("format", "yuv444p")
        .filter("setparams", color_primaries="bt709", color_trc="iec61966-2-1")
    )
