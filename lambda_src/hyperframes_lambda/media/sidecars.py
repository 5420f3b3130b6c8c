"""Sidecars: poster, contact sheet, captions and report, made on request beside the finished output."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.config import Sidecar, fps_to_wire
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind, base_name
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.gate_record import ChunkRecord, unpack
from hyperframes_lambda.media.png_sequence import frame_name
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.thumbnails import is_blank

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".vtt": "text/vtt; charset=utf-8",
    ".srt": "application/x-subrip",
    ".json": "application/json",
}
"""Media types by suffix."""

_POSTER_PART = Fraction(1, 10)
"""Position of the default poster: after most fades in, before most titles are gone."""

_SHEET_FRAMES, _SHEET_COLUMNS, _SHEET_CELL = 16, 4, 320
"""Frames of a contact sheet, frames per row, and the longer side of each in pixels."""

_BACKGROUND = "0x202020"
_JPEG_SCALE = {"out_color_matrix": "bt601", "out_range": "pc", "flags": "accurate_rnd+full_chroma_int+full_chroma_inp"}
"""JPEG files are always full-range bt601."""


@dataclass(frozen=True)
class _Picture:
    """A picture made of some frames of the output."""

    path: Path
    frames: list[int]
    columns: int = 0
    """Columns of the grid; 0 for a single frame at full size."""


def write_sidecars(
    ffmpeg_path: Path,
    output: Path,
    manifest: Manifest,
    records: Sequence[ChunkRecord],
    verification: Mapping[str, Any],
    *,
    source: Callable[[str], Path],
    decoder: str | None = None,
) -> dict[str, Path]:
    """Make the sidecars that the configuration requests, and return them by name: `poster`, `captions.de` and so on.

    They lie beside `output` and have its name with another ending. `source` returns the local copy of a key of `Manifest.files`, and
    `decoder` decodes the video where ffmpeg's own choice would lose its transparency. Raise ENCODER_FAILED, ENCODER_CRASHED or DISK_FULL.
    """
    wanted = manifest.config.sidecars
    base = output.with_name(base_name(output.name))
    suffix = ".png" if manifest.format.spec.alpha else ".jpg"
    pictures: dict[str, _Picture] = {}
    if Sidecar.POSTER in wanted:
        pictures["poster"] = _Picture(_beside(base, f".poster{suffix}"), [poster_frame(manifest, records)])
    if Sidecar.CONTACT_SHEET in wanted:
        pictures["contact-sheet"] = _Picture(_beside(base, ".contact-sheet.jpg"), sheet_frames(manifest.total_frames), _SHEET_COLUMNS)
    if pictures:
        with tempfile.TemporaryDirectory(prefix=".sidecars-", dir=output.parent) as folder:
            _draw(ffmpeg_path, output, manifest, list(pictures.values()), Path(folder), decoder)
    made = {name: picture.path for name, picture in pictures.items()}
    if Sidecar.CAPTIONS in wanted:
        made |= _copy_captions(manifest, base, source)
    if Sidecar.REPORT in wanted:
        document = report_of(output, manifest, verification, made)
        made["report"] = _beside(base, ".report.json")
        made["report"].write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return made


def poster_frame(manifest: Manifest, records: Sequence[ChunkRecord]) -> int:
    """Return the frame at `posterAt`, else the first from a tenth of the render on that is not a flat colour, else that at a tenth.

    A `posterAt` after the end means the last frame. Frames kept as PNG files have no thumbnails; Plan's samples replace them.
    """
    last = manifest.total_frames - 1
    if manifest.config.poster_at is not None:
        # Half a microsecond makes 0.1 s at 30 frames per second frame 3, although the product is slightly less.
        return min(int((Fraction(manifest.config.poster_at) + Fraction(1, 2_000_000)) * manifest.fps), last)
    start = int(manifest.total_frames * _POSTER_PART)
    alpha = manifest.format.spec.alpha
    thumbnails = dict(enumerate(thumbnail for record in records for thumbnail in record.thumbnails))
    if not thumbnails:
        thumbnails = {sample.frame: unpack(sample.thumbnail, alpha=alpha)[0] for sample in manifest.samples}
    return next((frame for frame in sorted(thumbnails) if frame >= start and not is_blank(thumbnails[frame], alpha=alpha)), start)


def sheet_frames(total: int) -> list[int]:
    """Return the frames of a contact sheet: the middle frame of each of as many equal parts of the render."""
    count = min(total, _SHEET_FRAMES)
    return [(2 * part + 1) * total // (2 * count) for part in range(count)]


def report_of(output: Path, manifest: Manifest, verification: Mapping[str, Any], sidecars: Mapping[str, Path]) -> dict[str, Any]:
    """Return the report: the plan, the versions, the verification and the other sidecars."""
    return {
        "Format": manifest.format.value,
        "Frames": manifest.total_frames,
        "Fps": fps_to_wire(manifest.fps),
        "Duration": float(manifest.total_frames / manifest.fps),
        "Width": manifest.width,
        "Height": manifest.height,
        "HasAudio": manifest.has_audio,
        "Config": manifest.config.to_wire(),
        "PlanHash": manifest.plan_hash,
        "ProjectSha256": manifest.project_sha256,
        "Chunks": [[chunk.first, chunk.last] for chunk in manifest.chunks],
        "Audio": [track.model_dump(mode="json", by_alias=True, exclude={"envelope"}) for track in manifest.audio],
        "Versions": manifest.build.model_dump(mode="json", by_alias=True),
        "Verification": dict(verification),
        "Sidecars": {name: path.name.removeprefix(base_name(output.name)) for name, path in sidecars.items()},
    }


def _copy_captions(manifest: Manifest, base: Path, source: Callable[[str], Path]) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for captions in manifest.captions:
        language = f".{captions.language}" if captions.language else ""
        suffix = PurePosixPath(captions.file).suffix.lower()
        target, again = _beside(base, f"{language}{suffix}"), 2
        while target in made.values():
            target, again = _beside(base, f"{language}-{again}{suffix}"), again + 1
        shutil.copyfile(source(captions.file), target)
        made[f"captions{target.name.removeprefix(base.name)}"] = target
    return made


def _draw(ffmpeg_path: Path, output: Path, manifest: Manifest, pictures: Sequence[_Picture], folder: Path, decoder: str | None) -> None:
    """Make all pictures in one run, which decodes the output once, up to the last frame needed."""
    numbers = sorted({frame for picture in pictures for frame in picture.frames})
    if manifest.format.spec.kind is Kind.SEQUENCE:
        stack = folder / "pictures"
        stack.write_bytes(b"".join(_captured_frames(output, numbers)))
        frames = ffmpeg.input(str(stack), format="png_pipe")
    else:
        options = {} if decoder is None else {"c:v": decoder}
        frames = ffmpeg.input(str(output), **options)["v:0"].filter("select", _any_of(numbers))
    branches = frames.filter_multi_output("split", len(pictures)) if len(pictures) > 1 else [frames]
    drawn = [folder / picture.path.name for picture in pictures]
    outputs = [
        # The selection renumbers `numbers` as 0, 1, 2 …
        _arranged(branches[index].filter("select", _any_of([numbers.index(frame) for frame in picture.frames])), picture, manifest).output(
            str(path), format="image2", update=1, vframes=1, **{"q:v": 2}
        )
        for index, (picture, path) in enumerate(zip(pictures, drawn, strict=True))
    ]
    run(compile_command(ffmpeg.merge_outputs(*outputs), ffmpeg_path), purpose=f"drawing the sidecars of {output.name}")
    for picture, path in zip(pictures, drawn, strict=True):
        if not path.exists():
            raise RenderError(ErrorCode.ENCODER_FAILED, f"{picture.path.name}: ffmpeg found no such frame in {output.name}")
        path.replace(picture.path)


def _arranged(frames: Any, picture: _Picture, manifest: Manifest) -> Any:
    if picture.path.suffix == ".png":
        return frames.filter("format", "rgba")
    if manifest.format.spec.alpha:
        # Transparent parts become black.
        frames = frames.filter("format", "gbrap").filter("premultiply", inplace=1).filter("format", "gbrp")
    if picture.columns:
        scale = _SHEET_CELL / max(manifest.width, manifest.height)
        width, height = (max(2, round(side * scale / 2) * 2) for side in (manifest.width, manifest.height))
        rows = -(-len(picture.frames) // picture.columns)
        columns = min(picture.columns, len(picture.frames))
        frames = frames.filter("scale", width, height, flags="area+accurate_rnd+full_chroma_int+full_chroma_inp")
        frames = frames.filter("tile", f"{columns}x{rows}", margin=8, padding=8, color=_BACKGROUND)
    return frames.filter("scale", **_JPEG_SCALE).filter("format", "yuv444p")


def _captured_frames(output: Path, numbers: Sequence[int]) -> list[bytes]:
    if output.is_dir():
        return [(output / frame_name(number)).read_bytes() for number in numbers]
    with tarfile.open(output, "r:") as tar:
        members = [tar.extractfile(frame_name(number)) for number in numbers]
        return [member.read() for member in members if member is not None]


def _any_of(numbers: Sequence[int]) -> str:
    return "+".join(f"eq(n,{number})" for number in numbers)


def _beside(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)
