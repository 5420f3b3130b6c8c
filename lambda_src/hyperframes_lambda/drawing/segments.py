"""Segment files: how a render's captured frames are written, and how a written segment is verified."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.formats import Kind, OutputFormat
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.media import hls
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.encode import RateControl, SegmentEncoder
from hyperframes_lambda.media.gate_record import packets_of
from hyperframes_lambda.media.png_sequence import PngSegment
from hyperframes_lambda.media.verify import verify_video

SegmentWriter = SegmentEncoder | PngSegment


@dataclass(frozen=True)
class SegmentFormat:
    """The encoding of a render's segments: encoded video, or a tar of the captured files for stills and sequences."""

    ffmpeg: Path
    config: RenderConfig
    fps: Fraction
    width: int
    height: int
    """Pixels."""

    @classmethod
    def of(cls, manifest: Manifest, ffmpeg: Path) -> SegmentFormat:
        """Return the format that a plan prescribes."""
        return cls(ffmpeg, manifest.config, manifest.fps, manifest.width, manifest.height)

    def writer(self, segment: Segment, path: Path) -> SegmentWriter:
        """Return the writer that turns the frames of `segment` into the file `path`."""
        size, config = {"width": self.width, "height": self.height}, self.config
        if not self._encoded:
            return PngSegment(path, first=segment.first, frames=segment.frames, **size)
        rate = RateControl.of(config.quality, codec=codec_of(config), crf=config.crf, bitrate=config.bitrate)
        forced = None
        if config.format is OutputFormat.HLS:
            forced = hls.keyframes(segment.first, hls.fragment_frames(self.fps, config.hls_segment_seconds))
        return SegmentEncoder(self.ffmpeg, path, fps=self.fps, frames=segment.frames, rate=rate, keyframes=forced, **size)

    def verify(self, path: Path, frames: int) -> None:
        """Raise `VERIFICATION_FAILED` unless the segment at `path` holds `frames` frames as planned. Nothing is decoded."""
        if self._encoded:
            verify_video(
                self.ffmpeg,
                path,
                fps=self.fps,
                frames=frames,
                width=self.width,
                height=self.height,
                segment_starts=[0],
                decode=False,
                codec=codec_of(self.config),
            )

    def packets(self, path: Path) -> list[str]:
        """Return size and checksum of every packet of a video segment, for the verification gate; nothing for other kinds."""
        return packets_of(self.ffmpeg, path) if self.config.format.spec.kind is Kind.VIDEO else []

    @property
    def _encoded(self) -> bool:
        return self.config.format.spec.kind in (Kind.VIDEO, Kind.ANIMATION)
