"""Reading a project's files as text, and finding what a path in one file means."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.project_files import ProjectFileError, project_files


@dataclass(frozen=True)
class SourcePage:
    """An HTML file's text and the encoding that gives its bytes back."""

    path: str
    text: str
    encoding: str

    def encode(self, text: str) -> bytes:
        """Bytes of a changed text."""
        return text.encode(self.encoding)


def files_of(project_dir: Path) -> dict[str, Path]:
    """Return the project's files by their paths below it, in order; `INVALID_CONFIG` for a file or link that a project cannot contain."""
    try:
        return dict(project_files(project_dir))
    except ProjectFileError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, str(error), hint=error.hint) from error


def read_page(project_dir: Path, path: str) -> SourcePage:
    """Read `path` of the project; `INVALID_CONFIG` when the project has no such page.

    A file that is not UTF-8 is read byte for character: only ASCII is inserted, so its bytes stay the author's.
    """
    file = project_dir / path
    if not file.is_file():
        pages = ", ".join(sorted(str(PurePosixPath(found.relative_to(project_dir))) for found in project_dir.rglob("*.html"))[:8])
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.entryFile: the project has no {path!r}",
            hint=f"Pages of the project: {pages}." if pages else "The project holds no HTML page; was the right folder packed?",
        )
    data = file.read_bytes()
    try:
        return SourcePage(path, data.decode("utf-8-sig"), "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError:
        return SourcePage(path, data.decode("latin-1"), "latin-1")


def is_local(reference: str) -> bool:
    """Whether a reference names a file of the project: no scheme, no host, and more than a fragment or a query."""
    parts = urlsplit(reference.strip())
    return not parts.scheme and not parts.netloc and bool(parts.path)


def resolve(reference: str, base: str) -> str | None:
    """Path below the project's root that `reference` means in a file of the folder `base` (`""` is the root); None when it leaves the root.

    A leading slash is the project's root, as it is on the loopback server.
    """
    path = unquote(urlsplit(reference.strip()).path)
    joined = posixpath.normpath(path.lstrip("/") if path.startswith("/") else posixpath.join(base, path))
    return None if joined.startswith("..") or joined == "." else joined
