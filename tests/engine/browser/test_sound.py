"""After a seek the plan reads the volume that the author's scripts set, unaffected by the runtime's own writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hyperframes_lambda.browser import CompositionPage
from hyperframes_lambda.browser.media_elements import MediaFacts

Project = Callable[[Mapping[str, str | bytes]], Path]
Open = Callable[..., AbstractContextManager[CompositionPage]]
Listen = Callable[..., AbstractContextManager[CompositionPage]]

GSAP = '<script src="gsap.min.js"></script>'


def page(body: str, script: str = "", *, head: str = GSAP) -> str:
    """Build a page of three seconds with `body`, and register the `timeline` that its script creates."""
    root = f'<div data-composition-id="main" data-start="0" data-duration="3" data-width="320" data-height="180">{body}</div>'
    registered = "window.__timelines = { main: timeline };" if "timeline" in script else ""
    return f"<!doctype html><html><head>{head}</head><body>{root}<script>{script}\n{registered}</script></body></html>"


@pytest.fixture
def listen(project: Project, opened: Open) -> Listen:
    """Open a page whose media files are three seconds of sound. Only their length matters."""

    @contextmanager
    def opened_page(index: str, files: Mapping[str, str | bytes] | None = None) -> Iterator[CompositionPage]:
        folder = project({"index.html": index, "song.wav": b"RIFF", **(files or {})})
        with opened(folder, media=lambda _wanted: MediaFacts(duration=3.0, width=0, height=0)) as composition:
            yield composition

    return opened_page


def gains(composition: CompositionPage, moments: list[float], index: int = 0) -> list[float]:
    volumes = [composition.volumes(moment)[index] for moment in moments]
    return [0.0 if volume.muted else round(volume.volume, 6) for volume in volumes]


def test_a_tween_starts_from_the_declared_volume_and_may_pass_one(listen: Listen) -> None:
    script = """const timeline = gsap.timeline({ paused: true });
        timeline.to("#song", { volume: 0, duration: 1, ease: "none" }, 0.5);
        timeline.to("#song", { volume: 2, duration: 1, ease: "none" }, 1.5);"""
    with listen(page('<audio id="song" src="song.wav" data-start="0" data-volume="0.8" data-fade-in="1"></audio>', script)) as composition:
        assert gains(composition, [0, 0.5, 0.7, 1.2, 1.5, 2.0, 2.5, 2.9]) == [0.8, 0.8, 0.64, 0.24, 0.0, 1.0, 2.0, 2.0]
        assert gains(composition, [0.7, 0.1]) == [0.64, 0.8], "backwards as well"


def test_what_only_the_runtime_sets_is_no_script(listen: Listen) -> None:
    body = """<audio id="song" src="song.wav" data-start="0" data-volume="0.8" data-fade-in="1"></audio>
        <audio id="loud" src="song.wav" data-start="0" data-volume="2"></audio>
        <audio id="long" src="song.wav" data-start="0" data-volume="70"></audio>
        <audio id="odd" src="song.wav" data-start="0" data-volume="much"></audio>"""
    with listen(page(body, "const timeline = gsap.timeline({ paused: true });")) as composition:
        for moment in (0.0, 0.3, 2.5):
            volumes = composition.volumes(moment)
            assert [volume.writes for volume in volumes.values()] == [0, 0, 0, 0]
        assert [round(volume.volume, 3) for volume in volumes.values()] == [0.8, 2.0, 3.981, 1.0]


def test_two_looks_see_a_tween_between_them(listen: Listen) -> None:
    """It leaves the volume unchanged: only the number of writes shows it."""
    script = """const timeline = gsap.timeline({ paused: true });
        timeline.to("#song", { volume: 0, duration: 0.2, yoyo: true, repeat: 1 }, 1);"""
    body = '<audio id="song" src="song.wav" data-start="0"></audio><audio id="other" src="song.wav" data-start="0"></audio>'
    with listen(page(body, script)) as composition:
        before, after = composition.volumes(0), composition.volumes(2.9)
        assert after[0].volume == before[0].volume == 1 and after[0].writes > before[0].writes
        assert after[1].writes == before[1].writes == 0


def test_any_script_is_heard(listen: Listen) -> None:
    """One sets it once, one follows the clock in animation frames, one is a timeline's callback."""
    body = "".join(f'<audio id="{name}" src="song.wav" data-start="0"></audio>' for name in ("once", "frames", "callback"))
    script = """const [once, frames, callback] = document.querySelectorAll("audio");
        once.volume = 0.25;
        (function follow() { frames.volume = performance.now() / 4000; requestAnimationFrame(follow); })();
        const fader = { level: 1 };
        const timeline = gsap.timeline({ paused: true });
        timeline.to(fader, { level: 0, duration: 2, ease: "none", onUpdate: () => { callback.volume = fader.level; } }, 0);"""
    with listen(page(body, script)) as composition:
        assert gains(composition, [0.5, 1, 2], 0) == [0.25, 0.25, 0.25]
        assert gains(composition, [0.5, 1, 2], 1) == [0.125, 0.25, 0.5]
        assert gains(composition, [0.5, 1, 2], 2) == [0.75, 0.5, 0.0]


def test_muting_is_silence(listen: Listen) -> None:
    script = """const timeline = gsap.timeline({ paused: true });
        timeline.set("#song", { muted: true }, 1).set("#song", { muted: false }, 2);"""
    body = '<audio id="song" src="song.wav" data-start="0"></audio><video id="clip" src="song.wav" data-start="0" muted></video>'
    with listen(page(body, script)) as composition:
        assert gains(composition, [0.5, 1.5, 2.5]) == [1.0, 0.0, 1.0]
        assert composition.volumes()[1].muted


def test_muting_what_is_muted_is_no_change(listen: Listen) -> None:
    """Scripts mute to be allowed to play. Unmuting is a change, even if it is reverted after the last query."""
    script = """const timeline = gsap.timeline({ paused: true });
        const [again, later] = document.querySelectorAll("video");
        timeline.eventCallback("onUpdate", () => { again.muted = true; });
        timeline.set(later, { muted: false }, 1).set(later, { muted: true }, 2);"""
    body = '<video src="song.wav" data-start="0" muted></video><video src="song.wav" data-start="0" muted></video>'
    with listen(page(body, script)) as composition:
        before, after = composition.volumes(0), composition.volumes(2.9)
        assert before[0].writes == after[0].writes and after[0].muted
        assert before[1].writes < after[1].writes and after[1].muted
        assert gains(composition, [0.5, 1.5, 2.5], 1) == [0.0, 1.0, 0.0]


def test_a_page_with_its_own_protocol_is_heard(listen: Listen) -> None:
    script = """const song = document.querySelector("audio");
        window.__hf = { duration: 3, seek: (time) => { song.volume = time / 3; } };"""
    with listen(page('<audio id="song" src="song.wav" data-start="0"></audio>', script)) as composition:
        assert gains(composition, [0.75, 2.25]) == [0.25, 0.75]


def test_attributes_and_groups_are_read(listen: Listen) -> None:
    curve = json.dumps({"version": 1, "lanes": []})
    body = f"""<hf-audio-group id="music" data-volume="0.5" data-automation='{curve}'></hf-audio-group>
        <div data-hidden><hf-audio-group id="off" data-fx-chain='{{"version": 1, "nodes": []}}'></hf-audio-group></div>
        <hf-audio-group id="fx" data-fx-chain='{{"version": 1, "nodes": [{{}}]}}'></hf-audio-group>
        <audio src="song.wav" data-audio-group="music" data-fade-in="0.5" data-fade-out="x" data-automation='{curve}'></audio>
        <audio src="song.wav" data-start="0" data-audio-group="off" data-fx-chain="not JSON"></audio>
        <audio src="song.wav" data-start="0" data-audio-group="fx"></audio>
        <audio src="song.wav" data-audio-group="nowhere"></audio><iframe src="child.html"></iframe>"""
    child = '<audio src="song.wav" data-start="1"></audio><audio src="song.wav"></audio>'
    with listen(page(body, "const timeline = gsap.timeline({ paused: true });"), {"child.html": child}) as composition:
        one, two, three, four, timed, untimed = (element.sound for element in composition.media)
        assert (one.fade_in, one.fade_out, one.automation, one.effects) == (0.5, 0.0, curve, False)
        assert one.group is not None and (one.group.volume, one.group.hidden, one.group.automation) == (0.5, False, curve)
        assert two.effects and two.group is not None and two.group.hidden and not two.group.effects
        assert three.group is not None and three.group.effects
        assert four.group is not None and (four.group.id, four.group.volume, four.group.hidden) == ("nowhere", 1.0, False)
        assert one.timed and four.timed and timed.timed and not untimed.timed


def test_groups_of_two_uses_of_one_composition_are_two_groups(listen: Listen) -> None:
    part = """<template id="part-template"><div data-composition-id="part" data-width="320" data-height="180">
        <hf-audio-group id="music" data-volume="0.5"></hf-audio-group>
        <audio id="song" src="song.wav" data-start="0" data-duration="1" data-audio-group="music"></audio>
        <script>window.__timelines["part"] = gsap.timeline({ paused: true });</script></div></template>"""
    hosts = "".join(
        f'<div data-composition-id="part" data-composition-src="part.html" data-start="{start}" data-duration="1"></div>'
        for start in (0, 1)
    )
    group = '<hf-audio-group id="music" data-volume="0.25"></hf-audio-group>'
    index = page(
        hosts + group, "const timeline = gsap.timeline({ paused: true });", head=f"{GSAP}<script>window.__timelines = {{}};</script>"
    )
    index = index.replace("window.__timelines = { main: timeline };", 'window.__timelines["main"] = timeline;')
    with listen(index, {"part.html": part}) as composition:
        groups = [element.sound.group for element in composition.media]
        assert [group.volume for group in groups if group] == [0.5, 0.5]
