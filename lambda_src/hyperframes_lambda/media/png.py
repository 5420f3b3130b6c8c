"""The part of the PNG format that the engine reads itself: the size in the header and the checksum of every chunk."""

from __future__ import annotations

import struct
import zlib

from hyperframes_lambda.contract.errors import ErrorCode, RenderError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 24
_SRGB = struct.pack(">I5sI", 1, b"sRGB\x00", zlib.crc32(b"sRGB\x00"))
"""Chunk that declares sRGB with perceptual rendering; it follows the header, which is 25 bytes long."""


def require_size(png: bytes, frame: int, width: int, height: int) -> None:
    """Raise `VERIFICATION_FAILED` unless `png` starts like a PNG of `width` x `height` pixels.

    ffmpeg would silently scale a frame of another size to that of the first.
    """
    if len(png) < _HEADER_BYTES or not png.startswith(_SIGNATURE) or png[12:16] != b"IHDR":
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"frame {frame} is not a PNG: it starts with {png[:8]!r}")
    found = struct.unpack(">II", png[16:24])
    if found != (width, height):
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"frame {frame} is {found[0]}x{found[1]} pixels; planned: {width}x{height}")


def tagged_srgb(png: bytes) -> bytes:
    """Return the picture declared as sRGB, unless it already declares its colours. Chromium does not."""
    end = len(_SIGNATURE) + 25
    after = png[end : png.index(b"IDAT")]
    return png if any(name in after for name in (b"sRGB", b"iCCP", b"cICP")) else png[:end] + _SRGB + png[end:]


def require_intact(png: bytes, frame: int) -> None:
    """Raise `VERIFICATION_FAILED` unless every part of `png` matches its checksum and the last one is the end mark."""
    position, name = len(_SIGNATURE), b""
    while position + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, position)
        end = position + 12 + length
        name = png[position + 4 : position + 8]
        if end > len(png) or zlib.crc32(png[position + 4 : end - 4]) != struct.unpack_from(">I", png, end - 4)[0]:
            raise RenderError(ErrorCode.VERIFICATION_FAILED, f"frame {frame}: part {name!r} of the PNG is damaged or cut off")
        position = end
    if name != b"IEND" or position != len(png):
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"frame {frame}: the PNG is cut off")
