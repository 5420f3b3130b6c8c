"""`check` names what will keep a project from rendering, and warns of what may look different from a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hyperframes_lambda.authoring import check
from hyperframes_lambda.contract.authoring import CheckReport, Finding, Severity
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.machine.archive import MAX_FILE_BYTES

pytestmark = pytest.mark.usefixtures("one_browser")

Checked = Callable[[Mapping[str, str | bytes]], CheckReport]
BOX = '<div id="box" style="position:absolute;left:0;top:60px;width:40px;height:40px;background:red"></div>'
TIMELINE = '<script>window.__timelines={page:gsap.timeline({paused:true}).to("#box",{x:240,duration:2,ease:"none"})}</script>'


def page(body: str, *, gsap: str = "gsap.min.js") -> str:
    return (
        f'<!doctype html><html><head><script src="{gsap}"></script></head><body style="margin:0;background:#fff">\n'
        f'<div data-composition-id="page" data-start="0" data-width="320" data-height="180" data-duration="2">\n'
        f"{BOX}{body}</div>\n{TIMELINE}</body></html>"
    )


@pytest.fixture
def checked(project: Callable[..., Path], tmp_path: Path) -> Checked:
    def make(files: Mapping[str, str | bytes]) -> CheckReport:
        return check(project(files), RenderConfig(), tmp_path)

    return make


def findings(report: CheckReport) -> dict[str, Finding]:
    return {finding.code: finding for finding in report.findings}


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
def test_a_project_that_will_not_render_is_an_error_with_its_reason(name: str, checked: Checked) -> None:
    html, code, words = BROKEN[name]

    report = checked({"index.html": html})

    assert not report.renders
    finding = findings(report)[code]
    assert finding.severity is Severity.ERROR
    assert finding.hint
    assert [word for word in words if word not in finding.message] == [], finding.message


def test_what_may_look_different_is_a_warning_with_its_lines(checked: Checked) -> None:
    script = '<script src="own.js"></script>'
    own = "box.style.left = Math.floor(Math.random() * 9) + 'px'\nconst today = new Date()\nsetInterval(() => today, 1e6)\n"

    report = checked({"index.html": page(script), "own.js": own})

    assert report.renders
    assert {finding.code: finding.message.split(": ")[0] for finding in report.findings} == {
        "unseeded-random": "own.js:1",
        "wall-clock": "own.js:2",
        "timer": "own.js:3",
    }
    assert {finding.severity for finding in report.findings} == {Severity.WARNING}


@pytest.mark.parametrize(
    ("families", "code", "severity"),
    [
        ("'Nowhere Grotesk'", "FONT_UNAVAILABLE", Severity.ERROR),
        ("'Nowhere Grotesk',sans-serif", "font-substituted", Severity.WARNING),
    ],
)
def test_a_font_that_cannot_be_had_is_an_error_alone_and_a_warning_with_one_behind_it(
    families: str, code: str, severity: Severity, checked: Checked
) -> None:
    report = checked({"index.html": page(f'<p style="font-family:{families}">x</p>')})

    finding = findings(report)[code]
    assert (report.renders, finding.severity) == (severity is Severity.WARNING, severity)
    assert "Nowhere Grotesk" in finding.message


def test_a_picture_that_moves_by_itself_is_a_warning_and_a_driven_one_is_not(checked: Checked) -> None:
    moving = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9">{}</rect></svg>'
    animate = '<animate attributeName="x" from="0" to="9" dur="1000s"/>'
    body = '<img src="spin.svg"><img src="still.svg"><iframe src="driven.svg"></iframe>'

    files = {"spin.svg": moving.format(animate), "still.svg": moving.format(""), "driven.svg": moving.format(animate)}
    report = checked({"index.html": page(body), **files})

    found = [finding for finding in report.findings if finding.code == "animated-picture"]
    assert [(finding.severity, finding.message.partition(":")[0]) for finding in found] == [(Severity.WARNING, "spin.svg")]


def test_a_request_that_a_script_survives_is_a_warning(checked: Checked) -> None:
    report = checked({"index.html": page("<script>fetch('data.json').catch(() => 0)</script>")})

    assert report.renders
    assert "data.json" in findings(report)["failed-request"].message


def test_an_asset_over_the_limit_is_named_before_anything_is_opened(project: Callable[..., Path], tmp_path: Path) -> None:
    folder = project({"index.html": page("")})
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    report = check(folder, RenderConfig(), tmp_path)

    assert not report.renders
    assert "huge.bin" in findings(report)["asset-too-large"].message
