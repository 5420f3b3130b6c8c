"""Projects with the libraries that their pages expect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hyperframes_lambda.contract.toolset import Toolset
from tests.conformance.materialise import materialise
from tests.conformance.media import write_media


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory, toolset: Toolset) -> Path:
    """Folder of films and sounds, the `media/` of the projects with such."""
    folder = tmp_path_factory.mktemp("conformance") / "media"
    write_media(folder, toolset.ffmpeg.path)
    return folder


@pytest.fixture
def conformance_project(tmp_path: Path, toolset: Toolset, media_folder: Path) -> Callable[[str], Path]:
    """Copy a project and add what cannot lie in the repository as text."""

    def project(name: str) -> Path:
        folder = tmp_path / "projects" / name
        materialise(name, folder, toolset, media_folder)
        return folder

    return project
