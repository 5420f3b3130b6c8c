"""Make films and sounds for the conformance projects: binaries have no place in the repository."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SAMPLE_RATE = 48_000

_BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
_OPAQUE = ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-qp", "4", "-pix_fmt", "yuv420p", *_BT709)
_CODECS = {
    ".mp4": _OPAQUE,
    ".webm": ("-c:v", "libvpx-vp9", "-lossless", "1", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"),
    ".mov": ("-vf", "scale=out_color_matrix=bt709", "-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", *_BT709),
}

SHORT = 0.21
"""Seconds of `short.wav`, in which the tone of 440 Hz does not fit a whole number of times: a loop shows."""


def write_media(folder: Path, ffmpeg: Path) -> None:
    """Every film and sound that the projects name, at 25 frames a second."""
    folder.mkdir(parents=True, exist_ok=True)
    _film(ffmpeg, folder / "long.mp4", [numbered(number) for number in range(60)])
    _film(ffmpeg, folder / "short.mp4", [numbered(number) for number in range(10)])
    bars = np.zeros((40, 80, 4), np.uint8)
    bars[:, :20], bars[:, 20:40], bars[:, 40:60], bars[:, 60:] = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 255)
    _film(ffmpeg, folder / "colours.mp4", [bars] * 30)
    half = np.zeros((40, 80, 4), np.uint8)
    half[:, :40] = (255, 0, 0, 255)
    for suffix in (".webm", ".mov"):
        _film(ffmpeg, folder / f"alpha{suffix}", [half] * 30)
    _uneven(ffmpeg, folder / "long.mp4", folder / "uneven.mp4")
    _film(ffmpeg, folder / "lying.mp4", [np.rot90(numbered(number)) for number in range(30)])
    upright = ["-display_rotation", "-90", "-i", str(folder / "lying.mp4"), "-c", "copy", str(folder / "turned.mp4")]
    subprocess.run([str(ffmpeg), "-v", "error", "-y", *upright], check=True)
    for hertz in (440, 880):
        _tone(folder / f"{hertz}.wav", hertz)
    _tone(folder / "short.wav", 440, SHORT)


def numbered(number: int) -> NDArray[np.uint8]:
    """160 by 20 pixels in eight squares: the number in binary, lowest bit first, and a black one at the end."""
    picture = np.full((20, 160, 4), 255, np.uint8)
    for bit in range(8):
        if bit == 7 or number >> bit & 1:
            picture[:, 20 * bit : 20 * bit + 20, :3] = 0
    return picture


def _film(ffmpeg: Path, path: Path, frames: list[NDArray[np.uint8]]) -> None:
    height, width, _ = frames[0].shape
    source = ["-f", "rawvideo", "-pix_fmt", "rgba", "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    command = [str(ffmpeg), "-v", "error", "-y", *source, *_CODECS[path.suffix], str(path)]
    subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), check=True)


def is_kept(number: int) -> bool:
    """Whether `uneven.mp4`, a film of variable rate, has this frame of `long.mp4`."""
    return number % 3 == 0 or number % 4 == 0


def _uneven(ffmpeg: Path, source: Path, path: Path) -> None:
    chain = "select='not(mod(n,3)*mod(n,4))',settb=1/12800"
    command = [str(ffmpeg), "-v", "error", "-y", "-i", str(source), "-vf", chain, "-fps_mode", "vfr", *_OPAQUE[2:], str(path)]
    subprocess.run(command, check=True)


def wave_form(seconds: NDArray[np.float64], hertz: int) -> NDArray[np.float64]:
    """The tone of `<hertz>.wav` at these moments of the file."""
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * seconds), dtype=np.float64)


def _tone(path: Path, hertz: int, length: float = 1.0) -> None:
    seconds = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (32767 * wave_form(seconds, hertz)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def write_gif(path: Path) -> None:
    """Three pictures with a box that steps by 60 pixels. They change 20 ms from any frame: Chromium takes them up to 1/60 s early."""
    pictures = []
    for number in range(3):
        picture = Image.new("P", (320, 30), 0)
        picture.putpalette([255, 255, 255, 0, 0, 0])
        ImageDraw.Draw(picture).rectangle((number * 60, 5, number * 60 + 19, 24), fill=1)
        pictures.append(picture)
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[300, 320, 320], loop=0)
