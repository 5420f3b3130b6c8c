"""`RenderConfig`: what a user may ask of one render, validated before anything is started."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import (
    CRF_RANGES,
    FORMATS,
    FRAME_RATES,
    GIF_RATES,
    AudioCodec,
    FormatSpec,
    Kind,
    OutputFormat,
    VideoCodec,
    rate_fault,
    rate_name,
    rate_names,
)

METADATA_NAMES = ("title", "author", "album", "comment", "copyright", "date", "genre")
"""Tags that every container with tags holds."""

_RATES = tuple(sorted({*FRAME_RATES, *GIF_RATES}))
_BITRATE = r"^[1-9][0-9]{0,6}[kM]$"
_LONGEST_TAG = 1000
_LONGEST_SHOWN = 200
"""Characters of a wrong value that a message quotes."""


def parse_fps(value: object) -> Fraction:
    """Turn `30`, `"30"` or `"30000/1001"` into an exact rate; `ValueError` for one that no format has."""
    accepted = f"accepted: {rate_names(FRAME_RATES)}"
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise ValueError(accepted)
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(accepted) from error
    if rate not in _RATES:
        raise ValueError(accepted)
    return rate


def fps_to_wire(rate: Fraction) -> int | str:
    """`30` for a whole rate, `"30000/1001"` for a rational one."""
    return rate.numerator if rate.denominator == 1 else rate_name(rate)


Fps = Annotated[Fraction, BeforeValidator(parse_fps), PlainSerializer(fps_to_wire)]


class Quality(StrEnum):
    """Encoder effort and loss, from fastest to best."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


class Sidecar(StrEnum):
    """What is made beside the output on request."""

    POSTER = "poster"
    """One frame as a picture."""
    CONTACT_SHEET = "contact-sheet"
    """A grid of frames from the whole render, as one picture."""
    CAPTIONS = "captions"
    """The project's caption files, as they are."""
    REPORT = "report"
    """Plan, versions and everything that the verification found, as JSON."""


class WireModel(BaseModel):
    """A model of the wire: unknown fields are errors, both the wire's and Python's names are read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def _even_size(value: int | None) -> int | None:
    if value is not None and value % 2:
        raise ValueError("accepted: an even number from 16 to 7680")
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_is_finite, value))


def _tag_name(name: str) -> str:
    if name not in METADATA_NAMES:
        near = difflib.get_close_matches(name.lower(), METADATA_NAMES, n=1)
        raise ValueError(f"{f'did you mean {near[0]!r}? ' if near else ''}accepted: {', '.join(METADATA_NAMES)}")
    return name


def _tag_text(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" and letter not in "\n\t" for letter in text):
        raise ValueError("accepted: text without control characters")
    return text


TagName = Annotated[str, AfterValidator(_tag_name)]
TagText = Annotated[str, Field(min_length=1, max_length=_LONGEST_TAG), AfterValidator(_tag_text)]


class RenderConfig(WireModel):
    """The options of one render. Sizes are in pixels, rates in frames per second, chunk sizes in frames.

    Build one from outside data with `parse_config`, which turns every fault into one `INVALID_CONFIG` that names the field. A field that
    the format cannot use is a fault.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    # A validator sees only the fields above its own, so the order matters.
    format: OutputFormat = OutputFormat.MP4
    """The output format."""
    fps: Fps | None = None
    """Frame rate. Default: the root element's `data-fps`, else 30."""
    cfr: Annotated[bool, Field(strict=True)] = False
    """Require every frame to last equally long. Videos always do; a gif can only at some rates."""
    width: Annotated[int, Field(strict=True, ge=16, le=7680)] | None = None
    """Width of the output. Default: the composition's own, or the one that keeps its shape when only `height` is given. Another size of the
    same shape scales the page's device pixels."""
    height: Annotated[int, Field(strict=True, ge=16, le=7680)] | None = None
    """Height of the output. Default: the composition's own, or the one that keeps its shape when only `width` is given."""
    codec: VideoCodec | None = None
    """Video codec. Default: the format's first. mp4 takes h264 or h265, hls h264, webm vp9, mov prores (4444)."""
    quality: Quality = Quality.STANDARD
    """Encoder effort and loss."""
    crf: Annotated[int, Field(strict=True, ge=0, le=63)] | None = None
    """Constant rate factor, in place of the one that `quality` sets: 0 to 51 for h264 and h265, 0 to 63 for vp9."""
    bitrate: Annotated[str, Field(pattern=_BITRATE)] | None = None
    """Target bit rate of the pictures, such as `8M` or `900k`, in place of a constant rate factor."""
    audio: Annotated[bool, Field(strict=True)] = True
    """Keep the composition's sound; false makes the output silent."""
    audio_codec: AudioCodec | None = None
    """Audio codec. Default: the format's first. mp4 takes aac or opus, mov pcm or aac, webm opus, hls and m4a aac, wav pcm."""
    audio_bitrate: Annotated[str, Field(pattern=_BITRATE)] | None = None
    """Target bit rate of aac or opus, 32k to 512k. Default: 192k for aac, 160k for opus."""
    metadata: dict[TagName, TagText] = Field(default_factory=dict)
    """Tags to write into the file: title, author, album, comment, copyright, date, genre; up to 1000 characters each."""
    frame: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Frame number of a still. Default: 0."""
    at: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Moment of a still in seconds, in place of `frame`; the still is the frame shown at that moment."""
    gif_loop: Annotated[int, Field(strict=True, ge=0, le=65_535)] | None = None
    """Number of times that a gif repeats. Default: 0, endlessly."""
    hls_segment_seconds: Annotated[int, Field(strict=True, ge=1, le=60)] | None = None
    """Length of an HLS segment in seconds, rounded to a whole frame. Default: 4."""
    sidecars: list[Sidecar] = Field(default_factory=list)
    """Files to make beside the output: poster, contact-sheet, captions, report."""
    poster_at: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Moment of the poster in seconds. Default: the first frame after a tenth of the render that is not a single colour."""
    chunk_size: Annotated[int, Field(strict=True, ge=1, le=3600)] | None = None
    """Frames in a chunk. Default: `ceil(total / maxParallelChunks)`, at least 10; chosen by measured cost when neither is given."""
    target_chunk_frames: Annotated[int, Field(strict=True, ge=1, le=3600)] | None = None
    """Approximate number of frames in a chunk, in place of the size chosen by measured cost."""
    max_parallel_chunks: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    """Maximum number of chunks, all rendered at once as far as the account allows. Default: chosen by measured cost; 8 when `chunkSize` is
    given."""
    runtime_cap: Literal["lambda", "none"] = "lambda"
    """`lambda`: a chunk that runs short of time keeps its finished segments and continues in another invocation. `none`: a chunk never
    stops early."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Values for the composition's variables."""
    strict_variables: Annotated[bool, Field(strict=True)] = False
    """Refuse variables that the composition does not declare and values of another type than declared."""
    entry_file: Annotated[str, Field(min_length=1, max_length=512)] = "index.html"
    """Page to open, relative to the project's root."""
    allowed_hosts: list[Annotated[str, Field(max_length=260, pattern=r"^[A-Za-z0-9_.\-\[\]:]+$")]] = Field(default_factory=list)
    """Hosts, such as `assets.internal` or `10.0.0.7:8080`, whose files the composition may use although their addresses are not public."""

    check_even = field_validator("width", "height")(_even_size)

    @field_validator("fps", "cfr")
    @classmethod
    def _possible_rate(cls, value: Any, info: ValidationInfo) -> Any:
        fps = value if info.field_name == "fps" else info.data.get("fps")
        if fps is not None and "format" in info.data:
            fault = rate_fault(info.data["format"], fps, constant=info.field_name == "cfr" and value)
            if fault:
                raise ValueError(fault)
        return value

    @field_validator("variables")
    @classmethod
    def _numbers_that_json_has(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, given in value.items():
            if not _is_finite(given):
                raise ValueError(f"{name!r} holds NaN or an infinite number, which JSON cannot say; accepted: numbers, or it as text")
        return value

    @field_validator("codec")
    @classmethod
    def _codec_of_the_format(cls, value: VideoCodec | None, info: ValidationInfo) -> VideoCodec | None:
        if "format" in info.data:
            name = info.data["format"]
            _require_one_of(value, name.spec.codecs, f"a {name.value} has no choice of codec")
        return value

    @field_validator("audio_codec")
    @classmethod
    def _audio_codec_of_the_format(cls, value: AudioCodec | None, info: ValidationInfo) -> AudioCodec | None:
        if "format" in info.data:
            name = info.data["format"]
            _require_one_of(value, name.spec.audio_codecs, f"a {name.value} is silent")
        return value

    @field_validator("crf", "bitrate")
    @classmethod
    def _one_rate_control(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None or "format" not in info.data or "codec" not in info.data:
            return value
        codec = info.data["codec"] or next(iter(info.data["format"].spec.codecs), None)
        if codec not in CRF_RANGES:
            wanting = ", ".join(name.value for name, spec in FORMATS.items() if set(spec.codecs) & set(CRF_RANGES))
            what = f"a {info.data['format'].value} is lossless or fixed in quality" if codec is None else f"{codec.value} has a fixed rate"
            raise ValueError(f"{what} and takes no crf or bitrate; accepted with {wanting}")
        if info.field_name == "bitrate":
            if info.data.get("crf") is not None:
                raise ValueError("crf and bitrate exclude each other")
        elif not CRF_RANGES[codec][0] <= value <= CRF_RANGES[codec][1]:
            raise ValueError(f"accepted for {codec.value}: {CRF_RANGES[codec][0]} to {CRF_RANGES[codec][1]}")
        return value

    @field_validator("audio")
    @classmethod
    def _sound_of_a_sound_format(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and "format" in info.data and info.data["format"].spec.kind is Kind.SOUND:
            raise ValueError(f"nothing is left of {info.data['format'].value} without it; accepted: true")
        return value

    @field_validator("audio_bitrate")
    @classmethod
    def _possible_audio_bitrate(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or "format" not in info.data or "audio_codec" not in info.data:
            return value
        codec = info.data["audio_codec"] or next(iter(info.data["format"].spec.audio_codecs), None)
        if codec not in (AudioCodec.AAC, AudioCodec.OPUS):
            raise ValueError(f"{info.data['format'].value} {'is silent' if codec is None else 'has it as pcm'}; accepted with aac and opus")
        if not 32_000 <= bits_per_second(value) <= 512_000:
            raise ValueError("accepted: 32k to 512k")
        return value

    @field_validator("metadata")
    @classmethod
    def _tags_have_a_place(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if value:
            _require_format(info, lambda spec: spec.tags, "holds no tags")
        return value

    @field_validator("frame", "at")
    @classmethod
    def _one_frame_of_a_still(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            _require_format(info, lambda spec: spec.kind is Kind.STILL, "is no still")
            if info.field_name == "at" and info.data.get("frame") is not None:
                raise ValueError("frame and at exclude each other")
        return value

    @field_validator("gif_loop")
    @classmethod
    def _loop_of_a_gif(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None:
            _require_format(info, lambda spec: spec.kind is Kind.ANIMATION, "does not say how often it is played")
        return value

    @field_validator("hls_segment_seconds")
    @classmethod
    def _segments_of_hls(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None:
            _require_format(info, lambda spec: spec.suffix == ".m3u8", "is one file")
        return value

    @field_validator("sidecars")
    @classmethod
    def _sidecars_fit_the_format(cls, value: list[Sidecar], info: ValidationInfo) -> list[Sidecar]:
        if len(set(value)) != len(value):
            raise ValueError("each may be named once")
        if {Sidecar.POSTER, Sidecar.CONTACT_SHEET} & set(value):
            _require_format(info, lambda spec: spec.kind not in (Kind.STILL, Kind.SOUND), "has no poster and no contact sheet")
        if Sidecar.CAPTIONS in value:
            _require_format(info, lambda spec: spec.kind is not Kind.STILL, "has no captions")
        return value

    @field_validator("poster_at")
    @classmethod
    def _moment_of_a_poster(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and Sidecar.POSTER not in info.data.get("sidecars", (Sidecar.POSTER,)):
            raise ValueError("accepted only with a poster among the sidecars")
        return value

    @field_validator("target_chunk_frames")
    @classmethod
    def _a_wish_or_an_order(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("chunk_size") is not None:
            raise ValueError("chunkSize and targetChunkFrames exclude each other")
        return value

    @field_validator("entry_file")
    @classmethod
    def _inside_the_project(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/") or "\\" in value:
            raise ValueError("entryFile must lie inside the project")
        return value

    @property
    def video_codec(self) -> VideoCodec | None:
        """The codec of the pictures; None where they are not encoded as video."""
        return self.codec or next(iter(self.format.spec.codecs), None)

    @property
    def sound_codec(self) -> AudioCodec | None:
        """The codec of the sound; None where the output is to have none, whatever the composition has."""
        return (self.audio_codec or next(iter(self.format.spec.audio_codecs), None)) if self.audio else None

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of the execution input: camelCase, defaults left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def bits_per_second(rate: str) -> int:
    """`8M` or `900k` as a number."""
    return int(rate[:-1]) * {"k": 1000, "M": 1_000_000}[rate[-1]]


def _require_one_of(value: StrEnum | None, accepted: Sequence[StrEnum], none: str) -> None:
    if value is not None and value not in accepted:
        raise ValueError(f"accepted: {' or '.join(codec.value for codec in accepted)}" if accepted else none)


def _require_format(info: ValidationInfo, fits: Callable[[FormatSpec], bool], otherwise: str) -> None:
    if "format" in info.data and not fits(info.data["format"].spec):
        names = ", ".join(name.value for name, spec in FORMATS.items() if fits(spec))
        raise ValueError(f"{info.data['format'].value} {otherwise}; accepted with {names}")


def parse_config(data: Mapping[str, Any], *, where: str = "config") -> RenderConfig:
    """Validate `data`; raise `INVALID_CONFIG` naming the dotted field, its value and what would be accepted."""
    try:
        return RenderConfig.model_validate(dict(data))
    except ValidationError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, "\n".join(_sentence(where, fault) for fault in error.errors())) from None


def _sentence(where: str, fault: Any) -> str:
    location = [str(part) for part in fault["loc"] if part != "[key]"]
    path = ".".join([where, *location])
    if fault["type"] == "extra_forbidden":
        names = [name for field, info in RenderConfig.model_fields.items() for name in (field, info.alias or field)]
        near = difflib.get_close_matches(location[-1], names, n=1)
        return f"{path}: unknown field" + (
            f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted({to_camel(n) for n in RenderConfig.model_fields}))}"
        )
    message = fault["msg"].removeprefix("Value error, ")
    return f"{path}: {_shown(fault['input'])} is not accepted; {message}" if location else f"{where}: {message}"


def _shown(value: object) -> str:
    """The value as a message shows it, a long one by its beginning."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
