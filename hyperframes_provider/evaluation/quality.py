"""How alike two videos are, by the toolset's ffmpeg: peak signal-to-noise ratio over all frames, and of the worst one."""

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
"""Decibels by which the worst frame may be below what all frames together must reach: one wrong frame of many hardly moves the whole."""
_FRAME = re.compile(r"^n:\d+ .*psnr_avg:(\S+)", re.MULTILINE)
_ALL = re.compile(r"PSNR .*average:(\S+)")


class NotComparable(HyperFramesClientError):
    """ffmpeg could not read a video, or the two have nothing in common that could be compared."""

    retryable = False


@dataclass(frozen=True)
class Quality:
    """A video against the one that it should be like. Decibels are None where not a single sample differs."""

    frames: int
    """Compared with each other."""
    psnr_db: float | None
    """Of the mean squared error of all samples of all frames."""
    worst_psnr_db: float | None
    """Of the frame that differs most."""
    worst_frame: int | None

    def shortfall(self, decibels: float) -> str:
        """Why it is not alike enough, empty when it is: all frames together must reach `decibels`, and the worst one 10 dB less."""
        if self.psnr_db is not None and self.psnr_db < decibels:
            return f"PSNR {self.psnr_db:g} dB is below {decibels:g} dB; worst is frame {self.worst_frame} with {self.worst_psnr_db:g} dB"
        if self.worst_psnr_db is not None and self.worst_psnr_db < decibels - _WORST_BELOW:
            return f"frame {self.worst_frame} has PSNR {self.worst_psnr_db:g} dB, which is below {decibels - _WORST_BELOW:g} dB"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The object of `results.json`."""
        return asdict(self)


def compare(video: Path, reference: Path) -> Quality:
    """How much `video` is like `reference`, frame by frame; `NotComparable` when they differ in size or number of frames."""
    counts = frame_count(video), frame_count(reference)
    if counts[0] != counts[1]:
        raise NotComparable(f"{video} has {counts[0]} frames, {reference} has {counts[1]}")
    said = _ffmpeg("-v", "info", "-i", video, "-i", reference, "-lavfi", "[0:v][1:v]psnr=stats_file=-:eof_action=endall", "-f", "null", "-")
    ratios, whole = [_decibels(ratio) for ratio in _FRAME.findall(said.stdout)], _ALL.search(said.stderr)
    if whole is None or len(ratios) != counts[1]:
        raise NotComparable(f"{len(ratios)} of {counts[1]} frames of {video} could be compared")
    different = {number: ratio for number, ratio in enumerate(ratios) if ratio is not None}
    worst = min(different, key=different.__getitem__, default=None)
    return Quality(len(ratios), _decibels(whole[1]), None if worst is None else different[worst], worst)


def frame_count(video: Path) -> int:
    """How many frames can be decoded."""
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
        raise NotComparable("there is no ffmpeg to compare videos with", hint="Bring it: hyperframes-airflow setup")
    command = [str(toolset.ffmpeg.path), "-nostdin", "-hide_banner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise NotComparable(f"ffmpeg could not compare the videos: {done.stderr.strip()[-500:]}")
    return done
