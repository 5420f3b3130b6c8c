"""Encode frames into one closed-GOP segment while the next frames are still being captured."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.config import Quality
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import VideoCodec
from hyperframes_lambda.media import png as png_format
from hyperframes_lambda.media.codecs import CODECS, Codec, GopControl
from hyperframes_lambda.media.process import RunningFfmpeg, close_quietly, compile_command, pipe_of
from hyperframes_lambda.media.thumbnails import read_thumbnails, reduced


@dataclass(frozen=True)
class RateControl:
    """Encoder effort, and either a constant rate factor or a target bit rate, for one codec."""

    codec: Codec
    options: dict[str, Any]

    @classmethod
    def of(
        cls, quality: Quality, *, codec: Codec = CODECS[VideoCodec.H264], crf: int | None = None, bitrate: str | None = None
    ) -> RateControl:
        """Return the step of the codec's ladder for `quality`, with `crf` or `bitrate` in place of its own."""
        step = codec.ladder.get(quality, {})
        if bitrate is not None:
            step = {name: value for name, value in step.items() if name != "crf"} | {"b:v": bitrate}
        elif "crf" in step:
            # Without a bit rate of zero, libvpx treats the factor as an upper bound.
            step = step | {"crf": step["crf"] if crf is None else crf} | ({"b:v": 0} if codec.gop is GopControl.LIBVPX else {})
        return cls(codec, step)


_QUEUED_FRAMES = 4
"""Enough to overlap capture and encoding at varying speeds, few enough not to fill the memory with large frames."""


class SegmentEncoder:
    """Takes PNG frames in order and leaves one segment at `out`, or nothing at all.

        with SegmentEncoder(ffmpeg_path, out, fps=fps, width=1920, height=1080, frames=60, rate=rate) as encoder:
            encoder.write(png)

    A thread feeds ffmpeg from a short queue. When ffmpeg dies, the thread keeps emptying the queue, so that `write` never blocks: the next
    call, or the end of the block, raises ENCODER_CRASHED, ENCODER_FAILED or DISK_FULL. Instead of a `with` block, callers may use `open`
    and then `finish` or `abandon`, from any thread.

    The segment is converted to limited-range bt709 and tagged as such. It is one GOP whose only keyframes are the first and those of the
    ffmpeg expression `keyframes`, with parameter sets repeated in the stream. It has no B-frames: they would make timestamps across joins
    depend on the delay of each segment's first frame, and they make rendered graphics larger (flat 1080p graphics at medium/18: 14 % with
    three of them).

    After the block, `thumbnails` holds one of each frame as it was handed over, for the verification gate.
    """

    def __init__(
        self,
        ffmpeg_path: Path,
        out: Path,
        *,
        fps: Fraction,
        width: int,
        height: int,
        frames: int,
        rate: RateControl,
        keyframes: str | None = None,
    ) -> None:
        self._out = out
        self._part = out.with_name(out.name + ".part")
        self._thumbnails = out.with_name(out.name + ".thumbnails.part")
        self.thumbnails: list[bytes] = []
        self._size = (width, height)
        self._frames = frames
        self._written = 0
        self._alpha = rate.codec.alpha
        self._command = _command(ffmpeg_path, self._part, fps, frames, rate, keyframes, self._thumbnails)
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=_QUEUED_FRAMES)
        self._reader_gone = threading.Event()
        self.seconds = 0.0
        """Time that ffmpeg took to read the frames and to end."""

    def __enter__(self) -> SegmentEncoder:
        self.open()
        return self

    def open(self) -> None:
        """Start ffmpeg."""
        self._ffmpeg = RunningFfmpeg(self._command, purpose=f"encoding {self._out.name}", feed=True)
        self._writer = threading.Thread(target=self._feed, args=(pipe_of(self._ffmpeg.process.stdin),), name="ffmpeg-feed", daemon=True)
        self._writer.start()

    def write(self, png: bytes) -> None:
        """Queue the next frame; block only while the queue is full."""
        png_format.require_size(png, self._written, *self._size)
        if self._reader_gone.is_set():
            raise self._ended_early()
        self._queue.put(png)
        self._written += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def finish(self, *, early: bool = False) -> None:
        """Complete the segment; `VERIFICATION_FAILED` unless it received the planned number of frames or ends `early` on purpose."""
        try:
            self._queue.put(None)
            self._writer.join()
            started = time.monotonic()
            self._ffmpeg.wait()
            self.seconds += time.monotonic() - started
            if self._reader_gone.is_set():
                raise RenderError(ErrorCode.ENCODER_FAILED, f"encoding {self._out.name}: ffmpeg ended before reading every frame")
            if self._written != self._frames and not early:
                message = f"{self._out.name} got {self._written} frames; planned: {self._frames}"
                raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
            self.thumbnails = read_thumbnails(self._thumbnails, alpha=self._alpha)
            self._part.replace(self._out)
        finally:
            # After success nothing is left to abandon; after a failure this cleans up.
            self.abandon()

    def abandon(self) -> None:
        """End ffmpeg at once and remove everything but a finished segment."""
        self._ffmpeg.kill()
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join()
        self._part.unlink(missing_ok=True)
        self._thumbnails.unlink(missing_ok=True)

    def stop(self) -> None:
        """End ffmpeg, which fails a `finish` that waits in another thread."""
        self._ffmpeg.process.kill()

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
            started = time.monotonic()
            try:
                stdin.write(png)
            except BrokenPipeError:
                self._reader_gone.set()
            self.seconds += time.monotonic() - started
        close_quietly(stdin)


def _command(
    ffmpeg_path: Path, out: Path, fps: Fraction, frames: int, rate: RateControl, keyframes: str | None, thumbnails: Path
) -> list[str]:
    codec = rate.codec
    options = {
        **codec.container(fps),
        **codec.encoder,
        **codec.keyframes(frames, keyframes),
        **rate.options,
        "map_metadata": -1,
        "fps_mode": "passthrough",
    }
    frames_in = ffmpeg.input("pipe:0", format="png_pipe", framerate=f"{fps.numerator}/{fps.denominator}")
    halves = frames_in.filter_multi_output("split")
    small = reduced(halves[1], alpha=codec.alpha, opaque_from=codec.opaque_from)
    small = small.output(str(thumbnails), format="rawvideo", fps_mode="passthrough")
    converted = _as_stored(halves[0], codec)
    return compile_command(ffmpeg.merge_outputs(converted.output(str(out), **options), small), ffmpeg_path)


def _as_stored(frames: Any, codec: Codec) -> Any:
    """Convert the ffmpeg-python stream of PNG `frames` to the pixel format and colours of `codec`."""
    if not codec.is_yuv:
        return frames.filter("format", codec.pixels)
    return (
        # The mean of four pixels as their chroma sample gives the least error in a player: docs/reference.md.
        frames.filter("scale", out_color_matrix="bt709", out_range="tv", flags="area+accurate_rnd+full_chroma_int+full_chroma_inp")
        .filter("format", codec.pixels)
        # The encoder copies the tags of the frames; PNG frames have none, or sRGB.
        .filter("setparams", range="tv", colorspace="bt709", color_primaries="bt709", color_trc="bt709")
    )
