"""Assemble: make the output from a plan's segments and sound, and verify it against the plan."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind, OutputFormat
from hyperframes_lambda.contract.plan import Manifest, blob_path
from hyperframes_lambda.contract.segments import Segment, parse_segment
from hyperframes_lambda.machine.plan_folder import read_manifest, require_build
from hyperframes_lambda.machine.tools import Tools, find_tools
from hyperframes_lambda.media import hls
from hyperframes_lambda.media.audio import mix
from hyperframes_lambda.media.codecs import codec_of, sound_of
from hyperframes_lambda.media.concat import concatenate
from hyperframes_lambda.media.gate import gate, gate_pictures
from hyperframes_lambda.media.gate_record import ChunkRecord, record_path
from hyperframes_lambda.media.gif import make_gif, verify_gif
from hyperframes_lambda.media.png_sequence import join_to_folder, join_to_tar, only_frame
from hyperframes_lambda.media.sidecars import write_sidecars
from hyperframes_lambda.media.sound_file import encode_sound
from hyperframes_lambda.media.still import verify_still, write_still
from hyperframes_lambda.media.verify import verify_sound, verify_video


@dataclass(frozen=True)
class AssembleOutcome:
    """The finished output."""

    output: Path
    frames: int
    size: int
    """Bytes of all files together."""
    duration: float
    """Seconds."""
    verification: dict[str, Any]
    files: list[Path]
    """All files of the output in the order of publishing, `output` last; empty for a folder of frames."""
    sidecars: dict[str, Path] = field(default_factory=dict)
    """Requested files beside the output, by name."""


def assemble(
    plan_dir: Path, segments: Sequence[Path], output: Path, *, tools: Tools | None = None, plan_hash: str | None = None
) -> AssembleOutcome:
    """Make `output` from `segments` in order and the plan's sound, replacing an earlier output.

    Segments are identified by their file names. They must tile the plan, however each chunk was divided.

    The name of `output` ends as its format requires. A png-sequence becomes one tar if the name ends in `.tar`, else a folder; the other
    files of an HLS package appear beside its master playlist. Raise `VERIFICATION_FAILED` when segments are missing or the result differs
    from the plan in frames, spacing, keyframes, size, format or sound; an earlier output is then kept.
    """
    tools = tools or find_tools()
    manifest = read_manifest(plan_dir, plan_hash)
    require_build(manifest, tools.build())
    tiled = _require_segments(manifest, segments)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        job = _Job(manifest, plan_dir, segments, [segment.first for segment in tiled], output, Path(scratch), tools.ffmpeg.path)
        match manifest.format.spec.kind:
            case Kind.VIDEO:
                product = _video(job)
            case Kind.ANIMATION:
                product = _animation(job)
            case Kind.SEQUENCE:
                product = _sequence(job)
            case Kind.STILL:
                product = _still(job)
            case Kind.SOUND:
                product = _sound(job)
        files = _publish(product.files, output)
    sidecars = job.sidecars(product.verification)
    duration = float(manifest.total_frames / manifest.fps)
    return AssembleOutcome(output, manifest.total_frames, _size(output, files), duration, product.verification, files, sidecars)


@dataclass(frozen=True)
class _Job:
    """The ingredients of an output."""

    manifest: Manifest
    plan_dir: Path
    segments: Sequence[Path]
    starts: Sequence[int]
    """The first frame of each segment."""
    output: Path
    scratch: Path
    ffmpeg: Path

    @property
    def unverified(self) -> Path:
        """Path of the output while it is made, under its own name."""
        return self.scratch / self.output.name

    @property
    def shape(self) -> dict[str, int]:
        """Number and size of the frames."""
        return {"frames": self.manifest.total_frames, "width": self.manifest.width, "height": self.manifest.height}

    def source(self, file: str) -> Path:
        """Return the local copy of a key of `Manifest.files`."""
        return self.plan_dir / blob_path(self.manifest.files[file].sha256)

    def mixed(self) -> Path | None:
        """Mix the plan's sound to one WAV; None when it has none."""
        if not self.manifest.has_audio:
            return None
        mixed = self.scratch / f"mix-of-{self.output.name}.wav"  # never the output's own name
        mix(self.ffmpeg, self.manifest, self.source, mixed)
        return mixed

    def gate(self, whole: Path, mixed: Path | None, *, decoder: str | None = None) -> dict[str, Any]:
        """Run the verification gate on a finished output, which decodes all of it once."""
        return gate(self.ffmpeg, whole, self.manifest, self.records, mix=mixed, source=self.source, decoder=decoder)

    @cached_property
    def records(self) -> list[ChunkRecord]:
        """Records of the captured frames, one for each segment."""
        return [ChunkRecord.read(record_path(segment)) for segment in self.segments]

    def sidecars(self, verification: dict[str, Any]) -> dict[str, Path]:
        """Write the requested files beside the published output."""
        decoder = codec_of(self.manifest.config).decoder if self.segments else None
        return write_sidecars(self.ffmpeg, self.output, self.manifest, self.records, verification, source=self.source, decoder=decoder)


@dataclass(frozen=True)
class _Product:
    """A verified output: its files in the scratch folder, in the order of publishing. A folder of frames is in place already."""

    files: list[Path]
    verification: dict[str, Any]


def _video(job: _Job) -> _Product:
    manifest, config = job.manifest, job.manifest.config
    codec, mixed = codec_of(config), job.mixed()
    sound = sound_of(config) if mixed else None
    streaming = manifest.format is OutputFormat.HLS
    joined = job.scratch / "joined.mp4" if streaming else job.unverified
    concatenate(
        job.ffmpeg,
        job.segments,
        joined,
        fps=manifest.fps,
        codec=codec,
        sound=mixed,
        sound_options=sound.options if sound else {},
        metadata=config.metadata,
    )
    files, whole, starts = [joined], joined, set(job.starts)
    if streaming:
        every = hls.fragment_frames(manifest.fps, config.hls_segment_seconds)
        files = hls.package(job.ffmpeg, joined, job.unverified, fps=manifest.fps, every=every, **job.shape)
        whole = hls.joined_fragments(files, joined)
        starts |= set(range(0, manifest.total_frames, every))
    verification = verify_video(
        job.ffmpeg, whole, fps=manifest.fps, segment_starts=sorted(starts), codec=codec, sound=sound, decode=False, **job.shape
    )
    return _Product(files, verification | job.gate(whole, mixed, decoder=codec.decoder))


def _animation(job: _Job) -> _Product:
    make_gif(job.ffmpeg, job.segments, job.unverified, fps=job.manifest.fps, loop=job.manifest.config.gif_loop or 0)
    verification = verify_gif(job.ffmpeg, job.unverified, fps=job.manifest.fps, **job.shape)
    return _Product([job.unverified], verification | job.gate(job.unverified, None))


def _sequence(job: _Job) -> _Product:
    digests = [digest for record in job.records for digest in record.digests]
    compared = gate_pictures(job.manifest, job.records)
    if job.output.suffix == ".tar":
        return _Product([job.unverified], join_to_tar(job.segments, job.unverified, digests=digests, **job.shape) | compared)
    return _Product([], join_to_folder(job.segments, job.output, digests=digests, **job.shape) | compared)


def _still(job: _Job) -> _Product:
    manifest = job.manifest
    digests, first = job.records[0].digests, job.starts[0]
    png = only_frame(job.segments[0], first, width=manifest.width, height=manifest.height, digests=digests)
    write_still(job.ffmpeg, png, job.unverified, kind=manifest.format, quality=manifest.config.quality)
    found = verify_still(job.ffmpeg, job.unverified, kind=manifest.format, width=manifest.width, height=manifest.height)
    return _Product([job.unverified], found)


def _sound(job: _Job) -> _Product:
    manifest, mixed, sound = job.manifest, job.mixed(), sound_of(job.manifest.config)
    if mixed is None or sound is None:
        raise RenderError(ErrorCode.COMPOSITION_EMPTY, f"the plan has no sound for a {manifest.format.value}")
    encode_sound(job.ffmpeg, mixed, job.unverified, kind=manifest.format, sound=sound, metadata=manifest.config.metadata)
    duration = float(manifest.total_frames / manifest.fps)
    found = verify_sound(job.ffmpeg, job.unverified, duration=duration, sound=sound)
    return _Product([job.unverified], found | job.gate(job.unverified, mixed))


def _publish(files: Sequence[Path], output: Path) -> list[Path]:
    """Move the files beside `output`, in order, and remove fragments of an earlier, longer HLS package."""
    published = [output.with_name(file.name) if len(files) > 1 else output for file in files]
    for file, final in zip(files, published, strict=True):
        file.replace(final)
    if len(files) > 1:
        for found in output.parent.iterdir():
            if hls.is_fragment(found.name, output.stem) and found not in published:
                found.unlink()
    return published


def _require_segments(manifest: Manifest, segments: Sequence[Path]) -> list[Segment]:
    """Return the segments by their names; `VERIFICATION_FAILED` unless the files exist and tile the plan's chunks in order."""
    suffix = manifest.format.spec.segment_suffix
    names = iter(segment.name for segment in segments)
    tiled: list[Segment] = []
    for chunk in manifest.chunks:
        frame = chunk.first
        while frame <= chunk.last:
            name = next(names, None)
            segment = None if name is None else parse_segment(name, suffix)
            if segment is None or (segment.chunk, segment.first) != (chunk.index, frame) or segment.last > chunk.last:
                message = f"chunk {chunk.index} needs a segment of frames {frame} to at most {chunk.last}, but got {name or 'nothing'}"
                raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
            tiled.append(segment)
            frame = segment.last + 1
    if (more := next(names, None)) is not None:
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"{more} lies after the last frame of the plan's {len(manifest.chunks)} chunks")
    for path in segments:
        if not path.is_file():
            raise RenderError(ErrorCode.VERIFICATION_FAILED, f"the segment {path} does not exist", hint="Render its chunk first.")
    return tiled


def _size(output: Path, files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files or output.glob("*.png"))
