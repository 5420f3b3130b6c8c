"""Make an animated GIF from lossless segments, with one palette for the whole render, so that colours do not jump at a seam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media.codecs import LOSSLESS
from hyperframes_lambda.media.concat import listed
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.verify import look, require_times, wrong

TICKS = 100
"""A GIF counts hundredths of a second: each frame's exact time is rounded to the nearest one."""

_DISPOSAL, _REMOVED, _SEE_THROUGH = 0b11100, 0b01000, 0b00001
"""Bits of a frame's flags: the disposal before the next frame, its value for removal, and the presence of a transparent colour."""

_COLOUR = 3
"""Bytes from the flags to the number of the transparent colour."""

_RESERVED = 255
"""Number of the transparent colour in the render's own palette."""

_DESCRIPTOR = 10
"""Bytes of a picture's descriptor, which ends with its flags."""

_LARGEST_TABLE = 768
"""Bytes of a table with 256 colours."""

_END = b"\x3b"


def make_gif(ffmpeg_path: Path, segments: Sequence[Path], out: Path, *, fps: Fraction, loop: int) -> None:
    """Write the frames of `segments` to `out`, repeated `loop` times after the first, or endlessly for 0.

    Segments are read twice, because the palette is chosen from every frame. Raise ENCODER_FAILED, ENCODER_CRASHED or DISK_FULL.
    """
    palette = out.with_name(f"{out.name}.palette.png")
    with listed(segments, out) as listing:
        every_frame = ffmpeg.input(str(listing), format="concat", safe=0)
        chosen = every_frame.filter("palettegen", stats_mode="full").output(str(palette), format="image2", update=1, **{"frames:v": 1})
        run(compile_command(chosen, ffmpeg_path), purpose="choosing the palette")
        # The segments' own clock counts milliseconds, which is too coarse for some rates.
        timed = every_frame.filter("settb", f"{fps.denominator}/{fps.numerator}").filter("setpts", "N")
        painted = ffmpeg.filter(
            [timed, ffmpeg.input(str(palette))],
            "paletteuse",
            dither="sierra2_4a",
            diff_mode="rectangle",
            alpha_threshold=LOSSLESS.opaque_from,
        )
        # ffmpeg derives the duration of a frame from the next one; the last frame has none.
        options = {"format": "gif", "loop": loop, "fps_mode": "passthrough", "final_delay": round(100 / fps)}
        run(compile_command(painted.output(str(out), **options), ffmpeg_path), purpose="encoding the gif")
        if has_transparency(out.read_bytes()):
            # The encoder writes only changes and shows the previous frame elsewhere, even through transparent pixels.
            run(compile_command(painted.output(str(out), gifflags=0, **options), ffmpeg_path), purpose="encoding the gif")
            out.write_bytes(with_cleared_frames(out.read_bytes()))
    palette.unlink()


def has_transparency(gif: bytes) -> bool:
    """Whether a GIF written by ffmpeg has a transparent frame, which ffmpeg marks for removal before the next."""
    return any(gif[control] & _DISPOSAL == _REMOVED for control, _ in _frames(gif))


def with_cleared_frames(gif: bytes) -> bytes:
    """Return the GIF with every frame marked for removal before the next, so that none shows through another.

    Decoders clear a frame's place only if the frame itself has a transparent colour, so opaque frames get one as well: the one that the
    palette reserves or, in a frame's own smaller table, a new one after those in use.
    """
    cleared, done = bytearray(), 0
    for control, picture in _frames(gif):
        end = picture + _DESCRIPTOR
        head = bytearray(gif[done:end])
        table = _table_bytes(gif[end - 1])
        wider = b""
        if not gif[control] & _SEE_THROUGH:
            if 0 < table < _LARGEST_TABLE:
                wider = bytes(table)
                head[-1] += 1
            head[control - done + _COLOUR] = table // 3 if wider else _RESERVED
        head[control - done] = gif[control] & ~_DISPOSAL | _REMOVED | _SEE_THROUGH
        done = end + table
        cleared += head + gif[end:done] + wider
    return bytes(cleared + gif[done:])


def _frames(gif: bytes) -> Iterator[tuple[int, int]]:
    """Yield the positions of each frame's flags and picture; `VERIFICATION_FAILED` for a broken sequence of blocks."""
    at, control = 13 + _table_bytes(gif[10]), 0
    while gif[at : at + 1] != _END:
        match gif[at : at + 2]:
            case b"\x21\xf9":
                control = at + 3
                at += 2
            case pair if pair[:1] == b"\x21":
                at += 2
            case pair if pair[:1] == b"\x2c":
                yield control, at
                at += 11 + _table_bytes(gif[at + 9])
            case _:
                raise RenderError(ErrorCode.VERIFICATION_FAILED, f"the gif has no block at byte {at} of {len(gif)}")
        while at < len(gif) and gif[at]:
            at += gif[at] + 1
        at += 1


def _table_bytes(flags: int) -> int:
    """Return the size of the colour table that the flags of a screen or a picture announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def verify_gif(ffmpeg_path: Path, gif: Path, *, fps: Fraction, frames: int, width: int, height: int) -> dict[str, Any]:
    """Raise `VERIFICATION_FAILED` unless `gif` has the planned frames, times and size and decodes cleanly; return a summary."""
    listing, found = look(ffmpeg_path, gif, decode=True)
    if (found.codec, found.size) != ("gif", (width, height)):
        raise wrong(gif, f"it is {found.codec} {found.size[0]}x{found.size[1]}; planned: gif {width}x{height}")
    require_times(gif, listing, fps=fps, frames=frames, ticks=TICKS)
    if len(listing.decoded_sizes) != frames:
        raise wrong(gif, f"{len(listing.decoded_sizes)} frames decode; planned: {frames}")
    return {
        "Frames": frames,
        "Duration": round(float(frames / fps), 6),
        "Codec": "gif",
        "PixelFormat": found.pixels,
        "Width": width,
        "Height": height,
        "DecodedFrames": frames,
        "Warnings": 0,
    }
