"""The source frame that a clip shows at a moment, in exact arithmetic.

A source is sampled at the output's rate from the in-point on, in source time: sampled frame `k` is the last frame whose time is at most
`media_start + k / fps`. At composition time `t` a clip shows

    k = floor(played · fps + 1e-9),  played = (t - start) · rate, with `loop` modulo duration - media_start

(`time_map` computes `played` for a changing speed), so half speed shows every sampled frame twice, and double speed every second one. After
its end, a source that does not loop holds its last sampled frame. The reference does the same, including that a slow clip of a source with
more frames than the output skips the frames in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from hyperframes_lambda.contract.media import MediaSource, VideoClip, VideoStream
from hyperframes_lambda.media.time_map import TimeMap, exact

_EPSILON = Fraction(1, 10**9)
"""Keeps a moment that arithmetic puts just before a frame's beginning from showing the frame before."""

_SHOWN_EARLY = 1.0
"""Seconds before a source's first frame during which a player already shows it."""


@dataclass(frozen=True)
class Sampled:
    """A frame of a source: its number among the sampled frames, and the moment it stands for in source seconds."""

    index: int
    time: float


def shown(clip: VideoClip, source: MediaSource, frame: int, fps: Fraction) -> Sampled | None:
    """Return the frame that `clip` shows in output frame `frame`; None outside its window and before its source begins."""
    video = source.video
    moment = frame / fps
    tolerance = Fraction(1, 1000) / fps
    if video is None or moment < exact(clip.start) - tolerance or moment >= exact(clip.end) + tolerance:
        return None
    media_start = exact(clip.media_start)
    elapsed = TimeMap.of(clip).source(max(Fraction(0), moment - exact(clip.start)))
    cycle = exact(source.duration) - media_start
    if clip.loop and cycle > 0:
        elapsed %= cycle
        if cycle - elapsed <= _EPSILON:
            elapsed = Fraction(0)
    if exact(video.first) - (media_start + elapsed) >= _SHOWN_EARLY:
        return None
    last = max(0, math.ceil(cycle * fps - _EPSILON) - 1)
    return Sampled(min(last, math.floor(elapsed * fps + _EPSILON)), float(media_start + elapsed))


def sampled_from(clip: VideoClip, video: VideoStream) -> Fraction:
    """Return the source second of sampled frame 0: the in-point, but not later than the source's last frame."""
    return min(exact(clip.media_start), exact(video.last))
