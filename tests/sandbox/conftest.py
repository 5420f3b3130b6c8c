from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def full_zip() -> Path:
    return Path("/tmp/sbx/hand.zip")
