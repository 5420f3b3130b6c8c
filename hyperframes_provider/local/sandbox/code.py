"""A function's ZIP as a read-only folder, unpacked once per content, with the file modes of the ZIP, as on Lambda."""

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

from hyperframes_provider.local.state import remove_tree

BUNDLE_RECORD = "bundle/bundle.json"
"""Member of a ZIP that contains its own browser, ffmpeg and Python packages."""

_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True)
class Code:
    """An unpacked ZIP."""

    folder: Path
    complete: bool
    """Whether it contains everything it needs. A slim ZIP uses this machine's packages and tools."""


def unpack(archive: Path | IO[bytes], folder: Path) -> Code:
    """Unpack the ZIP to `folder` unless it exists; it appears complete or not at all. Raise `zipfile.BadZipFile`.

    A slim ZIP's modules are compiled. Those of a complete one are not, since Lambda compiles none either.
    """
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        remove_tree(partial)
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                written = Path(opened.extract(entry, partial))
                mode = entry.external_attr >> 16 & _EXECUTABLE
                written.chmod(_READABLE | (_EXECUTABLE if written.is_dir() else mode) | stat.S_IWUSR)
        if not (partial / BUNDLE_RECORD).is_file():
            compileall.compile_dir(str(partial), quiet=2, ddir=str(folder))
        for root, _, names in os.walk(partial, topdown=False):
            for path in (Path(root, name) for name in names):
                path.chmod(_READABLE | path.stat().st_mode & _EXECUTABLE)
            if Path(root) != partial:
                Path(root).chmod(_READABLE | _EXECUTABLE)
        partial.rename(folder)
        folder.chmod(_READABLE | _EXECUTABLE)
    return Code(folder, (folder / BUNDLE_RECORD).is_file())


@contextlib.contextmanager
def kept(archive: Path, cache: Path) -> Iterator[tuple[Code, Path]]:
    """Unpack the ZIP at `archive` below `cache`; yield the code and a scratch folder for the duration of the context.

    The unpacked code stays for the next use. Folders that no process uses, left by other ZIPs or killed processes, are removed.
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
            # flock releases a lock before it changes its mode: a process with another ZIP may remove the folder in between.
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
                    remove_tree(cache / name)


def _alone(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
