"""A composition that cannot be rendered correctly raises an error early, and the error names the place to fix."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hyperframes_lambda.browser import CompositionPage
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

Open = Callable[..., AbstractContextManager[CompositionPage]]

ROOT = '<div id="root" data-composition-id="recap" data-width="320" data-height="180" {attributes}>{inner}</div>'
GSAP = "<script src=gsap.min.js></script>\n"
REGISTER = "<script>window.__timelines = { recap: gsap.timeline({ paused: true }).to('#root', { x: 1, duration: 1 }) };</script>"


def page(inner: str = "", *, attributes: str = 'data-duration="1" data-no-timeline', head: str = "", scripts: str = "") -> str:
    return f"<!doctype html>\n<html><head>\n{head}</head><body>\n{ROOT.format(attributes=attributes, inner=inner)}\n{scripts}</body></html>"


CASES: dict[str, tuple[dict[str, str], ErrorCode, list[str]]] = {
    "missing script leaves the timeline unregistered": (
        {"index.html": page(attributes="", head="<script src=assets/gsap.min.js></script>\n", scripts=REGISTER)},
        ErrorCode.COMPOSITION_NOT_READY,
        ['"recap" never registered window.__timelines["recap"]', "assets/gsap.min.js (404)", "index.html line 3", "data-no-timeline"],
    ),
    "timeline under another name": (
        {"index.html": page(attributes="", head=GSAP, scripts=REGISTER.replace("recap:", "intro:"))},
        ErrorCode.COMPOSITION_NOT_READY,
        ['window.__timelines["recap"]', "Registered: intro"],
    ),
    "script that throws": (
        {"index.html": page(attributes="", head=GSAP, scripts="<script>\nnothing.there();\n</script>")},
        ErrorCode.COMPOSITION_ERROR,
        ["nothing is not defined", "index.html:7"],
    ),
    "script file that throws": (
        {"index.html": page(scripts="<script src=js/code.js></script>"), "js/code.js": "\n\nthrow new Error('no luck');"},
        ErrorCode.COMPOSITION_ERROR,
        ["no luck", "js/code.js:3"],
    ),
    "script that does not parse": (
        {"index.html": page(scripts="<script>let let = 1</script>")},
        ErrorCode.COMPOSITION_ERROR,
        ["SyntaxError"],
    ),
    "sub-composition script that throws": (
        {
            "index.html": page('<div data-composition-id="sub" data-composition-src="sub.html" data-start="0"></div>'),
            "sub.html": "<div data-composition-id=sub></div><script>missing()</script>",
        },
        ErrorCode.COMPOSITION_ERROR,
        ["sub", "missing is not defined"],
    ),
    "animation frame that throws": (
        {"index.html": page(scripts="<script>requestAnimationFrame(() => { throw new TypeError('in a frame') })</script>")},
        ErrorCode.COMPOSITION_ERROR,
        ["in a frame", "index.html:5"],
    ),
    "timeline callback that throws": (
        {"index.html": page(attributes="", head=GSAP, scripts=REGISTER.replace("duration: 1", "duration: 1, onUpdate() { oops() }"))},
        ErrorCode.COMPOSITION_ERROR,
        ["oops is not defined"],
    ),
    "nothing to render": ({"index.html": "<p>hello"}, ErrorCode.COMPOSITION_EMPTY, ["data-composition-id"]),
    "no duration": ({"index.html": page(attributes="data-no-timeline")}, ErrorCode.DURATION_OUT_OF_RANGE, ["0 s", "data-duration"]),
    "duration zero": ({"index.html": page(attributes='data-no-timeline data-duration="0"')}, ErrorCode.DURATION_OUT_OF_RANGE, ["0 s"]),
    "negative duration": ({"index.html": page(attributes='data-no-timeline data-duration="-3"')}, ErrorCode.DURATION_OUT_OF_RANGE, ["-3"]),
    "duration that is no number": (
        {"index.html": page(attributes='data-no-timeline data-duration="long"')},
        ErrorCode.DURATION_OUT_OF_RANGE,
        [],
    ),
    "duration over the limit": (
        {"index.html": page(attributes='data-no-timeline data-duration="14401"')},
        ErrorCode.DURATION_OUT_OF_RANGE,
        ["14401"],
    ),
    "own protocol without a number": (
        {"index.html": "<script>window.__hf={duration:NaN,seek(){}}</script>"},
        ErrorCode.DURATION_OUT_OF_RANGE,
        ["not a number"],
    ),
    "missing image": (
        {"index.html": page("\n<img src='pics/one.png'>")},
        ErrorCode.ASSET_UNAVAILABLE,
        ["pics/one.png", "image", "index.html line 5"],
    ),
    "missing style sheet": (
        {"index.html": page(head="<link rel=stylesheet href=a.css>\n")},
        ErrorCode.ASSET_UNAVAILABLE,
        ["a.css", "stylesheet", "index.html line 3"],
    ),
    "missing script of no consequence": (
        {"index.html": page(head="\n<script src=extra.js></script>\n")},
        ErrorCode.ASSET_UNAVAILABLE,
        ["extra.js", "index.html line 4"],
    ),
    "missing font": (
        {
            "index.html": page("<p style='font-family:Own'>x</p>", head="<link rel=stylesheet href=style/a.css>\n"),
            "style/a.css": "@font-face { font-family: Own; src: url(own.woff2) }",
        },
        ErrorCode.ASSET_UNAVAILABLE,
        ["style/own.woff2", "font"],
    ),
    "missing frame": ({"index.html": page("<iframe src=inner.html></iframe>")}, ErrorCode.ASSET_UNAVAILABLE, ["inner.html"]),
    "path out of the project": ({"index.html": page("<img src=../../etc/secret.png>")}, ErrorCode.ASSET_UNAVAILABLE, ["etc/secret.png"]),
    "remote script": (
        {"index.html": page(head="<script src=https://cdn.example.com/gsap.js></script>\n")},
        ErrorCode.ASSET_UNAVAILABLE,
        ["https://cdn.example.com/gsap.js", "remote", "Copy the file into the project", "index.html line 3"],
    ),
    "remote image by address": (
        {"index.html": page("<img src=http://192.0.2.7/x.png>")},
        ErrorCode.ASSET_UNAVAILABLE,
        ["http://192.0.2.7/x.png", "remote"],
    ),
    "video": (
        {"index.html": page("<video id=clip src=a.mp4 data-start=0></video>")},
        ErrorCode.COMPOSITION_UNSUPPORTED,
        ['<video id="clip"> in index.html plays a.mp4', "without media files"],
    ),
    "audio with a source element": (
        {"index.html": page("<audio><source src=tone.wav></audio>")},
        ErrorCode.COMPOSITION_UNSUPPORTED,
        ["<audio> in index.html plays tone.wav"],
    ),
    "video in a sub-composition": (
        {
            "index.html": page('<div data-composition-id="sub" data-composition-src="sub.html" data-start="0" data-no-timeline></div>'),
            "sub.html": "<div data-composition-id=sub data-no-timeline><video src=b.webm></video></div>",
        },
        ErrorCode.COMPOSITION_UNSUPPORTED,
        ["b.webm"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_at_once(opened: Open, project: Callable[..., Path], case: str) -> None:
    files, code, words = CASES[case]
    started = time.monotonic()

    with pytest.raises(RenderError) as caught, opened(project(files)):
        pass

    assert caught.value.code is code, str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert time.monotonic() - started < 8


def test_an_error_during_the_capture_names_its_moment(opened: Open, project: Callable[..., Path]) -> None:
    throwing = (
        "<script>requestAnimationFrame(function draw(t) { if (t > 400) throw new Error('too late'); requestAnimationFrame(draw) })</script>"
    )
    with opened(project({"index.html": page(scripts=throwing)})) as composition:
        composition.capture(0.25)
        with pytest.raises(RenderError, match=r"at 0\.500 s: Error: too late.*index\.html:5") as caught:
            composition.capture(0.5)

    assert caught.value.code is ErrorCode.COMPOSITION_ERROR


def test_an_image_that_a_later_frame_needs_is_missed_there(opened: Open, project: Callable[..., Path]) -> None:
    changing = "<script>requestAnimationFrame(function draw(t) { if (t > 400) i.src = 'later.png'; requestAnimationFrame(draw) })</script>"
    with opened(project({"index.html": page("<img id=i>", scripts=changing)})) as composition:
        composition.capture(0.25)
        with pytest.raises(RenderError, match=r"later\.png") as caught:
            composition.capture(0.5)

    assert caught.value.code is ErrorCode.ASSET_UNAVAILABLE


LATE = {
    "by a timer": "setTimeout(register, 900)",
    "in an animation frame": "requestAnimationFrame(() => requestAnimationFrame(register))",
    "after a fetch": "fetch('data.json').then(answer => answer.json()).then(register)",
    "when a font is there": "document.fonts.ready.then(register)",
}


@pytest.mark.parametrize("when", LATE)
def test_a_timeline_may_register_late(opened: Open, project: Callable[..., Path], when: str) -> None:
    timeline = "gsap.timeline({ paused: true }).to('#box', { x: 100, duration: 2, ease: 'none' })"
    code = f"<script>function register() {{ window.__timelines = {{ recap: {timeline} }} }}\n{LATE[when]}</script>"
    files = {"index.html": page("<p id=box>x</p>", attributes="", head=GSAP, scripts=code), "data.json": "{}"}

    with opened(project(files)) as composition:
        composition.capture(1.0)

        assert composition.duration == 2
        assert composition._page.evaluate("new DOMMatrix(getComputedStyle(box).transform).e") == 50


def test_data_that_a_script_can_do_without_is_no_error(opened: Open, project: Callable[..., Path]) -> None:
    with opened(project({"index.html": page(scripts="<script>fetch('perhaps.json')</script>")})) as composition:
        composition.capture(0.5)

        assert [request.path for request in composition.report.failed_requests] == ["perhaps.json"]
