"""Every output format, decoded by another decoder than the engine's: pictures, sound, length; and refusals with their words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import render_chunk
from tests.conformance.cases import OUTPUTS, REFUSALS, SOUNDS, OutputCase, Refusal, SoundCase, Tone
from tests.conformance.formulas import lanes

SAMPLE_RATE = 48_000


@dataclass
class Decoded:
    """A file as PyAV decodes it: pictures of 8 bits a channel with their times, and the left channel of the sound."""

    codec: str = ""
    pixels: str = ""
    sound: str = ""
    pictures: list[NDArray[np.uint8]] | None = None
    times: list[float] | None = None
    samples: NDArray[np.float64] | None = None


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", OUTPUTS, ids=lambda case: case.name)
def test_a_decoder_finds_the_pictures_and_the_tones(case: OutputCase, conformance_project: Callable[[str], Path], tmp_path: Path) -> None:
    config = RenderConfig.model_validate({"fps": 25, "maxParallelChunks": 2, **case.config})
    manifest = plan(conformance_project(case.project), config, tmp_path / "plan")
    segments = tmp_path / "segments"
    segments.mkdir()
    rendered = [one.path for chunk in manifest.chunks for one in render_chunk(tmp_path / "plan", chunk.index, segments).finished]
    output = tmp_path / "out" / f"film{case.suffix}"

    assemble(tmp_path / "plan", rendered, output)

    found = decode(output)
    assert (found.codec, found.sound) == (case.codec, case.sound)
    assert not case.pixels or found.pixels == case.pixels
    assert len(found.pictures or []) == case.pictures
    still = Fraction(12, 25) if case.pictures == 1 else None
    for number, picture in enumerate(found.pictures or []):
        seconds = float(still if still is not None else number / manifest.fps)
        small = picture if picture.shape[1] == 320 else np.asarray(Image.fromarray(picture).resize((320, 180), Image.Resampling.BOX))
        assert lanes(small, 200 * seconds) <= case.tolerance, f"frame {number} of {case.name}"
    if case.pictures > 1 and case.codec != "gif":
        assert found.times == pytest.approx([float(number / manifest.fps) for number in range(case.pictures)], abs=0.0006)
    if case.sound:
        assert found.samples is not None
        check_tones(found.samples, float(manifest.total_frames / manifest.fps), case.tones)


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", SOUNDS, ids=lambda case: case.name)
def test_every_sample_equals_the_formula(case: SoundCase, conformance_project: Callable[[str], Path], tmp_path: Path) -> None:
    manifest = plan(conformance_project(case.name), RenderConfig.model_validate({"fps": 25, "format": "wav"}), tmp_path / "plan")
    segments = tmp_path / "segments"
    segments.mkdir()
    rendered = [one.path for chunk in manifest.chunks for one in render_chunk(tmp_path / "plan", chunk.index, segments).finished]

    assemble(tmp_path / "plan", rendered, tmp_path / "mix.wav")

    samples = decode(tmp_path / "mix.wav").samples
    assert samples is not None and len(samples) == SAMPLE_RATE
    wrong = np.abs(samples - case.sound(np.arange(SAMPLE_RATE) / SAMPLE_RATE))
    assert wrong.max() < 0.001, f"sample {wrong.argmax()} is {wrong.max():.4f} from the formula"


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_what_cannot_be_rendered_is_refused_in_ten_seconds(
    case: Refusal, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    config = RenderConfig.model_validate({"variables": case.variables, "strictVariables": True})
    project = conformance_project(case.folder)
    started = time.monotonic()

    with pytest.raises(RenderError) as refused:
        plan(project, config, tmp_path / "plan")

    assert refused.value.code.value == case.code
    assert [word for word in case.words if word not in str(refused.value)] == []
    assert time.monotonic() - started < 10


def decode(path: Path) -> Decoded:
    found = Decoded(pictures=[], times=[])
    assert found.pictures is not None and found.times is not None
    sound = []
    with av.open(str(path)) as container:
        if container.streams.video:
            found.codec = container.streams.video[0].codec_context.name.removeprefix("lib").removesuffix("-vp9")
            found.pixels = str(container.streams.video[0].codec_context.pix_fmt)
        if container.streams.audio:
            found.sound = container.streams.audio[0].codec_context.name
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                found.pictures.append(over_white(frame.to_ndarray(format="rgba")))
                found.times.append(float(frame.time or 0))
            else:
                sound += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    if sound:
        found.samples = np.concatenate(sound).astype(np.float64)
    return found


def over_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = picture[..., 3:].astype(np.float64) / 255
    return np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def check_tones(samples: NDArray[np.float64], seconds: float, tones: Sequence[Tone]) -> None:
    """Hold the sound to its tones: level, pitch, silence elsewhere, and the length of the pictures within a codec's frame."""
    assert abs(len(samples) / SAMPLE_RATE - seconds) < 0.03
    for tone in tones:
        part = samples[round((tone.start + 0.03) * SAMPLE_RATE) : round((tone.end - 0.03) * SAMPLE_RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        assert abs(float(np.argmax(spectrum)) * SAMPLE_RATE / len(part) - tone.hertz) < 8
        assert float(np.sqrt(np.mean(part**2))) == pytest.approx(tone.amplitude / np.sqrt(2), rel=0.05)
    for before, after in zip((0.0, *(tone.end for tone in tones)), (*(tone.start for tone in tones), seconds), strict=True):
        silence = samples[round((before + 0.03) * SAMPLE_RATE) : max(0, round((after - 0.03) * SAMPLE_RATE))]
        assert not silence.size or float(np.abs(silence).max()) < 0.02
