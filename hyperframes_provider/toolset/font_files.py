"""Fonts extracted from the forms in which packages hold them."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator

_EMBEDDED = re.compile(r'"@fontsource/([a-z0-9-]+):(\d+):(\w+)", "data:font/woff2;base64,([A-Za-z0-9+/=]+)"')
_NOT_DRAWN = b"SVG "
"""The emoji font holds its pictures twice; Chromium draws the smaller table, `COLR`."""


def embedded_fonts(script: str) -> Iterator[tuple[str, bytes]]:
    """Return file name and content of every web font in the reference's font script; raise `ValueError` if it has none."""
    found = _EMBEDDED.findall(script)
    if not found:
        raise ValueError("the script holds no fonts")
    return ((f"{family}-latin-{weight}-{style}.woff2", base64.b64decode(text)) for family, weight, style, text in found)


def plain_font(woff: bytes) -> bytes:
    """Return the font in a WOFF 1.0 file (W3C Recommendation, sections 3 to 5); raise `ValueError` for any other or a damaged file.

    By hand, because fontTools recomputes the checksum in `head`: other bytes, and so another digest of the fonts.
    """
    try:
        signature, flavor, _, count = struct.unpack_from(">4sIIH", woff)
        if signature != b"wOFF":
            raise ValueError("not a WOFF file")
        entries = [struct.unpack_from(">4s4I", woff, 44 + 20 * number) for number in range(count)]
        tables = [
            (tag, checksum, _table(woff[start : start + packed], size))
            for tag, start, packed, size, checksum in entries
            if tag != _NOT_DRAWN
        ]
    except (struct.error, zlib.error) as error:
        raise ValueError(f"the WOFF file is damaged: {error}") from error
    power = len(tables).bit_length() - 1
    header = struct.pack(">I4H", flavor, len(tables), 16 << power, power, 16 * len(tables) - (16 << power))
    directory, body, position = b"", [], 12 + 16 * len(tables)
    for tag, checksum, content in tables:
        directory += struct.pack(">4s3I", tag, checksum, position, len(content))
        padded = content + bytes(-len(content) % 4)
        body.append(padded)
        position += len(padded)
    return b"".join([header, directory, *body])


def _table(data: bytes, size: int) -> bytes:
    content = data if len(data) == size else zlib.decompress(data)
    if len(content) != size:
        raise ValueError(f"a table has {len(content)} bytes instead of {size}")
    return content
