"""Formulas of the conformance compositions: the distance (pixels, or levels of a colour) of a picture from the one at time `t`.

Boxes are found by their centroid and area, as in `closed_form`; 0 is exact, infinity is another picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.conformance.closed_form import BLACK, BLUE, GREEN, RED, Picture, box_error, centre, coverage
from tests.conformance.media import SHORT, is_kept, wave_form

Colour = tuple[int, int, int]
Formula = Callable[[Picture, float], float]

_PITCH, _SIDE = 30, 20


def lanes(picture: Picture, *lefts: float | None, colours: Sequence[Colour] = ()) -> float:
    """Distance of a box of 20 px in each lane of 30 px from its left edge; None stands for an empty lane."""
    worst = 0.0
    for number, left in enumerate(lefts):
        lane = picture[number * _PITCH : (number + 1) * _PITCH]
        colour = colours[number] if colours else BLACK
        error = absent(lane, colour) if left is None else box_error(lane, colour, left, 5, _SIDE, _SIDE)
        worst = max(worst, error)
    return worst


def absent(picture: Picture, colour: Colour) -> float:
    """Return the number of pixels of `colour`, of which there should be none."""
    return float(coverage(picture, colour).sum())


def ink(picture: Picture, expected: float) -> float:
    """Return the distance of the amount of black from `expected` pixels."""
    return abs(float(coverage(picture, BLACK).sum()) - expected)


def pixel_error(picture: Picture, x: int, y: int, colour: Sequence[float]) -> float:
    """Largest difference of a channel of the pixel at `(x, y)` from `colour`."""
    return float(np.abs(picture[y, x, :3].astype(np.float64) - np.asarray(colour, dtype=np.float64)).max())


def between(start: float, end: float, t: float, left: float) -> float | None:
    """`left` while `start <= t < end`, else None."""
    return left if start - 1e-9 <= t < end - 1e-9 else None


def timing_expressions(picture: Picture, t: float) -> float:
    windows = ((0, 0.42), (0.42, 0.62), (0.82, 1.02), (0.32, 0.52), (0, 0.22), (0, 0.22))
    return lanes(picture, *(between(start, end, t, 0) for start, end in windows))


def timing_windows(picture: Picture, t: float) -> float:
    windows = ((0.1, 0.5), (0.1, 0.3), (0.3, 9), (0.3, 0.5), (9, 9), (0.3, 0.6))
    return lanes(picture, *(between(start, end, t, 0) for start, end in windows))


def timing_late_host(picture: Picture, t: float) -> float:
    moved = min(100.0, 200 * (t - 0.3))
    return lanes(
        picture,
        between(0.3, 0.82, t, moved),
        between(0.5, 0.7, t, 0),
        between(0.3, 0.82, t, moved),
        None,
        None,
        between(0.82, 0.92, t, 0),
    )


def sub_template(picture: Picture, t: float) -> float:
    return lanes(picture, None, between(0.1, 0.9, t, 100 * (t - 0.1)))


def sub_instances(picture: Picture, t: float) -> float:
    third = between(0.5, 1, t, 50 * (t - 0.5))
    return max(lanes(picture, 100 * t, 200 * t, third, colours=(RED, BLUE, RED)), ink(picture, 0))


def gsap_timeline(picture: Picture, t: float) -> float:
    eased = 4 * t**3 if t < 0.5 else 1 - (2 - 2 * t) ** 3 / 2
    nested = 200 * min(1, max(0, t - 0.4) / 0.4)
    return lanes(picture, 200 * t, 200 * eased, 200 * (1 - abs(1 - 2 * t)), nested, 50 + 200 * (1 - abs(1 - 2 * t)), 0)


def gsap_callbacks(picture: Picture, t: float) -> float:
    late = t >= 0.5
    return lanes(picture, 200 * t, 100 * late, 100 * late, min(100.0, 250 * t) * late)


def gsap_from(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * (1 - t), None if t >= 0.5 else 0, 200 * t, 200 * t)


def css_timing(picture: Picture, t: float) -> float:
    swing = abs((t / 0.4 + 1) % 2 - 1)
    piecewise = t / 2 if t < 0.5 else 0.25 + 1.5 * (t - 0.5)
    return lanes(
        picture,
        200 * max(0.0, t - 0.2) / 0.8,
        50 * math.floor(4 * t + 1e-9),
        200 * swing,
        200 * min(1, t + 0.5),
        between(0.3, 0.9, t, 200 * (t - 0.3)),
        200 * piecewise,
    )


def css_property(picture: Picture, t: float) -> float:
    bar = picture[0:30]
    width = float(coverage(bar, BLACK).sum()) / 20
    return max(abs(width - 200 * t), lanes(picture[30:], 10 + 200 * t, 200 * t, 200 * t))


def css_3d(picture: Picture, t: float) -> float:
    width = 80 * math.cos(math.radians(75 * t))
    side = 40 * 400 / (400 - 200 * t)
    return max(
        box_error(picture, RED, 80 - width / 2, 60, width, 60),
        box_error(picture, BLUE, 240 - side / 2, 90 - side / 2, side, side),
    )


def css_clip_mask(picture: Picture, t: float) -> float:
    radius = 10 + 40 * t
    area, x, y = centre(coverage(picture, RED))
    circle = math.hypot(x - 250, y - 90) if abs(area - math.pi * radius**2) < 0.03 * math.pi * radius**2 else math.inf
    length = 20 + 180 * t
    return max(
        circle,
        box_error(picture[:30, :200], BLACK, 0, 5, length, 20),
        box_error(picture[60:90, :200], BLACK, 0, 5, length, 20),
    )


def css_filters(picture: Picture, t: float) -> float:
    grey = 0.2126 * 255
    blurred = picture[60:]
    cover = 1 - blurred[..., 0].astype(np.float64) / 255
    area, x, y = centre(cover)
    return max(
        pixel_error(picture, 20, 20, (0, 255, 255)),
        pixel_error(picture, 60, 20, (64, 32, 16)),
        pixel_error(picture, 100, 20, (255 * t,) * 3),
        pixel_error(picture, 140, 20, (grey,) * 3),
        pixel_error(picture, 180, 20, (0, 0, 0)),
        math.hypot(x - (60 + 200 * t), y - 60) if abs(area - 1600) < 40 else math.inf,
    )


def css_blend(picture: Picture, t: float) -> float:
    ground = np.array([250 * t, 40, 255 - 250 * t])
    chip = np.array([255, 128, 0])
    return max(
        pixel_error(picture, 20, 20, ground * chip / 255),
        pixel_error(picture, 60, 20, 255 - (255 - ground) * (255 - chip) / 255),
        pixel_error(picture, 100, 20, np.abs(ground - chip)),
        pixel_error(picture, 140, 20, (ground + chip) / 2),
        pixel_error(picture, 180, 20, (0, 0, 0)),
        pixel_error(picture, 20, 100, ground),
    )


def css_gradients(picture: Picture, t: float) -> float:
    worst = max(pixel_error(picture, x, 20, ((x + 0.5 + 256 * t) / 512 * 255,) * 3) for x in (4, 100, 250))
    for distance in (0, 20, 40):
        part = (distance + 0.7) / 50
        worst = max(worst, pixel_error(picture, 50 + distance, 110, (255 * (1 - part), 0, 255 * part)))
    for degrees in range(7, 360, 30):
        if min((degrees - 360 * t) % 90, (360 * t - degrees) % 90) > 4:
            colour = (RED, GREEN, BLUE, BLACK)[int(((degrees - 360 * t) % 360) // 90)]
            angle = math.radians(degrees)
            worst = max(worst, pixel_error(picture, int(170 + 40 * math.sin(angle)), int(110 - 40 * math.cos(angle)), colour))
    return worst


def css_queries(picture: Picture, t: float) -> float:
    width = 100 + 200 * t
    shown, other = (BLUE, RED) if width >= 200 - 1e-6 else (RED, BLUE)
    return max(box_error(picture, shown, 0, 0, width / 2, 20), absent(picture, other), box_error(picture, GREEN, 0, 100, 20, 20))


def scroll_position(picture: Picture, t: float) -> float:
    offset = round(100 * t)
    visible = picture[:180]
    return max(
        box_error(visible, GREEN, 0, 0, 20, 20) if offset == 0 else 0.0,
        box_error(visible, RED, 40, 200 - 100 * t, 20, 20) if 100 * t >= 40 else 0.0,
        box_error(visible, BLUE, 100 + 100 * (100 * t / 640), 150, 20, 20),
    )


def top_layer(picture: Picture, t: float) -> float:
    return max(box_error(picture, RED, 20 + 150 * t, 20, 100, 60), box_error(picture, BLUE, 20 + 150 * t, 120, 40, 40))


def smil(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * t, 200 * t, 100 * (t >= 0.5), 200 * (2 * t % 1), between(0.3, 0.9, t, 200 * (t - 0.3)))


def svg_paint(picture: Picture, t: float) -> float:
    return max(
        box_error(picture, GREEN, 200 * t, 0, 20, 20),
        box_error(picture[:30], RED, 40 + 200 * t, 0, 20, 20),
        pixel_error(picture, 10, 50, RED),
        pixel_error(picture, 30, 50, BLUE),
        pixel_error(picture, 65, 50, BLACK),
        pixel_error(picture, 75, 50, (255, 255, 255)),
        box_error(picture[70:, :90], RED, 40, 10, 20, 20),
        pixel_error(picture, 120, 90, (127, 127, 127)),
        pixel_error(picture, 180, 90, BLUE),
    )


def waapi_effects(picture: Picture, t: float) -> float:
    swing = abs((t / 0.4 + 1) % 2 - 1)
    eased = 400 * t if t < 0.25 else 100 + 100 * (t - 0.25) / 0.75
    return lanes(picture, 200 * max(0.0, t - 0.2) / 0.8, 200 * swing, 50 + 200 * t, 200 * t, eased)


def five_lanes(picture: Picture, t: float) -> float:
    return lanes(picture, *(200 * t for _ in range(5)))


def two_lanes(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * t, 200 * t)


def three_lanes(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * t, 200 * t, 200 * t)


def random_dots(picture: Picture, t: float) -> float:
    red, blue = float(coverage(picture, RED).sum()), float(coverage(picture, BLUE).sum())
    return 0.0 if red % 64 == 0 and 20 * 64 <= red <= 40 * 64 and blue == 64 else math.inf


def canvas_2d(picture: Picture, t: float) -> float:
    area, x, y = centre(coverage(picture, RED))
    disc = math.hypot(x - (60 + 200 * t), y - 40) if abs(area - math.pi * 400) < 40 else math.inf
    return max(disc, box_error(picture, BLUE, 0, 80, 20 + 100 * t, 20), box_error(picture, GREEN, 200 * t, 130, 20, 20))


def image_sequence(picture: Picture, t: float) -> float:
    late = box_error(picture, RED, 0, 60, 40, 40) if t >= 0.5 else absent(picture, RED)
    return max(lanes(picture, 60 * math.floor(5 * t + 1e-9)), late)


def image_choice(picture: Picture, t: float) -> float:
    return max(
        box_error(picture[:30], RED, 200 * t, 0, 20, 20) if t > 0.99 else 0.0,
        box_error(picture[30:70], GREEN, 200 * t, 10, 20, 20),
        box_error(picture[70:110], BLUE, 200 * t, 10, 20, 20),
        box_error(picture[110:], BLACK, 0, 10, 40, 40),
        absent(picture[110:, :60], RED),
    )


def image_choice_dense(picture: Picture, t: float) -> float:
    return box_error(picture[140:220], RED, 400 * t, 20, 40, 40) if t < 0.6 else 0.0


def animated_image(picture: Picture, t: float) -> float:
    return lanes(picture, 60 * (sum(t >= change for change in (0.3, 0.62, 0.94)) % 3))


def shadow_dom(picture: Picture, t: float) -> float:
    late = between(0.3, 0.9, t, 200 * (t - 0.3))
    return lanes(picture, 200 * t, 200 * t, late, between(0.3, 0.9, t, 0), 40)


def mathml(picture: Picture, t: float) -> float:
    """A root sign with a hook and a bar over 60 px, an italic letter before `=`, and brackets as high as what is between them.

    All of them move; the error is that of their left edges.
    """
    dark = picture[..., 0] < 128
    left = round(20 + 150 * t)
    root, letter, bracket = dark[:60], dark[66:116, left : left + 26], dark[118:]
    edges = [np.flatnonzero(part.any(axis=0)) for part in (root, bracket)]
    if not all(edge.size for edge in edges):
        return math.inf
    bar = root.sum(axis=1).max() >= 58 and root[:, : left + 18].sum() > 30
    high = all(side.any(axis=1).sum() > 45 for side in (bracket[:, : left + 30], bracket[:, left + 30 :]))
    return max(abs(edge[0] - (21 + 150 * t)) for edge in edges) if bar and high and letter.sum() > 60 else math.inf


def text_layout(picture: Picture, t: float) -> float:
    """Five lines while narrow, fewer when wide; right-to-left text at the right edge; vertical text upright in its column."""
    dark = picture[..., 0] < 128
    lines = _runs(dark[:115, :270].any(axis=1))
    right = np.flatnonzero(dark[118:150].any(axis=0))
    vertical = np.flatnonzero(dark[:100, 275:].any(axis=1))
    wrapped = lines >= 4 if t < 0.5 else lines <= 3
    return 0.0 if wrapped and right.max() > 310 and right.min() > 280 and vertical.size and vertical.max() < 45 else math.inf


def _runs(marks: np.ndarray) -> int:
    padded = np.concatenate(([0], marks.astype(np.int8), [0]))
    return int((np.diff(padded) == 1).sum())


def variables_default(picture: Picture, t: float) -> float:
    measure = box_error(picture[150:], BLACK, 50, 5, 20, 20) if t > 0.03 else 0.0
    return max(
        lanes(picture, 50 * t, 0, None, 0, 0, colours=(BLACK, RED, BLACK, BLACK, RED)),
        measure,
    )


def variables_given(picture: Picture, t: float) -> float:
    measure = box_error(picture[150:], BLACK, 130, 5, 20, 20) if t > 0.03 else 0.0
    return max(
        lanes(picture, 200 * t, 0, 0, 200, 0, colours=(BLACK, BLUE, BLACK, BLACK, GREEN)),
        measure,
    )


def webgl(picture: Picture, t: float) -> float:
    return box_error(picture, RED, 20 + 200 * t, 60, 60, 60)


def transparent(picture: Picture, t: float) -> float:
    """Straight alpha: 255 in the card, 128 in the veil, 0 elsewhere."""
    alpha = picture[..., 3].astype(np.float64)
    card, veil = alpha[:90] / 255, alpha[90:] / 128
    worst = 0.0
    for cover, top in ((card, 20), (veil, 10)):
        area, x, y = centre(cover)
        worst = max(worst, math.hypot(x - (50 + 200 * t), y - (top + 30)) if abs(area - 3600) < 108 else math.inf)
    x = round(50 + 200 * t)
    colours = (*zip((255, 0, 0, 255), picture[50, x], strict=True), *zip((0, 0, 255, 128), picture[130, x], strict=True))
    return max(worst, max(abs(int(expected) - int(found)) for expected, found in colours))


def anime(picture: Picture, t: float) -> float:
    """Animations that anime.js drives by itself are 12 ms ahead, as the library documents where it resumes a timer."""
    ahead = 200 * min(1.0, t + 0.012) if t > 0 else 0.0
    return lanes(picture, 200 * t, ahead, 200 * t, ahead)


def three(picture: Picture, t: float) -> float:
    return max(box_error(picture, RED, 20 + 200 * t, 25, 40, 40), box_error(picture, BLUE, 20 + 200 * t, 115, 40, 40))


def d3(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * t, 200 * t, 200 * t, 200 * min(1.0, max(0.0, (t - 0.3) / 0.5)))


def tailwind(picture: Picture, t: float) -> float:
    chips = max(box_error(picture[60:], RED, 0, 0, 20, 20), box_error(picture[60:], BLUE, 40, 0, 20, 20))
    return max(lanes(picture, 200 * t, 123 if t >= 0.5 else 0), chips)


def leaflet(picture: Picture, t: float) -> float:
    """A post of 10 by 60 px every 200 px, and a marker, that go left as the view goes right; tiles stand 90 px below the middle's top."""
    shift = 200 * t
    mark = 160 - shift
    error = box_error(picture, BLUE, mark, 110, 20, 20) if mark >= 0 else 0.0
    columns = np.flatnonzero(coverage(picture, RED).sum(axis=0) > 20)
    expected = [
        x for post in range(-2, 4) for x in range(round(160 - shift + 200 * post), round(160 - shift + 200 * post) + 10) if 0 <= x < 320
    ]
    return error if sorted(columns) == sorted(expected) else math.inf


def maplibre(picture: Picture, t: float) -> float:
    """A square of ten degrees from the equator upwards; 512 · 2² pixels are the whole earth."""
    degree = 512 * 4 / 360
    height = 512 * 4 / (2 * math.pi) * math.log(math.tan(math.pi / 4 + math.radians(10) / 2))
    return box_error(picture, RED, 160 + 12 * t * degree, 90 - height, 10 * degree, height)


def shown_index(picture: Picture, left: float, top: int) -> int | None:
    """The number that a film of `media.numbered` shows at `(left, top)` in eight squares of 20 px; None where there is no film."""
    levels = [int(picture[top + 10, round(left) + 20 * bit + 10, 0]) for bit in range(8)]
    if levels[7] > 128:
        return None
    return sum((level < 128) << bit for bit, level in enumerate(levels[:7]))


def films(picture: Picture, *expected: int | None) -> float:
    """0 when every lane shows the expected number (None: no film), else the worst difference."""
    found = [shown_index(picture, 0, 5 + _PITCH * lane) for lane in range(len(expected))]
    pairs = list(zip(found, expected, strict=True))
    return max(math.inf if (a is None) != (b is None) else abs((a or 0) - (b or 0)) for a, b in pairs)


def video_attributes(picture: Picture, t: float) -> float:
    n = round(25 * t)
    return films(picture, n, 10 + n, 2 * n, n // 2, n % 10, min(n, 9))


def video_late(picture: Picture, t: float) -> float:
    n = round(25 * t)
    first = n - 7 if 7 <= n < 22 else None
    second = n - 12 + 25 if 12 <= n < 17 else None
    moved = shown_index(picture, 200 * max(0.0, t - 0.48), 35)
    return max(films(picture, first), 0.0 if moved == second else math.inf, films(picture[120:], n, n))


def video_looks(picture: Picture, t: float) -> float:
    """The alpha film is red on its left half only; the colour film is red, green, blue, black from left to right."""
    return max(
        pixel_error(picture, 20, 20, RED),
        pixel_error(picture, 60, 20, GREEN),
        pixel_error(picture, 10, 80, RED),
        pixel_error(picture, 30, 80, GREEN),
        pixel_error(picture, 101, 61, (255, 255, 255)),
        pixel_error(picture, 110, 80, RED),
        pixel_error(picture, 150, 80, BLUE),
        pixel_error(picture, 210, 80, (0, 255, 255)),
        pixel_error(picture, 270, 80, (255, 255, 255)),
    )


def video_sources(picture: Picture, t: float) -> float:
    """Two numbered films, and left halves in red over green grounds."""
    n = round(25 * t)
    shown = max(number for number in range(n + 1) if is_kept(number))
    places = ((20, RED), (60, GREEN), (120, RED), (160, GREEN))
    colours = max(pixel_error(picture, x, 100, colour) for x, colour in places)
    return max(films(picture, shown, n), 0.0 if colours <= 6 else math.inf)


def video_textures(picture: Picture, t: float) -> float:
    return films(picture, 2 * round(25 * t), 2 * round(25 * t))


def font_files(picture: Picture, t: float) -> float:
    """The moving weight's ink lies between that of the least and of the greatest as `t` does; two subsets are the two fonts."""
    inks = [float((255.0 - picture[30 * line : 30 * line + 30, :, 0]).sum()) for line in range(3)]
    part = (inks[1] - inks[0]) / (inks[2] - inks[0])
    # By columns, for the base line is that of the first font.
    pair, both, other = ((255.0 - picture[top : top + 30, :, 0]).sum(axis=0) for top in (90, 120, 150))
    subsets = np.array_equal(pair, both) and np.abs(pair - other).sum() > 10_000
    return abs(part - t) if subsets and inks[2] > 1.5 * inks[0] else math.inf


def sound_shapes(t: NDArray[np.float64]) -> NDArray[np.float64]:
    moved = np.interp(t, (0, 0.32), (1, 0.2)) * _within(t, 0, 0.4) * wave_form(t, 440)
    faded = np.interp(t, (0.5, 0.6, 0.7, 0.9), (0, 1, 1, 0)) * _within(t, 0.5, 0.9) * wave_form(t - 0.5, 880)
    return moved + faded


def sound_groups(t: NDArray[np.float64]) -> NDArray[np.float64]:
    low = 0.8 * _within(t, 0.1, 0.6) * wave_form(t - 0.1, 440)
    high = _within(t, 0.2, 0.4) * wave_form(t - 0.2 + 0.30025, 880)
    again = 0.5 * _within(t, 0.3, 0.9) * wave_form((t - 0.3 + 1e-9) % SHORT, 440)
    return 0.5 * (low + high) + again


def _within(t: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    return ((t > start - 1e-9) & (t < end - 1e-9)).astype(np.float64)


def fonts(picture: Picture, t: float) -> float:
    """Arial and Inter are the same picture, bold is heavier, typewriter letters are equally wide, emoji are coloured, Chinese is there."""
    dark = 255.0 - picture[..., :3].astype(np.float64)
    lines = [dark[30 * number : 30 * (number + 1)] for number in range(6)]
    weights = [float(line.sum()) for line in lines]
    spans = [np.flatnonzero(line.sum(axis=(0, 2)) > 255) for line in lines]
    alike = float(np.abs(lines[0] - lines[1]).max())
    heavier = weights[2] > 1.1 * weights[0]
    typewriter = abs((spans[3][-1] - spans[3][0] + 1) - 8 * 12) < 8
    colourful = float((lines[4].max(axis=2) - lines[4].min(axis=2)).max()) > 100
    chinese = float((lines[5][..., 0] > 128).sum()) > 150 and spans[5][-1] - spans[5][0] > 32
    start = abs(spans[0][0] - (2 + 100 * t)) < 2
    return 0.0 if alike == 0 and heavier and typewriter and colourful and chinese and start else math.inf


def remote_gsap(picture: Picture, t: float) -> float:
    return lanes(picture, 200 * t, 200 * t, 0)


def google_fonts(picture: Picture, t: float) -> float:
    """Oswald is a narrow face: both weights are there, and both are narrower than Inter."""
    dark = picture[..., 0] < 128
    widths = [int(np.flatnonzero(dark[40 * line : 40 * line + 36].any(axis=0)).max()) for line in range(3)]
    inks = [int(dark[40 * line : 40 * line + 36].sum()) for line in range(3)]
    return 0.0 if widths[0] < widths[1] < 0.9 * widths[2] and inks[1] > 1.15 * inks[0] else math.inf
