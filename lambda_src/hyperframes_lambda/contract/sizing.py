"""Choice of chunks, segments and processes from the cost of a frame and the resources of the function.

Pure arithmetic: Plan measures the cost; estimates use the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hyperframes_lambda.contract.chunks import ChunkRange, plan_chunks

MOST_CHUNKS = 10_000
"""Maximum number of chunks of one render."""

REFERENCE_PARALLEL = 8
"""Maximum number of chunks when only their size is given, as in the reference."""

MEGABYTES_PER_VCPU = 1769
"""Memory for which Lambda provides one vCPU (AWS Lambda Developer Guide, "Configure Lambda function memory")."""

WANTED_SECONDS = 60.0
"""Drawing time of a chunk that justifies an invocation, whose start is then a small part of the whole."""

START_SECONDS = 4.0
"""Time from the invocation of a cold sandbox to its first frame, plus the time from its last frame to its result."""

ASSUMED_CONCURRENCY = 40
"""Concurrent invocations to assume when the account's limit is unknown: the maximum of an inline Map."""

SEGMENT_FRAMES = (120, 60, 30, 15, 8, 4, 2, 1)
"""Lengths of a segment. The longest is chosen whose drawing fits into a part of an invocation's time even at the worst cost of a frame."""

_SEGMENT_PART = 4
_CHUNK_PART = 2
"""A segment may take a quarter of an invocation's time and a chunk half of it, because measured costs are not exact."""

_LEAST_SECONDS = 1.0
"""Drawing time that justifies another process with its browser."""

BASE_MB = 300
"""Memory of the function's own process, its caches and the unpacked tools."""

WORKER_MB, WORKER_BYTES_PER_PIXEL = 500, 350
"""Memory of one process with its browser and its encoders: a fixed part, and a part that grows with the frame.

Measured at 1920x1080 with H.264 at standard quality on two processors: 850 to 1075 MB while one segment is finished and the next one drawn
(Python 85, Playwright's driver 160, Chromium 270, two ffmpeg 560). The rest allows for encoders with threads on six processors.
"""


@dataclass(frozen=True)
class Machine:
    """Resources of one invocation: memory in megabytes, processors, and a time limit in seconds (None: no limit)."""

    memory_mb: int
    vcpus: float
    timeout: float | None = None

    @classmethod
    def of_function(cls, memory_mb: int, timeout: float | None) -> Machine:
        """A Lambda function with `memory_mb` of memory."""
        return cls(memory_mb, memory_mb / MEGABYTES_PER_VCPU, timeout)


@dataclass(frozen=True)
class FrameCost:
    """Seconds to draw a frame, on average and at worst, and processor seconds to encode it."""

    capture: float
    worst: float
    encode: float

    @classmethod
    def measured(cls, captures: Sequence[float], encode: float) -> FrameCost:
        """Average the times of sampled frames. The first is left out, because it also pays for warming up."""
        counted = captures[1:] or captures
        return cls(sum(counted) / len(counted), max(captures), encode)


@dataclass(frozen=True)
class Wishes:
    """The configuration's chunk options, and the number of invocations that may run at once. None: not given, or unknown."""

    chunk_size: int | None = None
    max_parallel: int | None = None
    target_frames: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True)
class Sizing:
    """The chosen division of a render."""

    chunks: list[ChunkRange]
    segment_frames: int
    workers: int
    """Processes that draw within one invocation."""
    max_parallel: int
    """Chunks to render at once."""
    seconds: float
    """Expected time until all chunks are finished."""
    reason: str


def choose(total: int, pixels: int, cost: FrameCost, machine: Machine, wishes: Wishes) -> Sizing:
    """Divide `total` frames of `pixels` each.

    A requested size or number of chunks is kept, as in the reference (`plan_chunks`). Otherwise each chunk gets about `WANTED_SECONDS` of
    drawing, so a short clip is one chunk. If fewer invocations may run at once, chunks become longer rather than wait, as far as an
    invocation's time allows.
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
    """Return the frames in a segment of a chunk of `chunk` frames: `SEGMENT_FRAMES`, or fewer to give all workers about the same work."""
    allowed = math.inf if timeout is None else timeout / _SEGMENT_PART
    most = next((frames for frames in SEGMENT_FRAMES if frames * worst <= allowed), SEGMENT_FRAMES[-1])
    share = math.ceil(chunk / workers)
    return math.ceil(share / math.ceil(share / most))


def _most_workers(pixels: int, cost: FrameCost, machine: Machine) -> int:
    """Limit the processes to the processors and the memory. Drawing keeps one processor busy, with its encoder beside it."""
    by_vcpus = math.floor(machine.vcpus * cost.capture / (cost.capture + cost.encode))
    by_memory = math.floor((machine.memory_mb - BASE_MB) / worker_mb(pixels))
    return max(1, min(by_vcpus, by_memory))


def worker_mb(pixels: int) -> float:
    """Return the memory in megabytes of one process with its browser and its encoder, for frames of `pixels`."""
    return WORKER_MB + WORKER_BYTES_PER_PIXEL * pixels / 1e6


def _frame_seconds(cost: FrameCost, machine: Machine, workers: int) -> float:
    """Time per frame of an invocation, limited by its processes or by the processors that they share."""
    return max(cost.capture / workers, (cost.capture + cost.encode) / machine.vcpus)


def _count(work: float, machine: Machine, concurrency: int | None) -> int:
    """Number of chunks for `work` seconds of drawing in one invocation."""
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
