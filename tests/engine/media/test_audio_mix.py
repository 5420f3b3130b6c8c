"""Sound is where it should be: every mix is compared with samples that numpy computed. Real ffmpeg throughout."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.contract.media import AudioTrack, GainPoint, MediaSource, VideoStream
from hyperframes_lambda.contract.plan import Build, Canvas, Manifest
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.audio import assign_lanes, mix, total_samples
from hyperframes_lambda.media.audio_tempo import tempo_stages

Samples = NDArray[np.float32]
RATE = 48_000
PICTURE = VideoStream(codec="h264", width=64, height=36, frame_rate=25.0)


class Studio:
    """Makes sources, plans and mixes in one folder."""

    def __init__(self, ffmpeg: Path, folder: Path) -> None:
        self.ffmpeg = ffmpeg
        self.folder = folder
        self.sources: dict[str, MediaSource] = {}

    def run(self, *arguments: object, feed: bytes | None = None) -> bytes:
        command = [str(self.ffmpeg), "-hide_banner", "-loglevel", "error", "-y", *(str(argument) for argument in arguments)]
        return subprocess.run(command, input=feed, stdout=subprocess.PIPE, check=True).stdout

    def source(
        self, name: str, samples: Samples, *options: object, rate: int = RATE, picture: float | None = None, layout: str | None = None
    ) -> str:
        """Write `samples` to a file; `picture` is the length of its video stream, for the plan only."""
        samples = samples[:, None] if samples.ndim == 1 else samples
        channels = samples.shape[1]
        described = ("-ch_layout", layout) if layout else ("-ac", channels)
        raw = ("-f", "f32le", "-ar", rate, *described, "-i", "pipe:0")
        codec = ("-c:a", "pcm_f32le") if name.endswith(".wav") else ()
        self.run(*raw, *codec, *options, self.folder / name, feed=samples.astype("<f4").tobytes())
        self.sources[name] = MediaSource(
            duration=picture or len(samples) / rate,
            video=PICTURE if picture else None,
            audio_codec="any",
            sample_rate=rate,
            channels=channels,
        )
        return name

    def track(self, file: str, start: float, end: float, **more: Any) -> AudioTrack:
        return AudioTrack(element=f'<audio id="{file}"> in index.html', file=file, start=start, end=end, **more)

    def mixed(self, tracks: Sequence[AudioTrack], frames: int, fps: Fraction = Fraction(30)) -> Samples:
        """The mix as it is before any encoder, shape (samples, 2)."""
        out = self.folder / "mix.wav"
        mix(self.ffmpeg, plan_of(tracks, self.sources, frames, fps), lambda file: self.folder / file, out)
        assert sorted(path.name for path in self.folder.glob(".*")) == [], "no scratch file is left"
        return self.decoded(out)

    def decoded(self, path: Path) -> Samples:
        raw = self.run("-i", path, "-f", "f32le", "-ac", 2, "-ar", RATE, "pipe:1")
        return np.frombuffer(raw, "<f4").reshape(-1, 2)


def plan_of(tracks: Sequence[AudioTrack], sources: dict[str, MediaSource], frames: int, fps: Fraction) -> Manifest:
    return Manifest(
        project_sha256="0" * 64,
        config=RenderConfig(),
        build=Build(renderer="1", browser="1", ffmpeg="1", runtime="1"),
        entry="index.html",
        files={},
        canvas=Canvas(width=64, height=36, scale=1),
        fps=fps,
        format=OutputFormat.MP4,
        width=64,
        height=36,
        total_frames=frames,
        chunks=[],
        segment_frames=1,
        sources=sources,
        audio=list(tracks),
    )


@pytest.fixture
def studio(toolset: Toolset, tmp_path: Path) -> Studio:
    return Studio(toolset.ffmpeg.path, tmp_path)


def noise(seconds: float, *, rate: int = RATE, seed: int = 1, level: float = 0.1, channels: int = 2) -> Samples:
    """No two moments of it sound alike, so that a shift of a single sample shows."""
    return (np.random.default_rng(seed).uniform(-level, level, (round(seconds * rate), channels))).astype(np.float32)


def clicks(times: Sequence[float], seconds: float, *, rate: int = RATE, level: float = 0.5) -> Samples:
    """Silence with a smooth click, one millisecond wide, centred on the sample nearest to each time."""
    samples = np.zeros(round(seconds * rate), np.float32)
    half = rate // 2000
    shape = np.hanning(2 * half + 3)[1:-1].astype(np.float32) * level
    for moment in times:
        centre = round(moment * rate)
        samples[centre - half : centre + half + 1] += shape
    return samples


def peaks(samples: Samples, threshold: float = 0.1) -> list[int]:
    """The loudest sample of each run of loud ones; runs closer than a tenth of a second are one."""
    loud = np.flatnonzero(np.abs(samples) > threshold)
    runs = np.split(loud, np.flatnonzero(np.diff(loud) > RATE // 10) + 1) if len(loud) else []
    return [int(run[np.argmax(np.abs(samples[run]))]) for run in runs]


def placed(length: int, *parts: tuple[int, Samples]) -> Samples:
    sum_ = np.zeros((length, 2), np.float32)
    for first, samples in parts:
        sum_[first : first + len(samples)] += samples[: max(0, length - first)]
    return sum_


def pitch(samples: Samples) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 17))
    return float(np.argmax(spectrum)) * RATE / (1 << 17)


def test_sound_starts_ends_and_adds_up_to_the_sample(studio: Studio) -> None:
    one, two = noise(2, seed=1), noise(1, seed=2)
    studio.source("one.wav", one)
    studio.source("two.wav", two)
    tracks = [
        studio.track("one.wav", 0.25, 1.25, media_start=0.5, gain=0.5),
        studio.track("two.wav", 0.70001, 1.70001),
        studio.track("one.wav", 1.3, 9.0),
    ]
    heard = studio.mixed(tracks, 90)
    expected = placed(144_000, (12_000, one[24_000:72_000] * np.float32(0.5)), (round(0.70001 * RATE), two), (62_400, one))
    assert heard.shape == (144_000, 2)
    assert np.abs(heard - expected).max() < 1e-7


@pytest.mark.parametrize(
    ("frames", "fps"), [(61, Fraction(30000, 1001)), (49, Fraction(24000, 1001)), (1, Fraction(60)), (75, Fraction(25))]
)
def test_the_mix_is_as_long_as_the_pictures(studio: Studio, frames: int, fps: Fraction) -> None:
    studio.source("a.wav", noise(0.5))
    heard = studio.mixed([studio.track("a.wav", 0, 0.5)], frames, fps)
    assert len(heard) == total_samples(frames, fps) == round(frames / fps * 48_000)


def test_without_tracks_there_is_silence(studio: Studio) -> None:
    heard = studio.mixed([], 15)
    assert heard.shape == (24_000, 2) and not heard.any()


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
def test_any_sample_rate_keeps_its_moments(studio: Studio, rate: int) -> None:
    moments = [0.1, 0.5003, 1.234]
    studio.source("clicks.wav", clicks(moments, 2, rate=rate), rate=rate)
    heard = studio.mixed([studio.track("clicks.wav", 0.4, 2.4), studio.track("clicks.wav", 1.2001, 1.9, media_start=1.0)], 72)[:, 0]
    source_moments = [round(moment * rate) / rate for moment in moments]
    expected = [0.4 + moment for moment in source_moments] + [1.2001 + source_moments[2] - 1.0]
    for peak, moment in zip(peaks(heard), sorted(expected), strict=True):
        assert abs(peak - moment * RATE) <= 1, "one sample of the mix, whatever the source's are"


CODECS = [
    ("clicks.flac", ()),
    ("clicks.mp3", ("-c:a", "libmp3lame", "-b:a", "192k")),
    ("clicks.m4a", ("-c:a", "aac", "-b:a", "192k")),
    ("clicks.ogg", ("-c:a", "libvorbis", "-q:a", "7")),
    ("clicks.webm", ("-c:a", "libopus", "-b:a", "192k")),
    ("clicks.opus", ("-c:a", "libopus", "-b:a", "192k")),
]


@pytest.mark.parametrize(("name", "options"), CODECS)
def test_an_encoder_delay_does_not_shift_the_sound(studio: Studio, name: str, options: tuple[str, ...]) -> None:
    moments = [0.3, 0.9, 1.4]
    studio.source(name, clicks(moments, 2), *options)
    heard = studio.mixed([studio.track(name, 0, 2.0)], 60)[:, 0]
    for peak, moment in zip(peaks(heard), moments, strict=True):
        assert abs(peak - moment * RATE) <= 2


@pytest.mark.parametrize(("name", "options"), CODECS)
def test_a_loop_is_as_long_as_what_was_encoded(studio: Studio, name: str, options: tuple[str, ...]) -> None:
    """Padding at either end would add up, turn by turn."""
    studio.source(name, clicks([0.1], 0.51), *options)
    found = peaks(studio.mixed([studio.track(name, 0, 4, loop=True)], 120)[:, 0])
    assert np.abs(np.diff(found) - 0.51 * RATE).max() <= 1
    # In an Ogg Vorbis file of a single page, ffmpeg counts 128 samples for the packet that only primes the decoder.
    assert abs(found[0] - 0.1 * RATE) <= (128 if name.endswith(".ogg") else 2)


def test_sound_that_begins_later_than_its_picture_is_heard_later(studio: Studio) -> None:
    sound = studio.folder / studio.source("sound.wav", clicks([0.5], 1))
    picture = ("-f", "lavfi", "-i", "color=s=64x36:r=25:d=2")
    studio.run(*picture, "-itsoffset", 0.4, "-i", sound, "-c:a", "aac", studio.folder / "late.mp4")
    studio.sources["late.mp4"] = MediaSource(duration=2, video=PICTURE, audio_codec="aac", channels=1)
    heard = studio.mixed([studio.track("late.mp4", 0.1, 2.1)], 60)[:, 0]
    assert peaks(heard) == [pytest.approx(RATE, abs=48)]


def test_mono_is_heard_on_both_sides_at_full_level(studio: Studio) -> None:
    mono = noise(0.5, channels=1)
    studio.source("mono.wav", mono)
    heard = studio.mixed([studio.track("mono.wav", 0, 0.5)], 15)
    assert np.array_equal(heard, np.repeat(mono, 2, axis=1))


def test_surround_is_folded_down_without_its_low_frequency_channel(studio: Studio) -> None:
    six = noise(0.5, channels=6)
    studio.source("six.wav", six, layout="5.1")
    left, right, centre, _, back_left, back_right = six.T
    half = np.sqrt(0.5)
    heard = studio.mixed([studio.track("six.wav", 0, 0.5)], 15)
    expected = np.stack([left + half * (centre + back_left), right + half * (centre + back_right)], axis=1)
    assert np.abs(heard - expected).max() < 1e-6


def test_an_envelope_is_linear_between_its_points_to_the_sample(studio: Studio) -> None:
    studio.source("level.wav", np.full((RATE * 2, 2), 0.5, np.float32))
    frame = 1001 / 30000
    points = [GainPoint(time=frame * number, gain=gain) for number, gain in ((3, 0.2), (10, 1.0), (11, 0.0), (20, 0.0), (37, 1.5))]
    heard = studio.mixed([studio.track("level.wav", 0.05, 1.7, envelope=points, gain=0.8)], 60, Fraction(30000, 1001))
    moments = np.arange(len(heard)) / RATE
    expected = 0.5 * 0.8 * np.interp(moments, [point.time for point in points], [point.gain for point in points])
    expected[: round(0.05 * RATE)] = 0
    expected[round(1.7 * RATE) :] = 0
    assert np.abs(heard - expected[:, None]).max() < 1e-6


def test_fades_multiply_and_are_shortened_when_they_would_overlap(studio: Studio) -> None:
    studio.source("level.wav", np.full((RATE, 2), 0.5, np.float32))
    tracks = [
        studio.track("level.wav", 0.0, 1.0, fade_in=0.25, fade_out=0.5, envelope=[GainPoint(time=0, gain=1), GainPoint(time=1, gain=0)]),
        studio.track("level.wav", 1.0, 2.0, fade_in=3, fade_out=1),
    ]
    heard = studio.mixed(tracks, 60)[:, 1]
    moments = np.arange(RATE) / RATE
    first = (1 - moments) * np.clip(moments / 0.25, 0, 1) * np.clip((1 - moments) / 0.5, 0, 1)
    second = np.clip(moments / 0.75, 0, 1) * np.clip((1 - moments) / 0.25, 0, 1)
    assert np.abs(heard - 0.5 * np.concatenate([first, second])).max() < 1e-6


def test_a_loop_goes_from_the_end_to_the_in_point_without_a_gap(studio: Studio) -> None:
    sound = noise(0.7)
    studio.source("loop.wav", sound)
    heard = studio.mixed([studio.track("loop.wav", 0.1, 2.5, media_start=0.2, loop=True)], 90)
    period = sound[9_600:]
    assert np.abs(heard - placed(144_000, (4_800, np.tile(period, (6, 1))[: round(2.4 * RATE)]))).max() < 1e-7


@pytest.mark.parametrize(("rate", "length"), [(44_100, 22_051), (8_000, 4_001), (48_000, 24_001)])
def test_a_loop_does_not_drift_whatever_its_rate(studio: Studio, rate: int, length: int) -> None:
    """Neither its length nor its in-point is a whole number of samples of the mix: after hundreds of turns it would show."""
    studio.source("loop.wav", clicks([0.2], length / rate, rate=rate), rate=rate)
    heard = peaks(studio.mixed([studio.track("loop.wav", 0.1, 119.9, media_start=0.10003, loop=True)], 3600)[:, 0])
    period = length / rate - 0.10003
    expected = 0.1 + 0.2 - 0.10003 + period * np.arange(len(heard))
    assert len(heard) > 290
    assert np.abs(np.array(heard) - expected * RATE).max() <= 1


def test_the_sound_of_a_looping_video_begins_anew_with_its_picture(studio: Studio) -> None:
    sound = noise(0.6)
    studio.source("short.wav", sound, picture=0.8)
    studio.source("long.wav", sound, picture=0.5)
    heard = studio.mixed([studio.track("short.wav", 0, 1.6, loop=True), studio.track("long.wav", 2, 3, loop=True)], 90)
    expected = placed(144_000, (0, sound), (38_400, sound), (96_000, sound[:24_000]), (120_000, sound[:24_000]))
    assert np.abs(heard - expected).max() < 1e-7


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.5, 0.75, 1.25, 2.0, 3.0, 10.0])
def test_tempo_stages_multiply_to_the_rate(rate: float) -> None:
    stages = tempo_stages(rate)
    assert np.prod(stages) == pytest.approx(rate)
    assert all(0.5 <= stage <= 2 for stage in stages)
    assert tempo_stages(1.0) == []


@pytest.mark.parametrize("rate", [0.5, 1.5, 3.0])
def test_another_rate_keeps_the_pitch_and_the_place(studio: Studio, rate: float) -> None:
    """Half a second of 440 Hz after one second of silence; then the whole of it is played at another rate, from the in-point on."""
    tone = np.zeros(4 * RATE, np.float32)
    tone[RATE : 2 * RATE] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    studio.source("tone.wav", tone)
    heard = studio.mixed([studio.track("tone.wav", 0.5, 0.5 + 3.5 / rate, media_start=0.5, rate=rate)], 240)[:, 0]
    middle = round((0.5 + 1.0 / rate) * RATE)
    reach = round(0.25 / rate * RATE)
    assert pitch(heard[middle - reach : middle + reach]) == pytest.approx(440, abs=3)
    energy = np.square(heard.astype(float))
    assert abs(float((energy * np.arange(len(energy))).sum() / energy.sum()) / RATE - (0.5 + 1.0 / rate)) < 0.06
    loud = np.flatnonzero(np.abs(heard) > 0.25)
    assert (loud[-1] - loud[0]) / RATE == pytest.approx(1 / rate, abs=0.06)


def test_a_changed_rate_does_not_drift(studio: Studio) -> None:
    moments = [5.0 * number + 1 for number in range(18)]
    studio.source("clicks.wav", clicks(moments, 90))
    heard = studio.mixed([studio.track("clicks.wav", 0.0, 60.0, rate=1.5)], 1800)[:, 0]
    errors = [peak / RATE - moment / 1.5 for peak, moment in zip(peaks(heard, 0.15), moments, strict=True)]
    assert max(errors) - min(errors) < 0.03 and max(map(abs, errors)) < 0.04


def test_a_looping_sound_at_another_rate_goes_on_to_the_end(studio: Studio) -> None:
    studio.source("tone.wav", 0.3 * np.sin(2 * np.pi * 500 * np.arange(RATE // 2) / RATE).astype(np.float32))
    heard = studio.mixed([studio.track("tone.wav", 0, 2, rate=2.0, loop=True)], 60)[:, 0]
    level = np.sqrt(np.square(heard).reshape(20, -1).mean(axis=1))
    assert level.min() > 0.19 and pitch(heard) == pytest.approx(500, abs=3)


def test_a_mix_that_would_clip_is_lowered_as_a_whole(studio: Studio) -> None:
    loud, quiet = noise(0.5, level=0.9), noise(0.5, level=0.9, seed=2)
    studio.source("loud.wav", loud)
    studio.source("other.wav", quiet)
    heard = studio.mixed([studio.track("loud.wav", 0, 0.5), studio.track("other.wav", 0.2, 0.7)], 30)
    sum_ = placed(RATE, (0, loud), (9_600, quiet))
    assert np.abs(sum_).max() > 1
    factor = float((heard * sum_).sum() / np.square(sum_).sum())
    assert np.abs(heard - factor * sum_).max() < 1e-6, "one constant for all, no clipping and no compression"
    assert np.abs(heard).max() < 10 ** (-1 / 20)


def test_a_mix_below_the_ceiling_is_left_alone(studio: Studio) -> None:
    tone = (0.85 * np.sin(2 * np.pi * 300 * np.arange(RATE // 2) / RATE)).astype(np.float32)
    studio.source("tone.wav", tone)
    assert np.array_equal(studio.mixed([studio.track("tone.wav", 0, 0.5)], 15)[:, 0], tone)


def test_aac_keeps_every_moment_within_one_of_its_frames(studio: Studio) -> None:
    moments = [0.0, 1.0, 2.5]
    tone = (0.4 * np.sin(2 * np.pi * 1000 * np.arange(RATE // 5) / RATE)).astype(np.float32)
    studio.source("tone.wav", tone)
    studio.mixed([studio.track("tone.wav", moment, moment + 0.2) for moment in moments], 90)
    encoded = studio.folder / "mix.m4a"
    studio.run("-i", studio.folder / "mix.wav", "-c:a", "aac", "-b:a", "192k", encoded)
    with av.open(str(encoded)) as container:
        frames = [(float(frame.time or 0), frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    heard = np.zeros(4 * RATE)
    for moment, samples in frames:
        first = round(moment * RATE)
        heard[max(0, first) : first + len(samples)] = samples[max(0, -first) :]
    loud = np.flatnonzero(np.abs(heard) > 0.2)
    onsets = [loud[0], *loud[1:][np.diff(loud) > RATE // 10]]
    assert len(onsets) == 3
    assert all(abs(onset - moment * RATE) <= 1024 for onset, moment in zip(onsets, moments, strict=True))


def test_ten_minutes_do_not_drift_and_are_fast(studio: Studio) -> None:
    """A click each minute from a 44.1 kHz file that is compressed, looped music below it, and a short sound at the very end."""
    moments = [0.5, *(60.0 * minute for minute in range(1, 10)), 599.5]
    studio.source("clicks.flac", clicks(moments, 600, rate=44_100, level=0.6), "-compression_level", 0, rate=44_100)
    studio.source("music.wav", noise(7.3, level=0.02))
    studio.source("last.wav", clicks([0.01], 0.1, level=0.6))
    tracks = [
        studio.track("clicks.flac", 0, 600),
        studio.track("music.wav", 0, 600, loop=True, fade_out=2),
        studio.track("last.wav", 599.8, 599.9),
    ]
    started = time.process_time()
    heard = studio.mixed(tracks, 18_000)[:, 0]
    own_seconds = time.process_time() - started
    assert len(heard) == 600 * RATE
    found = peaks(heard, 0.3)
    for peak, moment in zip(found, [*moments, 599.81], strict=True):
        assert abs(peak - moment * RATE) <= 1
    assert own_seconds < 10, "Python's own share: it counts and copies, it does not compute"


@pytest.mark.parametrize("content", [b"", b"not a sound at all, but long enough to look at" * 50])
def test_a_source_that_does_not_decode_is_named(studio: Studio, content: bytes) -> None:
    (studio.folder / "bad.mp3").write_bytes(content)
    studio.sources["bad.mp3"] = MediaSource(duration=1, audio_codec="mp3")
    with pytest.raises(RenderError, match=r'<audio id="bad.mp3"> in index.html') as caught:
        studio.mixed([studio.track("bad.mp3", 0, 1)], 30)
    assert caught.value.code is ErrorCode.MEDIA_UNREADABLE


def test_what_is_damaged_in_the_middle_is_left_out(studio: Studio) -> None:
    name = studio.source("torn.mp3", noise(2, level=0.3), "-c:a", "libmp3lame")
    content = (studio.folder / name).read_bytes()
    middle = len(content) // 2
    (studio.folder / name).write_bytes(content[:middle] + bytes(2_000) + content[middle + 2_000 :])
    heard = studio.mixed([studio.track(name, 0, 2)], 60)
    assert np.abs(heard[:40_000]).max() > 0.1 and np.abs(heard[60_000:]).max() > 0.1, "a burst of noise lowers the rest by little"


def test_lanes_are_as_few_as_sounds_that_overlap() -> None:
    windows = [(0, 10), (10, 20), (5, 15), (20, 30), (0, 30), (16, 18)]
    lanes = assign_lanes(windows)
    assert max(lanes) == 2
    for (one, first), (two, second) in itertools.combinations(enumerate(windows), 2):
        assert lanes[one] != lanes[two] or first[1] <= second[0] or second[1] <= first[0]


def test_many_sounds_are_mixed(studio: Studio) -> None:
    studio.source("tick.wav", clicks([0.005], 0.02))
    tracks = [studio.track("tick.wav", number / 25, number / 25 + 0.02) for number in range(50)]
    heard = studio.mixed(tracks, 60)[:, 0]
    expected = clicks([number / 25 + 0.005 for number in range(50)], 2)
    assert np.abs(heard - expected).max() < 1e-6
