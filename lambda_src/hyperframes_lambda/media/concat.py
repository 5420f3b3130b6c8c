"""Join segments into one MP4 by copying their packets: nothing is decoded, nothing is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.media.encode import track_timescale
from hyperframes_lambda.media.process import compile_command, run


def concatenate(ffmpeg_path: Path, segments: Sequence[Path], out: Path, *, fps: Fraction) -> None:
    """Write `segments`, in order, to `out` with the index in front; raises ENCODER_FAILED, ENCODER_CRASHED or DISK_FULL.

    The concat demuxer computes each segment's offset in microseconds, which 1001/30000 s is not a multiple of. The timestamps are
    therefore numbered afresh, packet by packet, in whole ticks of the track: exact for any number of segments, as no segment holds
    B-frames (there decoding order is display order).
    """
    timescale = track_timescale(fps)
    ticks = int(timescale / fps)
    part = out.with_name(out.name + ".part")
    with tempfile.NamedTemporaryFile("w", dir=out.parent, prefix=f".{out.name}.", suffix=".txt", encoding="utf-8") as listing:
        listing.writelines(f"file '{_quoted(segment)}'\n" for segment in segments)
        listing.flush()
        joined = ffmpeg.input(listing.name, format="concat", safe=0).output(
            str(part),
            **{
                "format": "mp4",
                "map": "0:v",
                "map_metadata": -1,
                "c": "copy",
                "bsf:v": f"setts=pts=N*{ticks}:dts=N*{ticks}:duration={ticks}:time_base=1/{timescale}",
                "video_track_timescale": timescale,
                "movflags": "+faststart",
            },
        )
        try:
            run(compile_command(joined, ffmpeg_path), purpose=f"joining {len(segments)} segments")
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("'", r"'\''")
