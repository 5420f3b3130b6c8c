"""The comparison with the reference measures right: known noise has its PSNR, a known delay its lag, a wrong video is reported."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import compare_reference
from comparison import compare, failed, table
from picture_metrics import EQUAL_DB, compare_pictures, decibels, mean_squared_error, structural_similarity
from sound_metrics import RATE, alike, compare_sound

WIDTH, HEIGHT, FPS = 64, 48, 24

Frames = list[NDArray[np.uint8]]
"""4:2:0 pictures as PyAV stacks them: luma, then the two chroma planes."""


def grey(levels: list[int]) -> Frames:
    return [np.full((HEIGHT * 3 // 2, WIDTH), level, dtype=np.uint8) for level in levels]


def tone(seconds: float, *, starts: float = 0.3, amplitude: float = 0.25) -> NDArray[np.float64]:
    time = np.arange(round(seconds * RATE)) / RATE
    # A rising tone: unlike a steady one it has a single best lag.
    wave = amplitude * np.sin(2 * np.pi * (200 + 300 * time) * time) * (time >= starts) * (time < starts + 0.4)
    return np.stack([wave, wave], axis=1)


def write(path: Path, frames: Frames, sound: NDArray[np.float64] | None = None) -> Path:
    """A lossless video: what is read from it is what was given."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="stereo") if sound is not None else None
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            packed = (sound.reshape(1, -1) * 32767).astype(np.int16)
            block = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
            block.sample_rate, block.pts = RATE, 0
            container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def test_psnr_of_known_noise_is_its_formula() -> None:
    noise = np.random.default_rng(1).choice([-4, 4], size=(200, 300))
    clean = np.full((200, 300), 128, dtype=np.uint8)
    noisy = (clean + noise).astype(np.uint8)

    assert decibels(mean_squared_error((clean,), (noisy,))) == pytest.approx(10 * np.log10(255**2 / 16))
    assert decibels(mean_squared_error((clean,), (clean,))) == EQUAL_DB


def test_ssim_is_one_for_equal_pictures_and_follows_its_formula_where_there_is_no_variance() -> None:
    dark, light = np.full((32, 32), 100, dtype=np.uint8), np.full((32, 32), 120, dtype=np.uint8)
    c1 = (0.01 * 255) ** 2

    assert structural_similarity(dark, dark) == pytest.approx(1.0)
    assert structural_similarity(dark, light) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_ssim_tells_structure_from_noise() -> None:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (64, 64)).astype(np.uint8)

    assert structural_similarity(picture, rng.integers(0, 256, (64, 64)).astype(np.uint8)) < 0.1
    assert structural_similarity(picture, (picture // 2 + 64).astype(np.uint8)) > 0.7


def test_the_worst_frame_is_found_counted_and_drawn(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.mov", grey([100, 100, 110, 100]))
    theirs = write(tmp_path / "theirs.mov", grey([100, 100, 100, 100, 100]))

    found = compare_pictures(ours, theirs, worst=2)

    assert (found.our_frames, found.their_frames) == (4, 5)
    assert found.psnr == pytest.approx([EQUAL_DB, EQUAL_DB, 10 * np.log10(255**2 / 100), EQUAL_DB])
    assert found.psnr_min == found.psnr[2]
    # Equal frames must not hide a wrong one: the mean is taken of the errors, not of the decibels.
    assert found.psnr_mean == pytest.approx(10 * np.log10(255**2 / 25))
    assert [frame.number for frame in found.worst] == [2]
    found.worst[0].save(tmp_path / "worst.png")
    with av.open(str(tmp_path / "worst.png")) as drawn:
        assert (drawn.streams.video[0].width, drawn.streams.video[0].height) == (3 * WIDTH, HEIGHT)


def test_alpha_counts_and_the_colour_of_what_nobody_sees_does_not(tmp_path: Path) -> None:
    opaque = np.full((HEIGHT, WIDTH, 4), (200, 30, 60, 255), dtype=np.uint8)
    opaque[:, WIDTH // 2 :] = (255, 255, 255, 0)
    recoloured, thinner = opaque.copy(), opaque.copy()
    recoloured[:, WIDTH // 2 :, :3] = 7
    thinner[:, : WIDTH // 2, 3] = 155
    videos = [write_alpha(tmp_path / f"{number}.mov", picture) for number, picture in enumerate((opaque, recoloured, thinner))]

    assert compare_pictures(videos[0], videos[1]).psnr == [EQUAL_DB]
    assert compare_pictures(videos[0], videos[2]).psnr[0] < 20


def write_alpha(path: Path, picture: NDArray[np.uint8]) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("png", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "rgba"
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(video.encode())
    return path


@pytest.mark.parametrize("late", [0, 1, 37, 1000, -250])
def test_a_known_lag_is_found_to_the_sample(late: int) -> None:
    sound = tone(1.0)

    correlation, lag, gain = alike(np.roll(sound, late, axis=0), sound)

    assert lag * RATE == pytest.approx(late)
    assert correlation == pytest.approx(1.0)
    assert gain == pytest.approx(0.0, abs=1e-9)


def test_a_known_gain_and_known_noise_are_found() -> None:
    sound = tone(1.0)
    noise = np.random.default_rng(3).normal(0, 1, sound.shape)
    noise *= np.sqrt(np.square(sound).sum() / np.square(noise).sum())

    assert alike(sound * 0.5, sound)[::2] == pytest.approx((1.0, 20 * np.log10(0.5)))
    # Noise as strong as the sound: the correlation is 1/√2.
    assert alike(sound + noise, sound)[0] == pytest.approx(2**-0.5, abs=0.02)


def test_silence_is_like_silence_and_unlike_sound() -> None:
    silence = np.zeros((RATE, 2))

    assert alike(silence, silence)[0] == 1.0
    assert alike(silence, tone(1.0))[0] == 0.0


def test_lag_is_read_on_the_clock_of_the_video(tmp_path: Path) -> None:
    frames = grey([80] * FPS)
    ours = write(tmp_path / "ours.mov", frames, tone(1.0, starts=0.35))
    theirs = write(tmp_path / "theirs.mov", frames, np.roll(tone(1.0, starts=0.35), -480, axis=0))

    found = compare_sound(ours, theirs)

    assert found.lag == pytest.approx(0.010)
    assert found.correlation > 0.999


def test_two_equal_videos_are_alike_and_their_facts_are_in_the_table(tmp_path: Path) -> None:
    video = write(tmp_path / "same.mov", grey([90, 91, 92]), tone(0.125))

    found = compare("same", video, video, tmp_path)

    assert found.alike
    assert found.worst_frames == []
    text = table([found])
    assert "same     3       0.125    equal" in text
    assert "64x48" in text and "pcm_s16le" in text and "alike" in text
    assert json.loads(json.dumps(found.as_json()))["frames"] == {"ours": 3, "reference": 3}


@pytest.mark.parametrize(
    ("levels", "sound", "complaint"),
    [
        ([90, 91], tone(0.125), "2 frames, the reference has 3"),
        ([90, 91, 192], tone(0.125), "frame 2 has 8.1 dB, under 30"),
        ([90, 91, 92], None, "only the reference has sound"),
        ([90, 91, 92], np.roll(tone(0.125, starts=0.0), 2400, axis=0), "the sound is +50.0 ms off"),
        ([90, 91, 92], tone(0.125, starts=0.0)[::-1], "correlation is"),
    ],
)
def test_what_differs_is_said(levels: list[int], sound: NDArray[np.float64] | None, complaint: str, tmp_path: Path) -> None:
    theirs = write(tmp_path / "theirs.mov", grey([90, 91, 92]), tone(0.125, starts=0.0))
    ours = write(tmp_path / "ours.mov", grey(levels), sound)

    found = compare("one", ours, theirs, tmp_path)

    assert any(complaint in said for said in found.complaints), found.complaints
    assert "DIFFERENT" in table([found])


def test_a_render_that_failed_is_a_difference() -> None:
    found = failed("broken", "the reference failed: no timeline")

    assert not found.alike
    assert "FAILED" in table([found])
    assert "outside: the reference failed: no timeline" in table([found])


def test_the_libraries_that_a_checkout_lacks_are_put_where_the_pages_expect_them(tmp_path: Path, toolset) -> None:
    project = tmp_path / "project"
    (project / "parts").mkdir(parents=True)
    (project / "index.html").write_text('<script src="assets/gsap.min.js"></script><script src="own.js"></script>')
    (project / "parts/one.html").write_text('<script src="gsap.min.js"></script>')
    (project / "own.js").write_text("1")

    copy = compare_reference.complete_copy(project, tmp_path / "copy", toolset)

    library = toolset.libraries["gsap"].path.read_bytes()
    assert (copy / "assets/gsap.min.js").read_bytes() == library
    assert (copy / "parts/gsap.min.js").read_bytes() == library
    assert (copy / "own.js").read_text() == "1"
    assert not (project / "assets").exists()


def test_both_command_lines_get_the_same_job_each_with_its_own_name_for_the_size(tmp_path: Path) -> None:
    job = compare_reference.Job("cards", tmp_path, fps="25", variables={"title": "Week 47"}, resolution="landscape")

    assert job.options("--resolution", job.resolution) == [
        *("--fps", "25", "--variables", '{"title": "Week 47"}', "--resolution", "landscape"),
    ]
    assert compare_reference.Job("cards", tmp_path).options("--width", None) == []
