"""Differences between two videos' sound: correlation at the best lag, that lag, and the level."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
"""Samples per second for the comparison."""

_SILENCE = 1e-4
"""Peaks below this value, -80 dB, are silence."""

_MOST_LAG_SECONDS = 1.0

Sound = NDArray[np.float64]
"""Samples by channels (two); the first sample is at the time of the first video frame."""


@dataclass(frozen=True)
class SoundDifference:
    """The presence of sound in both videos, and its similarity."""

    ours: bool
    theirs: bool
    """Whether it has an audio stream."""
    correlation: float = 1.0
    """Correlation of the samples of both channels without the lag; 1 if both are silent, 0 if one is."""
    lag: float = 0.0
    """Seconds by which ours is late."""
    gain: float = 0.0
    """Decibels by which ours is louder."""


def compare_sound(ours: Path, theirs: Path) -> SoundDifference:
    """Compare the first audio streams, each on its own video's clock."""
    our, their = sound_of(ours), sound_of(theirs)
    if our is None or their is None:
        return SoundDifference(our is not None, their is not None, correlation=float(our is their))
    correlation, lag, gain = alike(our, their)
    return SoundDifference(True, True, correlation, lag, gain)


def alike(ours: Sound, theirs: Sound) -> tuple[float, float, float]:
    """Return correlation, lag in seconds and gain in decibels of `ours` against `theirs`."""
    heard = [bool(np.abs(sound).max(initial=0.0) > _SILENCE) for sound in (ours, theirs)]
    if not all(heard):
        return float(heard[0] == heard[1]), 0.0, 0.0
    lag = _lag(ours.sum(axis=1), theirs.sum(axis=1))
    first, second = (ours[lag:], theirs) if lag >= 0 else (ours, theirs[-lag:])
    common = min(len(first), len(second))
    first, second = first[:common], second[:common]
    energy = float(np.square(first).sum()), float(np.square(second).sum())
    if min(energy) <= 0:
        return 0.0, lag / RATE, 0.0
    correlation = float((first * second).sum()) / float(np.sqrt(energy[0] * energy[1]))
    return correlation, lag / RATE, float(10 * np.log10(energy[0] / energy[1]))


def _lag(ours: Sound, theirs: Sound) -> int:
    """Return the shift, in samples, with the greatest cross-correlation."""
    size = 1 << (len(ours) + len(theirs) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(ours, size) * np.conj(np.fft.rfft(theirs, size)), size)
    reach = min(int(_MOST_LAG_SECONDS * RATE), size // 2 - 1)
    around = np.concatenate([product[-reach:], product[: reach + 1]])
    return int(around.argmax()) - reach


def sound_of(video: Path) -> Sound | None:
    """Return the first audio stream as stereo at `RATE`, from the time of the first video frame on; None if there is none."""
    with av.open(str(video)) as container:
        if not container.streams.audio:
            return None
        origin = _video_start(container)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        sound = np.zeros((0, 2))
        decoded = [*container.decode(audio=0), None]
        for frame in [converted for raw in decoded for converted in resampler.resample(raw)]:
            if frame.pts is None or frame.time_base is None:
                continue
            at = round((frame.pts * frame.time_base - origin) * RATE)
            samples = frame.to_ndarray().T.astype(np.float64)
            samples, at = samples[max(0, -at) :], max(0, at)
            grown = max(len(sound), at + len(samples))
            sound = np.concatenate([sound, np.zeros((grown - len(sound), 2))])
            sound[at : at + len(samples)] = samples
    return sound


def _video_start(container: av.container.InputContainer) -> Fraction:
    if not container.streams.video:
        return Fraction(0)
    stream = container.streams.video[0]
    return Fraction(stream.start_time or 0) * (stream.time_base or Fraction(1))
