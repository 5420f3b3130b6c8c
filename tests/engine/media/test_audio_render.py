"""From the page to the output: a plan finds what is heard, Assemble brings it to the moment where it belongs, in every container."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import render_chunk

Project = Callable[[Mapping[str, str | bytes]], Path]
Samples = NDArray[np.float64]
RATE = 48_000
AAC_FRAME = 1024
pytestmark = pytest.mark.usefixtures("one_browser")

PAGE = """<!doctype html><html><head><script src="gsap.min.js"></script></head><body style="margin:0;background:#246">
<div data-composition-id="main" data-start="0" data-duration="2" data-width="160" data-height="90">{body}
<div id="box" style="position:absolute;width:20px;height:20px;background:#fa0"></div></div>
<script>const timeline = gsap.timeline({{ paused: true }});
timeline.to("#box", {{ x: 100, duration: 2, ease: "none" }}, 0);
{script}
window.__timelines = {{ main: timeline }};</script></body></html>"""

BODY = """<audio id="tone" src="tone.wav" data-start="0.3" data-duration="0.2"></audio>
<audio id="again" src="tone.wav" data-start="tone + 0.5" data-duration="0.2" data-volume="0.5"></audio>
<audio id="faded" src="level.wav" data-start="1.5" data-duration="0.5" data-volume="0.25"></audio>
<audio id="muted" src="tone.wav" data-start="1.2" data-duration="0.2" muted></audio>
<audio id="nothing" src="tone.wav" data-start="1.2" data-duration="0.2" data-volume="0"></audio>
<audio id="late" src="tone.wav" data-start="2.5" data-duration="0.2"></audio>"""
FADE = 'timeline.to("#faded", { volume: 0, duration: 0.5, ease: "none" }, 1.5);'


def tone(seconds: float, level: float = 0.4, frequency: float = 1_000) -> Samples:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def wav(folder: Path, samples: Samples) -> bytes:
    path = folder / "made.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.round(samples * 32_767).astype("<i2").tobytes())
    return path.read_bytes()


def decoded(path: Path) -> tuple[Samples, float]:
    """Return the left channel as a player hears it, by presentation time, and the length of the pictures."""
    with av.open(str(path)) as container:
        pictures = container.streams.video
        length = float((pictures[0].duration or 0) * (pictures[0].time_base or 0)) if pictures else 0.0
        frames = [(float(frame.time or 0), frame.rate, frame.to_ndarray()) for frame in container.decode(audio=0)]
    heard = np.zeros(3 * RATE)
    for moment, rate, samples in frames:
        assert rate == RATE
        left = samples[0] if samples.shape[0] == 2 else samples[0, ::2]
        left = left / (np.iinfo(left.dtype).max if left.dtype.kind == "i" else 1)
        first = round(moment * RATE)
        heard[max(0, first) : first + len(left)] = left[max(0, -first) :]
    return heard, length


def onsets(samples: Samples, threshold: float) -> list[int]:
    loud = np.flatnonzero(np.abs(samples) > threshold)
    return [int(loud[0]), *(int(sample) for sample in loud[1:][np.diff(loud) > RATE // 20])]


@pytest.fixture
def sounding(project: Project, tmp_path: Path) -> Path:
    files = {"tone.wav": wav(tmp_path, tone(1)), "level.wav": wav(tmp_path, np.full(RATE, 0.5))}
    return project({"index.html": PAGE.format(body=BODY, script=FADE), **files})


def planned(source: Path, folder: Path, **fields: Any) -> Manifest:
    pictures = {} if fields.get("format") == "wav" else {"quality": "draft", "chunkSize": 15}
    return plan(source, RenderConfig.model_validate({"fps": 24} | pictures | fields), folder)


def rendered(source: Path, folder: Path, name: str, **fields: Any) -> tuple[Path, Manifest]:
    manifest = planned(source, folder / "plan", **fields)
    segments = [one.path for chunk in manifest.chunks for one in render_chunk(folder / "plan", chunk.index, folder).finished]
    outcome = assemble(folder / "plan", segments, folder / name)
    return outcome.output, manifest


def test_tones_are_where_the_page_has_them_to_the_sample(sounding: Path, tmp_path: Path) -> None:
    output, manifest = rendered(sounding, tmp_path, "sound.wav", format="wav")
    assert [track.element for track in manifest.audio] == [f'<audio id="{name}"> in index.html' for name in ("tone", "again", "faded")]
    heard, _ = decoded(output)
    expected = np.zeros(3 * RATE)
    expected[14_400:24_000] = tone(0.2)
    expected[48_000:57_600] = tone(0.2, level=0.2)
    expected[72_000:96_000] = 0.125 * (1 - np.arange(24_000) / 24_000)
    assert np.abs(heard - expected).max() < 2e-4


def test_tones_are_within_one_frame_of_aac_and_as_long_as_the_pictures(sounding: Path, tmp_path: Path) -> None:
    output, manifest = rendered(sounding, tmp_path, "video.mp4")
    assert len(manifest.chunks) > 1
    heard, seconds = decoded(output)
    found = onsets(heard, 0.1)
    assert len(found) >= 2
    assert abs(found[0] - 0.3 * RATE) <= AAC_FRAME and abs(found[1] - 1.0 * RATE) <= AAC_FRAME
    assert seconds == pytest.approx(manifest.total_frames / float(manifest.fps))
    lag = np.argmax(np.correlate(heard[12_000:28_000], tone(0.2), "valid")) + 12_000 - 14_400
    assert abs(lag) <= 24, "half a period of the tone: the priming of the encoder is taken off"


def test_the_sound_of_a_video_is_heard_with_its_picture(project: Project, tmp_path: Path, toolset: Toolset) -> None:
    """A flash and a beep at the same moment of the source, at twice the speed, from an in-point."""
    flash = "color=black:s=64x36:r=25:d=3,drawbox=c=white:t=fill:enable='between(t,1.6,1.8)'"
    beep = "aevalsrc='0.5*sin(2*PI*1000*t)*between(t,1.6,1.8)':d=3:s=44100"
    inputs = ("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep)
    command = [str(toolset.ffmpeg.path), "-loglevel", "error", *inputs, "-pix_fmt", "yuv420p", str(tmp_path / "flash.mp4")]
    subprocess.run(command, check=True)
    video = '<video id="clip" src="flash.mp4" data-start="0.5" data-media-start="1" data-playback-rate="2" width="160" height="90"></video>'
    source = project({"index.html": PAGE.format(body=video, script=""), "flash.mp4": (tmp_path / "flash.mp4").read_bytes()})
    output, manifest = rendered(source, tmp_path, "video.mp4", fps=25)
    [track] = manifest.audio
    assert (track.rate, track.media_start) == (2.0, 1.0) and track.end == pytest.approx(1.5, abs=0.03)
    with av.open(str(output)) as container:
        bright = [
            float(frame.time or 0) for frame in container.decode(video=0) if frame.to_ndarray(format="gray")[20:80, 100:].mean() > 128
        ]
    heard, _ = decoded(output)
    energy = np.square(heard)
    middle = float((energy * np.arange(len(energy))).sum() / energy.sum()) / RATE
    assert (bright[0] + bright[-1]) / 2 + 0.02 == pytest.approx(0.85, abs=0.04)
    assert middle == pytest.approx(0.85, abs=0.04)


def test_a_sound_that_cannot_be_is_refused_by_the_plan(project: Project, tmp_path: Path, toolset: Toolset) -> None:
    silent = tmp_path / "silent.mp4"
    command = [str(toolset.ffmpeg.path), "-loglevel", "error", "-f", "lavfi", "-i", "color=red:s=64x36:d=1", str(silent)]
    subprocess.run(command, check=True)
    body = '<video id="clip" src="silent.mp4" data-start="0" data-has-audio="true"></video>'
    source = project({"index.html": PAGE.format(body=body, script=""), "silent.mp4": silent.read_bytes()})
    with pytest.raises(RenderError, match=r'<video id="clip"> in index.html: .silent.mp4. has no sound') as caught:
        planned(source, tmp_path / "plan")
    assert caught.value.code is ErrorCode.MEDIA_UNREADABLE


def test_nothing_that_is_heard_means_no_sound(project: Project, tmp_path: Path) -> None:
    body = '<audio src="tone.wav" data-start="0" muted></audio><audio src="tone.wav" data-start="0" data-media-start="5"></audio>'
    source = project({"index.html": PAGE.format(body=body, script=""), "tone.wav": wav(tmp_path, tone(1))})
    assert not planned(source, tmp_path / "plan").has_audio
