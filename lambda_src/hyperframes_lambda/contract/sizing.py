"""How a render is cut: chunks, segments, and processes in one invocation, from what a frame costs and what the function has.

Pure arithmetic with its reasons. Plan measures; who starts a render may ask what would come out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hyperframes_lambda.contract.chunks import ChunkRange, plan_chunks

MOST_CHUNKS = 10_000
"""Most chunks of one render."""

REFERENCE_PARALLEL = 8
"""Most chunks when their size is given and their number is not, as with the reference."""

MEGABYTES_PER_VCPU = 1769
"""Lambda gives a function one vCPU for so much memory (AWS Lambda Developer Guide, "Configure Lambda function memory")."""

WANTED_SECONDS = 60.0
"""Drawing time of a chunk for which a further invocation pays: its start is then a small part of it."""

START_SECONDS = 4.0
"""From the invocation of a cold sandbox to its first frame, and from its last frame to its result."""

ASSUMED_CONCURRENCY = 40
"""Invocations at once when nobody has found out how many the account allows: what an inline Map runs at most."""

SEGMENT_FRAMES = (120, 60, 30, 15, 8, 4, 2, 1)
"""Lengths of a segment: the longest that takes no more than a part of an invocation's time even if each frame is as dear as the dearest."""

_SEGMENT_PART = 4
_CHUNK_PART = 2
"""A segment may take a quarter of an invocation's time, a chunk is planned for half of it: measured costs are not exact."""

_LEAST_SECONDS = 1.0
"""Drawing time for which it pays to start another process with its browser."""

BASE_MB = 300
"""Memory of the function's own process, of what it caches and of the tools that it unpacks."""

WORKER_MB, WORKER_BYTES_PER_PIXEL = 500, 350
"""Memory of one process with its browser and its encoders: a fixed part, and one that grows with the frame.

Measured at 1920x1080 with H.264 at standard quality on two processors: 850 to 1075 MB while one segment is finished and the next one drawn
(Python 85, Playwright's driver 160, Chromium 270, two ffmpeg 560). The rest is for encoders with the threads of six processors.
"""


@dataclass(frozen=True)
class Machine:
    """What one invocation has: memory in megabytes, processors, and seconds (None: as long as it takes)."""

    memory_mb: int
    vcpus: float
    timeout: float | None = None

    @classmethod
    def of_function(cls, memory_mb: int, timeout: float | None) -> Machine:
        """A Lambda function of so much memory."""
        return cls(memory_mb, memory_mb / MEGABYTES_PER_VCPU, timeout)


@dataclass(frozen=True)
class FrameCost:
    """Seconds that a frame takes: to be drawn, on average and at worst, and of a processor to be encoded."""

    capture: float
    worst: float
    encode: float

    @classmethod
    def measured(cls, captures: Sequence[float], encode: float) -> FrameCost:
        """From the times of sampled frames, of which the first pays for what later ones find ready."""
        counted = captures[1:] or captures
        return cls(sum(counted) / len(counted), max(captures), encode)


@dataclass(frozen=True)
class Wishes:
    """What the configuration says of chunks, and how many invocations may run at once. None: nothing is known or wanted."""

    chunk_size: int | None = None
    max_parallel: int | None = None
    target_frames: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class Sizing:
    """The choice."""

    chunks: list[ChunkRange]
    segment_frames: int
    workers: int
    """Processes that draw within one invocation."""
    max_parallel: int
    """Chunks that are rendered at once."""
    seconds: float
    """Expected until all chunks are there."""
    reason: str


def choose(total: int, pixels: int, cost: FrameCost, machine: Machine, wishes: Wishes) -> Sizing:
    """Cut `total` frames of `pixels` each.

    A size or a number that is asked for is kept to as the reference does (`plan_chunks`). Otherwise there are as many chunks as it takes
    for each to be drawn in the wanted time: a short clip is one. Where fewer invocations may run at once than that, chunks become longer
    before they have to wait, as far as an invocation's time allows.
    """
    most_workers = _most_workers(pixels, cost, machine)
    asked = wishes.chunk_size is not None or wishes.max_parallel is not None
    if asked:
        parallel = wishes.max_parallel or REFERENCE_PARALLEL
        chunks = plan_chunks(total, wishes.chunk_size, parallel)
    elif wishes.target_frames is not None:
        chunks = plan_chunks(total, wishes.target_frames, MOST_CHUNKS)
        parallel = len(chunks)
    else:
        chunks = plan_chunks(total, None, _count(total * _frame_seconds(cost, machine, most_workers), machine, wishes.concurrency))
        parallel = len(chunks)
    parallel = min(parallel, wishes.concurrency or (parallel if asked else ASSUMED_CONCURRENCY))
    longest = chunks[0].frames
    workers = max(1, min(most_workers, longest, math.floor(longest * cost.capture / _LEAST_SECONDS)))
    drawing = longest * _frame_seconds(cost, machine, workers)
    waves = math.ceil(len(chunks) / parallel)
    return Sizing(
        chunks=chunks,
        segment_frames=segment_frames(longest, workers, cost.worst, machine.timeout),
        workers=workers,
        max_parallel=parallel,
        seconds=round(waves * (START_SECONDS + drawing), 1),
        reason=_reason(chunks, workers, drawing, cost, machine, wishes),
    )


def segment_frames(chunk: int, workers: int, worst: float, timeout: float | None) -> int:
    """Frames in a segment of a chunk of `chunk` frames: as the table says, or fewer, so that the workers have about as much to do each."""
    allowed = math.inf if timeout is None else timeout / _SEGMENT_PART
    most = next((frames for frames in SEGMENT_FRAMES if frames * worst <= allowed), SEGMENT_FRAMES[-1])
    share = math.ceil(chunk / workers)
    return math.ceil(share / math.ceil(share / most))


def _most_workers(pixels: int, cost: FrameCost, machine: Machine) -> int:
    """How many processes an invocation has the processors and the memory for: drawing keeps one busy, its encoder works beside it."""
    by_vcpus = math.floor(machine.vcpus * cost.capture / (cost.capture + cost.encode))
    by_memory = math.floor((machine.memory_mb - BASE_MB) / worker_mb(pixels))
    return max(1, min(by_vcpus, by_memory))


def worker_mb(pixels: int) -> float:
    """Megabytes that one process needs with its browser and its encoder, for frames of `pixels`."""
    return WORKER_MB + WORKER_BYTES_PER_PIXEL * pixels / 1e6


def _frame_seconds(cost: FrameCost, machine: Machine, workers: int) -> float:
    """Time per frame of an invocation with so many processes: limited by them, or by the processors that they share."""
    return max(cost.capture / workers, (cost.capture + cost.encode) / machine.vcpus)


def _count(work: float, machine: Machine, concurrency: int | None) -> int:
    """How many chunks for `work` seconds of drawing, measured in one invocation."""
    at_once = min(concurrency or ASSUMED_CONCURRENCY, MOST_CHUNKS)
    longest = math.inf if machine.timeout is None else machine.timeout / _CHUNK_PART
    wanted = math.ceil(work / min(WANTED_SECONDS, longest))
    if wanted <= at_once:
        return max(1, wanted)
    waves = math.ceil(work / (at_once * longest))
    return min(at_once * max(1, waves), MOST_CHUNKS)


def _reason(chunks: Sequence[ChunkRange], workers: int, drawing: float, cost: FrameCost, machine: Machine, wishes: Wishes) -> str:
    frames = chunks[0].frames
    cut = f"{_many(len(chunks), 'chunk')} of {_many(frames, 'frame')}, {_many(workers, 'worker')}{' each' if len(chunks) > 1 else ''}"
    has = f"{machine.memory_mb:,} MB = {machine.vcpus:.1f} vCPUs"
    named = {"chunkSize": wishes.chunk_size, "maxParallelChunks": wishes.max_parallel}
    given = " and ".join(f"{name} {value}" for name, value in named.items() if value is not None)
    if given:
        return f"{cut}: as {given} ask{'s' if ' and ' not in given else ''}; {cost.capture * 1000:.0f} ms a frame measured, {has}"
    measured = f"{cost.capture * 1000:.0f} ms a frame measured, {drawing:.0f} s expected"
    if wishes.target_frames is not None:
        return f"{cut}: targetChunkFrames {wishes.target_frames}; {measured}, {has}"
    limit = f", {wishes.concurrency} invocations at once" if wishes.concurrency is not None and len(chunks) >= wishes.concurrency else ""
    return f"{cut}: {measured}, {WANTED_SECONDS:.0f} s wanted{limit}, {has}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
