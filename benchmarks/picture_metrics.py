"""Differences between two videos' pictures: PSNR of the decoded planes, SSIM of the luma, and the worst frames.

A video with alpha is measured over white, with its alpha as one more plane: colours that are invisible do not count.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

EQUAL_DB = 100.0
"""Value for equal pictures, since JSON has no infinity."""

_WINDOW = 8
"""Side of SSIM's square windows, in pixels."""

_AMPLIFIED = 8
"""Factor by which the third picture of a comparison amplifies the difference."""

Plane = NDArray[np.uint8]
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """One decoded frame: its 8-bit planes (4:2:0, then alpha if it has one), and the same as RGB."""

    planes: tuple[Plane, ...]
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class WorstFrame:
    """One of the frames that differ most."""

    number: int
    psnr: float
    ours: NDArray[np.uint8]
    theirs: NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write reference, ours and the amplified difference side by side."""
        difference = np.abs(self.ours.astype(np.int16) - self.theirs.astype(np.int16)) * _AMPLIFIED
        strips = [self.theirs, self.ours, difference.clip(0, 255).astype(np.uint8)]
        Image.fromarray(np.concatenate(strips, axis=1)).save(path)


@dataclass(frozen=True)
class PictureDifference:
    """Frame counts of both, and the metrics of the frames that both have. PSNR in dB, SSIM from -1 to 1."""

    our_frames: int
    their_frames: int
    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    psnr_mean: float = EQUAL_DB
    """PSNR of the mean squared error of all frames: equal frames do not outweigh a wrong one."""
    worst: list[WorstFrame] = field(default_factory=list)
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    """Sizes (width, height) of ours and theirs if they differ; then nothing was compared."""

    @property
    def psnr_min(self) -> float:
        """PSNR of the worst frame."""
        return min(self.psnr, default=EQUAL_DB)

    @property
    def ssim_mean(self) -> float:
        """Mean SSIM over the frames."""
        return float(np.mean(self.ssim)) if self.ssim else 1.0

    @property
    def ssim_min(self) -> float:
        """SSIM of the worst frame."""
        return min(self.ssim, default=1.0)


def compare_pictures(ours: Path, theirs: Path, *, worst: int = 3) -> PictureDifference:
    """Compare frames by number, not by time: the streams' own facts show their timing."""
    psnr: list[float] = []
    ssim: list[float] = []
    errors: list[float] = []
    kept: list[tuple[float, int, WorstFrame]] = []
    counts = [0, 0]
    for number, (our, their) in enumerate(zip_longest(pictures(ours), pictures(theirs))):
        counts[0] += our is not None
        counts[1] += their is not None
        if our is None or their is None:
            continue
        if our.rgb.shape != their.rgb.shape:
            sizes = (our.rgb.shape[1], our.rgb.shape[0]), (their.rgb.shape[1], their.rgb.shape[0])
            return PictureDifference(0, 0, psnr_mean=0.0, sizes=sizes)
        error = mean_squared_error(our.planes, their.planes)
        errors.append(error)
        psnr.append(decibels(error))
        ssim.append(structural_similarity(our.planes[0], their.planes[0]))
        frame = WorstFrame(number, psnr[-1], our.rgb, their.rgb)
        if len(kept) < worst:
            heapq.heappush(kept, (error, number, frame))
        elif error > kept[0][0]:
            heapq.heapreplace(kept, (error, number, frame))
    found = [frame for _, _, frame in sorted(kept, key=lambda entry: -entry[0]) if frame.psnr < EQUAL_DB]
    mean = decibels(float(np.mean(errors))) if errors else EQUAL_DB
    return PictureDifference(counts[0], counts[1], psnr, ssim, mean, found)


def pictures(video: Path) -> Iterator[Picture]:
    """Yield the frames of the first video stream as 8-bit 4:2:0 and as RGB."""
    for frame in _frames(video):
        alpha: tuple[Plane, ...] = ()
        if any(component.is_alpha for component in frame.format.components):
            rgba = frame.to_ndarray(format="rgba")
            alpha = (np.ascontiguousarray(rgba[..., 3]),)
            cover = rgba[..., 3:].astype(np.float64) / 255
            frame = av.VideoFrame.from_ndarray(np.rint(rgba[..., :3] * cover + 255 * (1 - cover)).astype(np.uint8), format="rgb24")
        stacked = np.asarray(frame.reformat(format="yuv420p").to_ndarray(), dtype=np.uint8)
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        yield Picture((*_planes(stacked, frame.width, frame.height), *alpha), rgb)


def _frames(video: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        if "1" not in (stream.metadata.get("alpha_mode"), stream.metadata.get("ALPHA_MODE")):
            yield from container.decode(video=0)
            return
        # FFmpeg's own VP9 decoder ignores the separate alpha.
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(stream):
            yield from decoder.decode(packet if packet.size else None)


def _planes(stacked: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    flat, luma, chroma = stacked.reshape(-1), width * height, (width // 2) * (height // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma : luma + 2 * chroma].reshape(height // 2, width // 2),
    )


def mean_squared_error(ours: tuple[Plane, ...], theirs: tuple[Plane, ...]) -> float:
    """Return the error over all samples of all planes, weighted as in ffmpeg's psnr filter: luma counts four times a 4:2:0 chroma plane."""
    total = sum(float(np.square(our.astype(np.float64) - their).sum()) for our, their in zip(ours, theirs, strict=True))
    return total / sum(plane.size for plane in ours)


def decibels(error: float) -> float:
    """Return the PSNR of a mean squared error of 8-bit samples; `EQUAL_DB` for none."""
    return EQUAL_DB if error <= 0 else min(EQUAL_DB, float(10 * np.log10(255.0**2 / error)))


def structural_similarity(ours: Plane, theirs: Plane) -> float:
    """Return the mean SSIM (Wang et al. 2004) over square windows with the usual constants; 1 for equal planes."""
    first, second = ours.astype(np.float64), theirs.astype(np.float64)
    mean_1, mean_2 = _windowed(first), _windowed(second)
    variance_1 = _windowed(first * first) - mean_1 * mean_1
    variance_2 = _windowed(second * second) - mean_2 * mean_2
    covariance = _windowed(first * second) - mean_1 * mean_2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    return float((likeness / ((mean_1 * mean_1 + mean_2 * mean_2 + c1) * (variance_1 + variance_2 + c2))).mean())


def _windowed(values: Samples) -> Samples:
    """Return the mean of every window, from a summed-area table."""
    side = min(_WINDOW, *values.shape)
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    table[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    sums = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    return np.asarray(sums / side**2)
