"""Unpack a project's `.tar.gz`, which is untrusted."""

from __future__ import annotations

import errno
import gzip
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperframes_lambda.contract.errors import ErrorCode, RenderError

if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4
    from backports import tarfile  # type: ignore[no-redef]

MAX_ENTRIES = 20_000
MAX_FILE_BYTES = 1 << 30
MAX_TOTAL_BYTES = 2 << 30

_OUR_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS)
"""Failures of this machine. Any other failure to write a member is a fault of its name or kind."""


def unpack_project(archive: Path, into: Path, *, entry: str) -> Path:
    """Unpack `archive` below `into` and return the project's root: `into`, or the archive's only top-level folder if that holds `entry`.

    Raise `ARCHIVE_REJECTED`, naming the member, for one that would land outside `into`, that is neither file, folder nor inner link, or
    that exceeds a limit; also for a file that is not a gzip-compressed tar and for a project without `entry`.
    """
    into.mkdir(parents=True, exist_ok=True)
    entries = total = 0
    with _readable(archive) as tar:
        for member in tar:
            entries += 1
            total += member.size
            _require_harmless(member, entries, total)
            try:
                tar.extract(member, into, filter="data")
            except tarfile.FilterError as error:
                raise _rejected(f"{member.name!r}: {error}") from error
            except KeyError as error:  # raised by tarfile for a link whose target is not in the archive
                raise _rejected(f"{member.name!r} is a link to nothing: {error.args[0]}") from error
            except RecursionError as error:  # tarfile follows links that lead to each other
                raise _rejected(f"{member.name!r} is a link in a circle") from error
            except OSError as error:
                if error.errno in _OUR_TROUBLE or isinstance(error, gzip.BadGzipFile):
                    raise
                raise _rejected(f"{member.name!r} cannot be unpacked: {error.strerror}") from error
    return _root(into, entry)


@contextmanager
def _readable(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            yield tar
    # A damaged header raises the last two.
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, OverflowError, UnicodeDecodeError) as error:
        raise _rejected(f"it is not a readable .tar.gz: {error}") from error


def _require_harmless(member: tarfile.TarInfo, entries: int, total: int) -> None:
    if entries > MAX_ENTRIES:
        raise _rejected(f"{member.name!r} is entry {entries:,}; the limit is {MAX_ENTRIES:,}")
    if member.size > MAX_FILE_BYTES:
        raise _rejected(f"{member.name!r} has {member.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    if total > MAX_TOTAL_BYTES:
        raise _rejected(f"with {member.name!r} it unpacks to {total:,} bytes; the limit is {MAX_TOTAL_BYTES:,}")
    if not member.isdir() and posixpath.normpath(member.name or ".") == ".":
        raise _rejected(f"{member.name!r} would replace the project's own folder")
    if member.name.startswith(("/", "\\")):
        raise _rejected(f"{member.name!r} is an absolute path")


def _root(folder: Path, entry: str) -> Path:
    if (folder / entry).is_file():
        return folder
    top = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if len(top) == 1 and top[0].is_dir() and not top[0].is_symlink() and (top[0] / entry).is_file():
        return top[0]
    pages = ", ".join(sorted(str(page.relative_to(folder)) for page in folder.rglob("*.html"))[:8])
    raise _rejected(f"it has no {entry} at its top; its pages: {pages or 'none'}")


def _rejected(found: str) -> RenderError:
    hint = "Pack the project's folder again without links out of it, or set config.entryFile to another page."
    return RenderError(ErrorCode.ARCHIVE_REJECTED, f"the project archive: {found}", hint=hint)
