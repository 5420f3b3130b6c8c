"""How many chunks are enough: a number of them, or a share."""

from __future__ import annotations

import math
from typing import TypeAlias

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.execution.progress import Progress

AtLeast: TypeAlias = int | float
"""An int counts chunks, a float is a share of them: 1 is one chunk, 1.0 is all of them."""


def check_at_least(at_least: object) -> AtLeast:
    """Validate what a user gave; `InvalidRequest` naming the value and what is accepted."""
    whole = isinstance(at_least, int) and not isinstance(at_least, bool) and at_least >= 1
    share = isinstance(at_least, float) and 0.0 < at_least <= 1.0
    if not (whole or share):
        raise InvalidRequest(
            f"at_least: {at_least!r} is not accepted",
            hint="Accepted: a number of chunks from 1 (int), or a share above 0.0 and up to 1.0 (float).",
        )
    assert isinstance(at_least, (int, float))
    return at_least


def needed(at_least: AtLeast, total: int) -> int:
    """Chunks that must be complete; `InvalidRequest` for more chunks than the plan has.

    A share is rounded up; of a plan without chunks, as for sound alone, it is none.
    """
    if isinstance(at_least, float):
        # 0.7 * 10 is a little more than 7: rounding first keeps the ceiling from asking for an eighth chunk.
        return min(total, max(1, math.ceil(round(at_least * total, 9))))
    if at_least > total:
        raise InvalidRequest(
            f"at_least: {at_least} chunks can never be complete, the plan has {total}", hint="Ask for a share, such as 0.5."
        )
    return at_least


def reached(progress: Progress, at_least: AtLeast) -> bool:
    """Whether enough chunks are complete; False while the plan is unknown."""
    if progress.chunks_total is None:
        return False
    return progress.chunks_done >= needed(at_least, progress.chunks_total)
