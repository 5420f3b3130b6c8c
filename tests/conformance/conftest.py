"""A browser for a whole module, and projects with the libraries that their pages expect."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from conformance_media import write_media
from materialise import materialise

from hyperframes_lambda.browser import BrowserSession, launch
from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, ChromeSource, Toolset

# The formulas of boxes and colours are the acceptance suite's.
sys.path.insert(0, str(Path(__file__).parent.parent / "acceptance"))


@pytest.fixture(scope="module")
def shared_browser(toolset: Toolset) -> Iterator[BrowserSession]:
    """One browser for every plan and chunk of a module; each of them still opens a page of its own in a context of its own."""
    with launch(toolset.browsers[ChromeSource(os.environ.get(CHROME_SOURCE_VARIABLE, ChromeSource.SPARTICUZ))]) as session:
        yield session


@pytest.fixture
def one_browser(shared_browser: BrowserSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans and chunks share a browser: a launch costs more than the rest of a chunk. The acceptance suite launches one for each."""
    for module in ("plan", "planned_page"):
        monkeypatch.setattr(f"hyperframes_lambda.{module}.launch", lambda *_, **__: nullcontext(shared_browser))


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory, toolset: Toolset) -> Path:
    """The folder of films and sounds that projects of that kind have as `media/`."""
    folder = tmp_path_factory.mktemp("conformance") / "media"
    write_media(folder, toolset.ffmpeg.path)
    return folder


@pytest.fixture
def conformance_project(tmp_path: Path, toolset: Toolset, media_folder: Path) -> Callable[[str], Path]:
    """A copy of a project, with what cannot lie in the repository as text."""

    def project(name: str) -> Path:
        folder = tmp_path / "projects" / name
        materialise(name, folder, toolset, media_folder)
        return folder

    return project
