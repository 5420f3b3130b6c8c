"""The gain of a track at each sample of the mix: constant, envelope and fades multiplied. Pure arithmetic, exact to the sample."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hyperframes_lambda.contract.media import AudioTrack

MIX_RATE = 48_000
"""Samples per second of the mix."""

_BLOCK = 1 << 15
"""Samples made at once."""


@dataclass(frozen=True)
class Curve:
    """A factor over time: linear between the points, constant before the first and after the last."""

    positions: tuple[float, ...]
    """Positions in samples of the mix, in order, not necessarily whole. Two points at one position make a step."""
    values: tuple[float, ...]

    def line(self, sample: int) -> tuple[float, float]:
        """Return the value at `sample` and its change per sample up to the next point."""
        after = bisect_right(self.positions, sample)
        if after == 0:
            return self.values[0], 0.0
        if after == len(self.positions):
            return self.values[-1], 0.0
        left, right = self.positions[after - 1], self.positions[after]
        slope = (self.values[after] - self.values[after - 1]) / (right - left)
        return self.values[after - 1] + slope * (sample - left), slope


def gain_curves(track: AudioTrack) -> list[Curve]:
    """Return the factors of `track` beside its constant gain; none when nothing changes."""
    curves = []
    if track.envelope:
        curves.append(_curve((point.time, point.gain) for point in track.envelope))
    length = track.end - track.start
    # Overlapping fades are shortened in proportion, as in the reference.
    fit = min(1.0, length / (track.fade_in + track.fade_out)) if track.fade_in + track.fade_out else 1.0
    if track.fade_in:
        curves.append(_curve([(track.start, 0.0), (track.start + track.fade_in * fit, 1.0)]))
    if track.fade_out:
        curves.append(_curve([(track.end - track.fade_out * fit, 1.0), (track.end, 0.0)]))
    return curves


def gain_blocks(gain: float, curves: Sequence[Curve], first: int, count: int) -> Iterator[array[float]]:
    """Yield the gain of the samples `first` to `first + count - 1`, as 32-bit floats in blocks of bounded size."""
    end = first + count
    cuts = {math.ceil(position) for curve in curves for position in curve.positions}
    edges = [first, *sorted(cut for cut in cuts if first < cut < end), end]
    for left, right in pairwise(edges):
        for begin in range(left, right, _BLOCK):
            yield _segment(gain, [curve.line(begin) for curve in curves], min(_BLOCK, right - begin))


def _segment(gain: float, lines: Sequence[tuple[float, float]], count: int) -> array[float]:
    moving = [line for line in lines if line[1]]
    constant = gain * math.prod(value for value, slope in lines if not slope)
    if not moving:
        return array("f", [constant]) * count
    value, slope = moving[0]
    samples = [constant * (value + slope * step) for step in range(count)]
    for value, slope in moving[1:]:
        samples = [sample * (value + slope * step) for step, sample in enumerate(samples)]
    return array("f", samples)


def _curve(points: Iterator[tuple[float, float]] | Sequence[tuple[float, float]]) -> Curve:
    times, values = zip(*points, strict=True)
    return Curve(tuple(time * MIX_RATE for time in times), values)
