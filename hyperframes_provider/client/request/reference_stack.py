"""Stacks deployed from the reference renderer's own template or CDK construct.

Such a stack has the same three outputs and takes the same input, so projects, operators and commands work with it. It has fewer formats
and fields, no progress and no cancel marker on S3, and its executions return the state machine's whole state.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import AssembleResult, ExecutionInput, PlanResult
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.aws.s3 import parse_s3_uri
from hyperframes_provider.client.request.dialect import OWN, Dialect

_REQUIRED = ("fps", "width", "height")
"""Fields that our Plan takes from the composition, but that the reference requires."""
_OPTIONAL = frozenset(
    {"format", "codec", "quality", "crf", "bitrate", "chunkSize", "targetChunkFrames", "maxParallelChunks", "runtimeCap"}
    | {"variables", "entryFile"}
)
_FPS = (24, 30, 60)
_FORMATS = (OutputFormat.MP4, OutputFormat.MOV, OutputFormat.WEBM, OutputFormat.PNG_SEQUENCE)
_MOST = {"crf": 51, "maxParallelChunks": 256}
_NOT_HANDED_ON = {"cfr": "its state machine does not pass it to Assemble"}

_ATTEMPTS = 5
"""Attempts at a task that fails with an error that is not final."""
_FINAL = frozenset(
    {"BROWSER_GPU_NOT_SOFTWARE", "ChromeBinaryUnavailableError", "FFMPEG_VERSION_MISMATCH", "FONT_FETCH_FAILED",
     "FORMAT_NOT_SUPPORTED_IN_DISTRIBUTED", "INVALID_VIDEO_METADATA", "NOT_MEDIA_PAYLOAD", "NotMediaPayloadError",
     "PLAN_ARTIFACT_DIGEST_MISMATCH", "PLAN_HASH_MISMATCH", "PLAN_PROTOCOL_UNSUPPORTED", "PLAN_TOO_LARGE",
     "PLAN_V2_INTEGRITY_UNRECOVERABLE", "PlanProtocolUnsupportedError", "PlanTooLargeError", "PlanV2IntegrityError",
     "S3_URI_NOT_ALLOWED", "VIDEO_SOURCE_UNRENDERABLE"}
)  # fmt: skip
"""Error names that its state machine does not retry."""


class ReferenceDialect(Dialect):
    """A stack of the reference renderer."""

    live_signals = False
    extensions = False
    plans = ("v2/manifest.json", "plan.tar.gz")

    def config(self, config: RenderConfig) -> dict[str, Any]:
        """Return the fields that it knows, always with `format`."""
        wire = {"format": config.format.value, **config.to_wire()}
        if config.format is not OutputFormat.MP4:
            wire.pop("codec", None)  # the format has only one, and the reference accepts the field for mp4 alone
        faults = [f"config.{name}: {fault}" for name in sorted({*_REQUIRED, *wire}) if (fault := _fault(name, wire.get(name)))]
        if faults:
            raise RenderError(
                ErrorCode.INVALID_CONFIG,
                "\n".join(["this stack was deployed from the reference renderer's template", *faults]),
                hint="Change these fields, or render on a stack of this provider: hyperframes-airflow deploy --stack-name NAME",
            )
        return wire

    def output_suffix(self, output_format: OutputFormat) -> str:
        """Return the same ending as our stacks, except for frames, which it compresses."""
        return ".tar.gz" if output_format is OutputFormat.PNG_SEQUENCE else super().output_suffix(output_format)

    def check_places(self, *, bucket: str, project: str, output: str, output_format: OutputFormat) -> None:
        """Refuse other buckets: the function may use only its own, and would fail on the output after everything is rendered."""
        for where, uri in (("project", project), ("output", output)):
            if parse_s3_uri(uri, where=where).bucket != bucket:
                raise InvalidRequest(
                    f"{where}: {uri} is not in the bucket {bucket}, the only one that a stack of the reference renderer may use",
                    hint="Copy the archive there first."
                    if where == "project"
                    else "Pass a key instead of a URI, and copy the video afterwards.",
                )
        if output_format is OutputFormat.PNG_SEQUENCE and output.endswith(output_format.spec.suffix):
            raise InvalidRequest(
                f"output: {output} ends in {output_format.spec.suffix}, but this stack makes {self.output_suffix(output_format)}",
                hint=f"End it in {self.output_suffix(output_format)}.",
            )

    def input_of(self, request: ExecutionInput, generation: int) -> ExecutionInput:
        """Give each generation a prefix of its own: the reference refuses to overwrite a plan that differs by a byte."""
        prefix = f"{request.plan_output_s3_prefix.removesuffix('/')}-g{generation}/"
        return request.model_copy(update={"plan_output_s3_prefix": prefix})

    def plan_of(self, result: Mapping[str, Any]) -> PlanResult | None:
        """Translate the plan of either of its protocols."""
        if "ChunkCount" not in result or "TotalFrames" not in result:
            return None
        count = result["ChunkCount"]
        return PlanResult.model_validate(
            {
                "ManifestS3Uri": result.get("PlanV2ManifestS3Uri") or result.get("PlanS3Uri"),
                "Chunks": list(range(count)),
                "MaxParallelChunks": count,
                "Duration": float(result["TotalFrames"] / Fraction(result["Fps"])),
                "RendererVersion": result["ProducerVersion"],
                "BrowserVersion": "",
                "RuntimeVersion": "",
                "Reused": False,
                **result,
            }
        )

    def assembled_of(self, output: Mapping[str, Any], plan: PlanResult | None) -> AssembleResult:
        """Combine the output's URI, frames and size with the plan. The reference verifies nothing and makes no sidecars."""
        made = output.get("Output")
        planned = {} if plan is None else plan.to_wire()
        return AssembleResult.model_validate(
            {**planned, "Verification": {}, "DurationMs": 0, **(made if isinstance(made, Mapping) else {})}
        )

    def attempts(self, error: str) -> int:
        """Return 1 for a final error, else 5."""
        return 1 if self.is_final(error) else _ATTEMPTS

    def is_final(self, error: str) -> bool:
        """Whether its state machine does not retry the error."""
        return error in _FINAL


REFERENCE = ReferenceDialect()
"""The kind of stack that the reference renderer deploys."""


def dialect_of_stack(outputs: Mapping[str, str], parameters: Mapping[str, str]) -> Dialect:
    """Return the kind of a stack. `ProviderVersion` marks ours; an older stack of ours has the parameter `DefinitionKey`."""
    return OWN if "ProviderVersion" in outputs or "DefinitionKey" in parameters else REFERENCE


def dialect_of_task(payload: object) -> Dialect | None:
    """Return the kind of stack that sends its function this event, None for a foreign event. Only ours names the execution."""
    if not isinstance(payload, Mapping) or "Action" not in payload:
        return None
    return OWN if {"ExecutionName", "ExecutionName.$"} & set(payload) else REFERENCE


def dialect_of_definition(definition: object) -> Dialect | None:
    """Return the kind of a state machine from the events in its definition, None if it renders nothing."""
    if isinstance(definition, Mapping):
        return dialect_of_task(definition.get("Payload")) or dialect_of_definition(list(definition.values()))
    if isinstance(definition, list):
        return next((found for found in map(dialect_of_definition, definition) if found is not None), None)
    return None


def _fault(name: str, value: Any) -> str | None:
    """Return why its Plan would refuse or ignore the field; None if it is accepted."""
    if name in _REQUIRED:
        accepted = " or ".join(str(rate) for rate in _FPS) if name == "fps" else "an even number from 16 to 7680"
        if value is None:
            return f"required, because it is not read from the composition; accepted: {accepted}"
        return f"{value!r} is not accepted; use {accepted}" if name == "fps" and value not in _FPS else None
    if name not in _OPTIONAL:
        return _NOT_HANDED_ON.get(name, "unknown to this stack")
    if name == "format" and value not in _FORMATS:
        return f"{value!r} is not accepted; use {', '.join(_FORMATS)}"
    if name in _MOST and value > _MOST[name]:
        return f"{value!r} is not accepted; use at most {_MOST[name]}"
    return None
