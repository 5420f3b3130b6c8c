"""PNGs without compression: the cheapest lossless pictures for a browser.

At 1080p, decoding takes 30 ms and writing, which costs two checksums, 15 ms (measured). A JPEG takes 25 and 15 ms, a compressed PNG 100 ms
to write, and a BMP twice as long to read. The pictures only cross loopback.
"""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}
"""PNG's colour type for 3 (RGB) and 4 (RGBA) channels."""


def stored_png(pixels: bytes | bytearray, width: int, height: int, channels: int) -> bytes:
    """Return the PNG of `height` rows of `width` pixels with 3 (RGB) or 4 (RGBA) channels of 8 bits."""
    stride = width * channels
    rows = bytearray(height * (stride + 1))
    source, target = memoryview(pixels), memoryview(rows)
    for row in range(height):
        at = row * (stride + 1) + 1
        target[at : at + stride] = source[row * stride : (row + 1) * stride]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 0)), _chunk(b"IEND", b""))
    return b"".join((_SIGNATURE, *(part for chunk in chunks for part in chunk)))


def _chunk(name: bytes, content: bytes) -> tuple[bytes, bytes, bytes]:
    return struct.pack(">I", len(content)) + name, content, struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
