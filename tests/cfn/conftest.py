"""One embedded endpoint for a module that asks for it, in folders of its own, gone when the module is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperframes_provider.client.connect import Connect, connect_local
from hyperframes_provider.local.endpoint import down, up


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running embedded endpoint."""
    state = tmp_path_factory.mktemp("endpoint")
    info = up(outputs=state / "outputs", state_dir=state)
    yield info.url
    down(state_dir=state)


@pytest.fixture(scope="module")
def connect(endpoint: str) -> Connect:
    return connect_local(endpoint)
