"""Stream the wanted members of an archive into a part's folder, without holding the 200 MB browser in memory."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hyperframes_provider.client.aws.archives import tarfile
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.font_files import embedded_fonts, plain_font
from hyperframes_provider.toolset.part import Member, Packing, Part, Registry

_BLOCK = 1 << 20


def unpack(part: Part, archive: Path, folder: Path, scratch: Path) -> None:
    """Write the members of `part` below `folder`, using `scratch` for intermediate files.

    Raises `ToolsetError` if a member is missing or damaged.
    """
    found: set[str] = set()
    opened = _tar_members if part.registry is Registry.NPM else _zip_members
    try:
        for path, member, content in opened(archive, part.members):
            target = f"{member.target}/{PurePosixPath(path).name}" if "*" in member.path else member.target
            _unpack_member(replace(member, target=target), content, folder, scratch)
            found.add(member.path)
    except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ToolsetError(f"{part.name}: {part.spec} cannot be unpacked: {error}", hint=_ROOM) from error
    missing = [member.path for member in part.members if member.path not in found]
    if missing:
        raise ToolsetError(f"{part.name}: {part.spec} lacks {', '.join(missing)}", hint="The pin and the archive disagree: report this.")


_ROOM = "Check the free space of the cache folder, then try again: hyperframes-airflow setup"


def _tar_members(archive: Path, members: Sequence[Member]) -> Iterator[tuple[str, Member, IO[bytes]]]:
    with tarfile.open(archive, "r|gz") as tar:
        for entry in tar:
            member = _member(entry.name, members)
            if member is not None and (content := tar.extractfile(entry)) is not None:
                yield entry.name, member, content


def _zip_members(archive: Path, members: Sequence[Member]) -> Iterator[tuple[str, Member, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            member = _member(name, members)
            if member is not None:
                with wheel.open(name) as content:
                    yield name, member, content


def _member(name: str, members: Sequence[Member]) -> Member | None:
    return next((member for member in members if name == member.path or ("*" in member.path and fnmatchcase(name, member.path))), None)


def _unpack_member(member: Member, content: IO[bytes], folder: Path, scratch: Path) -> None:
    target = folder / member.target
    if member.packing is Packing.BROTLI_TAR:
        inner = scratch / "inner.tar"
        with inner.open("wb") as file:
            _decompress(content, file)
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(inner, "r:") as tar:
            tar.extractall(target, filter="data")
        inner.unlink()
        return
    if member.packing is Packing.FONT_DATA:
        target.mkdir(parents=True, exist_ok=True)
        for name, font in embedded_fonts(content.read().decode()):
            (target / name).write_bytes(font)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        if member.packing is Packing.BROTLI:
            _decompress(content, file)
        elif member.packing is Packing.WOFF:
            file.write(plain_font(content.read()))
        else:
            shutil.copyfileobj(content, file, _BLOCK)
    target.chmod(0o755 if member.executable else 0o644)


def _decompress(content: IO[bytes], target: IO[bytes]) -> None:
    with _decompressor() as decompressor:
        while block := content.read(_BLOCK):
            target.write(decompressor.process(block))
        if not decompressor.is_finished():
            raise EOFError("the compressed data ends too early")


@contextmanager
def _decompressor() -> Iterator[Any]:
    try:
        import brotli
    except ImportError as error:
        raise ToolsetError("the Python package brotli is not installed", hint='pip install "hyperframes-provider[local]"') from error
    try:
        yield brotli.Decompressor()
    except brotli.error as error:
        raise EOFError(f"the compressed data is damaged: {error}") from error
