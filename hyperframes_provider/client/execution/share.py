"""The number or share of chunks that a wait requires."""

from __future__ import annotations

import math
from typing import TypeAlias

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.execution.progress import Progress

AtLeast: TypeAlias = int | float
"""An int is a number of chunks, a float a share: 1 is one chunk, 1.0 is all chunks."""


def check_at_least(at_least: object) -> AtLeast:
    """Return a valid value, or raise `InvalidRequest`."""
    whole = isinstance(at_least, int) and not isinstance(at_least, bool) and at_least >= 1
    share = isinstance(at_least, float) and 0.0 < at_least <= 1.0
    if not (whole or share):
        raise InvalidRequest(
            f"at_least: {at_least!r} is not accepted",
            hint="Pass a number of chunks from 1 (int), or a share above 0.0 and up to 1.0 (float).",
        )
    assert isinstance(at_least, (int, float))
    return at_least


def needed(at_least: AtLeast, total: int) -> int:
    """Return the number of chunks that must be complete; raise `InvalidRequest` if the plan has fewer.

    A share is rounded up. A plan without chunks, as for sound alone, requires none.
    """
    if isinstance(at_least, float):
        # 0.7 * 10 is slightly more than 7: round first, so that the ceiling does not require an eighth chunk.
        return min(total, max(1, math.ceil(round(at_least * total, 9))))
    if at_least > total:
        raise InvalidRequest(f"at_least: {at_least} chunks can never be complete, the plan has {total}", hint="Pass a share, such as 0.5.")
    return at_least


def reached(progress: Progress, at_least: AtLeast) -> bool:
    """Whether enough chunks are complete; False while the plan is unknown."""
    if progress.chunks_total is None:
        return False
    return progress.chunks_done >= needed(at_least, progress.chunks_total)
