"""`python -m hyperframes_lambda render`: what it writes, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from hyperframes_lambda.__main__ import Display, main
from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, Toolset
from tests import ROOT

PAGE = """<!doctype html><html><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="160" data-height="90" data-duration="{duration}"
 data-composition-variables='[{{"id":"left","type":"number","default":0}}]'>
<div style="position:absolute;left:calc(var(--left) * 1px);width:20px;height:20px;background:red"></div></div></body></html>"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE.format(duration=1))
    return folder


def test_a_video_from_a_folder(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], packets: Any) -> None:
    out = tmp_path / "out.mp4"
    options = ["--fps", "24", "--chunk-size", "12", "--workers", "2", "--quality", "draft", "--width", "160", "--height", "90"]
    assert main(["render", str(project), "-o", str(out), *options, "--variables", '{"left": 30}']) == 0
    said = capsys.readouterr()
    assert "24 frames" in said.out
    assert "2 chunks" in said.out
    assert said.out.splitlines()[-1] == f"output    {out}"
    assert "\x1b" not in said.out
    assert said.err == ""
    seen = packets(out)
    assert len(seen.times) == 24
    assert seen.keyframes >= {0, 12}


def test_frames_into_a_folder(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "frames"
    assert main(["render", str(project), "-o", str(out), "--fps", "24", "--workers", "1"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"{number:06d}.png" for number in range(24)]
    assert "1 chunk\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "kind", "frames"),
    [
        ("out.webm", [], "webm", 24),
        ("out.gif", ["--set", "gifLoop=2"], "gif", 24),
        ("out.jpg", ["--set", "at=0.5"], "jpeg_pipe", 1),
        ("out.m3u8", ["--chunk-size", "12"], "hls", 24),
    ],
)
def test_the_ending_of_the_output_says_its_format(
    project: Path, tmp_path: Path, name: str, options: list[str], kind: str, frames: int
) -> None:
    assert main(["render", str(project), "-o", str(tmp_path / name), "--fps", "24", "--quality", "draft", "--workers", "1", *options]) == 0
    with av.open(str(tmp_path / name)) as container:
        assert kind in container.format.name
        assert sum(1 for _ in container.decode(video=0)) == frames


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-o", "out.mp4", "--fps", "23"], 2, ["INVALID_CONFIG", "option.fps", "'23'"]),
        (["-o", "out.avi"], 2, ["INVALID_CONFIG", ".avi", "OUT.mp4", ".webm"]),
        (["-o", "out.mp4", "--format", "gif"], 2, ["out.mp4", "gif", "End it in .gif"]),
        (["-o", "out.mp4", "--set", "codec"], 2, ["--set codec", "NAME=VALUE"]),
        (["-o", "out.mp4", "--set", "audio=maybe"], 2, ["option.audio", "'maybe'"]),
        (["-o", "out.gif", "--fps", "60"], 2, ["option.fps", "60", "50"]),
        (["-o", "out.mp4", "--variables", "{"], 2, ["--variables is not JSON"]),
        (["-o", "out.mp4", "--variables", "[1]"], 2, ["option.variables"]),
        (["-o", "out.mp4", "--workers", "0"], 2, ["--workers 0"]),
        (["-o", "out.mp4", "--max-parallel-chunks", "0"], 2, ["option.maxParallelChunks"]),
        (["-o", "out.mp4", "--width", "400", "--height", "400"], 2, ["400x400", "160x90"]),
    ],
)
def test_a_wrong_request_ends_with_2_and_no_traceback(
    options: list[str], code: int, words: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(project), *options]) == code
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == [], said
    assert "Traceback" not in said


@pytest.mark.parametrize("set_up", [True, False])
def test_the_toolset_of_the_user_cache_is_found_without_a_variable(
    set_up: bool, toolset: Toolset, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "cache" / "hyperframes" / "toolset.json"
    if set_up:
        place.parent.mkdir(parents=True)
        place.write_text(toolset.model_dump_json())
    monkeypatch.delenv(TOOLSET_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["render", str(project), "-o", str(tmp_path / "out.jpg")]) == (0 if set_up else 1)
    assert (tmp_path / "out.jpg").exists() == set_up
    said = capsys.readouterr().err
    assert said == "" if set_up else str(place) in said and "hyperframes-airflow setup" in said


def test_a_missing_project_is_a_wrong_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(tmp_path / "nowhere"), "-o", "out.mp4"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_failed_render_ends_with_1(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "index.html").write_text(PAGE.format(duration=1).replace("</body>", "<script>lostFunction()</script></body>"))
    assert main(["render", str(project), "-o", str(tmp_path / "out.mp4")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("COMPOSITION_ERROR: ")
    assert "lostFunction" in said
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_render_ends_with_130_and_leaves_nothing(ending: signal.Signals, project: Path, tmp_path: Path) -> None:
    (project / "index.html").write_text(PAGE.format(duration=60))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TMPDIR": str(scratch)}
    command = [sys.executable, "-m", "hyperframes_lambda", "render", str(project), "-o", str(tmp_path / "out.mp4"), "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        assert next(line for line in lines if line.startswith("render "))
        family = psutil.Process(running.pid).children(recursive=True)
        # Ctrl-C reaches the whole group of a terminal's foreground job, a supervisor's signal the process alone.
        if ending is signal.SIGINT:
            os.killpg(running.pid, ending)
        else:
            running.send_signal(ending)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert said.strip() == "interrupted; nothing was written"
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not (tmp_path / "out.mp4").exists()
    assert list(scratch.iterdir()) == []


class Terminal:
    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_terminal_gets_one_line_that_is_written_over() -> None:
    terminal = Terminal()
    display = Display(terminal, frames=240, chunks=4)  # type: ignore[arg-type]
    display.update(120, 1)
    display.update(120, 1)
    display.update(240, 4)
    display.close()
    assert terminal.text.count("\r") >= 2
    assert terminal.text.count("\n") == 1
    assert "120/240 frames \N{MIDDLE DOT} 1/4 chunks" in terminal.text
    assert "240/240 frames \N{MIDDLE DOT} 4/4 chunks" in terminal.text


def test_the_handlers_zip_finds_its_handler() -> None:
    source = ROOT / "lambda_src"
    code = "import handler, json; print(json.dumps([handler.handler.__name__, handler.__all__]))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == ["handler", ["handler"]]
