"""A record of the captured frames beside each segment, against which the verification gate checks the output."""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Sample
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.thumbnails import thumbnail_bytes, thumbnails_of

_VERSION = 2


@dataclass(frozen=True)
class ChunkRecord:
    """The record of a segment, with an entry for each frame in order."""

    digests: list[str]
    """Checksums of the captured PNGs: equal ones are the same picture to the last bit."""
    thumbnails: list[bytes]
    """Thumbnails made by `thumbnails.reduced`; empty for frames kept as PNG files, which their digests cover."""
    packets: list[str]
    """Size and checksum of each packet; empty where joining does not copy packets."""
    alpha: bool = False
    """Whether the thumbnails have a fourth value, opacity."""
    sha256: str = ""
    """Digest of the segment's file, which reveals damage in transit; empty for a segment that is not transferred."""

    def to_json(self) -> str:
        """Return the record as JSON: some dozens of bytes a frame, because thumbnails of neighbouring frames compress well."""
        return json.dumps(
            {
                "version": _VERSION,
                "digests": self.digests,
                "packets": self.packets,
                "alpha": self.alpha,
                "sha256": self.sha256,
                "thumbnails": pack(self.thumbnails),
            },
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, path: Path) -> ChunkRecord:
        """Read the record at `path`; `VERIFICATION_FAILED` when it is missing or damaged."""
        try:
            data = json.loads(path.read_text("utf-8"))
            if data["version"] != _VERSION:
                raise ValueError(f"version {data['version']!r} is not {_VERSION}")
            thumbnails = unpack(data["thumbnails"], alpha=data["alpha"])
            record = cls(data["digests"], thumbnails, data["packets"], data["alpha"], data["sha256"])
        except FileNotFoundError as error:
            raise RenderError(ErrorCode.VERIFICATION_FAILED, f"{path.name} is missing", hint="Render its chunk again.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RenderError(ErrorCode.VERIFICATION_FAILED, f"{path.name} is damaged: {error}", hint="Render its chunk again.") from error
        return record


def record_path(segment: Path) -> Path:
    """Return the path of the record of `segment`, beside it."""
    return segment.with_name(record_name(segment.name))


def record_name(segment_name: str) -> str:
    """Return the file and object name of a segment's record."""
    return f"{segment_name}.frames"


def digest(png: bytes) -> str:
    """Return the checksum of a captured frame's file: the same picture is always captured as the same file."""
    return f"{zlib.crc32(png):08x}"


def pack(thumbnails: list[bytes]) -> str:
    """Return thumbnails as text for a JSON document."""
    return base64.b64encode(zlib.compress(b"".join(thumbnails))).decode("ascii")


def unpack(text: str, *, alpha: bool) -> list[bytes]:
    """Return the thumbnails in a text made by `pack`; `ValueError` for any other text."""
    try:
        content = zlib.decompress(base64.b64decode(text, validate=True))
    except (zlib.error, binascii.Error) as error:
        raise ValueError(str(error)) from error
    size = thumbnail_bytes(alpha=alpha)
    if len(content) % size:
        raise ValueError(f"{len(content)} bytes of thumbnails are not a multiple of {size}")
    return [content[at : at + size] for at in range(0, len(content), size)]


def samples_of(
    ffmpeg_path: Path, frames: Mapping[int, bytes], folder: Path, *, alpha: bool, opaque_from: int | None = None
) -> list[Sample]:
    """Return samples of `frames` (number to PNG) for the manifest. Scratch files go into `folder`.

    `alpha` and `opaque_from` describe the output, see `thumbnails.reduced`.
    """
    with tempfile.TemporaryDirectory(prefix=".samples-", dir=folder) as scratch:
        pictures = Path(scratch) / "pictures"
        pictures.write_bytes(b"".join(frames.values()))
        thumbnails = thumbnails_of(ffmpeg_path, pictures, Path(scratch) / "thumbnails", alpha=alpha, opaque_from=opaque_from)
    if len(thumbnails) != len(frames):
        raise RenderError(ErrorCode.ENCODER_FAILED, f"{len(thumbnails)} of {len(frames)} captured frames decode")
    return [
        Sample(frame=number, digest=digest(png), thumbnail=pack([thumbnail]))
        for (number, png), thumbnail in zip(frames.items(), thumbnails, strict=True)
    ]


def packets_of(ffmpeg_path: Path, video: Path) -> list[str]:
    """Return size and checksum of every video packet of a file, in order. Nothing is decoded."""
    packets: list[str] = []

    def add(line: str) -> None:
        if packet := packet_of(line):
            packets.append(packet)

    listed: Any = ffmpeg.input(str(video))["v:0"].output("pipe:1", format="framecrc", c="copy")
    run(compile_command(listed, ffmpeg_path), purpose=f"listing the packets of {video.name}", on_line=add)
    return packets


def packet_of(line: str) -> str | None:
    """Return size and checksum from a line of the framecrc muxer (`stream, dts, pts, duration, size, checksum[, flags]`)."""
    if line.startswith("#"):
        return None
    cells = [cell.strip() for cell in line.split(",")]
    return f"{cells[4]}:{cells[5]}" if len(cells) >= 6 else None
