"""Frame and chunk arithmetic: pure functions over frame numbers and exact rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

_WHOLE = Fraction(1, 1000)
"""How far from a whole number of frames a duration may be and still mean it."""


@dataclass(frozen=True)
class ChunkRange:
    """Frames `first` to `last`, both included."""

    index: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.last - self.first + 1


def total_frames(duration: float, fps: Fraction) -> int:
    """Frames of a composition of `duration` seconds: what it takes to show all of it, at least one for any positive duration.

    A duration within a thousandth of a frame of a whole number has that many, because it may come out of float arithmetic
    (8.000000001); any other part of a frame is shown as a frame, as the reference does.
    """
    exact = Fraction(duration) * fps
    nearest = round(exact)
    return max(1, nearest if abs(exact - nearest) <= _WHOLE else math.ceil(exact))


def frame_time(frame: int, fps: Fraction) -> float:
    """The moment, in seconds, at which `frame` shows the composition: `frame / fps`, rounded once."""
    return float(frame / fps)


def plan_chunks(total: int, chunk_size: int | None, max_parallel: int) -> list[ChunkRange]:
    """Split `total` frames: `chunk_size` frames each, or `max(10, ceil(total / max_parallel))`; never an empty tail.

    The number of chunks never exceeds `max_parallel`: a size that would need more is raised to `ceil(total / max_parallel)`, as the
    reference does ((121 frames, size 10, parallel 12) makes 11 chunks of 11; (60, 15, 16) makes 4 of 15).
    """
    if total < 1 or max_parallel < 1 or (chunk_size is not None and chunk_size < 1):
        raise ValueError(f"total {total}, chunk_size {chunk_size} and max_parallel {max_parallel} must be positive")
    even_share = math.ceil(total / max_parallel)
    size = max(10, even_share) if chunk_size is None else max(chunk_size, even_share)
    return [ChunkRange(index, first, min(first + size, total) - 1) for index, first in enumerate(range(0, total, size))]
