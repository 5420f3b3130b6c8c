"""Pages of a project as text, and the files that paths in them mean."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.project_files import ProjectFileError, project_files


@dataclass(frozen=True)
class SourcePage:
    """An HTML file's text and the encoding that restores its bytes."""

    path: str
    text: str
    encoding: str

    def encode(self, text: str) -> bytes:
        """Return the bytes of a changed text."""
        return text.encode(self.encoding)


def files_of(project_dir: Path) -> dict[str, Path]:
    """Return the project's files by their paths below it, in order; `INVALID_CONFIG` for a file or link that a project cannot contain."""
    try:
        return dict(project_files(project_dir))
    except ProjectFileError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, str(error), hint=error.hint) from error


def read_page(project_dir: Path, path: str) -> SourcePage:
    """Read the page `path`. Raise `INVALID_CONFIG` when the project has no such page.

    A file that is not UTF-8 is read as Latin-1: only ASCII is inserted, so its other bytes stay the author's.
    """
    file = project_dir / path
    if not file.is_file():
        pages = ", ".join([path for path in files_of(project_dir) if path.endswith(".html")][:8])
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.entryFile: the project has no {path!r}",
            hint=f"Pages of the project: {pages}." if pages else "The project has no HTML page. Check that this is the right folder.",
        )
    data = file.read_bytes()
    try:
        return SourcePage(path, data.decode("utf-8-sig"), "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError:
        return SourcePage(path, data.decode("latin-1"), "latin-1")


def is_local(reference: str) -> bool:
    """Whether a reference can name a file of the project: it has a path, but neither scheme nor host."""
    parts = urlsplit(reference.strip())
    return not parts.scheme and not parts.netloc and bool(parts.path)


def resolve(reference: str, base: str) -> str | None:
    """Return the path below the project's root that `reference` means in the folder `base` (`""` is the root); None if it leaves the root.

    A leading slash means the project's root, as on the loopback server.
    """
    path = unquote(urlsplit(reference.strip()).path)
    joined = posixpath.normpath(path.lstrip("/") if path.startswith("/") else posixpath.join(base, path))
    return None if joined.startswith("..") or joined == "." else joined
