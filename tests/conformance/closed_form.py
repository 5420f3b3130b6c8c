"""Formulas of the closed-form compositions: their picture at time `t`, and the distance of a frame from it.

Every check returns the distance in pixels (or bits, or frames) between the picture and the formula; 0 is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
WIDTH, HEIGHT = 640, 360


def coverage(picture: Picture, colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the share of `colour` painted over white in each pixel: 0 … 1, with antialiased edges in part."""
    red, green, blue = (picture[..., channel] != 255 for channel in range(3))
    drawn = red | green | blue
    pixels = picture[drawn][:, :3].astype(np.float64)
    other = 1.0 - pixels[:, int(np.argmin(colour))] / 255.0
    distance = np.abs(pixels - (255.0 - other[:, None] * (255.0 - np.array(colour)))).max(axis=-1)
    cover = np.zeros(drawn.shape)
    cover[drawn] = np.where(distance < 24, other, 0.0)
    return cover


def centre(cover: NDArray[np.float64]) -> tuple[float, float, float]:
    """Area in pixels and the centroid `(x, y)` of a coverage map; the centroid of nothing is NaN."""
    rows, columns = cover.sum(axis=1), cover.sum(axis=0)
    area = float(rows.sum())
    if area < 1:
        return area, math.nan, math.nan
    return area, float(columns @ (np.arange(columns.size) + 0.5)) / area, float(rows @ (np.arange(rows.size) + 0.5)) / area


def box_error(picture: Picture, colour: tuple[int, int, int], x: float, y: float, width: float, height: float) -> float:
    """Distance between the centroid of `colour` and that of the box at `(x, y)`, infinite when its area is off by over 3 %."""
    area, found_x, found_y = centre(coverage(picture, colour))
    if abs(area - width * height) > 0.03 * width * height:
        return math.inf
    return math.hypot(found_x - (x + width / 2), found_y - (y + height / 2))


def gsap_box(picture: Picture, t: float) -> float:
    cover = coverage(picture, RED)
    area, x, y = centre(cover)
    if abs(area - 4800) > 144:
        return math.inf
    rows, columns = np.nonzero(cover)
    weight, dx, dy = cover[rows, columns], columns + 0.5 - x, rows + 0.5 - y
    angle = 0.5 * math.atan2(2 * float((weight * dx * dy).sum()), float((weight * (dx * dx - dy * dy)).sum()))
    turned = (angle - math.pi * t / 2 + math.pi / 2) % math.pi - math.pi / 2
    return max(math.hypot(x - (120 + 200 * t), y - 180), abs(turned) * 60)


def css_keyframes(picture: Picture, t: float) -> float:
    return box_error(picture, RED, 20 + 250 * t, 140, 80, 80)


def waapi(picture: Picture, t: float) -> float:
    return box_error(picture, RED, 20 + 240 * t, 20 + 120 * t, 60, 60)


def raf_canvas(picture: Picture, t: float) -> float:
    expected = round(t * 1000)
    shown = [sum(int(picture[row * 60 + 30, bit * 40 + 20, 0] < 128) << bit for bit in range(16)) for row in range(3)]
    printed = float((picture[255:310, 40:400, 0] < 128).sum())
    if printed < 200:
        return math.inf
    return float(max(abs(value - expected) for value in shown))


def iframe(picture: Picture, t: float) -> float:
    return max(box_error(picture, RED, 40 + 200 * t, 80, 60, 60), box_error(picture, BLUE, 40 + 200 * t, 200, 60, 60))


def timed_descendant(picture: Picture, t: float) -> float:
    anchor = box_error(picture, BLUE, 0, 0, 20, 20)
    if 0.5 <= t < 1.25:
        return max(anchor, box_error(picture, RED, 200, 100, 240, 160))
    return max(anchor, float(coverage(picture, RED).sum()))


def nested(picture: Picture, t: float, speed: float) -> float:
    errors = [box_error(picture, GREEN, speed * t, 0, 20, 20), box_error(picture, RED, min(300.0, 200 * t), 60, 40, 40)]
    local = t - 0.5
    if local >= 0:
        errors.append(box_error(picture, BLUE, min(300.0, 200 * local), 200, 40, 40))
    else:
        errors.append(float(coverage(picture, BLUE).sum()))
    black = coverage(picture, BLACK)
    for top, clock in ((130, t), (270, local)):
        lane = black[top : top + 40]
        area, x, _ = centre(lane)
        errors.append(abs(area) if not 0 <= clock < 1.5 else (abs(x - (420 - 200 * clock)) if abs(area - 1600) < 48 else math.inf))
    return max(errors)


@dataclass(frozen=True)
class Case:
    """One composition, its formula, and the variables given at render time."""

    name: str
    error: Callable[[Picture, float], float]
    variables: dict[str, object] = field(default_factory=dict)


CASES: tuple[Case, ...] = (
    Case("gsap-box", gsap_box),
    Case("css-keyframes", css_keyframes),
    Case("waapi", waapi),
    Case("raf-canvas", raf_canvas),
    Case("iframe", iframe),
    Case("timed-descendant", timed_descendant),
    Case("nested-variables", lambda picture, t: nested(picture, t, 260.0), {"speed": 260}),
)
