"""Names of segments, the finished ones that tile a chunk, and the runs that are missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.contract.segments import Segment, coverage, on_grid, parse_segment, runs


def test_names_say_chunk_and_frames() -> None:
    assert Segment(7, 240, 359).name(".mp4") == "000007-240-359.mp4"
    assert parse_segment("000007-240-359.mp4", ".mp4") == Segment(7, 240, 359)
    assert parse_segment("1234567-0-0.tar", ".tar") == Segment(1_234_567, 0, 0)


@pytest.mark.parametrize(
    "name",
    [
        "000007-240-359.mp4.json",
        "000007-240-359.mp4.frames",
        "000007-240-359.tar",
        "7-240-359.mp4",
        "000007-359-240.mp4",
        "000007-0240-359.mp4",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert parse_segment(name, ".mp4") is None


# Segments of chunk 0, frames 0 to 99, as (first, last) → those that are taken and what is missing.
TILINGS: dict[str, tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]] = {
    "nothing is there": ([], [], [(0, 99)]),
    "all is there": ([(50, 99), (0, 49)], [(0, 49), (50, 99)], []),
    "a gap in the middle": ([(0, 39), (80, 99)], [(0, 39), (80, 99)], [(40, 79)]),
    "closed early, then gone on with": ([(0, 26), (27, 39), (40, 99)], [(0, 26), (27, 39), (40, 99)], []),
    "the longest of two": ([(0, 26), (0, 39)], [(0, 39)], [(40, 99)]),
    "the shorter one of two, because it fits": ([(0, 26), (0, 30), (27, 99)], [(0, 26), (27, 99)], []),
    "one that lies across is passed over": ([(0, 39), (30, 45), (40, 99)], [(0, 39), (40, 99)], []),
    "one that leads nowhere is passed over": ([(0, 9), (5, 99), (10, 49), (50, 99)], [(0, 9), (10, 49), (50, 99)], []),
    "what is not of these frames": ([(0, 120), (90, 110), (0, 99)], [(0, 99)], []),
}


@pytest.mark.parametrize(("there", "taken", "missing"), TILINGS.values(), ids=TILINGS.keys())
def test_what_is_there_tiles_the_chunk_as_far_as_it_goes(
    there: list[tuple[int, int]], taken: list[tuple[int, int]], missing: list[tuple[int, int]]
) -> None:
    found = coverage([Segment(0, *frames) for frames in there], 0, 99)
    assert [(segment.first, segment.last) for segment in found.segments] == taken
    assert found.missing == missing
    assert (found.complete, found.frames) == (not missing, 100 - sum(last - first + 1 for first, last in missing))


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), max_size=14)


@given(SPANS, st.integers(0, 30), st.integers(1, 30), st.integers(1, 20), st.integers(1, 6))
def test_what_is_missing_is_rendered_on_the_grid_and_then_all_is_there(
    spans: list[list[int]], first: int, length: int, grid: int, workers: int
) -> None:
    last = first + length - 1
    there = [Segment(0, *span) for span in spans]
    found = coverage(there, first, last)
    # One behind the other, and every frame either held or missing.
    held = [frame for segment in found.segments for frame in range(segment.first, segment.last + 1)]
    lacking = [frame for start, end in found.missing for frame in range(start, end + 1)]
    assert held == sorted(held)
    assert sorted(held + lacking) == list(range(first, last + 1))

    planned = on_grid(0, first, found.missing, grid)
    assert [frame for segment in planned for frame in range(segment.first, segment.last + 1)] == lacking
    assert all((segment.first - first) // grid == (segment.last - first) // grid for segment in planned)
    dealt = runs(planned, workers)
    assert [segment for run in dealt for segment in run] == planned
    assert len(dealt) <= workers and all(dealt)

    # Whatever part of it gets done, nothing that was there is lost.
    half = coverage([*there, *planned[::2]], first, last)
    assert half.frames >= found.frames
    assert coverage([*there, *planned], first, last).complete


def test_runs_come_out_even() -> None:
    segments = on_grid(0, 0, [(0, 959)], 120)
    assert [sum(segment.frames for segment in run) for run in runs(segments, 4)] == [240, 240, 240, 240]
    assert [len(run) for run in runs(segments, 3)] in ([3, 2, 3], [3, 3, 2], [2, 3, 3])
    assert len(runs(segments[:2], 4)) == 2
    assert runs([], 4) == []
