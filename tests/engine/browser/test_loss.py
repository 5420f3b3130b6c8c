"""A browser that is missing, does not start, dies or stops answering raises a typed error, without a hang or remains."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from hyperframes_lambda.browser import PageSpec, launch
from hyperframes_lambda.browser import page as page_module
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Browser

Project = Callable[..., Path]
Site = Callable[..., AbstractContextManager[str]]

PAGE = """<body><div data-composition-id=c data-no-timeline data-width=320 data-height=180 data-duration=9>x</div><script>
requestAnimationFrame(function draw(t) {{ {code}; requestAnimationFrame(draw) }});</script>"""


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True) if process.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> object:
    before = children()
    (tmp_path / "scratch").mkdir()
    yield
    psutil.wait_procs([psutil.Process(pid) for pid in children() - before], timeout=10)
    assert children() - before == set()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_browser_that_is_not_there(chromium: Browser, tmp_path: Path) -> None:
    with (
        pytest.raises(RenderError, match="hyperframes-airflow setup") as caught,
        launch(chromium.model_copy(update={"path": tmp_path / "no"}), scratch=tmp_path / "scratch"),
    ):
        pass

    assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE


def test_a_browser_that_does_not_start_is_quoted(chromium: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libnss3.so' >&2\nexit 127\n")
    broken.chmod(0o755)

    with (
        pytest.raises(RenderError, match=r"libnss3\.so") as caught,
        launch(chromium.model_copy(update={"path": broken}), scratch=tmp_path / "scratch"),
    ):
        pass

    assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE


def test_it_runs_without_a_writable_home_and_leaves_the_environment_alone(
    chromium: Browser, tmp_path: Path, project: Project, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("TMPDIR", raising=False)
    with site(project({"index.html": PAGE.format(code="0")})) as url, launch(chromium, scratch=tmp_path / "scratch") as session:
        assert "TMPDIR" not in os.environ
        assert list((tmp_path / "scratch").iterdir())
        with session.open(PageSpec(url, width=320, height=180)) as page:
            assert page.capture(1.0).startswith(b"\x89PNG")


@pytest.mark.parametrize("victim", ["browser", "renderer"])
def test_a_killed_process_ends_the_capture(chromium: Browser, tmp_path: Path, project: Project, site: Site, victim: str) -> None:
    with site(project({"index.html": PAGE.format(code="0")})) as url, launch(chromium, scratch=tmp_path / "scratch") as session:
        page = session.open(PageSpec(url, width=320, height=180))
        page.capture(1.0)
        processes = session._cdp.send("SystemInfo.getProcessInfo")["processInfo"]
        started = time.monotonic()

        for process in processes:
            if process["type"] == victim:
                os.kill(process["id"], signal.SIGKILL)
        with pytest.raises(RenderError) as caught:
            for frame in range(1000):
                page.capture(1.0 + frame / 1000)

        assert caught.value.code is ErrorCode.BROWSER_CRASHED
        assert time.monotonic() - started < 10
        with pytest.raises(RenderError) as caught:
            page.capture(2.0)
        assert caught.value.code is ErrorCode.BROWSER_CRASHED


def test_a_frame_that_never_ends_is_stalled(
    chromium: Browser, tmp_path: Path, project: Project, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "SEEK_SECONDS", 1.0)
    with (
        site(project({"index.html": PAGE.format(code="while (t > 500) ;")})) as url,
        launch(chromium, scratch=tmp_path / "scratch") as session,
    ):
        page = session.open(PageSpec(url, width=320, height=180))
        page.capture(0.4)

        with pytest.raises(RenderError, match=r"did not answer within 1 s during the frame at 0\.600 s") as caught:
            page.capture(0.6)

    assert caught.value.code is ErrorCode.CAPTURE_STALLED


def test_a_page_that_never_gets_ready_ends_with_the_last_resort(chromium: Browser, tmp_path: Path, project: Project, site: Site) -> None:
    endless = "<script>setInterval(() => { (window.__timelines ||= {})['t' + Math.random()] = {} }, 10)</script>"
    page_text = f"<div data-composition-id=c data-duration=1></div>{endless}"
    with (
        site(project({"index.html": page_text})) as url,
        launch(chromium, scratch=tmp_path / "scratch") as session,
        pytest.raises(RenderError, match='"c" never registered') as caught,
    ):
        session.open(PageSpec(url, width=320, height=180, ready_seconds=1.5))

    assert caught.value.code is ErrorCode.COMPOSITION_NOT_READY
