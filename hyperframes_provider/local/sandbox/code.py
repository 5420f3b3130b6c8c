"""A function's ZIP as a read-only folder, unpacked once for each content, with the modes that it names, as Lambda does."""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BUNDLE_RECORD = "bundle/bundle.json"
"""What a ZIP has that brings its own browser, ffmpeg and Python packages."""

_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True)
class Code:
    """An unpacked ZIP."""

    folder: Path
    complete: bool
    """It brings all that it needs, and so can do without anything of this machine; a slim ZIP uses what is installed here."""


def unpack(archive: Path | IO[bytes], folder: Path) -> Code:
    """Make `folder` what the ZIP holds, unless it is there: it appears by one rename. Raises `zipfile.BadZipFile`.

    The modules of a slim ZIP are compiled. Those of a complete one are left as they are, since Lambda compiles none either.
    """
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        remove(partial)
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                written = Path(opened.extract(entry, partial))
                mode = entry.external_attr >> 16 & _EXECUTABLE
                written.chmod(_READABLE | (_EXECUTABLE if written.is_dir() else mode) | stat.S_IWUSR)
        if not (partial / BUNDLE_RECORD).is_file():
            compileall.compile_dir(str(partial), quiet=2, ddir=str(folder))
        for root, _, names in os.walk(partial):
            for name in names:
                path = Path(root, name)
                path.chmod(_READABLE | path.stat().st_mode & _EXECUTABLE)
        for root, _, _ in os.walk(partial, topdown=False):
            if Path(root) != partial:
                Path(root).chmod(_READABLE | _EXECUTABLE)
        partial.rename(folder)
        folder.chmod(_READABLE | _EXECUTABLE)
    return Code(folder, (folder / BUNDLE_RECORD).is_file())


@contextlib.contextmanager
def kept(archive: Path, cache: Path) -> Iterator[tuple[Code, Path]]:
    """The ZIP at `archive`, unpacked below `cache`, and a scratch folder there, for as long as the context lasts.

    The unpacked code stays for the next time; what nobody uses any more, for it is of another ZIP or its user was killed, goes.
    """
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    cache.mkdir(parents=True, exist_ok=True)
    folder, scratch = cache / digest, cache / f"{digest}.scratch"
    with (cache / f"{digest}.lock").open("w") as lock:
        if _alone(lock):
            shutil.rmtree(scratch, ignore_errors=True)
        fcntl.flock(lock, fcntl.LOCK_SH)
        while not folder.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
            unpack(archive, folder)
            # A lock is let go before it changes: somebody who has another ZIP may take the folder away in between.
            fcntl.flock(lock, fcntl.LOCK_SH)
        code = unpack(archive, folder)
        scratch.mkdir(exist_ok=True)
        _forget_others(cache, digest)
        yield code, scratch


def _forget_others(cache: Path, digest: str) -> None:
    for path in cache.glob("*.lock"):
        if path.stem == digest:
            continue
        with path.open("w") as lock:
            if _alone(lock):
                for name in (path.stem, f"{path.stem}.partial", f"{path.stem}.scratch"):
                    remove(cache / name)


def _alone(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(folder: Path) -> None:
    """Delete an unpacked ZIP. Its folders are read-only, which stops any user but root from deleting what is in them."""
    for root, _, _ in os.walk(folder):
        Path(root).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
