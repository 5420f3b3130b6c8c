"""Audible elements and their volume: attributes, groups, curves and sampled volumes become the plan's tracks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.browser.media_elements import MediaElement
from hyperframes_lambda.browser.media_sounds import AudioGroup, ElementSound, Volume
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import AudioTrack, GainPoint, MediaSource
from hyperframes_lambda.media.audio_automation import LOUDEST, gain_at, product, simplified, volume_points
from hyperframes_lambda.planning.audio_inventory import Volumes, audio_tracks
from hyperframes_lambda.planning.media_inventory import FoundMedia

FPS = Fraction(10)
MUTED = Volume(1.0, True, 0)


def element(**changes: Any) -> MediaElement:
    plain = MediaElement(
        index=0,
        tag="audio",
        id="song",
        src="http://127.0.0.1/song.mp3",
        page="index.html",
        start=1.0,
        end=3.0,
        limit=None,
        media_start=0.5,
        rate=1.5,
        loop=True,
        has_audio=None,
        hidden=False,
        held=False,
    )
    return replace(plain, **changes)


def found(one: MediaElement, *, sound: bool = True) -> FoundMedia:
    source = MediaSource(duration=9, audio_codec="mp3" if sound else None)
    return FoundMedia(one, "song.mp3", source, one.start, one.end or 3.0, one.media_start)


def tracks(
    *media: FoundMedia, after: Volumes | None = None, before: Volumes | None = None, at: dict[int, Volume] | None = None
) -> list[AudioTrack]:
    rest = {one.element.index: Volume(1.0, False, 0) for one in media}
    after = after or rest
    return audio_tracks(media, before or after, after, lambda seconds: {0: (at or {})[int(seconds * FPS)]}, FPS)


def lane(*points: dict[str, float], target: str = "volume") -> str:
    return json.dumps({"version": 1, "lanes": [{"target": target, "points": list(points)}]})


def gains(track: AudioTrack) -> list[tuple[float, float]]:
    return [(round(point.time, 6), round(point.gain, 6)) for point in track.envelope]


def test_a_track_says_what_its_element_says() -> None:
    [track] = tracks(found(element(sound=ElementSound(fade_in=0.25, fade_out=0.5))), after={0: Volume(0.7, False, 3)})
    assert track == AudioTrack(
        element='<audio id="song"> in index.html',
        file="song.mp3",
        start=1.0,
        end=3.0,
        media_start=0.5,
        rate=1.5,
        loop=True,
        gain=0.7,
        fade_in=0.25,
        fade_out=0.5,
    )


@pytest.mark.parametrize(
    "silent",
    [
        element(hidden=True),
        element(tag="video", has_audio=False),
        element(sound=ElementSound(group=AudioGroup("g", 1.0, True, "", False))),
        element(sound=ElementSound(group=AudioGroup("g", 0.0, False, "", False))),
        element(sound=ElementSound(automation=lane({"t": 0, "v": 0}))),
    ],
)
def test_who_is_silent_has_no_track(silent: MediaElement) -> None:
    assert tracks(found(silent)) == []


def test_a_window_that_is_longer_than_the_file_ends_with_it() -> None:
    [track] = tracks(found(element(end=20.0, loop=False)))
    assert track.end == pytest.approx(1 + 8.5 / 1.5)
    [track] = tracks(found(element(end=20.0, loop=False, tag="video")))
    assert track.end == 20
    assert tracks(found(element(loop=False, media_start=9.5))) == []


def test_what_is_muted_when_the_page_opens_sounds_once_a_script_unmutes_it() -> None:
    at = {frame: Volume(0.5, frame < 20, int(frame >= 20)) for frame in range(10, 31)}
    [track] = tracks(found(element()), before={0: MUTED}, after={0: Volume(0.5, False, 1)}, at=at)
    assert gains(track) == [(1.0, 0.0), (1.9, 0.0), (2.0, 0.5), (3.0, 0.5)]
    drawn = element(sound=ElementSound(automation=lane({"t": 0, "v": 0.8})))
    [track] = tracks(found(drawn), before={0: MUTED}, after={0: Volume(0.5, False, 1)}, at=at)
    assert gains(track) == [(1.0, 0.0), (1.9, 0.0), (2.0, 0.8), (3.0, 0.8)], "a curve stands for the volume, not for the muteness"


def test_a_volume_of_nothing_and_a_muteness_of_a_script_have_no_track() -> None:
    assert tracks(found(element()), after={0: Volume(0.0, False, 0)}) == []
    assert tracks(found(element()), after={0: Volume(1.0, True, 1)}) == []


def test_a_video_without_sound_is_no_fault_unless_it_was_said_to_have_one() -> None:
    assert tracks(found(element(tag="video"), sound=False)) == []
    assert tracks(found(element(), sound=False), after={0: MUTED}) == []
    for wrong in (element(tag="video", has_audio=True), element()):
        with pytest.raises(RenderError, match=r'id="song"> in index.html: .song.mp3. has no sound') as caught:
            tracks(found(wrong, sound=False))
        assert caught.value.code is ErrorCode.MEDIA_UNREADABLE


class Script:
    """A script that sets a volume at some frames, and at every seek past them, as a tween does."""

    def __init__(self, gain: Callable[[int], float], writes_at: Iterable[int], fps: Fraction) -> None:
        self.gain, self.writes_at, self.fps = gain, list(writes_at), fps
        self.asked: list[int] = []
        self.writes = 0

    def __call__(self, seconds: Fraction) -> Volumes:
        frame = int(seconds * self.fps)
        passed = sorted((self.asked[-1] if self.asked else 0, frame))
        self.writes += any(passed[0] < at <= passed[1] or at == frame for at in self.writes_at)
        self.asked.append(frame)
        return {0: Volume(self.gain(frame), False, self.writes)}


def test_a_volume_that_a_script_moves_is_sampled_at_every_frame() -> None:
    script = Script(lambda frame: math.sin(frame / 20) ** 2, range(100), FPS)
    [track] = audio_tracks([found(element())], {0: Volume(0, False, 1)}, {0: Volume(1, False, 9)}, script, FPS)
    assert set(script.asked) == set(range(10, 31))
    for frame in range(10, 31):
        assert gain_at(track.envelope, frame / 10) == pytest.approx(math.sin(frame / 20) ** 2, abs=2.1e-5)


def test_seconds_in_which_no_script_acts_are_passed() -> None:
    """Ten minutes with a fade of a second and a jump; the rest is asked for once a second."""
    fps = Fraction(30)
    script = Script(lambda frame: min(1.0, max(0.0, (frame - 300) / 30)) * (1 if frame < 9_000 else 0.5), [*range(300, 331), 9_000], fps)
    song = found(element(start=0.0, end=600.0))
    [track] = audio_tracks([song], {0: Volume(0, False, 1)}, {0: Volume(1, False, 9)}, script, fps)
    assert len(script.asked) < 800
    ramp = [(0.0, 0.0), (10.0, 0.0), (11.0, 1.0), (round(8_999 / 30, 6), 1.0), (300.0, 0.5), (600.0, 0.5)]
    assert gains(track) == ramp


def test_a_sampled_muteness_is_silence() -> None:
    at = {frame: Volume(0.8, frame >= 20, frame) for frame in range(10, 31)}
    [track] = tracks(found(element()), before={0: Volume(0.8, False, 0)}, after={0: Volume(0.8, True, 2)}, at=at)
    assert gains(track) == [(1.0, 0.8), (1.9, 0.8), (2.0, 0.0), (3.0, 0.0)]


def test_a_volume_that_was_written_but_never_changes_is_constant() -> None:
    at = {frame: Volume(0.5, False, frame) for frame in range(10, 31)}
    [track] = tracks(found(element()), before={0: Volume(0.5, False, 0)}, after={0: Volume(0.5, False, 9)}, at=at)
    assert track.gain == 0.5 and track.envelope == []


def test_a_group_is_a_fader_on_top() -> None:
    group = AudioGroup("g", 0.5, False, "", False)
    [track] = tracks(found(element(sound=ElementSound(group=group))), after={0: Volume(0.5, False, 0)})
    assert track.gain == 0.25
    duck = replace(group, automation=lane({"t": 0, "v": 1}, {"t": 1.5, "v": 1}, {"t": 2, "v": 0.2}))
    [track] = tracks(found(element(sound=ElementSound(group=duck))), after={0: Volume(0.5, False, 0)})
    assert track.gain == 0.5, "the curve stands in the place of the group's volume, in the composition's time"
    assert gains(track) == [(0.0, 1.0), (1.5, 1.0), (2.0, 0.2)]


def test_a_drawn_curve_stands_for_volume_and_script() -> None:
    curve = lane({"t": 0.5, "v": 0.5}, {"t": 1, "v": 9})
    moved = {0: Volume(0.3, False, 9)}
    at = {frame: Volume(0.3, False, frame) for frame in range(10, 31)}
    [track] = tracks(found(element(sound=ElementSound(automation=curve))), before={0: Volume(0.1, False, 0)}, after=moved, at=at)
    assert track.gain == 1 and gains(track) == [(1.5, 0.5), (2.0, round(LOUDEST, 6))]


def test_the_product_of_two_curves_follows_both() -> None:
    one = [GainPoint(time=0, gain=0), GainPoint(time=1, gain=1)]
    other = [GainPoint(time=0.5, gain=1), GainPoint(time=1.5, gain=0)]
    both = product(one, other)
    for step in range(151):
        moment = step / 100
        assert gain_at(both, moment) == pytest.approx(gain_at(one, moment) * gain_at(other, moment), abs=2e-4)


@pytest.mark.parametrize(
    ("bend", "at_half"),
    [({}, 0.5), ({"curve": 0.5}, 0.25), ({"curve": -0.5}, math.sqrt(0.5)), ({"viaX": 0.25, "viaY": 0.75}, None)],
)
def test_a_bent_segment_goes_where_the_curve_says(bend: dict[str, float], at_half: float | None) -> None:
    points = volume_points(lane({"t": 1, "v": 0, **bend}, {"t": 3, "v": 1}), start=10, end=20, element="x")
    assert (points[0].time, points[0].gain, points[-1].time, points[-1].gain) == (11, 0, 13, 1)
    assert all(one.gain <= two.gain for one, two in pairwise(points))
    if at_half is not None:
        assert gain_at(points, 12) == pytest.approx(at_half, abs=1e-3)
    else:
        assert gain_at(points, 11.5) == pytest.approx(0.75, abs=5e-3), "it passes through the point"


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "lanes": []}', '{"version": 1}', '{"version": 1, "lanes": [1]}'])
def test_an_unreadable_curve_is_refused(text: str) -> None:
    with pytest.raises(RenderError, match=r"song.*data-automation cannot be read") as caught:
        tracks(found(element(sound=ElementSound(automation=text))))
    assert caught.value.code is ErrorCode.COMPOSITION_UNSUPPORTED


def test_what_is_not_rendered_is_refused_where_it_would_be_heard() -> None:
    chain = ElementSound(effects=True)
    group = ElementSound(group=AudioGroup("g", 1.0, False, "", True))
    for sound in (chain, group):
        with pytest.raises(RenderError) as caught:
            tracks(found(element(sound=sound)))
        assert caught.value.code is ErrorCode.COMPOSITION_UNSUPPORTED
    silent = found(element(sound=chain)), found(element(index=1, sound=group, hidden=True))
    assert tracks(*silent, after={0: MUTED, 1: Volume(1.0, False, 0)}) == []


@given(st.lists(st.floats(0, 4), min_size=1, max_size=60))
def test_leaving_points_out_moves_no_gain(values: list[float]) -> None:
    points = [GainPoint(time=number / 30, gain=gain) for number, gain in enumerate(values)]
    kept = simplified(points)
    assert len(kept) <= len(points)
    assert all(abs(gain_at(kept, point.time) - point.gain) <= 2.1e-5 for point in points)


def test_a_long_ramp_is_two_points() -> None:
    assert len(simplified(GainPoint(time=number / 60, gain=1 - number / 36_000) for number in range(36_001))) == 2
