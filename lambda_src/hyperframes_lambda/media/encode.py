"""Encode one chunk's frames into one closed-GOP H.264 segment while the next frames are still being captured."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.config import Quality
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media import png as png_format
from hyperframes_lambda.media.process import RunningFfmpeg, close_quietly, compile_command


@dataclass(frozen=True)
class RateControl:
    """Encoder effort (`preset`) and either a constant rate factor or a target bit rate."""

    preset: str
    crf: int
    bitrate: str | None = None

    @classmethod
    def of(cls, quality: Quality, *, crf: int | None = None, bitrate: str | None = None) -> RateControl:
        """The step of the ladder for `quality`, with `crf` or `bitrate` put in its place."""
        preset, ladder_crf = LADDER[quality]
        return cls(preset=preset, crf=ladder_crf if crf is None else crf, bitrate=bitrate)


LADDER: dict[Quality, tuple[str, int]] = {
    Quality.DRAFT: ("ultrafast", 28),
    Quality.STANDARD: ("medium", 18),
    Quality.HIGH: ("slow", 15),
}
"""x264 preset and constant rate factor of each quality, as the reference renderer has them."""

_QUEUED_FRAMES = 4
"""Enough that capture and encoding overlap when their speeds vary, little enough that large frames do not fill the memory."""


def track_timescale(fps: Fraction) -> int:
    """Ticks per second in which every frame time is a whole number: 30000 for 30 as for 30000/1001 frames per second."""
    return fps.numerator if fps.denominator != 1 else fps.numerator * 1000


class SegmentEncoder:
    """Takes PNG frames in order and leaves one MP4 segment at `out`, or nothing at all.

        with SegmentEncoder(ffmpeg_path, out, fps=fps, width=1920, height=1080, frames=60, rate=rate) as encoder:
            encoder.write(png)

    A thread feeds ffmpeg from a short queue. When ffmpeg dies, the thread goes on emptying the queue, so `write` never waits for a
    reader that is gone: it raises ENCODER_CRASHED, ENCODER_FAILED or DISK_FULL at the next call or at the end of the block.

    The segment: limited-range bt709, converted and tagged as such; yuv420p; one GOP that starts with the only keyframe; parameter sets
    repeated in the stream. No B-frames: they would make timestamps across joins depend on the delay of each segment's first frame, and on
    rendered graphics they cost size instead of saving it (flat 1080p graphics at medium/18: 14 % larger with three of them).
    """

    def __init__(self, ffmpeg_path: Path, out: Path, *, fps: Fraction, width: int, height: int, frames: int, rate: RateControl) -> None:
        self._out = out
        self._part = out.with_name(out.name + ".part")
        self._size = (width, height)
        self._frames = frames
        self._written = 0
        self._command = _command(ffmpeg_path, self._part, fps, frames, rate)
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=_QUEUED_FRAMES)
        self._reader_gone = threading.Event()

    def __enter__(self) -> SegmentEncoder:
        self._ffmpeg = RunningFfmpeg(self._command, purpose=f"encoding {self._out.name}", feed=True)
        stdin = self._ffmpeg.process.stdin
        if stdin is None:
            raise ValueError("ffmpeg was started without a pipe to feed it")
        self._writer = threading.Thread(target=self._feed, args=(stdin,), name="ffmpeg-feed", daemon=True)
        self._writer.start()
        return self

    def write(self, png: bytes) -> None:
        """Hand over the next frame; returns at once unless the encoder is behind by the length of the queue."""
        png_format.require_size(png, self._written, *self._size)
        if self._reader_gone.is_set():
            raise self._ended_early()
        self._queue.put(png)
        self._written += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            # On the good way everything has ended and the part file has its final name; else this is the clean-up.
            self._ffmpeg.kill()
            if self._writer.is_alive():
                self._queue.put(None)
                self._writer.join()
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._queue.put(None)
        self._writer.join()
        self._ffmpeg.wait()
        if self._reader_gone.is_set():
            raise RenderError(ErrorCode.ENCODER_FAILED, f"encoding {self._out.name}: ffmpeg ended before it had read every frame")
        if self._written != self._frames:
            message = f"{self._out.name} got {self._written} frames, planned are {self._frames}"
            raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
        self._part.replace(self._out)

    def _ended_early(self) -> RenderError:
        try:
            self._ffmpeg.wait()
        except RenderError as error:
            return error
        return RenderError(ErrorCode.ENCODER_FAILED, f"encoding {self._out.name}: ffmpeg ended after {self._written} frames")

    def _feed(self, stdin: IO[bytes]) -> None:
        while (png := self._queue.get()) is not None:
            if self._reader_gone.is_set():
                continue
            try:
                stdin.write(png)
            except BrokenPipeError:
                self._reader_gone.set()
        close_quietly(stdin)


def _command(ffmpeg_path: Path, out: Path, fps: Fraction, frames: int, rate: RateControl) -> list[str]:
    # x264 changes its parameter sets for a key interval of one, and segments must share theirs: hence 2 for a single frame.
    interval = max(2, frames)
    options = {
        "format": "mp4",
        "map_metadata": -1,
        "fps_mode": "passthrough",
        "video_track_timescale": track_timescale(fps),
        "c:v": "libx264",
        "preset": rate.preset,
        "x264-params": f"keyint={interval}:min-keyint={interval}:scenecut=0:open-gop=0:bframes=0:repeat-headers=1",
        **({"crf": rate.crf} if rate.bitrate is None else {"b:v": rate.bitrate}),
    }
    frames_in = ffmpeg.input("pipe:0", format="png_pipe", framerate=f"{fps.numerator}/{fps.denominator}")
    converted = (
        frames_in.filter("scale", out_color_matrix="bt709", out_range="tv", flags="accurate_rnd+full_chroma_int+full_chroma_inp")
        .filter("format", "yuv420p")
        # The encoder copies the tags from the frames, and PNG frames say nothing or sRGB.
        .filter("setparams", range="tv", colorspace="bt709", color_primaries="bt709", color_trc="bt709")
    )
    return compile_command(converted.output(str(out), **options), ffmpeg_path)
