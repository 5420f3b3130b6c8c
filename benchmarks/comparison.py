"""The comparison of a project's two renders: measurements, thresholds, and the table to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from picture_metrics import EQUAL_DB, PictureDifference, compare_pictures
from sound_metrics import SoundDifference, compare_sound
from stream_facts import duration_of, facts

PSNR_MEAN, PSNR_MIN = 40.0, 30.0
CORRELATION = 0.98


@dataclass(frozen=True)
class Comparison:
    """The two renders of one project; `failure` explains why one is missing."""

    name: str
    failure: str | None = None
    durations: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    """Seconds of the video streams: ours, the reference's."""
    picture: PictureDifference = field(default_factory=lambda: PictureDifference(0, 0))
    sound: SoundDifference = field(default_factory=lambda: SoundDifference(False, False))
    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    worst_frames: list[str] = field(default_factory=list)
    """Files of the frames that differ most: reference, ours, amplified difference."""

    @property
    def complaints(self) -> list[str]:
        """The measurements outside the thresholds, in words."""
        if self.failure is not None:
            return [self.failure]
        picture, sound = self.picture, self.sound
        if picture.sizes is not None:
            return [f"ours is {picture.sizes[0][0]}x{picture.sizes[0][1]}, the reference {picture.sizes[1][0]}x{picture.sizes[1][1]}"]
        found = []
        if picture.our_frames != picture.their_frames:
            found.append(f"{picture.our_frames} frames, the reference has {picture.their_frames}")
        frame = self.durations[0] / max(1, picture.our_frames)
        # Rounding to different time bases never amounts to half a frame.
        if abs(self.durations[0] - self.durations[1]) > frame / 2:
            found.append(f"{float(self.durations[0]):.4f} s, the reference has {float(self.durations[1]):.4f} s")
        if picture.psnr_mean < PSNR_MEAN:
            found.append(f"mean PSNR {picture.psnr_mean:.1f} dB is under {PSNR_MEAN:.0f}")
        if picture.psnr_min < PSNR_MIN:
            found.append(f"frame {picture.psnr.index(picture.psnr_min)} has {picture.psnr_min:.1f} dB, under {PSNR_MIN:.0f}")
        if sound.ours != sound.theirs:
            found.append("only ours has sound" if sound.ours else "only the reference has sound")
        elif sound.correlation < CORRELATION:
            found.append(f"the sound's correlation is {sound.correlation:.3f}, under {CORRELATION}")
        if abs(sound.lag) >= float(frame):
            found.append(f"the sound is {sound.lag * 1000:+.1f} ms off")
        return found

    @property
    def alike(self) -> bool:
        """Whether everything is within the thresholds."""
        return not self.complaints

    def as_json(self) -> dict[str, Any]:
        """Return everything for machines. Durations and lag are in seconds, PSNR and gain in dB."""
        if self.failure is not None:
            return {"name": self.name, "alike": False, "complaints": self.complaints}
        picture, sound = self.picture, self.sound
        return {
            "name": self.name,
            "alike": self.alike,
            "complaints": self.complaints,
            "frames": {"ours": picture.our_frames, "reference": picture.their_frames},
            "seconds": {"ours": float(self.durations[0]), "reference": float(self.durations[1])},
            "psnr": {"mean": round(picture.psnr_mean, 2), "min": round(picture.psnr_min, 2), "frames": [round(v, 2) for v in picture.psnr]},
            "ssim": {
                "mean": round(picture.ssim_mean, 5),
                "min": round(picture.ssim_min, 5),
                "frames": [round(v, 5) for v in picture.ssim],
            },
            "worst": self.worst_frames,
            "sound": {
                "ours": sound.ours,
                "reference": sound.theirs,
                "correlation": round(sound.correlation, 5),
                "lag": round(sound.lag, 6),
                "gain": round(sound.gain, 3),
            },
            "streams": self.streams,
        }


def compare(name: str, ours: Path, theirs: Path, folder: Path) -> Comparison:
    """Measure two finished videos, and write the worst frames into `folder`."""
    picture = compare_pictures(ours, theirs)
    files = []
    for frame in picture.worst:
        file = folder / f"frame-{frame.number:06d}.png"
        frame.save(file)
        files.append(str(file))
    return Comparison(
        name=name,
        durations=(duration_of(ours), duration_of(theirs)),
        picture=picture,
        sound=compare_sound(ours, theirs),
        streams={"ours": facts(ours), "reference": facts(theirs)},
        worst_frames=files,
    )


def failed(name: str, why: str) -> Comparison:
    """Return the comparison of a project with fewer than two videos."""
    return Comparison(name, failure=why)


def table(found: Sequence[Comparison]) -> str:
    """Return a row per project, then the complaints, then the facts of the streams."""
    head = ["project", "frames", "seconds", "PSNR mean", "min (frame)", "SSIM mean", "min", "sound", "lag ms", "gain dB", "verdict"]
    lines = _aligned([head, *(_row(comparison) for comparison in found)])
    for comparison in found:
        if comparison.complaints or comparison.streams:
            lines += ["", comparison.name]
        lines += [f"  outside: {complaint}" for complaint in comparison.complaints]
        lines += [f"  look at: {file}" for file in comparison.worst_frames if comparison.complaints]
        if comparison.streams:
            lines += [f"  {line}" for line in _aligned([["", "ours", "reference"], *_facts(comparison.streams)])]
    return "\n".join(lines) + "\n"


def _row(comparison: Comparison) -> list[str]:
    if comparison.failure is not None:
        return [comparison.name, *["-"] * 9, "FAILED"]
    picture, sound = comparison.picture, comparison.sound
    frames = (picture.our_frames, picture.their_frames)
    seconds = [f"{float(value):.3f}" for value in comparison.durations]
    worst = picture.psnr.index(picture.psnr_min) if picture.psnr else 0
    heard = (
        [f"{sound.correlation:.4f}", f"{sound.lag * 1000:+.2f}", f"{sound.gain:+.2f}"] if sound.ours or sound.theirs else ["-", "-", "-"]
    )
    return [
        comparison.name,
        str(frames[0]) if frames[0] == frames[1] else f"{frames[0]}/{frames[1]}",
        seconds[0] if seconds[0] == seconds[1] else "/".join(seconds),
        decibel_text(picture.psnr_mean),
        f"{decibel_text(picture.psnr_min)} ({worst})",
        f"{picture.ssim_mean:.5f}",
        f"{picture.ssim_min:.5f}",
        *heard,
        "alike" if comparison.alike else "DIFFERENT",
    ]


def decibel_text(value: float) -> str:
    """Return a PSNR as a cell of a table."""
    return "equal" if value >= EQUAL_DB else f"{value:.1f}"


def _facts(streams: dict[str, dict[str, Any]]) -> list[list[str]]:
    ours, theirs = (_flat(streams[side]) for side in ("ours", "reference"))
    return [[name, ours.get(name, "-"), theirs.get(name, "-")] for name in dict.fromkeys([*ours, *theirs])]


def _flat(facts_of: dict[str, Any]) -> dict[str, str]:
    flat = {name: str(value) for name, value in facts_of.items() if name != "streams"}
    for stream in facts_of["streams"]:
        flat |= {f"{stream['type']} {name}": str(value) for name, value in stream.items() if name != "type"}
    return flat


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
