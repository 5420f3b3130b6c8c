"""The cut of a composition into chunks, for moving pictures, stills and sound."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from hyperframes_lambda.contract.chunks import ChunkRange
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind
from hyperframes_lambda.contract.sizing import Machine, Sizing

_EPSILON = 1e-9
"""Keeps a moment that is exactly a frame's time from rounding down to the frame before."""


def planned_sizing(config: RenderConfig, total: int, fps: Fraction, cut: Callable[[int], Sizing]) -> tuple[int, Sizing]:
    """Return the output's number of frames and its chunks, for a composition of `total` frames that `cut` divides.

    A still is one chunk of one frame, numbered as in the composition; sound alone is as long as the composition and has no chunks.
    Raise `INVALID_CONFIG` when the composition lacks the frame of a still.
    """
    match config.format.spec.kind:
        case Kind.SOUND:
            return total, Sizing([], 1, 0, 1, 0.0, "no chunks: sound has no pictures to draw")
        case Kind.STILL:
            frame = config.frame or 0 if config.at is None else math.floor(config.at * fps + _EPSILON)
            if frame >= total:
                asked = f"config.frame: {config.frame}" if config.at is None else f"config.at: {config.at:g}"
                accepted = f"0 to {total - 1}" if config.at is None else f"seconds from 0 to below {float(total / fps):.6g}"
                raise RenderError(ErrorCode.INVALID_CONFIG, f"{asked} is not accepted; accepted for this composition: {accepted}")
            return 1, replace(cut(1), chunks=[ChunkRange(0, frame, frame)], reason="1 chunk of 1 frame: a still is one picture")
        case _:
            return total, cut(total)


def here() -> Machine:
    """Return this machine, with no time limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return Machine(memory, len(os.sched_getaffinity(0)))
