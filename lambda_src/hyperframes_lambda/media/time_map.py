"""The moment of its source that a clip has reached, from how long it has played, at a constant or a changing speed.

Points define a changing speed: before the first and after the last it is constant, and between two points it grows by the same factor every
second. Over a segment of L seconds from rate a to rate b, with q = b / a, a clip at the fraction x of the segment has played

    L · a · (q^x - 1) / ln q

seconds of its source. That is exact: no frame and no sample depends on where reading began. Pictures and sound both use it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hyperframes_lambda.contract.media import MediaWindow, SpeedPoint

_DECIMALS = 10**6
"""Largest denominator of a time: a float within reach of such a fraction stands for it."""

_SAME = 1e-9
"""Growth below which a segment has constant speed; the formula would divide by almost zero."""


class TimeMap:
    """Maps seconds since a clip's start to source seconds since its in-point, and back. Without `points` the speed is `rate`."""

    def __init__(self, rate: float, points: Sequence[SpeedPoint] = ()) -> None:
        self._rate = exact(rate)
        self._times = [point.time for point in points]
        self._rates = [point.rate for point in points]
        self._played = [0.0]
        """Source seconds from the first point to each point."""
        for left, right in pairwise(range(len(points))):
            self._played.append(self._played[left] + self._segment(left, self._times[right]))
        self._origin = self._since_first(0.0) if points else 0.0

    @classmethod
    def of(cls, window: MediaWindow) -> TimeMap:
        """Return the map of a clip or a track."""
        return cls(window.rate, window.speed)

    @property
    def turns(self) -> list[float]:
        """Times of the points, in seconds since the clip's start."""
        return self._times

    def source(self, elapsed: Fraction) -> Fraction:
        """Return the source seconds played `elapsed` seconds after the start; exact for a constant speed."""
        if not self._times:
            return elapsed * self._rate
        return Fraction(self._since_first(float(elapsed)) - self._origin)

    def elapsed(self, source: float) -> float:
        """Return the seconds after the start at which `source` seconds have been played: the inverse of `source`."""
        if not self._times:
            return source / float(self._rate)
        played = source + self._origin
        before = bisect_right(self._played, played) - 1
        if before < 0:
            return self._times[0] + played / self._rates[0]
        left = self._played[before]
        growth = self._growth(before)
        length = played - left
        if abs(growth) > _SAME:
            length = math.log1p(length * growth / self._rates[before]) / growth
        else:
            length /= self._rates[before]
        return self._times[before] + length

    def _since_first(self, elapsed: float) -> float:
        """Return the source seconds from the first point to `elapsed`."""
        before = bisect_right(self._times, elapsed) - 1
        if before < 0:
            return (elapsed - self._times[0]) * self._rates[0]
        return self._played[before] + self._segment(before, elapsed)

    def _segment(self, before: int, until: float) -> float:
        """Return the source seconds from point `before` to the moment `until`, which is not after the next point."""
        length, growth = until - self._times[before], self._growth(before)
        return self._rates[before] * (math.expm1(length * growth) / growth if abs(growth) > _SAME else length)

    def _growth(self, before: int) -> float:
        """Return the logarithm of the factor by which the speed grows every second after point `before`."""
        if before + 1 == len(self._times):
            return 0.0
        return math.log(self._rates[before + 1] / self._rates[before]) / (self._times[before + 1] - self._times[before])


def exact(seconds: float) -> Fraction:
    """Return the fraction that a rounded time, given in decimals or computed from a time base, stands for."""
    return Fraction(seconds).limit_denominator(_DECIMALS)
