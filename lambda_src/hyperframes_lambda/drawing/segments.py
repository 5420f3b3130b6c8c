"""What takes the captured frames of a segment and makes its file: an encoder, or a tar where frames stay as they are."""

from __future__ import annotations

from pathlib import Path

from hyperframes_lambda.contract.formats import Kind, OutputFormat
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.machine.tools import Tools
from hyperframes_lambda.media import hls
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.encode import RateControl, SegmentEncoder
from hyperframes_lambda.media.png_sequence import PngSegment

ENCODED = (Kind.VIDEO, Kind.ANIMATION)
"""Kinds whose segments are encoded; the others keep the captured files."""

SegmentWriter = SegmentEncoder | PngSegment


def segment_writer(manifest: Manifest, segment: Segment, path: Path, tools: Tools) -> SegmentWriter:
    """The writer for `segment`, which makes the file `path`."""
    size = {"width": manifest.width, "height": manifest.height}
    if manifest.format.spec.kind not in ENCODED:
        return PngSegment(path, first=segment.first, frames=segment.frames, **size)
    config = manifest.config
    rate = RateControl.of(config.quality, codec=codec_of(config), crf=config.crf, bitrate=config.bitrate)
    forced = None
    if manifest.format is OutputFormat.HLS:
        forced = hls.keyframes(segment.first, hls.fragment_frames(manifest.fps, config.hls_segment_seconds))
    return SegmentEncoder(tools.ffmpeg.path, path, fps=manifest.fps, frames=segment.frames, rate=rate, keyframes=forced, **size)
