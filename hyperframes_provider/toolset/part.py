"""The description of a pinned third-party part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Registry(Enum):
    """The package manager that fetches a part."""

    NPM = "npm"
    PYPI = "PyPI"


class Role(Enum):
    """The purpose of a part. `CLIENT`, `BUNDLE` and `TEST` parts are not in the toolset."""

    BROWSER = "browser"
    FFMPEG = "ffmpeg"
    RUNTIME = "runtime"
    LIBRARY = "library"
    FONT = "font"
    CLIENT = "client"
    """Comes with Lambda's own runtime; functions on this machine need it."""
    BUNDLE = "bundle"
    """Only in the Lambda ZIP."""
    TEST = "test"
    """Only for the tests."""


class Packing(Enum):
    """The form of a member in its archive."""

    PLAIN = "plain"
    BROTLI = "brotli"
    BROTLI_TAR = "brotli-tar"
    """A compressed tar, unpacked into the folder named by the member's target."""
    WOFF = "woff"
    """A web font, written as the plain font that it contains: the browser ignores packed ones in its font folders."""
    FONT_DATA = "font-data"
    """A script with fonts as text, written as `<family>-latin-<weight>-<style>.woff2` into the target folder."""


@dataclass(frozen=True)
class Member:
    """A file to keep from an archive.

    `path` is its name in the archive, `target` its file (for a tar, its folder) in the part's own folder. A `*` in `path` keeps every
    matching file under its own name in the folder `target`.
    """

    path: str
    target: str
    packing: Packing = Packing.PLAIN
    executable: bool = False


@dataclass(frozen=True)
class Part:
    """A pinned third-party part."""

    name: str
    version: str
    registry: Registry
    spec: str
    """The argument for the package manager."""
    integrity: str
    """Digest of the archive as in lock files: algorithm, dash, base64."""
    size: int
    """Bytes of the archive."""
    role: Role
    members: tuple[Member, ...]
    main: str
    """The file, in the part's folder, that `toolset.json` names."""
    probe: tuple[str, ...] = ()
    """Arguments that make the program print its version; empty for a script library."""
    library_path: str | None = None
    """Folder of shared libraries that the program needs."""
    fonts: str | None = None
    """Folder of fonts that the browser finds by itself."""
    web_fonts: str | None = None
    """Folder of fonts that pages get by `@font-face` rules."""
    python: str | None = None
    """Python version of a wheel with native modules."""
    licence: str = ""
    """SPDX expression; the archive's own files give the details."""

    @property
    def folder(self) -> str:
        """The part's folder in the cache, different for every version and archive."""
        digest = "".join(letter for letter in self.integrity.partition("-")[2] if letter.isalnum())
        return f"{self.name}-{self.version}-{digest[:12]}"
