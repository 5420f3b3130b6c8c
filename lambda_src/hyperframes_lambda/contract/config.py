"""`RenderConfig`: what a user may ask of one render, validated before anything is started."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from hyperframes_lambda.contract.errors import ErrorCode, RenderError

FRAME_RATES: tuple[Fraction, ...] = (
    *(Fraction(n) for n in (24, 25, 30, 50, 60, 120)),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60)),
)
"""Accepted frame rates, frames per second."""

_ACCEPTED_FPS = "24, 25, 30, 50, 60, 120, 24000/1001, 30000/1001 or 60000/1001"


def parse_fps(value: object) -> Fraction:
    """Turn `30`, `"30"` or `"30000/1001"` into an exact rate; `ValueError` for anything that is not in `FRAME_RATES`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise ValueError(f"accepted: {_ACCEPTED_FPS}")
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"accepted: {_ACCEPTED_FPS}") from error
    if rate not in FRAME_RATES:
        raise ValueError(f"accepted: {_ACCEPTED_FPS}")
    return rate


def fps_to_wire(rate: Fraction) -> int | str:
    """`30` for a whole rate, `"30000/1001"` for a rational one."""
    return rate.numerator if rate.denominator == 1 else f"{rate.numerator}/{rate.denominator}"


Fps = Annotated[Fraction, BeforeValidator(parse_fps), PlainSerializer(fps_to_wire)]


class OutputFormat(StrEnum):
    """What a render produces. Other containers are refused by name until they can be rendered right."""

    MP4 = "mp4"
    """H.264, yuv420p, bt709 limited range, in an MP4 container."""
    PNG_SEQUENCE = "png-sequence"
    """One lossless PNG a frame, named `000000.png`…, alpha kept; packed as one `.tar` when the output is a single object."""


class Quality(StrEnum):
    """Encoder effort and loss, from fastest to best."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


class WireModel(BaseModel):
    """A model of the wire: unknown fields are errors, both the wire's and Python's names are read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def _even_size(value: int | None) -> int | None:
    if value is not None and value % 2:
        raise ValueError("accepted: an even number from 16 to 7680")
    return value


class RenderConfig(WireModel):
    """What a user may ask of one render. Sizes in pixels, rates in frames per second, chunk sizes in frames.

    Build one from outside data with `parse_config`, which turns every fault into one `INVALID_CONFIG` that names the field.
    """

    fps: Fps | None = None
    """Default: the root's `data-fps`, else 30."""
    width: Annotated[int, Field(strict=True, ge=16, le=7680)] | None = None
    height: Annotated[int, Field(strict=True, ge=16, le=7680)] | None = None
    """Default: the composition's own size. Another size of the same aspect renders by device scale factor."""
    format: OutputFormat = OutputFormat.MP4
    codec: Literal["h264"] | None = None
    """The video codec; mp4 is h264. Has no meaning for a png-sequence."""
    quality: Quality = Quality.STANDARD
    crf: Annotated[int, Field(strict=True, ge=0, le=51)] | None = None
    """H.264 constant rate factor; overrides the one of `quality`."""
    bitrate: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}[kM]$")] | None = None
    """Target bit rate such as `8M` or `900k`, instead of a constant rate factor."""
    chunk_size: Annotated[int, Field(strict=True, ge=1, le=3600)] | None = None
    """Frames in a chunk. Default: `ceil(total / maxParallelChunks)`, at least 10."""
    max_parallel_chunks: Annotated[int, Field(strict=True, ge=1, le=1000)] = 8
    runtime_cap: Literal["lambda", "none"] = "lambda"
    variables: dict[str, Any] = Field(default_factory=dict)
    strict_variables: Annotated[bool, Field(strict=True)] = False
    """Refuse variables that the composition does not declare, and values of another type than declared."""
    entry_file: Annotated[str, Field(min_length=1, max_length=512)] = "index.html"
    """The page to open, relative to the project's root."""

    check_even = field_validator("width", "height")(_even_size)

    @model_validator(mode="after")
    def _one_rate_control(self) -> RenderConfig:
        if self.crf is not None and self.bitrate is not None:
            raise ValueError("crf and bitrate exclude each other")
        if self.format is OutputFormat.PNG_SEQUENCE and (self.crf is not None or self.bitrate is not None or self.codec is not None):
            raise ValueError("a png-sequence is lossless: it takes no codec, crf or bitrate")
        parts = self.entry_file.split("/")
        if self.entry_file.startswith("/") or ".." in parts or "\\" in self.entry_file:
            raise ValueError("entryFile must lie inside the project")
        return self

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of the execution input: camelCase, defaults left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def parse_config(data: Mapping[str, Any], *, where: str = "config") -> RenderConfig:
    """Validate `data`; raise `INVALID_CONFIG` naming the dotted field, its value and what would be accepted."""
    try:
        return RenderConfig.model_validate(dict(data))
    except ValidationError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, "\n".join(_sentence(where, fault) for fault in error.errors())) from None


def _sentence(where: str, fault: Any) -> str:
    path = ".".join([where, *(str(part) for part in fault["loc"])])
    if fault["type"] == "extra_forbidden":
        names = [name for field, info in RenderConfig.model_fields.items() for name in (field, info.alias or field)]
        near = difflib.get_close_matches(str(fault["loc"][-1]), names, n=1)
        return f"{path}: unknown field" + (
            f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted({to_camel(n) for n in RenderConfig.model_fields}))}"
        )
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {fault['input']!r} is not accepted; {message}" if fault["loc"] else f"{where}: {message}"
