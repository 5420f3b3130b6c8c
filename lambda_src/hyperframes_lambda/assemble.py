"""Assemble: join a plan's segments into the output and hold it to the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.config import OutputFormat
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest, segment_name
from hyperframes_lambda.media.concat import concatenate
from hyperframes_lambda.media.png_sequence import join_to_folder, join_to_tar
from hyperframes_lambda.media.verify import verify_video
from hyperframes_lambda.plan_folder import read_manifest, require_build
from hyperframes_lambda.tools import Tools, find_tools


@dataclass(frozen=True)
class AssembleOutcome:
    """The finished output: a video, a tar of frames, or a folder of frames."""

    output: Path
    frames: int
    size: int
    """Bytes, of all files together."""
    duration: float
    """Seconds."""
    verification: dict[str, Any]


def assemble(
    plan_dir: Path, segments: Sequence[Path], output: Path, *, tools: Tools | None = None, plan_hash: str | None = None
) -> AssembleOutcome:
    """Join `segments`, one for each chunk and in order, to `output`; what was there before is replaced.

    A png-sequence becomes one tar when `output` ends in `.tar`, else a folder. Raises `VERIFICATION_FAILED` when segments are missing or
    the result differs from the plan in frames, spacing, keyframes, size or format; a video or tar that was there is then kept.
    """
    tools = tools or find_tools()
    manifest = read_manifest(plan_dir, plan_hash)
    require_build(manifest, tools.build())
    _require_segments(manifest, segments)
    output.parent.mkdir(parents=True, exist_ok=True)
    if manifest.format is OutputFormat.PNG_SEQUENCE:
        join = join_to_tar if output.suffix == ".tar" else join_to_folder
        verification = join(segments, output, frames=manifest.total_frames, width=manifest.width, height=manifest.height)
    else:
        verification = _join_video(manifest, segments, output, tools)
    duration = float(manifest.total_frames / manifest.fps)
    return AssembleOutcome(output, manifest.total_frames, _size(output), duration, verification)


def _join_video(manifest: Manifest, segments: Sequence[Path], output: Path, tools: Tools) -> dict[str, Any]:
    joined = output.with_name(f".{output.name}.unverified")
    try:
        concatenate(tools.ffmpeg.path, segments, joined, fps=manifest.fps)
        verification = verify_video(
            tools.ffmpeg.path,
            joined,
            fps=manifest.fps,
            frames=manifest.total_frames,
            width=manifest.width,
            height=manifest.height,
            segment_starts=[chunk.first for chunk in manifest.chunks],
        )
        joined.replace(output)
    finally:
        joined.unlink(missing_ok=True)
    return verification


def _require_segments(manifest: Manifest, segments: Sequence[Path]) -> None:
    wanted = [segment_name(manifest, chunk.index) for chunk in manifest.chunks]
    given = [segment.name for segment in segments]
    if given != wanted:
        wrong = next(
            (index for index, pair in enumerate(zip(given, wanted, strict=False)) if pair[0] != pair[1]), min(len(given), len(wanted))
        )
        found = given[wrong] if wrong < len(given) else "nothing"
        expected = wanted[wrong] if wrong < len(wanted) else "nothing"
        message = f"{len(given)} segments for {len(wanted)} chunks: chunk {wrong} is {found}, planned is {expected}"
        raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
    for segment in segments:
        if not segment.is_file():
            raise RenderError(ErrorCode.VERIFICATION_FAILED, f"the segment {segment} does not exist", hint="Render its chunk first.")


def _size(output: Path) -> int:
    if output.is_dir():
        return sum(file.stat().st_size for file in output.glob("*.png"))
    return output.stat().st_size
