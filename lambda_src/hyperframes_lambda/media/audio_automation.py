"""`data-automation`: an author's curves for the volume and the speed of a clip or group.

Both become points. Between two points a gain is linear, and a speed grows by the same factor every second.
"""

from __future__ import annotations

import itertools
import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import FASTEST_RATE, SLOWEST_RATE, GainPoint, SpeedPoint

LOUDEST = 10 ** (12 / 20)
"""Largest gain, +12 dB, of `data-volume`, a script or a curve, as in the reference."""

_VERSION = 1
_MOST_POINTS = 512
_STEP = 1 / 60
"""Seconds between the points that approximate a bent segment of a volume."""

_BENT_SPEED_STEPS = 48
"""Pieces that approximate a bent segment of a speed, as in the reference."""

_TOLERANCE = 1e-5
"""Largest error in a gain from leaving points out: -100 dB."""

_EDGE = 0.001
"""Least distance between the point of a bend and the sides of the unit square."""


@dataclass(frozen=True)
class _Bend:
    """The shape of a segment from its first to its last value, over the unit square."""

    curve: float = 0.0
    """Exponent: progress to the power of 4 ** curve."""
    via: tuple[float, float] | None = None
    """Point on the segment, the shoulder of a conic arc; takes precedence over `curve`."""

    @property
    def straight(self) -> bool:
        return not self.curve and self.via is None

    def progress(self, x: float) -> float:
        """Return the progress towards the last value at the fraction `x` of the time."""
        return x ** (4**self.curve) if self.via is None else _conic(x, *self.via)


@dataclass(frozen=True)
class _Point:
    """A point of a lane: seconds after the start, value, and the bend up to the next point."""

    time: float
    value: float
    bend: _Bend


def volume_points(text: str, *, start: float, end: float, element: str) -> list[GainPoint]:
    """Return the volume lane of the `data-automation` attribute `text` in composition time, up to `end`; empty without such a lane.

    Raise `COMPOSITION_UNSUPPORTED` for an attribute that cannot be read.
    """
    points = []
    for point, after in _segments(text, "volume", element, 0.0, LOUDEST):
        points.append((point.time, point.value))
        if after is None or point.bend.straight:
            continue
        length, rise = after.time - point.time, after.value - point.value
        steps = max(2, math.ceil(length / _STEP))
        points += [(point.time + length * step / steps, point.value + rise * point.bend.progress(step / steps)) for step in range(1, steps)]
    return [GainPoint(time=start + moment, gain=gain) for moment, gain in points if start + moment <= end + _STEP]


def speed_points(text: str, *, element: str) -> list[SpeedPoint]:
    """Return the rate lane of the `data-automation` attribute `text`, in seconds after the clip's start; empty without such a lane.

    Its rates replace `data-playback-rate` and have the same bounds. Raise `COMPOSITION_UNSUPPORTED` for an attribute that cannot be read.
    """
    points = []
    for point, after in _segments(text, "rate", element, SLOWEST_RATE, FASTEST_RATE):
        points.append(SpeedPoint(time=point.time, rate=point.value))
        if after is None or point.bend.straight:
            continue
        for step in range(1, _BENT_SPEED_STEPS):
            part = step / _BENT_SPEED_STEPS
            rate = point.value * (after.value / point.value) ** point.bend.progress(part)
            points.append(SpeedPoint(time=point.time + (after.time - point.time) * part, rate=min(FASTEST_RATE, max(SLOWEST_RATE, rate))))
    return points


def simplified(points: Iterable[GainPoint]) -> list[GainPoint]:
    """Return `points`, in order of time, without those close enough to a straight line. A constant becomes one point."""
    given = list(points)
    if not given or all(abs(point.gain - given[0].gain) <= _TOLERANCE for point in given):
        return given[:1]
    kept = [given[0]]
    low, high = -math.inf, math.inf
    for before, point in itertools.pairwise(given):
        anchor = kept[-1]
        elapsed = point.time - anchor.time
        slope = (point.gain - anchor.gain) / elapsed if elapsed else math.inf
        if not low <= slope <= high:
            kept.append(before)
            anchor, low, high = before, -math.inf, math.inf
            elapsed = point.time - anchor.time
        if elapsed:
            low = max(low, (point.gain - _TOLERANCE - anchor.gain) / elapsed)
            high = min(high, (point.gain + _TOLERANCE - anchor.gain) / elapsed)
    return [*kept, given[-1]]


def product(one: list[GainPoint], other: list[GainPoint]) -> list[GainPoint]:
    """Return the product of two envelopes; an empty one stands for 1. Points are added where both change, as a product is not linear."""
    if not one or not other:
        return one or other
    if len(one) == 1 or len(other) == 1:
        [constant], changing = (one, other) if len(one) == 1 else (other, one)
        return [point.model_copy(update={"gain": point.gain * constant.gain}) for point in changing]
    edges = sorted({point.time for point in (*one, *other)})
    times = [edges[0]]
    for left, right in itertools.pairwise(edges):
        steps = max(1, math.ceil((right - left) / _STEP))
        times += [left + (right - left) * step / steps for step in range(1, steps + 1)]
    return simplified(GainPoint(time=time, gain=gain_at(one, time) * gain_at(other, time)) for time in times)


def gain_at(points: list[GainPoint], time: float) -> float:
    """Return the gain of an envelope at `time`."""
    after = bisect_right(points, time, key=lambda point: point.time)
    if after in (0, len(points)):
        return points[max(0, after - 1)].gain
    left, right = points[after - 1], points[after]
    return left.gain + (right.gain - left.gain) * (time - left.time) / (right.time - left.time)


def _segments(text: str, target: str, element: str, low: float, high: float) -> Iterator[tuple[_Point, _Point | None]]:
    """Yield the points of the lane for `target` in order, each with its successor. Of several points at one time the last counts."""
    if not text.strip():
        return
    lane: list[Any] = next((lane["points"] for lane in _lanes(text, element) if lane["target"] == target), [])
    points = sorted(filter(None, (_point(data, low, high) for data in lane)), key=lambda point: point.time)
    drawn = list({point.time: point for point in points}.values())[:_MOST_POINTS]
    yield from itertools.zip_longest(drawn, drawn[1:])


def _lanes(text: str, element: str) -> list[dict[str, Any]]:
    try:
        data = json.loads(text)
        if data["version"] != _VERSION:
            raise ValueError(f"version {data['version']!r} is unknown")
        lanes = [{"target": str(lane["target"]), "points": list(lane["points"])} for lane in data["lanes"]]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{element}: data-automation cannot be read: {error}"
        hint = 'Expected JSON: {"version": 1, "lanes": [{"target": "volume", "points": [{"t": 0, "v": 1}]}]}.'
        raise RenderError(ErrorCode.COMPOSITION_UNSUPPORTED, message, hint=hint) from error
    return lanes


def _point(data: Any, low: float, high: float) -> _Point | None:
    """Parse a point, with its value clamped to `low` and `high`; None for anything else."""
    if not isinstance(data, dict):
        return None
    moment, value = _number(data.get("t")), _number(data.get("v"))
    if moment is None or value is None:
        return None
    curve = min(1.0, max(-1.0, _number(data.get("curve")) or 0.0))
    x, y = _number(data.get("viaX")), _number(data.get("viaY"))
    via = None
    if x is not None and y is not None:
        x, y = (min(1 - _EDGE, max(_EDGE, part)) for part in (x, y))
        via = (x, y) if abs(x - y) >= 1e-6 else None
    return _Point(max(0.0, moment), min(high, max(low, value)), _Bend(curve, via))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _conic(x: float, via_x: float, via_y: float) -> float:
    """Return the height at `x` of the conic arc from (0, 0) to (1, 1) whose shoulder is the via point.

    The arc is a rational quadratic Bézier curve. Its middle is the via point when the control point lies further from the square's centre
    by the via point's offset from the centre, divided by the weight. The weight is the least that keeps the control point inside.
    """
    away = [via_x - 0.5, via_y - 0.5]
    room = [(1 - _EDGE - via) if offset > 0 else (via - _EDGE) for via, offset in ((via_x, away[0]), (via_y, away[1]))]
    weight = max(1.0, *(abs(offset) / space if space > 0 else 1e6 for offset, space in zip(away, room, strict=True) if offset))
    weight = min(weight, 1e6)
    control = [via_x + away[0] / weight, via_y + away[1] / weight]

    def at(parameter: float, axis: int) -> float:
        rest = 1 - parameter
        bottom = rest * rest + 2 * weight * parameter * rest + parameter * parameter
        return (2 * weight * control[axis] * parameter * rest + parameter * parameter) / bottom

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle, 0) < x else (low, middle)
    return at((low + high) / 2, 1)
