"""Facts about a video file, read with another library than the one that wrote it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def facts(video: Path) -> dict[str, Any]:
    """Return container, durations in seconds, and one entry per stream, ready for JSON."""
    with av.open(str(video)) as container:
        duration = container.duration / av.time_base if container.duration is not None else None
        streams = [_stream(stream) for stream in container.streams]
        return {"container": container.format.name, "duration": _rounded(duration), "bytes": video.stat().st_size, "streams": streams}


def _stream(stream: av.stream.Stream) -> dict[str, Any]:
    base = stream.time_base or Fraction(1)
    found: dict[str, Any] = {
        "type": stream.type,
        "codec": stream.codec_context.name if stream.codec_context else None,
        "profile": stream.profile,
        "time_base": str(stream.time_base),
        "start": _rounded(float(stream.start_time * base)) if stream.start_time is not None else None,
        "duration": _rounded(float(stream.duration * base)) if stream.duration is not None else None,
    }
    if isinstance(stream, av.VideoStream):
        context = stream.codec_context
        found |= {
            "size": f"{context.width}x{context.height}",
            "pixels": context.pix_fmt,
            "fps": str(stream.average_rate),
            "frames": stream.frames,
            # Numbers of ITU-T H.273: primaries/transfer/matrix/range.
            "colour": "/".join(str(int(v)) for v in (context.color_primaries, context.color_trc, context.colorspace, context.color_range)),
        }
    elif isinstance(stream, av.AudioStream):
        found |= {"rate": stream.rate, "channels": stream.channels}
    return found


def duration_of(video: Path) -> Fraction:
    """Return the exact seconds of the video stream; if the container lacks them, up to the end of its last frame."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        if stream.duration is not None:
            return stream.duration * base
        ends = [packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
        return max(ends, default=0) * base - (stream.start_time or 0) * base


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
