"""What every test may ask for: the toolset of this machine, the closed-form compositions, and an independent look at a video."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from xdist.scheduler import LoadScopeScheduling

from hyperframes_lambda.browser import BrowserSession, launch
from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, TOOLSET_VARIABLE, Browser, ChromeSource, Toolset
from hyperframes_provider.bundle import build_bundle
from hyperframes_provider.client.aws.connect import Connect, connect_local
from hyperframes_provider.local.endpoint import down, up
from hyperframes_provider.toolset import toolset_path

# Airflow reads its home when it is first imported, and would otherwise make one in the user's.
_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="hyperframes-tests-airflow-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# Whoever starts the tests in the background has them, and all that they start, ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

COMPOSITIONS = Path(__file__).parent / "compositions"
LONG = ("e2e", "local/sandbox", "cli", "evaluation", "conformance")
"""Folders that take minutes; they come first, so that what is left at the end is short."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        folder = f"{item.path.relative_to(Path(__file__).parent).parent}/"
        return next((place for place, long in enumerate(LONG) if folder.startswith(f"{long}/")), len(LONG))

    items.sort(key=rank)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """With `--dist loadfile`: each file is for one process, and so is all of `e2e`, whose renders take all processors."""

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "e2e" if "/e2e/" in file else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def toolset() -> Toolset:
    """Browser, ffmpeg and runtime as `hyperframes-airflow setup` brought them; the engine finds them by the environment."""
    path = toolset_path()
    assert path.exists(), f"{path} is missing: type ./scripts/test, or hyperframes-airflow setup"
    os.environ[TOOLSET_VARIABLE] = str(path)
    return Toolset.model_validate_json(path.read_text())


@pytest.fixture(scope="session")
def full_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Lambda ZIP that brings everything; what it is made of is packed once for each content, in the user cache."""
    return build_bundle(tmp_path_factory.mktemp("bundle") / "handler.zip").path


@pytest.fixture(scope="session")
def chromium(toolset: Toolset) -> Browser:
    """The browser that the engine would use."""
    return toolset.browsers[ChromeSource(os.environ.get(CHROME_SOURCE_VARIABLE, ChromeSource.SPARTICUZ))]


@pytest.fixture(scope="module")
def session(chromium: Browser) -> Iterator[BrowserSession]:
    """One browser for a module's tests."""
    with launch(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def one_browser(session: BrowserSession) -> Iterator[None]:
    """All plans and chunks of a module share its browser. Each still opens a page in a context of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("planning.look", "drawing.page"):
            patch.setattr(f"hyperframes_lambda.{module}.launch", lambda *_, **__: nullcontext(session))
        yield


@pytest.fixture
def composition(tmp_path: Path, toolset: Toolset) -> Callable[[str], Path]:
    """A closed-form composition as a project folder, with GSAP where its pages expect it."""

    def project(name: str) -> Path:
        folder = tmp_path / "projects" / name
        shutil.copytree(COMPOSITIONS / name, folder)
        shutil.copy(toolset.libraries["gsap"].path, folder / "gsap.min.js")
        return folder

    return project


@dataclass(frozen=True)
class Packets:
    """A video as a demuxer other than the engine's sees it. Times in seconds, exact."""

    times: list[Fraction]
    keyframes: set[int]
    duration: Fraction
    warnings: str


@pytest.fixture
def packets(toolset: Toolset) -> Callable[[Path], Packets]:
    def look(video: Path) -> Packets:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            found = [packet for packet in container.demux(stream) if packet.size]
            times = [packet.pts * stream.time_base for packet in found]
            keyframes = {number for number, packet in enumerate(found) if packet.is_keyframe}
            duration = stream.duration * stream.time_base
        decode = [str(toolset.ffmpeg.path), "-v", "warning", "-i", str(video), "-f", "null", "-"]
        return Packets(times, keyframes, duration, subprocess.run(decode, capture_output=True, text=True, check=True).stderr)

    return look


@pytest.fixture
def decoded() -> Callable[[Path, int, int], Iterator[NDArray[np.uint8]]]:
    def pictures(video: Path, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                assert (frame.width, frame.height) == (width, height)
                yield frame.to_ndarray(format="rgb24")

    return pictures


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
