"""The gate's rules on numbers alone: which levels are a fault, when a track should be heard, how a wrong frame is explained."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.media import AudioTrack, GainPoint
from hyperframes_lambda.media.gate import refusal
from hyperframes_lambda.media.gate_frames import (
    Finding,
    FrameNames,
    compare_frames,
    compare_packets,
    compare_with_plan,
    noise_of,
    tolerance_of,
    unlike_plan,
)
from hyperframes_lambda.media.gate_sound import audible_windows, compare_levels, silent_tracks
from hyperframes_lambda.media.thumbnails import runs, thumbnail_bytes

NAME = FrameNames(Fraction(10), [0, 4])
QUIET = -math.inf


def thumbnail(level: int, spot: int | None = None) -> bytes:
    """One grey, with one bright cell where `spot` says."""
    cells = bytearray([level]) * thumbnail_bytes(alpha=False)
    if spot is not None:
        cells[3 * spot : 3 * spot + 3] = bytes([240] * 3)
    return bytes(cells)


MOVING = [thumbnail(60, 10 * frame) for frame in range(8)]


def found(captured: list[bytes], shown: list[bytes]) -> list[tuple[str, int, int]]:
    findings = compare_frames(captured, shown, noise_of(captured, shown), NAME, alpha=False)
    return [(finding.kind, finding.first, finding.last) for finding in findings]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], []),
        ([0, 1, 2, 3, 3, 5, 6, 7], [("frozen", 4, 4)]),
        ([0, 1, 2, 2, 2, 2, 6, 7], [("frozen", 3, 5)]),
        ([4, 5, 6, 7, 0, 1, 2, 3], [("misplaced", 0, 3), ("misplaced", 4, 7)]),
        ([0, 1, 2, 4, 3, 5, 6, 7], [("misplaced", 3, 3), ("misplaced", 4, 4)]),
        ([0, 1, 2, 4, 5, 6, 7], [("count", 0, 7), ("misplaced", 3, 6)]),
    ],
)
def test_frames_out_of_place_are_found_and_named(order: list[int], expected: list[tuple[str, int, int]]) -> None:
    assert found(MOVING, [MOVING[frame] for frame in order]) == expected


def test_a_still_picture_may_be_still_and_a_dark_one_dark() -> None:
    assert found([thumbnail(0)] * 8, [thumbnail(2)] * 8) == []
    assert found([thumbnail(90)] * 8, [thumbnail(88)] * 8) == []
    assert found([thumbnail(90)] * 8, [thumbnail(90)] * 4 + [thumbnail(3)] * 2 + [thumbnail(90)] * 2) == [("black", 4, 5)]


def test_slow_fades_that_an_encoder_flattens_are_no_fault() -> None:
    fade = [thumbnail(40 + 3 * frame) for frame in range(8)]
    assert found(fade, [fade[frame // 2 * 2] for frame in range(8)]) == []


@pytest.mark.parametrize(("noise", "tolerated"), [(0, 24), (5, 24), (10, 40), (90, 96)])
def test_noise_widens_the_tolerance_within_bounds(noise: float, tolerated: int) -> None:
    assert tolerance_of(noise) == tolerated


def test_a_thousand_faults_do_not_take_a_thousand_explanations() -> None:
    captured = [thumbnail(60, frame % 500) for frame in range(200)]
    shown = [thumbnail(200) if frame % 2 else captured[frame] for frame in range(200)]
    findings = compare_frames(captured, shown, 0, NAME, alpha=False)
    assert len(findings) == 21
    assert findings[-1].text == "100 frames in all differ from the captured ones"


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ("abcdefgh", None),
        (
            "abcddefg",
            "the packet of frame 3 (0.300 s) is in the place of frame 4 (0.400 s, first of chunk 1) (8 packets, 8 were encoded)",
        ),
        ("abc", "the packet of frame 3 (0.300 s) and all after it are missing (3 packets, 8 were encoded)"),
        ("abcxefgh", "the packet of frame 3 (0.300 s) is not the one that was encoded (8 packets, 8 were encoded)"),
        ("abcdefghh", "packets follow after frame 7 (0.700 s), the last (9 packets, 8 were encoded)"),
    ],
)
def test_packets_must_be_those_that_were_encoded(packets: str, words: str | None) -> None:
    assert [finding.text for finding in compare_packets("abcdefgh", packets, NAME)] == ([] if words is None else [words])


def test_what_plan_saw_is_expected_of_the_chunks() -> None:
    planned = {0: MOVING[0], 4: MOVING[4]}
    assert compare_with_plan(planned, MOVING, NAME, alpha=False) == []
    still = compare_with_plan(planned, [MOVING[0]] * 8, NAME, alpha=False)
    assert [(finding.kind, finding.first, finding.last) for finding in still] == [("frozen", 0, 4)]
    blank = compare_with_plan(planned, [*MOVING[:4], *[thumbnail(60)] * 4], NAME, alpha=False)
    assert [(finding.kind, finding.first) for finding in blank] == [("blank", 4)]
    assert unlike_plan(planned, [*MOVING[:4], *reversed(MOVING[4:])]) == [4]


def test_flashing_pages_that_plan_happened_to_see_alike_are_no_fault() -> None:
    flashing = [thumbnail(0), thumbnail(255)] * 4
    assert compare_with_plan({0: flashing[0], 4: flashing[4]}, flashing, NAME, alpha=False) == []


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], []), ([3], [(3, 3)]), ([0, 1, 2], [(0, 2)]), ([3, 4, 5, 9, 11, 12], [(3, 5), (9, 9), (11, 12)])]
)
def test_runs(numbers: list[int], expected: list[tuple[int, int]]) -> None:
    assert list(runs(numbers)) == expected


@pytest.mark.parametrize(
    ("mix", "output", "kinds"),
    [
        ([-20.0] * 6, [-22.0] * 6, []),
        ([-20.0] * 6, [-20.0] * 2 + [QUIET] * 2 + [-20.0] * 2, ["silent"]),
        ([-20.0] * 6, [-20.0] * 4, ["silent"]),
        # An onset that the encoder moved by less than a block.
        ([QUIET, QUIET, -20.0, -20.0], [QUIET, QUIET, QUIET, -20.0], []),
        ([QUIET] * 4, [QUIET, -20.0, -20.0, QUIET], ["unplanned sound"]),
        # Too quiet to be missed.
        ([-60.0] * 4, [QUIET] * 4, []),
    ],
)
def test_the_output_is_heard_where_the_mix_is(mix: list[float], output: list[float], kinds: list[str]) -> None:
    assert [finding.kind for finding in compare_levels(mix, output)] == kinds


def track(**fields: object) -> AudioTrack:
    return AudioTrack.model_validate({"element": "<audio id=a>", "file": "a.wav", "start": 1.0, "end": 3.0, **fields})


@pytest.mark.parametrize(
    ("fields", "windows"),
    [
        ({}, [(1.0, 2.0)]),
        ({"gain": 0.0}, []),
        ({"start": 5.0, "end": 6.0}, []),
        ({"envelope": [(0, 0), (1.2, 0), (1.5, 1), (3, 1)]}, [(1.2, 2.0)]),
        ({"envelope": [(1, 1), (1.2, 0), (1.5, 0), (1.8, 1)]}, [(1.0, 1.2), (1.5, 2.0)]),
        ({"envelope": [(1, 0), (3, 0)]}, []),
    ],
)
def test_when_a_track_should_be_heard_in_two_seconds(fields: dict[str, object], windows: list[tuple[float, float]]) -> None:
    if isinstance(points := fields.get("envelope"), list):
        fields = fields | {"envelope": [GainPoint(time=time, gain=gain) for time, gain in points]}
    assert audible_windows(track(**fields), 2.0) == windows


def test_a_source_is_asked_only_when_the_mix_is_silent_for_all_of_a_track() -> None:
    asked: list[tuple[float, float]] = []

    def level(_: AudioTrack, start: float, end: float) -> float:
        asked.append((start, end))
        return -12.0

    heard = [QUIET] * 20 + [-30.0] + [QUIET] * 39
    assert silent_tracks([track()], heard, level) == []
    assert asked == []
    assert [finding.kind for finding in silent_tracks([track()], [QUIET] * 60, level)] == ["silent"]
    assert asked == [(1.0, 3.0)]


@pytest.mark.parametrize(
    ("config", "kind", "hint"),
    [({"bitrate": "30k"}, "frozen", "30k"), ({"crf": 51}, "differs", "crf 51"), ({"crf": 51}, "packets", None), ({}, "frozen", None)],
)
def test_a_refusal_names_the_request_where_that_may_be_the_reason(config: dict[str, object], kind: str, hint: str | None) -> None:
    error = refusal("film.mp4", [Finding(kind, 0, 0, "what is wrong")] * 10, RenderConfig.model_validate(config))
    assert error.message == "film.mp4: " + "what is wrong\n" * 8 + "and 2 more"
    assert (error.hint is None) if hint is None else (error.hint is not None and hint in error.hint)
