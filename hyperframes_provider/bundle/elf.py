"""The glibc that a native Linux file needs, and the file without the parts that are never loaded."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

_MAGIC = b"\x7fELF\x02\x01"
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
_RELATIVE_RELOCATIONS = "GLIBC_ABI_DT_RELR"
"""A version named after its feature; glibc provides it from 2.36."""

Version = tuple[int, int]


def is_elf(content: bytes) -> bool:
    """Whether these are the bytes of a 64-bit native file."""
    return content.startswith(_MAGIC)


def needed_glibc(content: bytes) -> Version | None:
    """Return the newest glibc that a native file needs, or None for a static program; raise `ValueError` for a damaged file."""
    from elftools.common.exceptions import ELFError  # Here and below: only the extra `local` installs it.

    try:
        return max((version for name in _needed_versions(content) if (version := _version(name)) is not None), default=None)
    except (ELFError, AssertionError, UnicodeDecodeError) as error:
        raise ValueError(f"not a sound ELF file: {error}") from error


def without_symbols(content: bytes) -> bytes:
    """Return the file up to the end of its last segment; section headers, symbols and debug information follow it and serve tools only."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(content))
    end = max(segment["p_offset"] + segment["p_filesz"] for segment in elf.iter_segments())
    elf.header["e_shoff"] = elf.header["e_shnum"] = elf.header["e_shstrndx"] = 0
    header: bytes = elf.structs.Elf_Ehdr.build(elf.header)
    return header + content[len(header) : end]


def _version(name: str) -> Version | None:
    if name == _RELATIVE_RELOCATIONS:
        return 2, 36
    found = _GLIBC.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def _needed_versions(content: bytes) -> Iterator[str]:
    """Yield the symbol versions that the dynamic segment asks for; section headers may be missing, so they are not used."""
    from elftools.construct.lib.container import Container
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    elf = ELFFile(io.BytesIO(content))
    for segment in elf.iter_segments("PT_DYNAMIC"):
        assert isinstance(segment, DynamicSegment)
        _, offset = segment.get_table_offset("DT_VERNEED")
        if offset is None:
            continue
        (count,) = segment.iter_tags("DT_VERNEEDNUM")
        header = Container(sh_flags=0, sh_size=0, sh_addralign=1, sh_offset=offset, sh_info=count["d_val"])
        strings: Any = segment._get_stringtable()
        for _, needed in GNUVerNeedSection(header, "", elf, strings).iter_versions():
            yield from (version.name for version in needed)
