"""Reproducible ZIP files: the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold; real times would differ between builds."""


@dataclass(frozen=True)
class Entry:
    """A file of a ZIP. Deflated bytes depend on the zlib in use, so `deflate` is only for files that shrink noticeably."""

    name: str
    content: bytes | Path
    executable: bool = False
    deflate: bool = False

    @property
    def size(self) -> int:
        """Uncompressed bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


def write_zip(path: Path, entries: Iterable[Entry]) -> str:
    """Write the entries, sorted by name, to `path`, making its folder; return the file's SHA-256 in hexadecimal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for entry in sorted(entries, key=lambda entry: entry.name):
            info = zipfile.ZipInfo(entry.name, _EPOCH)
            info.create_system = 3  # Unix on every platform, because the mode below is a Unix one
            info.external_attr = (0o100755 if entry.executable else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if entry.deflate else zipfile.ZIP_STORED
            content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
            archive.writestr(info, content, compresslevel=9 if entry.deflate else None)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
