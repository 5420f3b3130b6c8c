"""The compositions as plain folders: the libraries that a page takes from a content network lie in the project, beside their own files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.conformance.materialise import localise


class Package:
    spec = "shapes@2.1.0"
    name = "shapes"
    files: ClassVar = {"dist/shapes.js": b"import './part.js'", "dist/part.js": b"1", "dist/shapes.js.map": b"{}", "src/part.js": b"2"}
    paths: ClassVar = sorted(files)

    def __contains__(self, path: str) -> bool:
        return path in self.files

    def read(self, path: str) -> bytes:
        return self.files[path]


class Packages:
    def package(self, name: str, version: str) -> Package:
        assert (name, version) == ("shapes", "2.1.0")
        return Package()


def test_libraries_of_content_networks_become_files_of_the_project(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<script src="https://unpkg.com/shapes@2.1.0/dist/shapes.js"></script><a href="https://example.com/x">x</a>')

    localise(tmp_path, Packages())  # type: ignore[arg-type]

    assert page.read_text() == '<script src="./lib/shapes/dist/shapes.js"></script><a href="https://example.com/x">x</a>'
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"index.html", "lib/shapes/dist/shapes.js", "lib/shapes/dist/part.js"}
