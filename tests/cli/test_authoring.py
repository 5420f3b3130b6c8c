"""`check`, `info` and `snapshot` as a shell sees them, on sound projects and on broken ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.machine.archive import MAX_FILE_BYTES

Say = Callable[..., "subprocess.CompletedProcess[str]"]
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
    def make(html: str, **files: str) -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "gsap.min.js").write_bytes(toolset.libraries["gsap"].path.read_bytes())
        for name, content in {"index.html": html, **files}.items():
            (folder / name.replace("__", ".")).write_text(content)
        return folder

    return make


@pytest.fixture
def say(tmp_path: Path) -> Say:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from hyperframes_provider.cli import main; sys.exit(main())"]
        return subprocess.run(
            [*command, *map(str, arguments)], env=dict(os.environ), cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return run


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(done.stdout)
    assert document["renders"] is (done.returncode == 0)
    return {finding["code"]: finding for finding in document["findings"]}


def test_a_sound_project_has_no_findings(say: Say, project) -> None:
    done = say("check", project(page("")), "--json")

    assert (done.returncode, findings(done)) == (0, {})


BROKEN = {
    "no timeline because its script is missing": (page("", gsap="lost.min.js"), "COMPOSITION_NOT_READY", ["lost.min.js (404)", "page"]),
    "an image that is not there": (page('<img src="pictures/none.png">'), "ASSET_UNAVAILABLE", ["pictures/none.png", "index.html line 3"]),
    "a script that throws": (page("<script>nothing.here()</script>"), "COMPOSITION_ERROR", ["nothing is not defined", "index.html"]),
    "no composition": ("<!doctype html><p>hello", "COMPOSITION_EMPTY", ["data-composition-id"]),
    "a picture that counts its frames": (
        page("<script>let n=0;requestAnimationFrame(function f(){box.style.top=(n+=7)+'px';requestAnimationFrame(f)})</script>"),
        "history-dependent",
        ["s depends on the moments"],
    ),
    "an asset from nowhere": (page('<img src="https://nowhere.invalid/x.png">'), "ASSET_UNAVAILABLE", ["https://nowhere.invalid/x.png"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_project_that_will_not_render_says_why(name: str, say: Say, project) -> None:
    html, code, words = BROKEN[name]

    done = say("check", project(html), "--json")

    assert done.returncode == 1
    finding = findings(done)[code]
    assert finding["severity"] == "error"
    assert finding["hint"]
    assert [word for word in words if word not in finding["message"]] == [], finding["message"]


def test_what_may_look_different_is_a_warning_with_its_lines(say: Say, project) -> None:
    script = '<script src="own.js"></script>'
    own = "box.style.left = Math.floor(Math.random() * 9) + 'px'\nconst today = new Date()\nsetInterval(() => today, 1e6)\n"

    done = say("check", project(page(script), own__js=own), "--json")

    found = findings(done)
    assert done.returncode == 0
    assert {code: finding["message"].split(": ")[0] for code, finding in found.items()} == {
        "unseeded-random": "own.js:1",
        "wall-clock": "own.js:2",
        "timer": "own.js:3",
    }
    assert {finding["severity"] for finding in found.values()} == {"warning"}


def test_a_font_that_cannot_be_had_is_an_error_alone_and_a_warning_with_one_behind_it(say: Say, project) -> None:
    folder = project(page("<p style=\"font-family:'Nowhere Grotesk'\">x</p>"))

    alone = say("check", folder, "--json")
    (folder / "index.html").write_text(page("<p style=\"font-family:'Nowhere Grotesk',sans-serif\">x</p>"))
    behind = say("check", folder, "--json")

    assert findings(alone)["FONT_UNAVAILABLE"]["severity"] == "error"
    assert "Nowhere Grotesk" in findings(alone)["FONT_UNAVAILABLE"]["message"]
    assert (behind.returncode, findings(behind)["font-substituted"]["severity"]) == (0, "warning")


def test_a_picture_that_moves_by_itself_is_a_warning_and_a_driven_one_is_not(say: Say, project) -> None:
    moving = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9">{}</rect></svg>'
    animate = '<animate attributeName="x" from="0" to="9" dur="1000s"/>'
    body = '<img src="spin.svg"><img src="still.svg"><iframe src="driven.svg"></iframe>'

    files = {"spin__svg": moving.format(animate), "still__svg": moving.format(""), "driven__svg": moving.format(animate)}
    done = say("check", project(page(body), **files), "--json")

    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["code"] == "animated-picture"]
    assert [(finding["severity"], finding["message"].partition(":")[0]) for finding in found] == [("warning", "spin.svg")]


def test_a_request_that_a_script_survives_is_a_warning(say: Say, project) -> None:
    done = say("check", project(page("<script>fetch('data.json').catch(() => 0)</script>")), "--json")

    assert done.returncode == 0
    assert "data.json" in findings(done)["failed-request"]["message"]


def test_an_asset_over_the_limit_is_named_before_anything_is_opened(say: Say, project) -> None:
    folder = project(page(""))
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    done = say("check", folder, "--json")

    assert done.returncode == 1
    assert "huge.bin" in findings(done)["asset-too-large"]["message"]


def test_check_speaks_to_people_too(say: Say, project) -> None:
    done = say("check", project(page("<script>nothing.here()</script>")))

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error     COMPOSITION_ERROR: ")
    assert "project will not render · 1 error · 0 warnings" in lines[-1]


def test_info_says_what_the_project_is(say: Say, project) -> None:
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


def test_a_snapshot_is_the_frame_that_the_video_shows_then(say: Say, project, tmp_path: Path) -> None:
    done = say("snapshot", project(page("")), "--at", "0.5,1.019s", "--json", "-o", tmp_path / "shots")

    pictures = json.loads(done.stdout)["pictures"]
    assert [(picture["frame"], picture["time"]) for picture in pictures] == [(15, 0.5), (30, 1.0)]
    for picture, left in zip(pictures, (60, 120), strict=True):
        pixels = np.asarray(Image.open(tmp_path / picture["path"]).convert("RGB")).astype(int)
        red = np.argwhere((pixels[..., 0] > 200) & (pixels[..., 1] < 60))
        assert pixels.shape == (180, 320, 3)
        assert (red[:, 1].min(), red[:, 1].max()) == (left, left + 39)


@pytest.mark.parametrize(("at", "words"), [("2.5", "frames from 0 to 1.967 s"), ("soon", "give seconds"), ("-1", "frames from 0")])
def test_a_moment_that_is_none_is_refused(at: str, words: str, say: Say, project) -> None:
    done = say("snapshot", project(page("")), f"--at={at}")

    assert done.returncode == 2
    assert words in done.stderr


def test_a_project_that_is_no_folder_is_refused(say: Say, tmp_path: Path) -> None:
    done = say("info", tmp_path / "none")

    assert done.returncode == 2
    assert "is not a folder" in done.stderr
