"""Build the Lambda ZIP: bring parts and packages, pack, look at every native file, and write the same bytes as the last time."""

from __future__ import annotations

import fcntl
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
from hyperframes_provider.toolset.setup import ensure_parts


@dataclass(frozen=True)
class BundleReport:
    """A ZIP that was built. Sizes in bytes."""

    path: Path
    sha256: str
    zipped: int
    unzipped: int
    seconds: float
    components: tuple[sbom.Component, ...]


@dataclass(frozen=True)
class Contents:
    """Everything that goes into a bundle."""

    bundle: Bundle
    entries: tuple[Entry, ...]
    components: tuple[sbom.Component, ...]
    glibc: Mapping[str, Version | None]
    """The newest glibc that each native file needs, by its name in the ZIP, or where it is unpacked."""


def build_bundle(path: Path, progress: SetupReporter | None = None) -> BundleReport:
    """Write the ZIP to `path`, making its folder; nothing is left there when it cannot be built.

    Fetches what is not in the user cache. Raises `BundleError`: `GlibcTooNew`, `BundleTooLarge`, or with the reason why something
    cannot be brought.
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
    """Bring everything and pack it; raises `BundleError` and `ToolsetError`."""
    cache = cache_home() / "bundle"
    with locked(cache), ThreadPoolExecutor(1) as pool:
        remove_leftovers(cache)
        fetched = pool.submit(fetch_wheels, cache)
        tools = BundledTools(ensure_parts(BUNDLED_PARTS, progress))
        check_parts(tools.parts)
        sources = tools.sources()
        packed = pack(sources, cache / "payloads")
        packages = fetched.result()
    return _arrange(tools, sources, packed, packages)


def remove_leftovers(cache: Path) -> None:
    """Delete what killed builds left in the folder `cache`; nobody else may be building."""
    for left in (*cache.glob(f"{FETCHING}*"), *(cache / "payloads").glob(f"{PACKING}*")):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One build at a time: a second one would only do the same again."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "build.lock").open("w")
    except OSError as error:
        raise BundleError(
            f"the cache folder {folder} cannot be written: {error.strerror}",
            hint="Choose another: XDG_CACHE_HOME=/some/where hyperframes-airflow build",
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
    """The components with their files, and the files that are our own."""
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
            raise BundleError(f"two packages bring {entry.name}", hint="One of them has to go from the lock: scripts/lock.")
        seen.add(entry.name)


@contextmanager
def as_bundle_errors() -> Iterator[None]:
    """A part that cannot be brought is a bundle that cannot be built."""
    try:
        yield
    except ToolsetError as error:
        raise BundleError(error.message, hint=error.hint) from error
