"""Handler events and results. One function serves all of them: `Action` decides. Field names on the wire are PascalCase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_pascal

from hyperframes_lambda.contract.errors import ErrorCode, RenderError, faults_of

S3Uri = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$", max_length=1200)]
S3Prefix = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.+/)?$", max_length=1000)]
"""Shorter than a URI, because the objects below it have names of up to 150 characters."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

VARIABLES_REFERENCE = "variablesS3Uri"
CONCURRENCY_LIMIT = "concurrencyLimit"
_CARRIED = {VARIABLES_REFERENCE: "VariablesS3Uri", CONCURRENCY_LIMIT: "ConcurrencyLimit"}
"""Keys of an execution's `Config` that become fields of the plan event.

They travel inside `Config` because a state machine passes on only the fields that its definition names: a stack deployed earlier would
drop new ones.
"""

INLINE_CHUNKS = 40
"""Maximum number of chunks that Plan lists in its result, and that an inline Map runs at once. `plan/chunks.json` always lists all."""

_WRAPPERS = ("Payload", "Input")
_MAX_WRAPPING = 4


class EventModel(BaseModel):
    """A model of the wire. It ignores unknown fields, so that a newer state machine can drive an older function."""

    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True, extra="ignore", frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object of the wire, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ExecutionInput(EventModel):
    """The input of one Step Functions execution."""

    project_s3_uri: S3Uri = Field(alias="ProjectS3Uri")
    plan_output_s3_prefix: S3Prefix = Field(alias="PlanOutputS3Prefix")
    output_s3_uri: S3Uri = Field(alias="OutputS3Uri")
    config: dict[str, Any] = Field(default_factory=dict)
    """The render configuration, and perhaps `VARIABLES_REFERENCE` and `CONCURRENCY_LIMIT`."""


class PlanEvent(EventModel):
    """Inspect the project and write the plan below `PlanOutputS3Prefix`."""

    action: Literal["plan"]
    project_s3_uri: S3Uri = Field(alias="ProjectS3Uri")
    plan_output_s3_prefix: S3Prefix = Field(alias="PlanOutputS3Prefix")
    output_s3_uri: S3Uri | None = Field(default=None, alias="OutputS3Uri")
    """Destination of the output, given to Plan so that a forbidden one is refused before anything is rendered."""
    config: dict[str, Any] = Field(default_factory=dict)
    variables_s3_uri: S3Uri | None = Field(default=None, alias="VariablesS3Uri")
    """JSON object with the variables, when they are too large for the execution's input."""
    concurrency_limit: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Number of invocations that may run at once, as the client determined it before the start."""
    execution_name: str | None = None
    """Distinguishes a cancel marker of this execution from one of an earlier execution of the same render."""

    @field_validator("variables_s3_uri")
    @classmethod
    def _variables_once(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "variables" in info.data.get("config", ()):
            raise ValueError("accepted in place of variables, not beside them")
        return value


class RenderChunkEvent(EventModel):
    """Render one chunk of a plan."""

    action: Literal["renderChunk"]
    manifest_s3_uri: S3Uri = Field(alias="ManifestS3Uri")
    plan_hash: Sha256
    chunk_index: Annotated[int, Field(ge=0)]
    execution_name: str | None = None


class AssembleEvent(EventModel):
    """Join the segments of a plan into the output."""

    action: Literal["assemble"]
    manifest_s3_uri: S3Uri = Field(alias="ManifestS3Uri")
    plan_hash: Sha256
    output_s3_uri: S3Uri = Field(alias="OutputS3Uri")
    execution_name: str | None = None


class PlanResult(EventModel):
    """The result of Plan: sizes, never data. Older functions omit the fields that have defaults here."""

    manifest_s3_uri: S3Uri = Field(alias="ManifestS3Uri")
    plan_hash: Sha256
    chunk_count: int
    chunks: list[int]
    """The chunk indices `0 … ChunkCount - 1`, items of the inline Map; empty when there are more than `INLINE_CHUNKS`."""
    chunks_bucket: str = ""
    chunks_key: str = ""
    """With `ChunksBucket`: the object with all indices as a JSON array, items of the distributed Map."""
    max_parallel_chunks: int
    """Number of chunks that the Map may render at once."""
    workers: int = 1
    """Processes that draw within one invocation."""
    segment_frames: int = 0
    """Frames in a segment; the last segment of a chunk may have fewer."""
    sizing: str = ""
    """The reason for the number of chunks and workers, as a sentence."""
    estimated_seconds: float = 0.0
    """Expected time for all chunks, `MaxParallelChunks` at a time."""
    total_frames: int
    fps: int | str
    duration: float
    """Seconds: `TotalFrames / Fps`."""
    width: int
    height: int
    format: str
    has_audio: bool
    renderer_version: str
    browser_version: str
    ffmpeg_version: str
    runtime_version: str
    reused: bool
    """Whether a plan for the same project, configuration and build existed already."""
    cold_start: bool = False
    """Whether this was the first invocation of its sandbox."""
    duration_ms: int


class RenderChunkResult(EventModel):
    """The result of RenderChunk; small, because the execution history contains it."""

    chunk_index: int
    complete: bool
    """Whether all segments of the chunk are uploaded. If not, time ran short, and another invocation continues where this one stopped."""
    next_frame: int | None = None
    """The first missing frame; absent when the chunk is complete."""
    frames_encoded: int
    """Uploaded frames of the whole chunk, from all invocations."""
    frames_rendered: int
    """Frames that this invocation rendered."""
    segment_s3_uris: list[S3Uri] = Field(alias="SegmentS3Uris")
    """Segments that this invocation rendered, in order."""
    reused: bool
    """Whether all segments existed already, so that nothing was rendered."""
    workers: int
    """Processes that drew at the same time; 0 when nothing was rendered."""
    capture_ms: int
    """Time spent drawing, summed over all workers."""
    encode_ms: int
    """Time spent encoding and verifying, summed over all workers; it overlaps with drawing."""
    cold_start: bool
    """Whether this was the first invocation of its sandbox."""
    duration_ms: int


class AssembleResult(EventModel):
    """The result of Assemble."""

    output_s3_uri: S3Uri = Field(alias="OutputS3Uri")
    frames_encoded: int
    file_size: int
    """Bytes."""
    duration: float
    """Seconds."""
    width: int
    height: int
    format: str
    has_audio: bool
    chunk_count: int
    plan_hash: Sha256
    renderer_version: str
    verification: dict[str, Any]
    """Measurements of the verification. A render that fails it has no result."""
    workers: int = 1
    """Maximum number of processes that drew within one invocation."""
    sizing: str = ""
    """The reason for the number of chunks and workers, as a sentence."""
    sidecars: dict[str, S3Uri] = Field(default_factory=dict)
    """URIs of the files beside the output, by name: `poster`, `contact-sheet`, `report`, `captions.vtt`, `captions.de.srt`…"""
    cold_start: bool = False
    """Whether this was the first invocation of its sandbox."""
    duration_ms: int


Result = PlanResult | RenderChunkResult | AssembleResult
Event = PlanEvent | RenderChunkEvent | AssembleEvent
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="action")])


class ChunkProgress(EventModel):
    """`progress/NNNNNN.json`: the progress of one chunk, written while it renders and when its invocation ends."""

    chunk_index: int
    frames_done: int
    """Frames of finished segments, and frames drawn for the next ones."""
    frames_total: int
    started_at: float
    """Unix seconds."""
    updated_at: float
    complete: bool
    reused: bool = False
    """Whether all segments existed already, so that nothing was rendered."""
    execution_name: str | None = None
    """The execution whose invocations the next fields cover."""
    invocations: int = 1
    """Invocations that have worked on the chunk, including this one."""
    checkpoints: int = 0
    """Invocations that stopped at their deadline with frames left; the others before the last one failed."""
    billed_seconds: float = 0.0
    """Duration of all these invocations; for a lost one, until its last report."""
    memory_mb: int | None = None
    """Memory of the function."""


class CancelMarker(EventModel):
    """`cancel`: the request to stop the chunks of one execution."""

    execution_name: str
    cause: str


def parse_event(event: Mapping[str, Any]) -> Event:
    """Unwrap `Payload` or `Input` and validate the event.

    Raises `INVALID_EVENT` naming each faulty field; for one that travels inside `Config`, `INVALID_CONFIG`.
    """
    for _ in range(_MAX_WRAPPING):
        if "Action" in event:
            break
        inner = next((event[name] for name in _WRAPPERS if isinstance(event.get(name), Mapping)), None)
        if inner is None:
            break
        event = inner
    try:
        return _EVENT.validate_python(_with_own_fields(event))
    except ValidationError as error:
        wrong = [fault for fault in error.errors() if any(part in _CARRIED.values() for part in fault["loc"])]
        if wrong:
            faults = "; ".join(f"{fault['loc'][-1]}: {fault['input']!r} is not accepted; {fault['msg']}" for fault in wrong)
            raise RenderError(ErrorCode.INVALID_CONFIG, faults) from None
        hint = "Action is one of plan, renderChunk, assemble."
        raise RenderError(ErrorCode.INVALID_EVENT, faults_of(error, "event"), hint=hint) from None


def _with_own_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Move fields of the plan event out of `Config`."""
    config = event.get("Config")
    if event.get("Action") != "plan" or not isinstance(config, Mapping):
        return dict(event)
    fields = {field: config[name] for name, field in _CARRIED.items() if name in config}
    return {**event, **fields, "Config": {name: value for name, value in config.items() if name not in _CARRIED}}
