"""Frame and chunk arithmetic: pure functions over frame numbers and exact rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

_WHOLE = Fraction(1, 1000)
"""Maximum deviation, in frames, of a duration that counts as a whole number of frames."""


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
    """Return the number of frames that show all of a composition of `duration` seconds; at least one.

    A duration within a thousandth of a frame of a whole number is rounded to it, because it may result from float arithmetic
    (8.000000001). Any other fraction of a frame counts as a frame, as in the reference.
    """
    exact = Fraction(duration) * fps
    nearest = round(exact)
    return max(1, nearest if abs(exact - nearest) <= _WHOLE else math.ceil(exact))


def frame_time(frame: int, fps: Fraction) -> float:
    """Return the composition time of `frame` in seconds: `frame / fps`, rounded once."""
    return float(frame / fps)


def plan_chunks(total: int, chunk_size: int | None, max_parallel: int) -> list[ChunkRange]:
    """Split `total` frames into chunks of `chunk_size`, or of `max(10, ceil(total / max_parallel))`, frames; no chunk is empty.

    The number of chunks never exceeds `max_parallel`: a size that would need more is raised to `ceil(total / max_parallel)`, as in the
    reference: (121 frames, size 10, parallel 12) makes 11 chunks of 11, (60, 15, 16) makes 4 of 15.
    """
    if total < 1 or max_parallel < 1 or (chunk_size is not None and chunk_size < 1):
        raise ValueError(f"total {total}, chunk_size {chunk_size} and max_parallel {max_parallel} must be positive")
    even_share = math.ceil(total / max_parallel)
    size = max(10, even_share) if chunk_size is None else max(chunk_size, even_share)
    return [ChunkRange(index, first, min(first + size, total) - 1) for index, first in enumerate(range(0, total, size))]
