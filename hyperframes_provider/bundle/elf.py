"""Native files of Linux on x86-64, as far as a bundle looks into them: which glibc they need, and what of them is never loaded.

Field offsets are those of the ELF-64 format (System V ABI, "Object Files"; for symbol versions, the Linux Standard Base, "Symbol
Versioning").
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\x7fELF\x02\x01"
_LOAD, _DYNAMIC = 1, 2
_STRTAB, _VERNEED, _VERNEEDNUM = 5, 0x6FFFFFFE, 0x6FFFFFFF
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_RELATIVE_RELOCATIONS = "GLIBC_ABI_DT_RELR"
"""A version by its feature instead of its number: glibc has it from 2.36."""

Version = tuple[int, int]


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def is_elf(content: bytes) -> bool:
    """Whether these are the bytes of a 64-bit native file."""
    return content.startswith(_MAGIC)


def needed_glibc(content: bytes) -> Version | None:
    """The newest glibc that a native file asks for; None when it asks for none, as a static program. `ValueError` for a damaged file."""
    found = [version for name in _needed_versions(content) if (version := _version(name)) is not None]
    return max(found, default=None)


def without_symbols(content: bytes) -> bytes:
    """The file up to the end of what is loaded: section headers, symbols and debug information lie behind it and are for tools only."""
    end = max(segment.offset + segment.size for segment in _segments(content))
    kept = bytearray(content[:end])
    struct.pack_into("<Q", kept, 40, 0)  # e_shoff
    struct.pack_into("<HH", kept, 60, 0, 0)  # e_shnum, e_shstrndx
    return bytes(kept)


def _version(name: str) -> Version | None:
    if name == _RELATIVE_RELOCATIONS:
        return 2, 36
    found = _GLIBC.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def _needed_versions(content: bytes) -> Iterator[str]:
    """The names in the file's list of needed symbol versions."""
    try:
        segments = list(_segments(content))
        table = {
            tag: value
            for segment in segments
            if segment.kind == _DYNAMIC
            for tag, value in struct.iter_unpack("<QQ", content[segment.offset : segment.offset + segment.size // 16 * 16])
        }
        if _VERNEED not in table:
            return
        strings = _offset(table[_STRTAB], segments)
        at = _offset(table[_VERNEED], segments)
        for _ in range(table[_VERNEEDNUM]):
            _, count, _, first, following = struct.unpack_from("<HHIII", content, at)
            entry = at + first
            for _ in range(count):
                _, _, _, name, step = struct.unpack_from("<IHHII", content, entry)
                yield content[strings + name : content.index(b"\0", strings + name)].decode("ascii")
                entry += step
            at += following
    except (struct.error, KeyError) as error:
        raise ValueError(f"not a sound ELF file: {error}") from error


def _segments(content: bytes) -> Iterator[_Segment]:
    try:
        (start,) = struct.unpack_from("<Q", content, 32)
        size, count = struct.unpack_from("<HH", content, 54)
        for number in range(count):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", content, start + number * size)
            yield _Segment(kind, offset, address, length)
    except struct.error as error:
        raise ValueError(f"not a sound ELF file: {error}") from error


def _offset(address: int, segments: list[_Segment]) -> int:
    """Where in the file the loaded `address` lies."""
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError(f"not a sound ELF file: nothing is loaded at {address:#x}")
