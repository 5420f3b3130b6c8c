"""A Playwright driver for a whole module; a plan or chunk launches a browser of its own unless they share one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperframes_lambda.browser import kept_driver


@pytest.fixture(scope="module", autouse=True)
def _driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with kept_driver(tmp_path_factory.mktemp("driver")):
        yield
