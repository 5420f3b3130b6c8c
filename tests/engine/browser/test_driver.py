"""The driver is kept from launch to launch and replaced when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hyperframes_lambda.browser import kept_driver, launch, release_driver
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Browser


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "driver"
    home.mkdir()
    with kept_driver(home):
        yield home


def drivers() -> list[int]:
    return [child.pid for child in psutil.Process().children() if "run-driver" in child.cmdline()]


def test_launches_share_the_driver_and_no_browser(kept: Path, chromium: Browser) -> None:
    seen, browsers = set(), set()
    for _ in range(3):
        with launch(chromium) as session:
            seen |= set(drivers())
            browsers.add(session.pid)

    assert (len(seen), len(browsers)) == (1, 3)
    assert not any(psutil.pid_exists(browser) for browser in browsers)
    assert list(kept.iterdir()) == []


def test_it_ends_with_the_block(tmp_path: Path, chromium: Browser) -> None:
    with kept_driver(tmp_path), launch(chromium):
        running = drivers()
    assert len(running) == 1
    assert drivers() == []


def test_one_that_was_killed_is_replaced(kept: Path, chromium: Browser) -> None:
    with launch(chromium):
        (first,) = drivers()
    psutil.Process(first).kill()
    with launch(chromium) as session:
        assert drivers() != [first]
        assert psutil.pid_exists(session.pid)


def test_a_released_one_is_gone_and_the_next_launch_has_another(kept: Path, chromium: Browser) -> None:
    with launch(chromium):
        (first,) = drivers()
    release_driver()
    assert drivers() == []
    with launch(chromium):
        assert drivers() not in ([], [first])


def test_what_failed_takes_it_along(kept: Path, chromium: Browser) -> None:
    with pytest.raises(RenderError) as raised, launch(chromium):
        (first,) = drivers()
        raise RenderError(ErrorCode.CAPTURE_STALLED, "of this test")
    assert raised.value.code is ErrorCode.CAPTURE_STALLED
    assert not psutil.pid_exists(first)
    with launch(chromium):
        assert drivers() not in ([first], [])
