"""A part in the cache: a folder that is complete or absent, with a record of its files.

The record holds size and SHA-256 of every file, so that damage is found without the archive.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.fetch import fetch
from hyperframes_provider.toolset.part import Member, Part
from hyperframes_provider.toolset.report import Phase, SetupReporter
from hyperframes_provider.toolset.unpack import unpack

RECORD_NAME = "part.json"
_VERSION = re.compile(r"(?:ffmpeg version n?(?P<ffmpeg>\S+))|(?P<number>\d+(?:\.\d+)+)")
_PROBE_SECONDS = 60.0


class FileRecord(BaseModel):
    """An unpacked file."""

    model_config = ConfigDict(frozen=True)
    size: int
    sha256: str


class PartRecord(BaseModel):
    """`part.json`."""

    model_config = ConfigDict(frozen=True)
    version: str
    """The version that the program prints; for a script, the pinned one."""
    integrity: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class InstalledPart:
    """A part in the cache."""

    part: Part
    folder: Path
    record: PartRecord

    @property
    def main(self) -> Path:
        """The file that the toolset names."""
        return self.folder / self.part.main

    @property
    def library_path(self) -> Path | None:
        """Folder of shared libraries for `LD_LIBRARY_PATH`."""
        return None if self.part.library_path is None else self.folder / self.part.library_path

    def damage(self, *, thoroughly: bool) -> str | None:
        """Return the first fault of the files, or None: compares sizes, and with `thoroughly` also hashes."""
        for name, file in self.record.files.items():
            path = self.folder / name
            try:
                size = path.stat().st_size
            except OSError:
                return f"{name} is missing"
            if size != file.size:
                return f"{name} has {size} bytes instead of {file.size}"
            if thoroughly and sha256_of(path) != file.sha256:
                return f"the content of {name} has changed since it was unpacked"
        return None


def find_part(part: Part, parts: Path) -> InstalledPart | None:
    """Return the part in the folder `parts`, or None if it is not installed."""
    folder = parts / part.folder
    try:
        record = PartRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    complete = all(any(_is_of(name, member) for name in record.files) for member in part.members)
    return InstalledPart(part, folder, record) if record.integrity == part.integrity and complete else None


def _is_of(name: str, member: Member) -> bool:
    """Whether the unpacked file comes from the member. A part that was unpacked before a member was pinned has no file of it."""
    return name == member.target or member.target == "." or name.startswith(f"{member.target}/")


def install_part(part: Part, parts: Path, scratch: Path, reporter: SetupReporter) -> InstalledPart:
    """Fetch, check, unpack and try the part in `scratch`, then rename it into `parts`."""
    scratch.mkdir()
    archive = fetch(part, scratch / "fetch", reporter)
    reporter.phase(part, Phase.UNPACK)
    staged = scratch / "part"
    staged.mkdir()
    unpack(part, archive, staged, scratch)
    shutil.rmtree(scratch / "fetch")
    library_path = None if part.library_path is None else staged / part.library_path
    version = probe_version(staged / part.main, part.probe, library_path) if part.probe else part.version
    files = {
        path.relative_to(staged).as_posix(): FileRecord(size=path.stat().st_size, sha256=sha256_of(path))
        for path in sorted(staged.rglob("*"))
        if path.is_file()
    }
    record = PartRecord(version=version, integrity=part.integrity, files=files)
    (staged / RECORD_NAME).write_text(record.model_dump_json(indent=1))
    _flush_tree(staged)
    final = parts / part.folder
    if final.exists():  # damaged
        final.rename(scratch / "damaged")
    staged.rename(final)
    flush_folder(parts)
    reporter.phase(part, Phase.DONE)
    return InstalledPart(part, final, record)


def probe_version(program: Path, arguments: tuple[str, ...], library_path: Path | None) -> str:
    """Run the program and return the version that it prints; raise `ToolsetError` with its output if it fails."""
    environ = dict(os.environ)
    if library_path is not None:
        environ["LD_LIBRARY_PATH"] = str(library_path)
    try:
        done = subprocess.run(
            [str(program), *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolsetError(f"{program.name} does not run: {error}", hint=_MACHINE) from error
    found = _VERSION.search(done.stdout)
    if done.returncode or found is None:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise ToolsetError(f"{program.name} {' '.join(arguments)} ended with {done.returncode}: {said}", hint=_MACHINE)
    return found["ffmpeg"] or found["number"]


_MACHINE = "The parts need Linux on x86-64 with glibc 2.28 or newer. Inspect this machine: hyperframes-airflow doctor"


def flush_folder(folder: Path) -> None:
    """Flush the folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    flush_folder(folder)


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
