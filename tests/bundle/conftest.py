"""The bundle of this installation, and the same unpacked as Lambda unpacks it."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from hyperframes_lambda.contract.bundle import Bundle


@pytest.fixture(scope="session")
def bundle_zip(full_zip: Path) -> Path:
    return full_zip


@pytest.fixture(scope="session")
def bundle(bundle_zip: Path) -> Bundle:
    with zipfile.ZipFile(bundle_zip) as archive:
        return Bundle.model_validate_json(archive.read("bundle/bundle.json"))


@pytest.fixture(scope="session")
def task_root(bundle_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's `/var/task`, read-only."""
    root = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(bundle_zip) as archive:
        archive.extractall(root)
        for entry in archive.infolist():
            (root / entry.filename).chmod(stat.S_IMODE(entry.external_attr >> 16) & 0o555)
    return root
