"""Build the Lambda ZIP reproducibly: install the parts and packages, pack them, check every native file, and write the ZIP."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from hyperframes_lambda.contract.bundle import BUNDLE_FOLDER, BUNDLE_NAME, Bundle
from hyperframes_lambda.contract.toolset import cache_home
from hyperframes_provider.bundle import sbom
from hyperframes_provider.bundle.checks import check_glibc, check_parts, check_sizes
from hyperframes_provider.bundle.elf import Version, is_elf, needed_glibc
from hyperframes_provider.bundle.errors import BundleError
from hyperframes_provider.bundle.payloads import PACKING, PackedPayload, Source, pack
from hyperframes_provider.bundle.tools import BUNDLED_PARTS, BundledTools
from hyperframes_provider.bundle.wheels import FETCHING, Wheel, fetch_wheels, wheel_entries
from hyperframes_provider.client.aws.zips import Entry, write_zip
from hyperframes_provider.client.stack.slim_zip import engine_entries
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.report import SetupReporter
from hyperframes_provider.toolset.setup import ensure_parts, locked

LOCK = "build.lock"
"""Held by a build, because a concurrent one would repeat the same work."""


@dataclass(frozen=True)
class BundleReport:
    """A finished ZIP, with sizes in bytes."""

    path: Path
    sha256: str
    zipped: int
    unzipped: int
    seconds: float
    components: tuple[sbom.Component, ...]


@dataclass(frozen=True)
class Contents:
    """The contents of a bundle."""

    bundle: Bundle
    entries: tuple[Entry, ...]
    components: tuple[sbom.Component, ...]
    glibc: Mapping[str, Version | None]
    """The newest glibc that each native file needs, by its name in the ZIP or after unpacking."""


def build_bundle(path: Path, progress: SetupReporter | None = None) -> BundleReport:
    """Write the ZIP to `path`, making its folder; leave nothing there on failure.

    Fetches what the user cache lacks. Raises `BundleError`, which includes `GlibcTooNew` and `BundleTooLarge`.
    """
    started = time.monotonic()
    with as_bundle_errors():
        contents = gather(progress)
    check_glibc(contents.glibc)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        sha256 = write_zip(staged, contents.entries)
        zipped, unzipped = staged.stat().st_size, sum(entry.size for entry in contents.entries)
        check_sizes(zipped, unzipped, contents.entries)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return BundleReport(path, sha256, zipped, unzipped, time.monotonic() - started, contents.components)


def gather(progress: SetupReporter | None = None) -> Contents:
    """Install and pack everything; raise `BundleError` or `ToolsetError` on failure."""
    cache = cache_home() / "bundle"
    with locked(cache / LOCK, "build"), ThreadPoolExecutor(1) as pool:
        remove_leftovers(cache)
        fetched = pool.submit(fetch_wheels, cache)
        tools = BundledTools(ensure_parts(BUNDLED_PARTS, progress))
        check_parts(tools.parts)
        sources = tools.sources()
        packed = pack(sources, cache / "payloads")
        packages = fetched.result()
    return _arrange(tools, sources, packed, packages)


def remove_leftovers(cache: Path) -> None:
    """Delete the remains of killed builds from the folder `cache`; no other build may be running."""
    for left in (*cache.glob(f"{FETCHING}*"), *(cache / "payloads").glob(f"{PACKING}*")):
        shutil.rmtree(left, ignore_errors=True)


def _arrange(
    tools: BundledTools, sources: Sequence[Source], packed: Sequence[tuple[PackedPayload, Path]], wheels: Sequence[Wheel]
) -> Contents:
    bundle = tools.bundle([described for described, _ in packed])
    engine = [replace(entry, deflate=True) for entry in engine_entries()]
    described = [Entry(BUNDLE_NAME, bundle.model_dump_json(indent=1, exclude_none=True).encode(), deflate=True)]
    payloads = [Entry(found.payload.file, path) for found, path in packed]
    below = list(_below(BUNDLE_FOLDER, [*described, *payloads, *tools.entries(), *_below("licenses", tools.licences())]))
    packages = {wheel: list(wheel_entries(wheel)) for wheel in wheels}
    components, own = _components(tools, sources, [*engine, *below], packages, [found for found, _ in packed])
    document = Entry(f"{BUNDLE_FOLDER}/{sbom.SBOM}", sbom.document(version("hyperframes-provider"), components, own), deflate=True)
    entries = (*engine, *below, *(entry for found in packages.values() for entry in found), document)
    _refuse_doubles(entries)
    glibc = {name: needed for found, _ in packed for name, needed in found.glibc.items()}
    return Contents(bundle, entries, tuple(components), glibc | _native(entries))


def _components(
    tools: BundledTools,
    sources: Sequence[Source],
    entries: Iterable[Entry],
    packages: Mapping[Wheel, Sequence[Entry]],
    packed: Sequence[PackedPayload],
) -> tuple[list[sbom.Component], list[str]]:
    """Return the components with their files, and the names of our own files."""
    from_parts = {f"{BUNDLE_FOLDER}/{found.payload.file}": source.part for source, found in zip(sources, packed, strict=True)}
    files: dict[str, list[str]] = {found.part.name: [] for found in tools.parts}
    own = []
    for entry in entries:
        found = from_parts.get(entry.name) or tools.origin(entry.name.removeprefix(f"{BUNDLE_FOLDER}/"))
        if found is None:
            own.append(entry.name)
        else:
            files[found.part.name].append(entry.name)
    return [
        *(sbom.of_part(found, files[found.part.name]) for found in tools.parts),
        *(sbom.of_wheel(wheel, (entry.name for entry in found)) for wheel, found in packages.items()),
    ], sorted(own)


def _below(folder: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    return (replace(entry, name=f"{folder}/{entry.name}") for entry in entries)


def _native(entries: Iterable[Entry]) -> dict[str, Version | None]:
    return {entry.name: needed_glibc(entry.content) for entry in entries if isinstance(entry.content, bytes) and is_elf(entry.content)}


def _refuse_doubles(entries: Iterable[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise BundleError(f"two packages contain {entry.name}", hint="Remove one of them from the lock: scripts/lock.")
        seen.add(entry.name)


@contextmanager
def as_bundle_errors() -> Iterator[None]:
    """Raise a `ToolsetError` of the block as a `BundleError`."""
    try:
        yield
    except ToolsetError as error:
        raise BundleError(error.message, hint=error.hint) from error
