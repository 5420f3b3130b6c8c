"""How a render is cut into chunks, segments and workers: the choice by measured cost, and its limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.contract.chunks import plan_chunks
from hyperframes_lambda.contract.sizing import (
    BASE_MB,
    MOST_CHUNKS,
    SEGMENT_FRAMES,
    START_SECONDS,
    WANTED_SECONDS,
    FrameCost,
    Machine,
    Sizing,
    Wishes,
    choose,
    segment_frames,
    worker_mb,
)

FULL_HD = 1920 * 1080
USUAL = FrameCost(capture=0.083, worst=0.1, encode=0.03)
LARGEST = Machine.of_function(10_240, 900)


def cut(total: int, wishes: Wishes | None = None, cost: FrameCost = USUAL, machine: Machine = LARGEST, pixels: int = FULL_HD) -> Sizing:
    return choose(total, pixels, cost, machine, wishes or Wishes())


def test_vcpus_follow_from_the_memory() -> None:
    assert Machine.of_function(1769, 900).vcpus == 1
    assert Machine.of_function(10_240, 900).vcpus == pytest.approx(5.79, abs=0.01)


def test_the_first_sample_pays_for_the_others_and_counts_only_as_the_worst() -> None:
    assert FrameCost.measured([0.5, 0.1, 0.3], 0.02) == FrameCost(pytest.approx(0.2), 0.5, 0.02)
    assert FrameCost.measured([0.5], 0.02).capture == 0.5


CHOICES: list[tuple[int, Wishes, tuple[int, int, int], str]] = [
    # total, wishes → chunks, workers, chunks at once, a part of the reason
    (
        300,
        Wishes(),
        (1, 4, 1),
        "1 chunk of 300 frames, 4 workers: 83 ms a frame measured, 6 s expected, 60 s wanted, 10,240 MB = 5.8 vCPUs",
    ),
    (20, Wishes(), (1, 1, 1), "1 chunk of 20 frames, 1 worker: 83 ms"),
    (28_800, Wishes(), (10, 4, 10), "10 chunks of 2,880 frames, 4 workers each: 83 ms a frame measured, 60 s expected, 60 s wanted"),
    (28_800, Wishes(concurrency=3), (3, 4, 3), "3 chunks of 9,600 frames, 4 workers each: 83 ms a frame measured, 199 s expected"),
    (1_000_000, Wishes(concurrency=2), (48, 4, 2), "2 invocations at once"),
    (28_800, Wishes(target_frames=240), (120, 4, 40), "targetChunkFrames 240"),
    (28_800, Wishes(target_frames=240, concurrency=1000), (120, 4, 120), "targetChunkFrames 240"),
    (2880, Wishes(chunk_size=240, max_parallel=12), (12, 4, 12), "as chunkSize 240 and maxParallelChunks 12 ask"),
    (2880, Wishes(chunk_size=240, max_parallel=12, concurrency=5), (12, 4, 5), "as chunkSize 240 and maxParallelChunks 12 ask"),
    (2880, Wishes(max_parallel=1000), (288, 1, 1000), "288 chunks of 10 frames, 1 worker each: as maxParallelChunks 1000 asks"),
    (100, Wishes(chunk_size=10), (8, 1, 8), "8 chunks of 13 frames, 1 worker each: as chunkSize 10 asks"),
    (100_000, Wishes(chunk_size=10, max_parallel=10_000), (10_000, 1, 10_000), "10,000 chunks of 10 frames"),
]


@pytest.mark.parametrize(("total", "wishes", "chosen", "reason"), CHOICES)
def test_the_choice_and_its_reason(total: int, wishes: Wishes, chosen: tuple[int, int, int], reason: str) -> None:
    sizing = cut(total, wishes)
    assert (len(sizing.chunks), sizing.workers, sizing.max_parallel) == chosen
    assert reason in sizing.reason


@pytest.mark.parametrize(
    ("memory", "pixels", "cost", "workers"),
    [
        (1769, FULL_HD, USUAL, 1),
        (3538, FULL_HD, USUAL, 1),
        (5307, FULL_HD, USUAL, 2),
        (10_240, FULL_HD, FrameCost(0.1, 0.1, 0.0), 5),
        # An encoder that is dearer than the drawing takes the processors.
        (10_240, FULL_HD, FrameCost(0.05, 0.1, 0.3), 1),
        # Frames so large that the memory holds fewer.
        (10_240, 7680 * 4320, FrameCost(1.0, 1.0, 0.0), 1),
    ],
)
def test_workers_are_limited_by_processors_and_memory(memory: int, pixels: int, cost: FrameCost, workers: int) -> None:
    assert cut(3000, cost=cost, machine=Machine.of_function(memory, 900), pixels=pixels).workers == workers


@pytest.mark.parametrize(
    ("chunk", "workers", "worst", "timeout", "frames"),
    [
        (2880, 1, 0.1, 900, 120),
        (2880, 4, 0.1, 900, 120),
        (300, 4, 0.1, 900, 75),
        (1000, 4, 0.1, 900, 84),
        (121, 1, 0.1, 900, 61),
        (50, 1, 0.1, 900, 50),
        (2880, 1, 4.0, 900, 30),
        (2880, 1, 1.0, 60, 15),
        (2880, 1, 500.0, 900, 1),
        (2880, 1, 500.0, None, 120),
    ],
)
def test_a_segment_fits_into_a_part_of_the_time(chunk: int, workers: int, worst: float, timeout: float | None, frames: int) -> None:
    assert segment_frames(chunk, workers, worst, timeout) == frames


COSTS = st.builds(FrameCost, st.floats(0.001, 20), st.floats(0.001, 60), st.floats(0, 20))
MACHINES = st.builds(Machine.of_function, st.integers(2048, 10_240), st.none() | st.floats(60, 900))
WISHES = st.builds(
    Wishes,
    st.none() | st.integers(1, 3600),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 3600),
    st.none() | st.integers(1, 5000),
)


@given(st.integers(1, 2_000_000), st.integers(256, 7680 * 4320), COSTS, MACHINES, WISHES)
def test_every_choice_can_be_carried_out(total: int, pixels: int, cost: FrameCost, machine: Machine, wishes: Wishes) -> None:
    sizing = cut(total, wishes, cost, machine, pixels)
    assert [frame for chunk in sizing.chunks for frame in (chunk.first, chunk.last)][:: 2 * len(sizing.chunks) - 1] == [0, total - 1]
    assert all(after.first == before.last + 1 for before, after in zip(sizing.chunks, sizing.chunks[1:], strict=False))
    longest = max(chunk.frames for chunk in sizing.chunks)
    assert 1 <= len(sizing.chunks) <= MOST_CHUNKS
    assert 1 <= sizing.segment_frames <= min(longest, SEGMENT_FRAMES[0])
    assert 1 <= sizing.workers <= max(1, math.floor(machine.vcpus))
    assert sizing.workers == 1 or BASE_MB + sizing.workers * worker_mb(pixels) <= machine.memory_mb
    assert math.ceil(longest / sizing.segment_frames) >= sizing.workers
    assert 1 <= sizing.max_parallel <= (wishes.concurrency or 10_000)
    assert sizing.seconds >= START_SECONDS
    asked = wishes.chunk_size, wishes.max_parallel
    if asked != (None, None):
        assert sizing.chunks == plan_chunks(total, wishes.chunk_size, wishes.max_parallel or 8)


@given(st.integers(1, 500_000), COSTS, MACHINES, st.none() | st.integers(1, 1000))
def test_a_render_is_spread_only_as_far_as_it_pays(total: int, cost: FrameCost, machine: Machine, concurrency: int | None) -> None:
    sizing = cut(total, Wishes(concurrency=concurrency), cost, machine)
    one = cut(total, Wishes(concurrency=1), cost, machine)
    if one.seconds - START_SECONDS <= min(WANTED_SECONDS, (machine.timeout or math.inf) / 2):
        assert len(sizing.chunks) == 1
    # More invocations at once never make it slower than what starting them costs.
    assert sizing.seconds <= one.seconds * 1.05 + START_SECONDS
