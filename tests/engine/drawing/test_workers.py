"""Workers that misbehave, as their parent handles them. Small scripts stand in for the worker program, so no browser is needed."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.contract.toolset import Browser, ChromeSource, Tool
from hyperframes_lambda.drawing import worker as worker_module
from hyperframes_lambda.drawing import workers as workers_module
from hyperframes_lambda.drawing.job import Events, FinishedSegment, Job
from hyperframes_lambda.drawing.worker import _Worker
from hyperframes_lambda.drawing.workers import draw_in_workers
from hyperframes_lambda.machine.redaction import redactor
from hyperframes_lambda.machine.tools import Tools

Drawn = Callable[..., list[FinishedSegment]]
TOOL = Tool(path=Path("tool"), version="0")
TOOLS = Tools(source=ChromeSource.SPARTICUZ, browser=Browser(path=Path("browser"), version="0"), ffmpeg=TOOL, runtime=TOOL)
ENDED = '{"ended": {"drawn": 1, "capture": 0.5, "encode": 0.25}}'
FINISHED = '{"finished": {"segment": [0, 0, 0], "path": "a.mp4", "record": "a.mp4.frames", "sha256": "ab"}}'


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    redactor.forget()
    redactor.learn({"title": "Weekly recap"})
    yield
    redactor.forget()


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Have one run drawn by a worker that reads its job and its run and then does what the lines of a shell script say."""

    def work(script: str, finished: Callable[[FinishedSegment], None] = lambda _: None) -> list[FinishedSegment]:
        program = tmp_path / "worker.sh"
        program.write_text(f"#!/bin/sh\nread job; read run\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(workers_module.sys, "executable", str(program))
        taken: list[FinishedSegment] = []

        def keep(segment: FinishedSegment) -> None:
            finished(segment)
            taken.append(segment)

        events = Events(drawn=lambda _: None, finished=keep, should_stop=lambda: False)
        job = Job(plan_dir=tmp_path, plan_hash="0" * 64, out_dir=tmp_path, tools=TOOLS)
        draw_in_workers(job, [[Segment(0, 0, 0)]], 1, events)
        return taken

    return work


def test_a_worker_that_reports_nonsense_ends_the_run(draw: Drawn) -> None:
    started = time.monotonic()
    with pytest.raises(RenderError, match="stopped reporting\na report is not JSON: Expecting value") as caught:
        draw("echo no json; sleep 60")
    assert (caught.value.code, caught.value.hint) == (ErrorCode.RUNTIME_EXIT, None)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("script", "words", "hinted"),
    [
        ("kill -KILL $$", "was killed by SIGKILL", True),
        ("kill -SEGV $$", "was killed by SIGSEGV", False),
        ("exit 3", "ended with exit code 3", False),
    ],
)
def test_only_a_killed_worker_was_short_of_memory(draw: Drawn, script: str, words: str, hinted: bool) -> None:
    with pytest.raises(RenderError, match=words) as caught:
        draw(script)
    assert caught.value.code is ErrorCode.RUNTIME_EXIT
    assert (caught.value.hint is not None and "memory" in caught.value.hint) == hinted


def test_an_unforeseen_error_keeps_its_name_and_text(draw: Drawn, capsys: pytest.CaptureFixture[str]) -> None:
    report = r'{"unforeseen": {"name": "KeyError", "message": "of Weekly recap", "trace": "Traceback of Weekly recap\\n"}}'
    with pytest.raises(Exception, match="of Weekly recap") as caught:
        draw(f"echo '{report}'; read more")
    assert type(caught.value).__name__ == "KeyError"
    assert "Traceback of [variables.title]\n" in capsys.readouterr().err


def test_what_a_worker_writes_is_redacted(draw: Drawn, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RenderError) as caught:
        draw("echo 'at Weekly recap: https://a:b@c.example' >&2; exit 1")
    assert caught.value.message.endswith("\nat [variables.title]: https://***@c.example")
    assert capsys.readouterr().err == "at [variables.title]: https://***@c.example\n"


@pytest.mark.parametrize("end", ["echo no json; sleep 60", "exit 1", f"echo '{ENDED}'; read more"])
def test_what_a_worker_has_started_ends_with_it(draw: Drawn, tmp_path: Path, end: str) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    # As a worker's own children do, it holds the standard error open: nothing may wait for its end.
    script = f"exec 9>{held}; sleep 120 >&2 & exec 9>&-\n{end}"
    started = time.monotonic()
    with os.fdopen(os.open(held, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        with nullcontext() if ENDED in end else pytest.raises(RenderError):
            draw(script)
        # It can be read at its end, which is when the last process that can write has ended.
        assert select.select([reader], [], [], 20)[0] == [reader]
        assert reader.read() == ""
    assert time.monotonic() - started < 20


def test_a_segment_is_acknowledged_when_it_was_taken(draw: Drawn, tmp_path: Path) -> None:
    heard = tmp_path / "heard"

    def finished(_: FinishedSegment) -> None:
        time.sleep(0.3)
        assert not heard.exists()

    (taken,) = draw(f"echo '{FINISHED}'; read answer; echo \"$answer\" > {heard}; echo '{ENDED}'; read more", finished)
    assert heard.read_text() == '{"taken": true}\n'
    assert (taken.segment, taken.sha256) == (Segment(0, 0, 0), "ab")


class Lines:
    """A worker's report, and a parent that reads it."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.more = threading.Semaphore(0)

    def write(self, line: str) -> None:
        self.written.append(json.loads(line))
        self.more.release()

    def flush(self) -> None:
        return


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[_Worker, Lines]]:
    lines = Lines()
    job = Job(plan_dir=tmp_path, plan_hash="0" * 64, out_dir=tmp_path, tools=TOOLS)
    yield _Worker(job, lines), lines  # type: ignore[arg-type]  # no whole file


def test_a_worker_waits_until_its_segment_was_taken(worker: tuple[_Worker, Lines], monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, lines = worker
    # It would end the process, which is the test's own.
    monkeypatch.setattr(worker_module.threading, "Timer", lambda *_: SimpleNamespace(start=lambda: None))
    segment = FinishedSegment(Segment(0, 0, 0), Path("a.mp4"), Path("a.mp4.frames"), "ab")
    orders, parent = os.pipe()
    with os.fdopen(orders, "rb") as reading, os.fdopen(parent, "wb", buffering=0) as writing:
        listening = threading.Thread(target=drawing.listen, args=(reading,))
        listening.start()
        for answer in (lambda: writing.write(b'{"taken": true}\n'), writing.close):
            finishing = threading.Thread(target=drawing._finished, args=(segment,))
            finishing.start()
            assert lines.more.acquire(timeout=10)
            finishing.join(0.2)
            assert finishing.is_alive()
            answer()
            finishing.join(10)
            assert not finishing.is_alive()
        listening.join()
        # A parent that is gone takes nothing.
        drawing._finished(segment)


def test_a_worker_tells_an_error_that_nobody_foresaw(worker: tuple[_Worker, Lines], monkeypatch: pytest.MonkeyPatch) -> None:
    drawing, lines = worker

    def fail(*_: object, **__: object) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(worker_module, "read_manifest", fail)
    for order in ([Segment(0, 0, 0)], None):
        drawing._runs.put(order)
    drawing.work()
    ((name, told),) = lines.written[0].items()
    assert (name, told["name"], told["message"]) == ("unforeseen", "LookupError", "a fault of ours")
    assert told["trace"].startswith("Traceback") and told["trace"].endswith("LookupError: a fault of ours\n")
