"""A chunk that is rendered in pieces: by deadlines at any moment, by workers, and after workers that were killed. The video is the same."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.browser import BrowserSession
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.drawing.job import FinishedSegment
from hyperframes_lambda.drawing.pace import Pace, Verdict
from hyperframes_lambda.machine.plan_folder import write_manifest
from hyperframes_lambda.media.gate_record import ChunkRecord
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import ChunkOutcome, render_chunk

FRAMES, GRID = 48, 8
PAGE = """<!doctype html><html><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="160" data-height="90" data-duration="2">
<div id="box" style="position:absolute;width:20px;height:20px;background:linear-gradient(red,blue)"></div></div>
<script>document.getElementById("box").animate([{transform:"none"},{transform:"translateX(140px) rotate(1turn)"}],
{duration:2000,fill:"both"})</script></body></html>"""


class Plan:
    """One chunk of six segments, rendered once without interruption."""

    def __init__(self, folder: Path) -> None:
        (folder / "project").mkdir()
        (folder / "project" / "index.html").write_text(PAGE)
        self.dir = folder / "plan"
        config = RenderConfig.model_validate({"fps": 24, "chunkSize": FRAMES, "quality": "draft"})
        manifest = plan(folder / "project", config, self.dir)
        self.manifest: Manifest = manifest.model_copy(update={"segment_frames": GRID}).sealed()
        write_manifest(self.dir, self.manifest)
        (folder / "whole").mkdir()
        self.whole = render_chunk(self.dir, 0, folder / "whole").finished
        self.video = self.joined(self.whole, folder / "whole.mp4")

    def joined(self, finished: list[FinishedSegment], output: Path) -> bytes:
        assemble(self.dir, [one.path for one in sorted(finished, key=lambda one: one.segment)], output)
        return output.read_bytes()


@pytest.fixture(scope="module")
def chunk(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(tmp_path_factory.mktemp("chunk"))


def frames_of(finished: list[FinishedSegment]) -> list[str]:
    return [digest for one in sorted(finished, key=lambda one: one.segment) for digest in ChunkRecord.read(one.record).digests]


def test_a_chunk_is_rendered_on_its_grid(chunk: Plan) -> None:
    assert [(one.segment.first, one.segment.last) for one in chunk.whole] == [(first, first + 7) for first in range(0, 48, 8)]
    assert len(set(frames_of(chunk.whole))) == FRAMES


def invocations(chunk: Plan, folder: Path, once: Callable[[list[Segment]], ChunkOutcome]) -> tuple[list[FinishedSegment], int]:
    """Render the chunk by as many invocations as it takes, each knowing only what there is."""
    finished: list[FinishedSegment] = []
    for count in range(1, FRAMES + 2):
        outcome = once([one.segment for one in finished])
        finished += outcome.finished
        assert outcome.frames == sum(one.segment.frames for one in finished)
        if outcome.complete:
            return finished, count
        assert outcome.finished, "an invocation without progress would be repeated for ever"
        first_missing = next(
            frame for frame in range(FRAMES) if not any(one.segment.first <= frame <= one.segment.last for one in finished)
        )
        assert outcome.next_frame == first_missing
    raise AssertionError(f"no end with {sorted(path.name for path in folder.iterdir())}")


@pytest.mark.parametrize("most", [3, 9, 17])
def test_deadlines_at_any_moment_make_the_same_frames(
    chunk: Plan, tmp_path: Path, session: BrowserSession, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The clock ticks once a frame, and the time allows for `most` of them; where a segment fits in, the video is the same to the byte."""
    monkeypatch.setattr("hyperframes_lambda.drawing.page.launch", lambda *_, **__: nullcontext(session))
    ticks = 0.0

    def should_stop() -> bool:
        nonlocal ticks
        ticks += 1
        return False

    monkeypatch.setattr("hyperframes_lambda.drawing.draw.Pace", functools.partial(Steady, clock=lambda: ticks))

    def once(present: list[Segment]) -> ChunkOutcome:
        return render_chunk(
            chunk.dir, 0, tmp_path, present=chunk.manifest.coverage(0, present), deadline=ticks + most, should_stop=should_stop
        )

    finished, count = invocations(chunk, tmp_path, once)

    assert frames_of(finished) == frames_of(chunk.whole)
    assert count >= FRAMES / most
    on_grid = most > GRID
    assert all(one.segment.frames == GRID for one in finished) is on_grid
    assert (chunk.joined(finished, tmp_path / "out.mp4") == chunk.video) is on_grid


class Steady(Pace):
    """A pace that needs no time for closing, so that a test can count in frames."""

    def __init__(self, *arguments: object, clock: Callable[[], float]) -> None:
        super().__init__(*arguments, clock=clock)  # type: ignore[arg-type]  # passes on what it is given
        self._closing = 0.0

    def closed(self, seconds: float) -> None:
        pass


def test_time_is_measured_and_some_is_kept_for_closing() -> None:
    now = 100.0
    pace = Pace(deadline=200.0, clock=lambda: now)
    # Three of a hundred seconds are kept, and whatever frames take: the first segment is begun.
    assert pace.may_begin(1_000)
    pace.start()
    for _ in range(10):
        now += 2.0
        pace.drew()
    assert pace.verdict(1_000) is Verdict.GO_ON
    pace.progressed.set()
    # At 120, with 77 seconds left, 38 more frames of two seconds fit in.
    assert (pace.may_begin(38), pace.may_begin(39)) == (True, False)
    assert (pace.verdict(38), pace.verdict(39)) == (Verdict.GO_ON, Verdict.DROP)
    pace.closed(10.0)
    assert (pace.may_begin(32), pace.may_begin(33)) == (True, False)
    pace.progressed.clear()
    now = 184.0
    assert pace.verdict(1_000) is Verdict.CLOSE
    unlimited = Pace(None)
    unlimited.progressed.set()
    assert unlimited.may_begin(10**9) and unlimited.verdict(10**9) is Verdict.GO_ON


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    alive = [child for child in process.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "hyperframes_lambda.drawing.worker" in child.cmdline()]


def test_workers_make_the_same_segments(chunk: Plan, tmp_path: Path) -> None:
    workers = 3
    told: list[int] = []
    outcome = render_chunk(chunk.dir, 0, tmp_path, workers=workers, on_progress=told.append)
    assert (outcome.complete, outcome.frames, outcome.workers, told[-1]) == (True, FRAMES, workers, FRAMES)
    assert [(one.segment, one.sha256) for one in outcome.finished] == [(one.segment, one.sha256) for one in chunk.whole]
    assert chunk.joined(outcome.finished, tmp_path / "out.mp4") == chunk.video
    assert outcome.effort.capture > 0 and outcome.effort.encode > 0
    assert workers_of(psutil.Process()) == []


@pytest.mark.parametrize("moment", ["at its start", "after its first segment"])
def test_a_killed_worker_is_told_and_what_was_finished_is_kept(chunk: Plan, tmp_path: Path, moment: str) -> None:
    finished: list[FinishedSegment] = []

    def kill_one_in_time() -> bool:
        due = {"at its start": True, "after its first segment": bool(finished)}[moment]
        running = workers_of(psutil.Process())
        if due and len(running) == 2:
            running[0].send_signal(signal.SIGKILL)
        return False

    with pytest.raises(RenderError) as caught:
        render_chunk(chunk.dir, 0, tmp_path, workers=2, on_segment=finished.append, should_stop=kill_one_in_time)
    assert caught.value.code is ErrorCode.RUNTIME_EXIT
    assert "a worker process was killed by SIGKILL" in caught.value.message
    assert workers_of(psutil.Process()) == []
    assert len(finished) < len(chunk.whole)

    present = chunk.manifest.coverage(0, [one.segment for one in finished])
    rest = render_chunk(chunk.dir, 0, tmp_path, present=present, workers=2)
    assert rest.complete and len(finished) + len(rest.finished) == len(chunk.whole)
    assert chunk.joined([*finished, *rest.finished], tmp_path / "out.mp4") == chunk.video


def test_an_error_in_a_worker_is_the_chunks_error(chunk: Plan, tmp_path: Path) -> None:
    damaged = tmp_path / "plan"
    shutil.copytree(chunk.dir, damaged)
    for blob in (damaged / "blobs").rglob("*"):
        if blob.is_file():
            blob.write_bytes(b"not what its name says")
    with pytest.raises(RenderError) as caught:
        render_chunk(damaged, 0, tmp_path, workers=2)
    assert caught.value.code is ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH
    assert caught.value.hint is not None
    assert workers_of(psutil.Process()) == []


def test_cancelling_reaches_all_workers_at_once(chunk: Plan, tmp_path: Path) -> None:
    drawn: list[int] = []
    asked: list[float] = []

    def should_stop() -> bool:
        if drawn:
            asked.append(time.monotonic())
        return bool(drawn)

    with pytest.raises(RenderError) as caught:
        render_chunk(chunk.dir, 0, tmp_path, workers=2, on_progress=drawn.append, should_stop=should_stop)
    assert caught.value.code is ErrorCode.RENDER_CANCELLED
    assert time.monotonic() - asked[0] < 4
    assert workers_of(psutil.Process()) == []


def test_workers_do_not_outlive_their_parent(chunk: Plan, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom hyperframes_lambda.render_chunk import render_chunk\n"
        "render_chunk(Path(sys.argv[1]), 0, Path(sys.argv[2]), workers=2, on_progress=lambda drawn: print(drawn, flush=True))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", script, str(chunk.dir), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as running:
        assert running.stdout is not None and running.stdout.readline()
        parent = psutil.Process(running.pid)
        assert len(workers_of(parent)) == 2
        family = parent.children(recursive=True)
        running.kill()
    assert psutil.wait_procs(family, timeout=10)[1] == []
