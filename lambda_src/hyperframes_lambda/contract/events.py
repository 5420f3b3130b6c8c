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
    """What Plan returns: sizes, never data. What has a default is not in the result of a function that is older than it."""

    manifest_s3_uri: S3Uri = Field(alias="ManifestS3Uri")
    plan_hash: Sha256
    chunk_count: int
    chunks: list[int]
    """The chunk indices `0 … ChunkCount - 1`, the items of the inline Map; empty when they are more than `INLINE_CHUNKS`."""
    chunks_bucket: str = ""
    chunks_key: str = ""
    """With `ChunksBucket`: the object that holds all of the indices as a JSON array, the items of the distributed Map."""
    max_parallel_chunks: int
    """How many chunks the Map may render at once."""
    workers: int = 1
    """How many processes draw within one invocation."""
    segment_frames: int = 0
    """Frames in a segment; a chunk consists of such, the last may be shorter."""
    sizing: str = ""
    """Why there are so many chunks and workers, as a sentence."""
    estimated_seconds: float = 0.0
    """How long all chunks are expected to take, `MaxParallelChunks` at a time."""
    total_frames: int
    fps: int | str
    duration: float
    """Seconds of video: `TotalFrames / Fps`."""
    width: int
    height: int
    format: str
    has_audio: bool
    renderer_version: str
    browser_version: str
    ffmpeg_version: str
    runtime_version: str
    reused: bool
    """A plan for the same project, configuration and build was there already."""
    cold_start: bool = False
    """This was the first invocation of its sandbox."""
    duration_ms: int


class RenderChunkResult(EventModel):
    """What RenderChunk returns; small, because it lands in the execution history."""

    chunk_index: int
    complete: bool
    """Every segment of the chunk is in its place. If not, time ran short: the same invocation again goes on where this one stopped."""
    next_frame: int | None = None
    """The first frame that is missing; absent when the chunk is complete."""
    frames_encoded: int
    """Frames of the whole chunk that are in their place, whoever rendered them."""
    frames_rendered: int
    """Those that this invocation rendered."""
    segment_s3_uris: list[S3Uri] = Field(alias="SegmentS3Uris")
    """What this invocation rendered, in order."""
    reused: bool
    """All segments of this plan hash were there already and nothing had to be rendered."""
    workers: int
    """How many processes drew at the same time; 0 when nothing had to be."""
    capture_ms: int
    """Time spent drawing, of all workers together."""
    encode_ms: int
    """Time in which encoders took frames in, ended and were verified, of all workers together; it overlaps with the drawing."""
    cold_start: bool
    """This was the first invocation of its sandbox."""
    duration_ms: int


class AssembleResult(EventModel):
    """What Assemble returns."""

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
    """What the verification found, in numbers; a render that fails it has no result."""
    workers: int = 1
    """How many processes drew within one invocation, at most."""
    sizing: str = ""
    """Why there were so many chunks and workers, as a sentence."""
    sidecars: dict[str, S3Uri] = Field(default_factory=dict)
    """URIs of what was made beside the output: `poster`, `contact-sheet`, `report`, `captions.vtt`, `captions.de.srt`…"""
    cold_start: bool = False
    """This was the first invocation of its sandbox."""
    duration_ms: int


Event = Annotated[PlanEvent | RenderChunkEvent | AssembleEvent, Field(discriminator="action")]
_EVENT: TypeAdapter[PlanEvent | RenderChunkEvent | AssembleEvent] = TypeAdapter(Event)


class ChunkProgress(EventModel):
    """`progress/NNNNNN.json`: how far one chunk is. Written while it renders, and when its invocation ends."""

    chunk_index: int
    frames_done: int
    """Those of finished segments, and those that are drawn for the next ones."""
    frames_total: int
    started_at: float
    """Unix seconds."""
    updated_at: float
    complete: bool
    reused: bool = False
    """All segments were there already; this invocation rendered nothing."""
    execution_name: str | None = None
    """Whose invocations the next fields count."""
    invocations: int = 1
    """How many have worked on the chunk, this one included."""
    checkpoints: int = 0
    """How many of them ended in good order, with frames left for the next; the others before the last one failed."""
    billed_seconds: float = 0.0
    """Of all these invocations; of one that was lost as far as it reported."""
    memory_mb: int | None = None
    """Of the function."""


class CancelMarker(EventModel):
    """`cancel`: stop the chunks of one execution."""

    execution_name: str
    cause: str


def parse_event(event: Mapping[str, Any]) -> PlanEvent | RenderChunkEvent | AssembleEvent:
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
