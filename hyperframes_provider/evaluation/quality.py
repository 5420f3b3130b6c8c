"""The similarity of two videos, measured by ffmpeg: peak signal-to-noise ratio of all frames and of the worst one."""

from __future__ import annotations

import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.toolset import read_toolset, toolset_path

_SECONDS = 600.0
_WORST_BELOW = 10.0
"""Decibels by which the worst frame may fall below the threshold. One wrong frame of many hardly changes the overall ratio."""
_FRAME = re.compile(r"^n:\d+ .*psnr_avg:(\S+)", re.MULTILINE)
_ALL = re.compile(r"PSNR .*average:(\S+)")


class NotComparable(HyperFramesClientError):
    """ffmpeg cannot read a video, or the two cannot be compared."""

    retryable = False


@dataclass(frozen=True)
class Quality:
    """The similarity of a video to its reference. Decibels are None if no sample differs."""

    frames: int
    """Number of compared frames."""
    psnr_db: float | None
    """Ratio from the mean squared error of all samples."""
    worst_psnr_db: float | None
    """Ratio of the frame that differs most."""
    worst_frame: int | None

    def shortfall(self, decibels: float) -> str:
        """Return why the video misses the threshold, or an empty string: all frames must reach `decibels`, the worst one 10 dB less."""
        if self.psnr_db is not None and self.psnr_db < decibels:
            return f"PSNR {self.psnr_db:g} dB is below {decibels:g} dB; worst is frame {self.worst_frame} with {self.worst_psnr_db:g} dB"
        if self.worst_psnr_db is not None and self.worst_psnr_db < decibels - _WORST_BELOW:
            return f"frame {self.worst_frame} has PSNR {self.worst_psnr_db:g} dB, below {decibels - _WORST_BELOW:g} dB"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return the object for `results.json`."""
        return asdict(self)


def compare(video: Path, reference: Path) -> Quality:
    """Compare `video` with `reference` frame by frame; raise `NotComparable` if they differ in size or number of frames."""
    counts = frame_count(video), frame_count(reference)
    if counts[0] != counts[1]:
        raise NotComparable(f"{video} has {counts[0]} frames, {reference} has {counts[1]}")
    said = _ffmpeg("-v", "info", "-i", video, "-i", reference, "-lavfi", "[0:v][1:v]psnr=stats_file=-:eof_action=endall", "-f", "null", "-")
    ratios, whole = [_decibels(ratio) for ratio in _FRAME.findall(said.stdout)], _ALL.search(said.stderr)
    if whole is None or len(ratios) != counts[1]:
        raise NotComparable(f"only {len(ratios)} of {counts[1]} frames of {video} are comparable")
    different = {number: ratio for number, ratio in enumerate(ratios) if ratio is not None}
    worst = min(different, key=different.__getitem__, default=None)
    return Quality(len(ratios), _decibels(whole[1]), None if worst is None else different[worst], worst)


def frame_count(video: Path) -> int:
    """Return the number of frames that can be decoded."""
    said = _ffmpeg("-v", "error", "-i", video, "-map", "0:v:0", "-f", "null", "-progress", "-", "-")
    counts = re.findall(r"^frame=\s*(\d+)$", said.stdout, re.MULTILINE)
    if not counts:
        raise NotComparable(f"{video} has no frames")
    return int(counts[-1])


def _decibels(ratio: str) -> float | None:
    return None if ratio == "inf" else float(ratio)


def _ffmpeg(*arguments: object) -> subprocess.CompletedProcess[str]:
    toolset = read_toolset(toolset_path())
    if toolset is None:
        raise NotComparable("ffmpeg, which compares the videos, is missing", hint="Install it: hyperframes-airflow setup")
    command = [str(toolset.ffmpeg.path), "-nostdin", "-hide_banner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise NotComparable(f"ffmpeg cannot compare the videos: {done.stderr.strip()[-500:]}")
    return done
