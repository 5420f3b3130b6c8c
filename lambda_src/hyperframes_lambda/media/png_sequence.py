"""PNG output: tar segments of numbered frames, joined to a folder or one tar. PNG data stay as captured, tagged as sRGB."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media import png as png_format
from hyperframes_lambda.media.gate_record import digest

_FRAME_NAME = re.compile(r"[0-9]{6,}\.png")


def frame_name(frame: int) -> str:
    """Return `000007.png` for frame 7 of the whole render."""
    return f"{frame:06d}.png"


class PngSegment:
    """Takes PNG frames in order and leaves one tar at `out`, or nothing at all; the same frames make the same bytes."""

    def __init__(self, out: Path, *, first: int, frames: int, width: int, height: int) -> None:
        self._out = out
        self._part = out.with_name(out.name + ".part")
        self._first = first
        self._frames = frames
        self._size = (width, height)
        self._written = 0
        self.thumbnails: list[bytes] = []
        """Always empty: frames stay as captured, and their checksums replace thumbnails."""
        self.seconds = 0.0
        """Time spent writing."""

    def __enter__(self) -> PngSegment:
        self.open()
        return self

    def open(self) -> None:
        """Begin the tar."""
        self._tar = tarfile.open(self._part, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - `abandon` closes it

    def write(self, png: bytes) -> None:
        """Add the next frame."""
        frame = self._first + self._written
        png_format.require_size(png, frame, *self._size)
        started = time.monotonic()
        _add(self._tar, frame, png)
        self.seconds += time.monotonic() - started
        self._written += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def finish(self, *, early: bool = False) -> None:
        """Complete the tar; `VERIFICATION_FAILED` unless it received the planned number of frames or ends `early` on purpose."""
        try:
            self._tar.close()
            if self._written != self._frames and not early:
                message = f"{self._out.name} got {self._written} frames; planned: {self._frames}"
                raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
            self._part.replace(self._out)
        finally:
            self.abandon()

    def stop(self) -> None:
        """Do nothing: writing a tar never waits."""

    def abandon(self) -> None:
        """Remove everything but a complete tar."""
        try:
            self._tar.close()
        finally:
            self._part.unlink(missing_ok=True)


def join_to_tar(
    segments: Sequence[Path], out: Path, *, frames: int, width: int, height: int, digests: Sequence[str] = ()
) -> dict[str, Any]:
    """Write every frame of `segments` to one tar.

    Raise `VERIFICATION_FAILED` unless they are frames 0 to `frames - 1`, intact, of that size and, if `digests` are given, as captured.
    """
    part = out.with_name(out.name + ".part")
    try:
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
            for frame, png in _frames(segments, frames, width, height, digests=digests):
                _add(tar, frame, png)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return _summary(frames, width, height)


def join_to_folder(
    segments: Sequence[Path], out: Path, *, frames: int, width: int, height: int, digests: Sequence[str] = ()
) -> dict[str, Any]:
    """Write every frame to the folder `out`, checked as by `join_to_tar`. Remove numbered frames of an earlier, longer render."""
    out.mkdir(parents=True, exist_ok=True)
    for frame, png in _frames(segments, frames, width, height, digests=digests):
        (out / frame_name(frame)).write_bytes(png)
    planned = {frame_name(frame) for frame in range(frames)}
    for stale in out.iterdir():
        if _FRAME_NAME.fullmatch(stale.name) and stale.name not in planned:
            stale.unlink()
    return _summary(frames, width, height)


def only_frame(segment: Path, frame: int, *, width: int, height: int, digests: Sequence[str] = ()) -> bytes:
    """Return the PNG of a segment that holds only `frame`; `VERIFICATION_FAILED` unless it is intact, of that size and as captured."""
    return next(png for _, png in _frames([segment], 1, width, height, first=frame, digests=digests))


def _frames(
    segments: Sequence[Path], frames: int, width: int, height: int, *, first: int = 0, digests: Sequence[str] = ()
) -> Iterator[tuple[int, bytes]]:
    frame = first
    with ExitStack() as stack:
        for segment in segments:
            tar = stack.enter_context(_opened(segment))
            for member in tar:
                if member.name != frame_name(frame):
                    message = f"{segment.name} holds {member.name!r} in the place of {frame_name(frame)}"
                    raise RenderError(ErrorCode.VERIFICATION_FAILED, message)
                content = tar.extractfile(member)
                png = b"" if content is None else content.read()
                png_format.require_size(png, frame, width, height)
                png_format.require_intact(png, frame)
                if digests and digest(png) not in digests[frame - first : frame - first + 1]:
                    raise RenderError(ErrorCode.VERIFICATION_FAILED, f"frame {frame} of {segment.name} is not the captured picture")
                yield frame, png_format.tagged_srgb(png)
                frame += 1
            tar.close()
    if frame - first != frames:
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"the segments hold {frame - first} frames; planned: {frames}")


def _opened(segment: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(segment, "r:")
    except tarfile.TarError as error:
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"{segment.name} is not a tar: {error}") from error


def _add(tar: tarfile.TarFile, frame: int, png: bytes) -> None:
    member = tarfile.TarInfo(frame_name(frame))  # its defaults are constant: no time, owner 0, mode 0644
    member.size = len(png)
    tar.addfile(member, io.BytesIO(png))


def _summary(frames: int, width: int, height: int) -> dict[str, Any]:
    return {"Frames": frames, "Codec": "png", "Width": width, "Height": height, "Intact": True}
