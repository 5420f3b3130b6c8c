"""Project upload: a folder becomes one archive on S3, named by the hash of its content and uploaded once.

The archive depends on the files' paths and contents alone, so that two machines, or two attempts, agree on its name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hyperframes_lambda.contract.project_files import ProjectFileError, project_files
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import ProjectNotFound, ProjectRejected, typed_errors
from hyperframes_provider.client.aws.s3 import S3Location, object_size, parse_s3_uri

ARCHIVE_SUFFIX = ".tar.gz"
_COMPRESSION = 6
_DIGITS = 32
"""Hexadecimal digits of the site id: 128 bits of the SHA-256."""


@dataclass(frozen=True)
class Project:
    """The location of a project on S3, before or after its upload."""

    archive: S3Location
    folder: Path | None
    """The folder to pack; None for an archive that is already on S3."""
    digest: str | None
    """SHA-256 of the folder's unpacked archive."""


@dataclass(frozen=True)
class Upload:
    """The outcome of `upload`."""

    archive: S3Location
    size: int
    """Bytes of the archive."""
    uploaded: bool
    """False when the archive already existed."""


def locate(project: str | os.PathLike[str], *, bucket: str, entry: str) -> Project:
    """Return the location of `project` on S3: an `s3://….tar.gz` itself, `s3://bucket/sites/<siteId>/project.tar.gz` for a local folder.

    Read every file of a folder once and write nothing. Raise `ProjectNotFound` when the folder or its `entry` page is missing, and
    `ProjectRejected` when the folder cannot be packed.
    """
    text = os.fspath(project)
    if text.startswith("s3://"):
        archive = parse_s3_uri(text, where="project")
        if not archive.key.endswith(ARCHIVE_SUFFIX):
            raise ProjectRejected(
                f"project: {text!r} is not a {ARCHIVE_SUFFIX} archive", hint="Pack the folder with tar -czf, or pass the folder itself."
            )
        return Project(archive, None, None)
    folder = Path(text)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ProjectNotFound(f"project: {folder} {what}", hint="Pass the folder that holds index.html, or an s3://….tar.gz archive.")
    if not (folder / entry).is_file():
        raise ProjectNotFound(f"project: {folder} has no {entry}", hint="Set entryFile in the config to the page to open.")
    digest = folder_digest(folder)
    return Project(S3Location(bucket, f"sites/{digest[:_DIGITS]}/project{ARCHIVE_SUFFIX}"), folder, digest)


def upload(connect: Connect, project: Project) -> Upload:
    """Upload the archive unless it is on S3; raise `ProjectNotFound` when a project given as an S3 URI is not there.

    S3 shows the object only once it is complete, so an interrupted upload leaves no partial archive.
    """
    size = run(connect, object_size(project.archive))
    if size is not None:
        return Upload(project.archive, size, uploaded=False)
    if project.folder is None:
        raise ProjectNotFound(f"project: there is no object {project.archive.uri}", hint="Upload the archive, or check the URI.")
    with tempfile.TemporaryFile(prefix="hyperframes-project-") as archive:
        digest = pack(project.folder, archive)
        if digest != project.digest:
            raise ProjectRejected(f"project: {project.folder} changed while it was packed", hint="Try again while nothing writes to it.")
        size = archive.tell()
        archive.seek(0)
        with typed_errors():
            connect("s3").upload_fileobj(
                archive, project.archive.bucket, project.archive.key, ExtraArgs={"ContentType": "application/gzip"}
            )
    return Upload(project.archive, size, uploaded=True)


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hexadecimal, of the folder's archive before compression."""
    sink = _Digest(None)
    _write_tar(folder, sink)
    return sink.hexdigest()


def pack(folder: Path, archive: IO[bytes]) -> str:
    """Write the folder's `.tar.gz` to `archive` and return its digest.

    Files are sorted by path, with times and owners zeroed and permissions 0644; links are replaced by their targets. Raise
    `ProjectRejected` for what `project_files` refuses and for a name that is not UTF-8.
    """
    with gzip.GzipFile(filename="", mode="wb", fileobj=archive, compresslevel=_COMPRESSION, mtime=0) as compressed:
        sink = _Digest(compressed)
        _write_tar(folder, sink)
    return sink.hexdigest()


class _Digest(io.RawIOBase):
    """Hash the data written, and pass it on to `target` if given."""

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
        for name, path in _files(folder):
            with path.open("rb") as content:
                entry = tarfile.TarInfo(name)
                entry.size = os.fstat(content.fileno()).st_size
                entry.mode = 0o644
                tar.addfile(entry, content)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the archive name and path of every file to pack, in the order of the names."""
    try:
        files = sorted(project_files(folder))
    except ProjectFileError as error:
        raise ProjectRejected(f"project: {error}", hint=error.hint) from error
    if not files:
        raise ProjectNotFound(f"project: {folder} is empty")
    for name, _ in files:
        if not name.isprintable():  # lone surrogates, which stand for names that are not UTF-8, included
            raise ProjectRejected(f"project: the file name {name!r} cannot be stored in an archive", hint="Rename the file.")
    return files
