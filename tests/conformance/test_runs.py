"""Two runs, with a browser of its own for each plan and each chunk, draw the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperframes_lambda.browser import kept_driver
from hyperframes_lambda.plan import plan
from tests.chunked import differing, rendered_in
from tests.conformance.cases import CLOSED_FORM, Case


@pytest.fixture(scope="module", autouse=True)
def _driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Playwright driver for the module, which launches many browsers."""
    with kept_driver(tmp_path_factory.mktemp("driver")):
        yield


def drawn(case: Case, project: Path, work: Path) -> list[bytes]:
    manifest = plan(project, case.sequence, work / "plan")
    return rendered_in(1, manifest, work / "plan", work)


@pytest.mark.parametrize("name", ["gsap-box", "raf-canvas"])
def test_two_runs_draw_the_same_bytes(name: str, composition, tmp_path: Path) -> None:
    case, project = next(case for case in CLOSED_FORM if case.name == name), composition(name)
    first, second = (drawn(case, project, tmp_path / run) for run in ("first", "second"))

    assert len(first) == case.frames
    assert differing(first, second) == []
