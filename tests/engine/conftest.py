"""A project from a few strings, a browser, and a composition opened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda.browser import BrowserSession, CompositionPage, PageSpec
from hyperframes_lambda.composition import compile_project, serve
from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.contract.toolset import Toolset

Project = Callable[[Mapping[str, str | bytes]], Path]
Open = Callable[..., AbstractContextManager[CompositionPage]]


@pytest.fixture
def project(tmp_path: Path, toolset: Toolset) -> Project:
    """Write the files of a project; `gsap.min.js` lies beside them."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        folder = tmp_path / "project"
        for name, content in {"gsap.min.js": toolset.libraries["gsap"].path.read_bytes(), **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write


@pytest.fixture
def site(tmp_path: Path, toolset: Toolset) -> Callable[..., AbstractContextManager[str]]:
    """Serve a project as a chunk does; yields the entry page's URL."""

    @contextmanager
    def served(folder: Path, *, entry: str = "index.html", fps: Fraction = Fraction(30)) -> Iterator[str]:
        files = compile_project(folder, entry, runtime_js=toolset.runtime.path.read_bytes(), fps=fps, fonts=toolset.fonts)
        blobs = tmp_path / "blobs"
        blobs.mkdir(exist_ok=True)
        on_disk = {}
        for number, (path, file) in enumerate(files.items()):
            blob = blobs / str(number)
            blob.write_bytes(file.read())
            on_disk[path] = (blob, file.content_type)
        with serve(on_disk | font_files(toolset.fonts)) as base_url:
            yield base_url + entry

    return served


@pytest.fixture
def opened(session: BrowserSession, site: Callable[..., AbstractContextManager[str]]) -> Open:
    """Open a project's composition in the module's browser."""

    @contextmanager
    def open_project(
        folder: Path, *, variables: Mapping[str, Any] | None = None, width: int = 320, height: int = 180, **options: Any
    ) -> Iterator[CompositionPage]:
        fps = options.pop("fps", Fraction(30))
        with site(folder, fps=fps) as url:
            spec = PageSpec(url, width=width, height=height, variables=variables or {}, **options)
            with session.open(spec) as page:
                yield page

    return open_project
