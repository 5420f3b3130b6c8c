"""Served files: bytes or a file on disk, with a media type that does not depend on the machine."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_WEB_TYPES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".wasm": "application/wasm",
    ".txt": "text/plain",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
}


@dataclass(frozen=True)
class ServedFile:
    """A file of the served project: `content` if it was rewritten, else the unchanged file at `path`."""

    content_type: str
    content: bytes | None = None
    path: Path | None = None

    def read(self) -> bytes:
        """Return the served bytes."""
        if self.content is not None:
            return self.content
        if self.path is None:
            raise ValueError("a served file has either content or a path")
        return self.path.read_bytes()


def content_type(path: str) -> str:
    """Return the media type by suffix. Text is declared as UTF-8, except HTML, which names its own encoding unless rewritten."""
    suffix = PurePosixPath(path).suffix.lower()
    kind = _WEB_TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    textual = kind in ("text/css", "text/javascript", "text/plain", "application/json", "image/svg+xml")
    return f"{kind}; charset=utf-8" if textual else kind


def is_html(path: str) -> bool:
    """Whether the file is a page, which gets the page scripts."""
    return PurePosixPath(path).suffix.lower() in (".html", ".htm")
