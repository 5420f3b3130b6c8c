"""Playback at another speed with the pitch kept, as in browsers and the reference, by ffmpeg's tempo filter, which has one speed at a time.

A track with changing speed is split into parts of constant speed. The time map gives the moment of each cut, so errors do not add up, and
each part fades into the next. Parts are short enough to keep every sound nearly in its place, and as long as that allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from hyperframes_lambda.contract.media import FASTEST_RATE, SLOWEST_RATE, AudioTrack
from hyperframes_lambda.media.audio_gain import MIX_RATE, Curve, gain_curves
from hyperframes_lambda.media.audio_source import Cut
from hyperframes_lambda.media.time_map import TimeMap, exact

_OFF = 0.004
"""Largest displacement of a sound within a part, in seconds of the composition."""

_SHORTEST = 0.1
"""Shortest part, in seconds."""

_MOST = 480
"""Most parts of a track; in a longer track the shortest part grows accordingly."""

_LEAD = 4_800
"""Samples of the mix played before a part and cut off, so that the tempo filter starts with context."""

_HALF_FADE = 480
"""Length of the fade on each side of the border between two parts, in samples: 10 ms."""


@dataclass(frozen=True)
class Part:
    """A stretch of a track played at one rate."""

    track: AudioTrack
    first: int
    end: int
    """Samples of the mix: from `first` to before `end`."""
    rate: float
    curves: list[Curve]
    """Factors beside the track's constant gain."""
    lead: int = 0
    """Samples played before `first` and cut off."""

    @property
    def count(self) -> int:
        """Number of audible samples."""
        return self.end - self.first

    @property
    def cut(self) -> Cut:
        """Stretch of the source that the part uses."""
        return Cut.of(self.track, self.first, self.count, self.rate, self.lead)


def parts_of(track: AudioTrack, total: int) -> list[Part]:
    """Return the parts of `track` in a mix of `total` samples, in order; a single one for a constant speed."""
    first = min(total, round(exact(track.start) * MIX_RATE))
    end = max(first, min(total, round(exact(track.end) * MIX_RATE)))
    curves = gain_curves(track)
    if not track.speed:
        return [Part(track, first, end, track.rate, curves)]
    played = TimeMap.of(track)
    parts = []
    for left, right in pairwise(borders(played, (end - first) / MIX_RATE)):
        begin, until = first + round(left * MIX_RATE), first + round(right * MIX_RATE)
        fades = []
        if begin > first:
            fades.append(Curve((begin - _HALF_FADE, begin + _HALF_FADE), (0.0, 1.0)))
        if until < end:
            fades.append(Curve((until - _HALF_FADE, until + _HALF_FADE), (1.0, 0.0)))
        begin, until = max(first, begin - _HALF_FADE), min(end, until + _HALF_FADE)
        moments = [played.source(Fraction(sample, MIX_RATE) - exact(track.start)) for sample in (begin, until)]
        rate = float((moments[1] - moments[0]) * MIX_RATE / max(1, until - begin))
        rate = min(FASTEST_RATE, max(SLOWEST_RATE, rate))
        lead = min(_LEAD, math.floor((exact(track.media_start) + moments[0]) * MIX_RATE / Fraction(rate)))
        parts.append(Part(track, begin, until, rate, [*curves, *fades], 0 if math.isclose(rate, 1) else max(0, lead)))
    return parts


def borders(played: TimeMap, seconds: float) -> list[float]:
    """Return the borders of parts of constant speed, in seconds since the clip's start, from 0 to `seconds`."""
    shortest = max(_SHORTEST, seconds / _MOST)
    found = [0.0]
    while seconds - found[-1] > 2 * shortest:
        length = seconds - found[-1]
        while length > 2 * shortest and not _is_straight(played, found[-1], length):
            length /= 2
        found.append(found[-1] + length)
    return [*found[: max(1, len(found) - 1)], seconds] if seconds - found[-1] < shortest / 2 else [*found, seconds]


def _is_straight(played: TimeMap, begin: float, length: float) -> bool:
    """Whether a constant speed over `length` seconds keeps every sound in between nearly where the map puts it."""
    start, end = (float(played.source(Fraction(moment))) for moment in (begin, begin + length))
    rate = (end - start) / length
    inside = [begin + length * part / 8 for part in range(1, 8)] + [moment for moment in played.turns if begin < moment < begin + length]
    return all(abs(float(played.source(Fraction(moment))) - start - rate * (moment - begin)) <= _OFF * rate for moment in inside)


def tempo_stages(rate: float) -> list[float]:
    """Return the speeds of successive tempo filters that together play at `rate`: those of the reference, each between a half and two."""
    stages: list[float] = []
    while rate < 0.5:
        stages.append(0.5)
        rate /= 0.5
    while rate > 2:
        stages.append(2.0)
        rate /= 2
    return stages if math.isclose(rate, 1) else [*stages, rate]
