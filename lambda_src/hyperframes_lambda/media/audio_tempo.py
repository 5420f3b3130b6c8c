"""Playing at another speed with the pitch kept, as browsers and the reference do: by ffmpeg's tempo filter, which has one speed at a time.

A track whose speed changes is heard in parts of constant speed. Each is cut at the moment that the time map gives it, so nothing adds up,
and is faded over into the next. They are so short that a sound inside is hardly out of its place, and as long as that allows.
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
"""Seconds of the composition by which a sound may be out of its place within a part."""

_SHORTEST = 0.1
"""Seconds that a part lasts at least."""

_MOST = 480
"""Parts of one track; of more than that none would be shorter than this share of it."""

_LEAD = 4_800
"""Samples of the mix that are played before a part, for nobody to hear: a tempo filter begins without knowing what was before."""

_HALF_FADE = 480
"""Samples before and after the border of two parts in which the one is faded into the other: 10 ms."""


@dataclass(frozen=True)
class Part:
    """A stretch of a track that is played at one rate."""

    track: AudioTrack
    first: int
    end: int
    """Samples of the mix: from `first` to before `end`."""
    rate: float
    curves: list[Curve]
    """What it is multiplied with besides the track's constant gain."""
    lead: int = 0
    """Samples that are played before `first` and not heard."""

    @property
    def count(self) -> int:
        """Its samples that are heard."""
        return self.end - self.first

    @property
    def cut(self) -> Cut:
        """What it takes of its source."""
        return Cut.of(self.track, self.first, self.count, self.rate, self.lead)


def parts_of(track: AudioTrack, total: int) -> list[Part]:
    """The parts in which `track` is played in a mix of `total` samples, in order; one where the speed is constant."""
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
    """Where parts of constant speed begin and end, in seconds since the clip's start, from 0 to `seconds`."""
    shortest = max(_SHORTEST, seconds / _MOST)
    found = [0.0]
    while seconds - found[-1] > 2 * shortest:
        length = seconds - found[-1]
        while length > 2 * shortest and not _is_straight(played, found[-1], length):
            length /= 2
        found.append(found[-1] + length)
    return [*found[: max(1, len(found) - 1)], seconds] if seconds - found[-1] < shortest / 2 else [*found, seconds]


def _is_straight(played: TimeMap, begin: float, length: float) -> bool:
    """Whether a constant speed over `length` seconds puts what sounds in between where the map has it, or nearly so."""
    start, end = (float(played.source(Fraction(moment))) for moment in (begin, begin + length))
    rate = (end - start) / length
    inside = [begin + length * part / 8 for part in range(1, 8)] + [moment for moment in played.turns if begin < moment < begin + length]
    return all(abs(float(played.source(Fraction(moment))) - start - rate * (moment - begin)) <= _OFF * rate for moment in inside)


def tempo_stages(rate: float) -> list[float]:
    """The tempo filters, one after the other, that play at `rate` with the pitch kept: the reference's, each between a half and two."""
    stages: list[float] = []
    while rate < 0.5:
        stages.append(0.5)
        rate /= 0.5
    while rate > 2:
        stages.append(2.0)
        rate /= 2
    return stages if math.isclose(rate, 1) else [*stages, rate]
