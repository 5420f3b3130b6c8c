"""A project on its way to S3: a folder becomes one archive under its content's hash, and travels once.

The archive is a function of the files' paths and contents alone, so that two machines, or two attempts, agree on its name. Unpacking,
and what the project means, is the Lambda's business.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import ProjectNotFound, ProjectRejected, typed_errors
from hyperframes_provider.client.aws.s3 import S3Location, object_size, parse_s3_uri

EXCLUDED = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".DS_Store"})
"""Files and folders of these names are not packed, wherever they lie. A link that leads into one is followed."""

ARCHIVE_SUFFIX = ".tar.gz"
_COMPRESSION = 6
_DIGITS = 32
"""Hexadecimal digits of the site id: 128 bits of the SHA-256."""


@dataclass(frozen=True)
class Project:
    """Where a project is, or will be once uploaded."""

    archive: S3Location
    folder: Path | None
    """The folder to pack; None for a project that is an archive on S3 already."""
    digest: str | None
    """SHA-256 of the folder's unpacked archive."""


@dataclass(frozen=True)
class Upload:
    """What `upload` did. `size` is that of the archive in bytes."""

    archive: S3Location
    size: int
    uploaded: bool
    """False when the archive was there already."""


def locate(project: str | os.PathLike[str], *, bucket: str, entry: str) -> Project:
    """Where `project` lies on S3: itself for `s3://….tar.gz`, `s3://bucket/sites/<siteId>/project.tar.gz` for a local folder.

    Reads every file of a folder once and writes nothing. `ProjectNotFound` when the folder or its `entry` page is missing,
    `ProjectRejected` when it cannot be packed.
    """
    text = os.fspath(project)
    if text.startswith("s3://"):
        archive = parse_s3_uri(text, where="project")
        if not archive.key.endswith(ARCHIVE_SUFFIX):
            raise ProjectRejected(
                f"project: {text!r} is not a {ARCHIVE_SUFFIX} archive", hint="Pack the folder with tar -czf, or give the folder."
            )
        return Project(archive, None, None)
    folder = Path(text)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ProjectNotFound(f"project: {folder} {what}", hint="Give the folder that holds index.html, or an s3://….tar.gz archive.")
    if not (folder / entry).is_file():
        raise ProjectNotFound(f"project: {folder} has no {entry}", hint="Name the page to open with config entryFile.")
    digest = folder_digest(folder)
    return Project(S3Location(bucket, f"sites/{digest[:_DIGITS]}/project{ARCHIVE_SUFFIX}"), folder, digest)


def upload(connect: Connect, project: Project) -> Upload:
    """Make sure that the archive is on S3; `ProjectNotFound` when a project that should be there is not.

    The object appears under its name only when it is complete, so that a killed upload leaves nothing that could be taken for one.
    """
    size = run(connect, object_size(project.archive))
    if size is not None:
        return Upload(project.archive, size, uploaded=False)
    if project.folder is None:
        raise ProjectNotFound(f"project: there is no object {project.archive.uri}", hint="Upload the archive, or check the URI.")
    with tempfile.TemporaryFile(prefix="hyperframes-project-") as archive:
        digest = pack(project.folder, archive)
        if digest != project.digest:
            raise ProjectRejected(f"project: {project.folder} changed while it was packed", hint="Try again when nothing writes to it.")
        size = archive.tell()
        archive.seek(0)
        with typed_errors():
            connect("s3").upload_fileobj(
                archive, project.archive.bucket, project.archive.key, ExtraArgs={"ContentType": "application/gzip"}
            )
    return Upload(project.archive, size, uploaded=True)


def folder_digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, of the folder's archive before compression."""
    sink = _Digest(None)
    _write_tar(folder, sink)
    return sink.hexdigest()


def pack(folder: Path, archive: IO[bytes]) -> str:
    """Write the folder's `.tar.gz` to `archive` and return its digest.

    Files in the order of their paths, times and owners zeroed, permissions 0644, links replaced by what they lead to. `ProjectRejected`
    for a link out of the folder or in a circle, a file that is not a regular one, and a name that is not UTF-8.
    """
    with gzip.GzipFile(filename="", mode="wb", fileobj=archive, compresslevel=_COMPRESSION, mtime=0) as compressed:
        sink = _Digest(compressed)
        _write_tar(folder, sink)
    return sink.hexdigest()


class _Digest(io.RawIOBase):
    """Hash what passes through on its way to `target`, if there is one."""

    def __init__(self, target: Any) -> None:
        self._hash = hashlib.sha256()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        if self._target is not None:
            self._target.write(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _write_tar(folder: Path, sink: _Digest) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(_files(folder.resolve())):
            with path.open("rb") as content:
                entry = tarfile.TarInfo(name)
                entry.size = os.fstat(content.fileno()).st_size
                entry.mode = 0o644
                tar.addfile(entry, content)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Archive name and path of every file to pack, links followed."""
    found = False
    for name, path in _below(root, root, "", (root,)):
        found = True
        yield name, path
    if not found:
        raise ProjectNotFound(f"project: {root} is empty")


def _below(root: Path, folder: Path, prefix: str, ancestors: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for item in sorted(folder.iterdir()):
        if item.name in EXCLUDED:
            continue
        name = prefix + item.name
        if not name.isprintable() or not _is_utf8(name):
            raise ProjectRejected(f"project: the file name {name!r} cannot travel in an archive", hint="Rename it.")
        target = item.resolve()
        if item.is_symlink():
            _check_link(root, name, target)
        if target.is_dir():
            if target in ancestors:
                raise ProjectRejected(f"project: the link {name} leads back to a folder that contains it", hint="Remove the link.")
            yield from _below(root, target, f"{name}/", (*ancestors, target))
        elif stat.S_ISREG(target.stat().st_mode):
            yield name, target
        else:
            raise ProjectRejected(f"project: {name} is neither a file nor a folder", hint="Remove it from the project.")


def _check_link(root: Path, name: str, target: Path) -> None:
    if not target.is_relative_to(root):
        raise ProjectRejected(f"project: the link {name} leads out of the project, to {target}", hint="Copy the file into the project.")
    if not target.exists():
        raise ProjectRejected(f"project: the link {name} leads to {target.relative_to(root)}, which does not exist", hint="Mend the link.")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
