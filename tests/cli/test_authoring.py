"""`check`, `info` and `snapshot` on the command line. `tests/engine/authoring` has what `check` finds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.command_line import Run, runner, shell

BOX = '<div id="box" style="position:absolute;left:0;top:60px;width:40px;height:40px;background:red"></div>'
TIMELINE = '<script>window.__timelines={page:gsap.timeline({paused:true}).to("#box",{x:240,duration:2,ease:"none"})}</script>'


def page(body: str, *, head: str = "", gsap: str = "gsap.min.js", attributes: str = "") -> str:
    return (
        f'<!doctype html><html><head>{head}<script src="{gsap}"></script></head><body style="margin:0;background:#fff">\n'
        f'<div data-composition-id="page" data-start="0" data-width="320" data-height="180" data-duration="2" {attributes}>\n'
        f"{BOX}{body}</div>\n{TIMELINE}</body></html>"
    )


@pytest.fixture
def project(tmp_path: Path, toolset) -> Callable[..., Path]:
    def make(html: str) -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "gsap.min.js").write_bytes(toolset.libraries["gsap"].path.read_bytes())
        (folder / "index.html").write_text(html)
        return folder

    return make


@pytest.fixture
def say(tmp_path: Path) -> Run:
    """`hyperframes-airflow …` in the test's folder. The engine, which looks at the project, is a process of its own in any case."""
    return runner(tmp_path)


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["renders"] is (done.returncode == 0)
    return {finding["code"]: finding for finding in document["findings"]}


def test_a_sound_project_has_no_findings(project, tmp_path: Path) -> None:
    done = shell(tmp_path)("check", project(page("")), "--json")

    assert (done.returncode, findings(done)) == (0, {})


def test_a_project_that_will_not_render_says_why_and_exits_1(say: Run, project) -> None:
    done = say("check", project(page('<img src="pictures/none.png">')), "--json")

    assert done.returncode == 1
    finding = findings(done)["ASSET_UNAVAILABLE"]
    assert finding["severity"] == "error"
    assert finding["hint"]
    assert "pictures/none.png" in finding["message"]


def test_check_speaks_to_people_too(say: Run, project) -> None:
    done = say("check", project(page("<script>nothing.here()</script>")))

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error     COMPOSITION_ERROR: ")
    assert "project will not render · 1 error · 0 warnings" in lines[-1]


def test_info_says_what_the_project_is(say: Run, project) -> None:
    declared = [
        {"id": "title", "type": "string", "label": "Title", "default": "Hello"},
        {"id": "size", "type": "enum", "options": [{"value": "s"}, {"value": "l"}], "default": "s"},
    ]
    html = page("", attributes=f"data-fps='24' data-composition-variables='{json.dumps(declared)}'")

    folder = project(html)
    done = say("info", folder, "--json")

    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["width"], found["height"], found["fps"], found["frames"], found["duration"]) == (320, 180, 24, 48, 2.0)
    assert (found["entry"], found["compositionId"], found["files"]) == ("index.html", "page", 2)
    assert found["size"] == sum(file.stat().st_size for file in folder.iterdir())
    assert [(variable["id"], variable["type"], variable["default"]) for variable in found["variables"]] == [
        ("title", "string", "Hello"),
        ("size", "enum", "s"),
    ]
    assert found["variables"][1]["options"] == ["s", "l"]
    assert (found["videos"], found["audio"], found["remote"]) == ([], [], [])
    text = say("info", folder).stdout
    assert "320\N{MULTIPLICATION SIGN}180 · 24 fps · 48 frames · 2.000 s" in text
    assert 'size · enum of "s", "l" · default "s"' in text


def test_a_snapshot_is_the_frame_that_the_video_shows_then(say: Run, project, tmp_path: Path) -> None:
    done = say("snapshot", project(page("")), "--at", "0.5,1.019s", "--json", "-o", tmp_path / "shots")

    pictures = json.loads(done.stdout)["pictures"]
    assert [(picture["frame"], picture["time"]) for picture in pictures] == [(15, 0.5), (30, 1.0)]
    for picture, left in zip(pictures, (60, 120), strict=True):
        pixels = np.asarray(Image.open(tmp_path / picture["path"]).convert("RGB")).astype(int)
        red = np.argwhere((pixels[..., 0] > 200) & (pixels[..., 1] < 60))
        assert pixels.shape == (180, 320, 3)
        assert (red[:, 1].min(), red[:, 1].max()) == (left, left + 39)


@pytest.mark.parametrize(("at", "words"), [("2.5", "frames from 0 to 1.967 s"), ("soon", "give seconds"), ("-1", "frames from 0")])
def test_a_moment_that_is_none_is_refused(at: str, words: str, say: Run, project) -> None:
    done = say("snapshot", project(page("")), f"--at={at}")

    assert done.returncode == 2
    assert words in done.stderr


def test_a_project_that_is_no_folder_is_refused(say: Run, tmp_path: Path) -> None:
    done = say("info", tmp_path / "none")

    assert done.returncode == 2
    assert "is not a folder" in done.stderr
