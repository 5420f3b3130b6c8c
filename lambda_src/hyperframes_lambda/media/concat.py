"""Join segments by copying their packets, and add the sound. No picture is decoded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.formats import VideoCodec
from hyperframes_lambda.media.codecs import CODECS, Codec, tagged
from hyperframes_lambda.media.process import compile_command, run


def concatenate(
    ffmpeg_path: Path,
    segments: Sequence[Path],
    out: Path,
    *,
    fps: Fraction,
    codec: Codec = CODECS[VideoCodec.H264],
    sound: Path | None = None,
    sound_options: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `segments`, in order, to `out` with the index in front. Raise ENCODER_FAILED, ENCODER_CRASHED or DISK_FULL.

    `sound` is a WAV to encode with `sound_options`, `metadata` are tags. The concat demuxer computes each segment's offset in microseconds,
    of which 1001/30000 s is not a multiple. The timestamps are therefore renumbered, packet by packet, in ticks of the container's clock.
    That is exact for any number of segments, because segments without B-frames have the same decoding and display order.
    """
    part = out.with_name(out.name + ".part")
    with listed(segments, out) as listing:
        streams = [ffmpeg.input(str(listing), format="concat", safe=0)["v"]]
        if sound is not None:
            streams.append(ffmpeg.input(str(sound))["a"])
        copied = {"c:v": "copy", "bsf:v": _renumbered(codec.ticks(fps), fps), "map_metadata": -1}
        front = {"movflags": "+faststart"} if codec.muxer in ("mp4", "mov") else {}
        joined = ffmpeg.output(*streams, str(part), **(codec.container(fps) | copied | front | dict(sound_options or {})))
        try:
            run(tagged(compile_command(joined, ffmpeg_path), part, metadata or {}), purpose=f"joining {len(segments)} segments")
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def listed(segments: Sequence[Path], out: Path) -> Iterator[Path]:
    """Provide a file beside `out` that lists the segments for ffmpeg's concat demuxer."""
    with tempfile.NamedTemporaryFile("w", dir=out.parent, prefix=f".{out.name}.", suffix=".txt", encoding="utf-8") as listing:
        listing.writelines(f"file '{_quoted(segment)}'\n" for segment in segments)
        listing.flush()
        yield Path(listing.name)


def _renumbered(ticks: int, fps: Fraction) -> str:
    """Return the bitstream filter that puts packet N at the tick nearest to its exact time and extends it to the next packet."""

    def at(frame: str) -> str:
        return f"round({frame}*{ticks * fps.denominator}/{fps.numerator})"

    return f"setts=pts={at('N')}:dts={at('N')}:duration={at('(N+1)')}-{at('N')}:time_base=1/{ticks}"


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", r"'\''")
