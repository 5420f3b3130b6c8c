"""Videos whose frames carry their own number as black and white bars, and reading the number back from a picture."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, BITS = 128, 72, 8


def make_video(ffmpeg: Path, out: Path, frames: int, *options: str, rate: str = "30") -> Path:
    """Frames 0, 1, 2… at `rate`, encoded as `options` say (the output's, of ffmpeg)."""
    pictures = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    bar = WIDTH // BITS
    for number in range(frames):
        for bit in range(BITS):
            pictures[number, :, bit * bar : (bit + 1) * bar] = 255 * (number >> bit & 1)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", rate, "-i", "-"]
    command = [str(ffmpeg), "-v", "error", "-y", *source, *options, str(out)]
    subprocess.run(command, input=pictures.tobytes(), check=True)
    return out


H264 = ("-c:v", "libx264", "-g", "12", "-bf", "3", "-pix_fmt", "yuv420p")
"""Key frames every 12 frames, with reordered ones between."""


def number_in(picture: NDArray[np.uint8], corners: Sequence[int] | None = None) -> int:
    """The number in a picture, or in its part (left, top, right, bottom)."""
    left, top, right, bottom = corners or (0, 0, picture.shape[1], picture.shape[0])
    middle = picture[(top + bottom) // 2, left:right, :3].mean(axis=1)
    bar = (right - left) / BITS
    return sum(1 << bit for bit in range(BITS) if middle[int((bit + 0.5) * bar)] > 128)
