"""The payloads that the function unpacks on first use: programs and the largest fonts, packed for several threads to unpack.

Packing takes most of a build's time, so the user cache keeps the results, each under a digest of everything that determines it.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hyperframes_lambda.contract.bundle import Block, Packing, Payload
from hyperframes_provider.bundle.elf import is_elf, needed_glibc, without_symbols
from hyperframes_provider.bundle.errors import BundleError
from hyperframes_provider.client.aws.archives import tarfile
from hyperframes_provider.toolset.fetch import INSTALL
from hyperframes_provider.toolset.installed import InstalledPart, sha256_of

_RECIPE = 1
"""Increase whenever the same input is packed differently."""
_BLOCK = 32 << 20
"""Bytes of a file for one thread to unpack: about a second on Lambda."""
_PRESET = 6
"""A higher preset takes twice as long and saves one per cent."""


PACKING = "packing-"
"""Prefix of the folder in which a payload is assembled."""


class PackedPayload(BaseModel):
    """The description of a payload, which the cache holds beside its bytes."""

    model_config = ConfigDict(frozen=True)
    payload: Payload
    glibc: dict[str, tuple[int, int] | None]
    """The newest glibc that each native file in the payload needs."""
    packed: int
    packed_sha256: str


@dataclass(frozen=True)
class Source:
    """A file of a part to pack, and its place after unpacking."""

    part: InstalledPart
    folder: str
    name: str
    """The file in the part."""
    target: str
    """Relative to `folder`."""
    packing: Packing
    executable: bool = False

    @property
    def key(self) -> str:
        """The name of the result in the cache."""
        made_of = [
            _RECIPE,
            _BLOCK,
            _PRESET,
            self.part.record.files[self.name].sha256,
            self.folder,
            self.target,
            self.packing,
            self.executable,
        ]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


def pack(sources: Sequence[Source], cache: Path) -> list[tuple[PackedPayload, Path]]:
    """Return the payload of every source with the path of its bytes, in order; pack those missing in `cache` on all processors."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs: list[Callable[[], tuple[PackedPayload, Path]]] = [_start(source, cache / source.key, pool) for source in sources]
        return [job() for job in jobs]


def _start(source: Source, folder: Path, pool: ThreadPoolExecutor) -> Callable[[], tuple[PackedPayload, Path]]:
    """Begin packing; the returned function waits and returns the result."""
    found = _find(folder)
    if found is not None:
        return lambda: found
    content = (source.part.folder / source.name).read_bytes()
    if source.packing is not Packing.XZ:
        result = pool.submit(_as_it_is, source, content)
        return lambda: _keep(*result.result(), folder)
    content = without_symbols(content) if is_elf(content) else content
    filters = _filters(content)
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]
    packed = [pool.submit(lzma.compress, block, format=lzma.FORMAT_XZ, filters=filters) for block in blocks]
    return lambda: _keep(
        *_of_blocks(source, content, [(len(block), done.result()) for block, done in zip(blocks, packed, strict=True)]), folder
    )


def _filters(content: bytes) -> list[Mapping[str, Any]]:
    branches = [{"id": lzma.FILTER_X86}] if is_elf(content) else []
    return [*branches, {"id": lzma.FILTER_LZMA2, "preset": _PRESET}]


def _of_blocks(source: Source, content: bytes, blocks: Sequence[tuple[int, bytes]]) -> tuple[PackedPayload, bytes]:
    target = f"{source.folder}/{source.target}"
    payload = Payload(
        file=f"payload/{Path(source.target).name}.xz",
        packing=Packing.XZ,
        target=target,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        executable=source.executable,
        blocks=tuple(Block(packed=len(data), size=size) for size, data in blocks),
        files={target: len(content)},
    )
    return _described(payload, {target: content}, b"".join(data for _, data in blocks))


def _as_it_is(source: Source, packed: bytes) -> tuple[PackedPayload, bytes]:
    """Take the file as packed in its package, which is smaller than a build could make it in reasonable time."""
    content = _brotli(source, packed)
    target = f"{source.folder}/{source.target}".removesuffix("/.")
    if source.packing is Packing.BROTLI_TAR:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = [(entry.name, tar.extractfile(entry)) for entry in tar if entry.isfile()]
            inner = {f"{target}/{name.removeprefix('./')}": file.read() for name, file in members if file is not None}
    else:
        inner = {target: content}
    payload = Payload(
        file=f"payload/{source.name}",
        packing=source.packing,
        target=target,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        executable=source.executable,
        files={name: len(data) for name, data in inner.items()},
    )
    return _described(payload, inner, packed)


def _brotli(source: Source, packed: bytes) -> bytes:
    try:
        import brotli
    except ImportError as error:
        raise BundleError("the Python package brotli is not installed", hint=INSTALL) from error
    try:
        return bytes(brotli.decompress(packed))
    except brotli.error as error:
        raise BundleError(
            f"{source.name} of {source.part.part.spec} is damaged: {error}", hint="Try again: hyperframes-airflow build"
        ) from error


def _described(payload: Payload, inner: Mapping[str, bytes], packed: bytes) -> tuple[PackedPayload, bytes]:
    glibc = {name: needed_glibc(content) for name, content in inner.items() if is_elf(content)}
    described = PackedPayload(payload=payload, glibc=glibc, packed=len(packed), packed_sha256=hashlib.sha256(packed).hexdigest())
    return described, packed


def _find(folder: Path) -> tuple[PackedPayload, Path] | None:
    """Return the payload in the cache, or None if it is missing or damaged."""
    try:
        described = PackedPayload.model_validate_json((folder / "payload.json").read_bytes())
        sound = sha256_of(folder / "packed") == described.packed_sha256
    except (OSError, ValidationError):
        return None
    return (described, folder / "packed") if sound else None


def _keep(described: PackedPayload, packed: bytes, folder: Path) -> tuple[PackedPayload, Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=PACKING, dir=folder.parent))
    try:
        (staged / "packed").write_bytes(packed)
        (staged / "payload.json").write_text(described.model_dump_json(indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would not have been packed again
        try:
            staged.rename(folder)
        except OSError:
            if _find(folder) is None:  # or another build was faster
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return described, folder / "packed"
