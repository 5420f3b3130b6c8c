"""The sound of one source, decoded once to raw samples of the mix, and cut for its tracks by counting samples.

Whatever the source's own rate, cuts lie on the grid of the mix, at the sample nearest to the moment of the track's first sample. A loop
goes back by its exact length, however many turns it makes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import AudioTrack, MediaSource
from hyperframes_lambda.media.audio_gain import MIX_RATE
from hyperframes_lambda.media.probe import before_zero
from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.time_map import TimeMap, exact

BOTH_SIDES = "stereo|c0=c0|c1=c0"
"""Mono on both sides at full level."""

SAMPLE_BYTES = 8
"""Two channels of 32-bit floats."""

_FULLEST = 2.0
"""Loudest level of a source, as a multiple of full scale. Decoders of lossy sound overshoot by less; anything louder is damage in the file
and would lower the whole mix."""

_LOOK_AHEAD = 24_000
"""Samples of the mix that the tempo filters receive beyond a track's end, because they look ahead."""

_BLOCK = 1 << 17
"""Samples read at once."""

_COUNTED = re.compile(r"Number of samples: (\d+)")
_REENCODE = "Play the file to its end in a player; if it stops early, encode it again."


@dataclass(frozen=True)
class Cut:
    """The stretch of its source that a track uses. Positions are samples of the mix from the source's beginning, and need not be whole."""

    begin: Fraction
    """Position of the track's first sample."""
    count: int
    """Samples to read, including the look-ahead of the tempo filters."""
    in_point: Fraction
    loop: bool

    @classmethod
    def of(cls, track: AudioTrack, first: int, count: int, rate: float, lead: int) -> Cut:
        """Return the cut for `count` samples of the mix from `first` on, with `lead` samples before them, all played at `rate`."""
        in_point, speed = exact(track.media_start), exact(rate)
        played = TimeMap.of(track).source(Fraction(first, MIX_RATE) - exact(track.start))
        begin = (in_point + played) * MIX_RATE - lead * speed
        ahead = 0 if speed == 1 else _LOOK_AHEAD
        return cls(max(Fraction(0), begin), math.ceil((count + lead + ahead) * speed), in_point * MIX_RATE, track.loop)


@dataclass(frozen=True)
class DecodedSource:
    """Raw samples of a source, in stereo at the rate of the mix, starting at sample `origin` of the source."""

    path: Path
    origin: int
    end: Fraction
    """Position at which a loop goes back to its in-point: the end of the picture if the source has one, else of the sound."""

    def write(self, cut: Cut, out: IO[bytes]) -> None:
        """Write the samples of `cut` to `out`, with silence where the source has no sound."""
        with self.path.open("rb") as samples:
            for first, count in self._pieces(cut):
                samples.seek((first - self.origin) * SAMPLE_BYTES)
                for done in range(0, count, _BLOCK):
                    size = min(_BLOCK, count - done) * SAMPLE_BYTES
                    out.write(samples.read(size).ljust(size, b"\0"))

    def sounds(self, cut: Cut) -> bool:
        """Whether the source has sound after the beginning of `cut`."""
        length = self.path.stat().st_size // SAMPLE_BYTES
        return cut.count > 0 and (self.end - cut.in_point >= 1 if cut.loop else round(cut.begin) < self.origin + length)

    def _pieces(self, cut: Cut) -> Iterator[tuple[int, int]]:
        """Yield first sample and number of samples of each turn."""
        position, left = cut.begin, cut.count
        while left:
            count = left
            if cut.loop:
                if position >= self.end:
                    position = cut.in_point + (position - cut.in_point) % (self.end - cut.in_point)
                count = min(left, math.ceil(self.end - position))
            yield max(self.origin, round(position)), count
            position += count
            left -= count


def decode(ffmpeg_path: Path, file: Path, source: MediaSource, cuts: Sequence[Cut], out: Path, *, name: str) -> DecodedSource:
    """Decode the stretch of `file` that the `cuts` need to `out`.

    Only here do timestamps count: a late start is padded and gaps are silent. Mono goes to both sides at full level. More than two channels
    are folded down as Web Audio does: centre and surround at -3 dB, without the low-frequency channel and without normalising. Raise
    `MEDIA_UNREADABLE`, which calls the source `name`.
    """
    origin = math.floor(min(min(cut.begin, cut.in_point) for cut in cuts))
    trim: dict[str, Any] = {"start_sample": origin}
    if not any(cut.loop for cut in cuts):
        trim["end_sample"] = max(round(cut.begin) + cut.count for cut in cuts)
    sound = ffmpeg.input(str(file), **before_zero(ffmpeg_path, file))["a:0"]
    stream = sound.filter("aresample", **{"async": 1, "first_pts": 0}).filter("aformat", sample_fmts="fltp")
    if source.channels == 1:
        stream = stream.filter("pan", args=BOTH_SIDES)
    stream = stream.filter("aformat", sample_fmts="flt", channel_layouts="stereo", sample_rates=source.sample_rate)
    stream = stream.filter("volume", volume=1 / _FULLEST, precision="float").filter("asoftclip", type="hard", threshold=1)
    stream = stream.filter("volume", volume=_FULLEST, precision="float")
    if not source.video:
        # The packets declare the padding of the last frame, which not every decoder drops.
        stream = stream.filter("atrim", end_sample=round(source.duration * source.sample_rate))
    stream = stream.filter("astats", measure_perchannel="none", measure_overall="Number_of_samples")
    stream = stream.filter("aresample", MIX_RATE).filter("atrim", **trim)
    command = compile_command(stream.output(str(out), format="f32le"), ffmpeg_path, log_level="info", tolerant=True)
    try:
        log = run(command, purpose=f"decoding {name}")
    except RenderError as error:
        if error.code is ErrorCode.ENCODER_FAILED:
            raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{name} does not decode: {error.message}", hint=_REENCODE) from error
        raise
    if not out.stat().st_size and (errors := [line for line in log if "[error]" in line]):
        raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{name} does not decode: {errors[-1]}", hint=_REENCODE)
    if source.video:
        return DecodedSource(out, origin, exact(source.duration) * MIX_RATE)
    # Resampled sound is a whole number of samples of the mix long; a source at 44.1 kHz is not.
    counted = next((int(match[1]) for line in reversed(log) if (match := _COUNTED.search(line))), 0)
    return DecodedSource(out, origin, Fraction(counted * MIX_RATE, source.sample_rate))
