"""Checks at build time for what Lambda would reject or fail on: damaged parts, a glibc that is too new, too many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hyperframes_provider.bundle.elf import Version
from hyperframes_provider.bundle.errors import BundleError, BundleTooLarge, GlibcTooNew
from hyperframes_provider.client.aws.zips import Entry
from hyperframes_provider.toolset.installed import InstalledPart

RUNTIME_GLIBC: Version = (2, 34)
"""The glibc of Amazon Linux 2023, the base of the Python 3.13 runtime."""

MOST_UNZIPPED = 240_000_000
"""Limit in bytes. Lambda allows 250 MB, including layers."""

MOST_ZIPPED = 150_000_000
"""Limit in bytes."""

_NAMED = 8


def check_parts(parts: Iterable[InstalledPart]) -> None:
    """Raise `BundleError` if the SHA-256 of a file has changed since its part was unpacked."""
    for part in parts:
        damage = part.damage(thoroughly=True)
        if damage is not None:
            raise BundleError(
                f"{part.part.spec} is damaged: in {part.folder}, {damage}",
                hint=f"Remove and reinstall it: rm -r {part.folder} && hyperframes-airflow setup",
            )


def check_glibc(files: Mapping[str, Version | None]) -> None:
    """Raise `GlibcTooNew` with the names of the native files that the runtime cannot load."""
    newer = {name: needed for name, needed in files.items() if needed is not None and needed > RUNTIME_GLIBC}
    if newer:
        lines = [f"  {name} needs glibc {_text(needed)}" for name, needed in sorted(newer.items())]
        raise GlibcTooNew(
            "\n".join([f"the function's runtime has glibc {_text(RUNTIME_GLIBC)}:", *lines]),
            hint="Pin a build for an older Linux (manylinux_2_28) instead.",
        )


def check_sizes(zipped: int, unzipped: int, entries: Iterable[Entry]) -> None:
    """Raise `BundleTooLarge` with the largest entries if either size, in bytes, exceeds its limit."""
    for what, size, most in (("zipped", zipped, MOST_ZIPPED), ("unzipped", unzipped, MOST_UNZIPPED)):
        if size > most:
            largest = sorted(entries, key=lambda entry: entry.size, reverse=True)[:_NAMED]
            lines = [f"  {entry.name}: {entry.size / 1e6:.1f} MB" for entry in largest]
            raise BundleTooLarge(
                "\n".join([f"the bundle has {size / 1e6:.1f} MB {what}; the limit is {most / 1e6:.0f} MB. Its largest files are:", *lines])
            )


def _text(version: Version) -> str:
    return ".".join(map(str, version))
