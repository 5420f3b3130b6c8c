"""One project with every kind of asset: source video, sound, a bundled font, a library of a content network, captions.

ffmpeg and formulas make its media when a test asks for them.
"""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SECONDS, FPS, WIDTH, HEIGHT = 1.5, 24, 320, 180
TONE_FROM, TONE_TO, HERTZ = 0.5, 1.25, 440
"""Start, end (seconds) and pitch of the tone."""
CLIP_FROM, CLIP_SKIPS = 0.25, 0.5
"""Start of the video in the composition, and the part skipped at its beginning; seconds."""
CLIP = (0, 0, 128, 72)
"""Edges of the video: left, top, right, bottom."""
BOX_TOP, BOX_SIDE, BOX_WAY = 110, 30, 240
"""The box that the library moves from left to right over the whole composition."""

_BITS = 8
_SAMPLE_RATE = 48_000
_PAGE = f"""<!doctype html>
<html><head><meta charset="utf-8"><script src="https://cdn.jsdelivr.net/npm/gsap@3.12.5/dist/gsap.min.js"></script>
<style>
  body {{ margin: 0; }}
  [data-composition-id] {{ position: relative; width: {WIDTH}px; height: {HEIGHT}px; overflow: hidden; }}
  video {{ position: absolute; left: 0; top: 0; width: {CLIP[2]}px; height: {CLIP[3]}px; }}
  #box {{ position: absolute; left: 0; top: {BOX_TOP}px; width: {BOX_SIDE}px; height: {BOX_SIDE}px; background: #f00; }}
  #word {{ position: absolute; left: 150px; top: 10px; font: 40px "League Gothic"; color: #00f; white-space: nowrap; }}
</style></head><body>
<div data-composition-id="media" data-start="0" data-duration="{SECONDS}" data-width="{WIDTH}" data-height="{HEIGHT}" data-fps="{FPS}">
  <video id="clip" src="media/numbered.mp4" data-start="{CLIP_FROM}" data-media-start="{CLIP_SKIPS}" data-duration="1" muted></video>
  <audio id="tone" src="media/tone.wav" data-start="{TONE_FROM}" data-duration="{TONE_TO - TONE_FROM}"></audio>
  <div id="word"></div>
  <div id="box"></div>
</div>
<script>
  document.getElementById("word").textContent = (window.__hyperframes.getVariables().word || "MMMM").slice(0, 4);
  const timeline = gsap.timeline({{ paused: true }});
  timeline.to("#box", {{ x: {BOX_WAY}, duration: {SECONDS}, ease: "none" }});
  window.__timelines = {{ media: timeline }};
</script></body></html>
"""
_CAPTIONS = "WEBVTT\n\n00:00.500 --> 00:01.250\nEin Ton\n"


def write_project(folder: Path, ffmpeg: Path) -> Path:
    """Create `folder` and write the project into it."""
    (folder / "media").mkdir(parents=True)
    (folder / "index.html").write_text(_PAGE)
    (folder / "captions.de.vtt").write_text(_CAPTIONS)
    _write_numbered(folder / "media" / "numbered.mp4", ffmpeg, 48)
    _write_tone(folder / "media" / "tone.wav", 1.0)
    return folder


def clip_number(frame: int) -> int | None:
    """Return the number of the video's picture in output frame `frame`, or None."""
    skipped = round((frame / FPS - CLIP_FROM + CLIP_SKIPS) * FPS)
    return skipped if CLIP_FROM <= frame / FPS < CLIP_FROM + 1 else None


def number_in(picture: NDArray[np.uint8]) -> int:
    """Read the number that the video shows in a picture of the output."""
    left, top, right, bottom = CLIP
    middle = picture[(top + bottom) // 2, left:right, :3].mean(axis=1)
    bar = (right - left) / _BITS
    return sum(1 << bit for bit in range(_BITS) if middle[int((bit + 0.5) * bar)] > 128)


def word_width(picture: NDArray[np.uint8]) -> int:
    """Return the width of the blue word in pixels. League Gothic is half as wide as its fallback."""
    blue = (picture[:80, CLIP[2] :, 2] > 150) & (picture[:80, CLIP[2] :, 0] < 100)
    columns = np.flatnonzero(blue.any(axis=0))
    return int(columns[-1] - columns[0] + 1)


def box_left(picture: NDArray[np.uint8]) -> float:
    """Return the left edge of the box in pixels."""
    row = picture[BOX_TOP + BOX_SIDE // 2].astype(int)
    red = (row[:, 0] > 150) & (row[:, 1] < 100) & (row[:, 2] < 100)
    return float(np.flatnonzero(red).mean()) - (BOX_SIDE - 1) / 2


def _write_numbered(path: Path, ffmpeg: Path, frames: int) -> None:
    """Frames that carry their own number as black and white bars, lowest bit first."""
    _, _, width, height = CLIP
    pictures = np.zeros((frames, height, width, 3), np.uint8)
    bar = width // _BITS
    for number in range(frames):
        for bit in range(_BITS):
            pictures[number, :, bit * bar : (bit + 1) * bar] = 255 * (number >> bit & 1)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-"]
    encoder = ["-c:v", "libx264", "-g", "12", "-bf", "3", "-pix_fmt", "yuv420p"]
    subprocess.run([str(ffmpeg), "-v", "error", *source, *encoder, str(path)], input=pictures.tobytes(), check=True)


def _write_tone(path: Path, seconds: float) -> None:
    times = np.arange(round(_SAMPLE_RATE * seconds)) / _SAMPLE_RATE
    samples = (0.5 * 32767 * np.sin(2 * np.pi * HERTZ * times)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SAMPLE_RATE)
        file.writeframes(samples.tobytes())
