"""The plan manifest: all inputs of a chunk, content-addressed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import Field, ValidationError

from hyperframes_lambda.contract.chunks import ChunkRange
from hyperframes_lambda.contract.config import Fps, RenderConfig, WireModel
from hyperframes_lambda.contract.errors import ErrorCode, RenderError, faults_of
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.contract.media import AudioTrack, CaptionFile, MediaSource, RemoteResponse, VideoClip
from hyperframes_lambda.contract.segments import Coverage, Segment, coverage

PROTOCOL = 2
"""Version of the manifest. A worker refuses any other with `PLAN_PROTOCOL_UNSUPPORTED`."""

MANIFEST_NAME = "manifest.json"

_MEASURED = ("workers", "max_parallel_chunks", "sizing", "estimated_seconds")
"""Fields that control how a render runs, without an effect on its output."""


class Build(WireModel):
    """Versions that must be the same for all chunks of one render."""

    renderer: str
    browser: str
    ffmpeg: str
    runtime: str
    fonts: str = ""
    """Digest of the bundled fonts; empty without any."""


class PlanFile(WireModel):
    """One file that the chunks serve, identified by the digest of its content."""

    sha256: str
    size: int
    content_type: str


class Canvas(WireModel):
    """The composition's own size in CSS pixels, and the scale to output pixels."""

    width: int
    height: int
    scale: float


class Sample(WireModel):
    """A frame that Plan drew, so that the verification gate can compare it with the chunks' frames."""

    frame: int
    digest: str
    """Checksum of the captured PNG."""
    thumbnail: str
    """Packed by `media.gate_record.pack`."""


class Manifest(WireModel):
    """`plan/manifest.json`, written last. `plan_hash` is the digest of all fields that affect frames or their division into segments."""

    protocol: int = PROTOCOL
    plan_hash: str = ""
    project_sha256: str
    """Digest of the project as uploaded; with `config` and `build` it decides whether a plan is reused."""
    config: RenderConfig
    build: Build
    entry: str
    """Path of the served entry page, below `files`."""
    files: dict[str, PlanFile]
    """Files by path below the served root (URL path without the leading slash)."""
    canvas: Canvas
    fps: Fps
    format: OutputFormat
    width: int
    height: int
    """Height of the output in pixels, as `width`."""
    total_frames: int
    chunks: list[ChunkRange]
    segment_frames: int
    """Frames in a segment, counted from the chunk's first; the last segment of a chunk may have fewer."""
    workers: int = 1
    """Maximum number of processes that draw a chunk."""
    max_parallel_chunks: int = 1
    """Number of chunks to render at once, as assumed when the sizes were chosen."""
    sizing: str = ""
    """The reason for the number of chunks and workers, as a sentence."""
    estimated_seconds: float = 0.0
    """Expected time for all chunks."""
    sources: dict[str, MediaSource] = Field(default_factory=dict)
    """Probed media files, by key in `files`."""
    clips: list[VideoClip] = Field(default_factory=list)
    audio: list[AudioTrack] = Field(default_factory=list)
    remote: dict[str, RemoteResponse] = Field(default_factory=dict)
    """Recorded responses, by absolute URL."""
    samples: list[Sample] = Field(default_factory=list)
    captions: list[CaptionFile] = Field(default_factory=list)
    """Caption files; empty unless the configuration asks for them."""
    substituted_fonts: list[str] = Field(default_factory=list)
    """Unavailable font families that the project uses; the next family of their list is drawn instead."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Value of `window.__hfVariables`, set before navigation."""

    @property
    def has_audio(self) -> bool:
        """Whether the output has sound: the composition has some, and the configuration keeps it."""
        return bool(self.audio) and self.config.sound_codec is not None

    def sealed(self) -> Manifest:
        """Return the manifest with its `plan_hash`."""
        return self.model_copy(update={"plan_hash": self.digest()})

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, without `plan_hash` and the measured fields, which differ every time."""
        body = self.model_dump(mode="json", by_alias=True, exclude={"plan_hash", *_MEASURED})
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the content of `MANIFEST_NAME`."""
        return self.model_dump_json(by_alias=True, indent=1)

    def chunk(self, index: int) -> ChunkRange:
        """Return the chunk `index`; `INVALID_EVENT` if the plan has no such chunk."""
        if not 0 <= index < len(self.chunks):
            raise RenderError(ErrorCode.INVALID_EVENT, f"ChunkIndex {index}: the plan has chunks 0 to {len(self.chunks) - 1}")
        return self.chunks[index]

    def is_plan_of(self, project_sha256: str, config: RenderConfig, build: Build) -> bool:
        """Whether this build can use the plan for exactly this project and configuration."""
        return (self.protocol, self.project_sha256, self.config, self.build) == (PROTOCOL, project_sha256, config, build)

    def coverage(self, index: int, segments: Iterable[Segment]) -> Coverage:
        """Choose from `segments` those that cover chunk `index`."""
        chunk = self.chunk(index)
        return coverage((segment for segment in segments if segment.chunk == index), chunk.first, chunk.last)

    def files_shown(self, frames: Iterable[tuple[int, int]]) -> set[str]:
        """Return the keys of `files` that runs of frames (first, last) need: all except media that they do not show."""
        # One frame more on both sides, because the rounding of a clip's ends is decided elsewhere.
        windows = [((first - 1) / self.fps, (last + 2) / self.fps) for first, last in frames]
        shown = {clip.file for clip in self.clips if any(clip.start < after and clip.end > first for first, after in windows)}
        return {key for key in self.files if key not in self.sources or key in shown or self.sources[key].read_by_page}


def parse_manifest(text: str | bytes) -> Manifest:
    """Parse a manifest; `PLAN_PROTOCOL_UNSUPPORTED` for another protocol, `PLAN_HASH_MISMATCH` for an altered one."""
    try:
        data = json.loads(text)
        protocol = data.get("protocol") if isinstance(data, dict) else None
        if protocol != PROTOCOL:
            raise RenderError(
                ErrorCode.PLAN_PROTOCOL_UNSUPPORTED,
                f"the plan has protocol {protocol!r}, this build reads {PROTOCOL}",
                hint="Plan again with the deployed version.",
            )
        manifest = Manifest.model_validate(data)
    except ValueError as error:
        fault = faults_of(error, "manifest") if isinstance(error, ValidationError) else str(error)
        raise RenderError(ErrorCode.PLAN_HASH_MISMATCH, f"the plan manifest is damaged: {fault}", hint="Plan again.") from None
    if manifest.digest() != manifest.plan_hash:
        raise RenderError(ErrorCode.PLAN_HASH_MISMATCH, "the plan manifest does not match its own hash", hint="Plan again.")
    return manifest


def blob_path(sha256: str) -> str:
    """Return the path of a blob below the plan's folder or prefix: `blobs/sha256/xx/<sha>`."""
    return f"blobs/sha256/{sha256[:2]}/{sha256}"
