"""Write a frame as a picture file: the captured PNG, or a JPEG or WebP made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.config import Quality
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.verify import look, wrong

_CODEC_NAMES = {OutputFormat.PNG: "png", OutputFormat.JPEG: "mjpeg", OutputFormat.WEBP: "webp"}

_JPEG_SCALE = {Quality.DRAFT: 6, Quality.STANDARD: 3, Quality.HIGH: 2}
"""Quantiser of each quality: about 75, 90 and 95 on the usual scale to 100."""

_JPEG_END, _MISREAD_END = b"\xff\xd9", "EOI missing"
"""The end of a JPEG, and the false complaint of ffmpeg 7 about one of a single colour."""

_WEBP = {Quality.DRAFT: {"quality": 75}, Quality.STANDARD: {"quality": 90}, Quality.HIGH: {"lossless": 1}}


def write_still(ffmpeg_path: Path, png: bytes, out: Path, *, kind: OutputFormat, quality: Quality) -> None:
    """Write the captured `png` to `out` as `kind`, in the colours that readers expect: sRGB, and full-range bt601 for JPEG."""
    if kind is OutputFormat.PNG:
        out.write_bytes(png)
        return
    captured = out.with_name(f"{out.name}.captured.png")
    captured.write_bytes(png)
    picture = ffmpeg.input(str(captured))
    if kind is OutputFormat.JPEG:
        # Full chroma resolution keeps coloured text sharp.
        picture = picture.filter("scale", out_color_matrix="bt601", out_range="pc", flags="accurate_rnd+full_chroma_int+full_chroma_inp")
        picture = picture.filter("format", "yuv444p")
        options: dict[str, Any] = {"c:v": "mjpeg", "q:v": _JPEG_SCALE[quality], "format": "image2", "update": 1}
    else:
        options = {"c:v": "libwebp", "format": "webp", "pix_fmt": "bgra", **_WEBP[quality]}
    run(compile_command(picture.output(str(out), **options), ffmpeg_path), purpose=f"encoding {out.name}")
    captured.unlink()


def verify_still(ffmpeg_path: Path, still: Path, *, kind: OutputFormat, width: int, height: int) -> dict[str, Any]:
    """Raise `VERIFICATION_FAILED` unless `still` is one picture of the planned kind and size that decodes cleanly; return a summary."""
    if kind is OutputFormat.JPEG and not still.read_bytes().endswith(_JPEG_END):
        raise wrong(still, "it is truncated")
    listing, found = look(ffmpeg_path, still, decode=True, harmless=_MISREAD_END if kind is OutputFormat.JPEG else None)
    if (found.codec, found.size) != (_CODEC_NAMES[kind], (width, height)):
        raise wrong(still, f"it is {found.codec} {found.size[0]}x{found.size[1]}; planned: {_CODEC_NAMES[kind]} {width}x{height}")
    if len(listing.decoded_sizes) != 1:
        raise wrong(still, f"{len(listing.decoded_sizes)} pictures decode; planned: one")
    return {"Frames": 1, "Codec": found.codec, "PixelFormat": found.pixels, "Width": width, "Height": height, "DecodedFrames": 1}
