"""The verification gate: compare the finished output with the plan and the captured frames, and refuse it with a precise account.

One ffmpeg run decodes the output to thumbnails, packet checksums and sound levels. `verify` checks codec, colour, spacing and keyframes,
and therefore need not decode.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import AudioTrack
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.gate_frames import (
    Finding,
    FrameNames,
    compare_frames,
    compare_packets,
    compare_with_plan,
    noise_of,
    tolerance_of,
    unlike_plan,
)
from hyperframes_lambda.media.gate_record import ChunkRecord, packet_of, unpack
from hyperframes_lambda.media.gate_sound import compare_levels, decibels, levels_of, read_levels, silent_tracks, with_levels
from hyperframes_lambda.media.process import compile_command, run, serious
from hyperframes_lambda.media.thumbnails import difference, is_blank, read_thumbnails, reduced
from hyperframes_lambda.media.time_map import TimeMap

_REPORTED = 8
"""Most findings in a message; a broken output can have thousands."""

_LOOKS = frozenset({"misplaced", "frozen", "black", "differs"})
"""Kinds of findings that an overly lossy encoder can cause."""

_AUDIO_TOLERANCE = Fraction(1100, 48_000)
"""Largest difference in length of sound and picture, in seconds: one AAC frame of 1024 samples and some rounding."""


@dataclass
class Measured:
    """Findings of one decode of the output."""

    thumbnails: list[bytes] = field(default_factory=list)
    packets: list[str] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    """Peaks of the sound, see `gate_sound`."""
    audio_seconds: Fraction = Fraction(0)
    has_audio: bool = False
    complaints: list[str] = field(default_factory=list)
    """Warnings of the decoders."""


def gate(
    ffmpeg_path: Path,
    output: Path,
    manifest: Manifest,
    records: Sequence[ChunkRecord],
    *,
    mix: Path | None,
    source: Callable[[str], Path],
    decoder: str | None = None,
) -> dict[str, Any]:
    """Check that `output` shows the captured frames and sounds as planned. Return a report, or raise `VERIFICATION_FAILED` with a list.

    `records` are those of the chunks in order (none for sound alone), `mix` is the planned sound as encoded, `source` returns the local
    copy of a key of `Manifest.files`, and `decoder` decodes the video where ffmpeg's own choice would lose its transparency.

    The gate checks that no decoder warns; that there are as many frames as captured, each in its place and like the captured one, and none
    newly black or frozen; that every packet is its segment's; that chunks drew what Plan saw; and that sound is present exactly where
    planned and as long as the picture.
    """
    alpha = any(record.alpha for record in records)
    with tempfile.TemporaryDirectory(prefix=".gate-", dir=output.parent) as folder:
        measured = measure(ffmpeg_path, output, Path(folder), video=bool(records), audio=manifest.has_audio, alpha=alpha, decoder=decoder)
        report: dict[str, Any] = {}
        findings = [Finding("decoding", 0, 0, f"it does not decode cleanly: {line}") for line in measured.complaints]
        if records:
            found, frames = _check_frames(manifest, records, measured, alpha=alpha)
            findings += found
            report |= frames
        found, sound = _check_sound(ffmpeg_path, manifest, measured, mix, source, Path(folder))
        findings += found
    if findings:
        raise refusal(output.name, findings, manifest.config)
    return report | sound


def refusal(what: str, findings: Sequence[Finding], config: RenderConfig) -> RenderError:
    """Return `VERIFICATION_FAILED` with the first of `findings`, and a hint when the request itself may be the cause."""
    more = f"\nand {len(findings) - _REPORTED} more" if len(findings) > _REPORTED else ""
    message = f"{what}: " + "\n".join(finding.text for finding in findings[:_REPORTED]) + more
    hint = None
    if any(finding.kind in _LOOKS for finding in findings):
        if config.bitrate is not None:
            hint = f"At config.bitrate {config.bitrate} the encoder may repeat pictures; use a higher bit rate."
        elif config.crf is not None:
            hint = f"config.crf {config.crf} may lose too much detail; use a smaller number."
    return RenderError(ErrorCode.VERIFICATION_FAILED, message, hint=hint)


def _check_frames(
    manifest: Manifest, records: Sequence[ChunkRecord], measured: Measured, *, alpha: bool
) -> tuple[list[Finding], dict[str, Any]]:
    name = FrameNames(manifest.fps, [chunk.first for chunk in manifest.chunks])
    captured = [thumbnail for record in records for thumbnail in record.thumbnails]
    digests = [digest for record in records for digest in record.digests]
    packets = [packet for record in records for packet in record.packets]
    if len(digests) != manifest.total_frames or len(captured) != manifest.total_frames:
        text = f"{len(digests)} frames and {len(captured)} thumbnails were recorded; planned: {manifest.total_frames}"
        return [Finding("count", 0, manifest.total_frames - 1, text)], {}
    findings = compare_packets(packets, measured.packets, name) if packets else []
    noise = noise_of(captured, measured.thumbnails)
    findings += compare_frames(captured, measured.thumbnails, noise, name, alpha=alpha)
    planned = {sample.frame: unpack(sample.thumbnail, alpha=alpha)[0] for sample in manifest.samples}
    findings += compare_with_plan(planned, captured, name, alpha=alpha)
    report = {
        "DecodedFrames": len(measured.thumbnails),
        "Warnings": 0,
        "FramesCompared": len(captured),
        "DistinctFrames": len(set(digests)),
        "LargestDifference": max(map(difference, captured, measured.thumbnails), default=0),
        "ToleratedDifference": tolerance_of(noise),
        "BlankFrames": sum(is_blank(thumbnail, alpha=alpha) for thumbnail in captured),
        "Seams": len(records) - 1,
        "PacketsIdentical": bool(packets),
        **determinism(manifest, digests),
        "FramesUnlikePlan": unlike_plan(planned, captured),
    }
    return findings, report


def determinism(manifest: Manifest, digests: Sequence[str]) -> dict[str, Any]:
    """Count the frames seen by Plan that the chunks drew byte for byte the same.

    A difference is reported and not refused: a page that accumulates state from frame to frame differs and may still be right, and another
    processor may round differently.
    """
    return {
        "FramesSeenByPlan": len(manifest.samples),
        "FramesAsPlanSawThem": sum(sample.digest == digests[sample.frame] for sample in manifest.samples),
    }


def gate_pictures(manifest: Manifest, records: Sequence[ChunkRecord]) -> dict[str, Any]:
    """Return the report for frames kept as captured. Joining has compared each with its digest, so only their number is checked here."""
    digests = [digest for record in records for digest in record.digests]
    if len(digests) != manifest.total_frames:
        text = f"{len(digests)} frames were recorded; planned: {manifest.total_frames}"
        raise RenderError(ErrorCode.VERIFICATION_FAILED, text)
    return {
        "FramesCompared": len(digests),
        "DistinctFrames": len(set(digests)),
        "Seams": len(records) - 1,
        **determinism(manifest, digests),
    }


def _check_sound(
    ffmpeg_path: Path, manifest: Manifest, measured: Measured, mix: Path | None, source: Callable[[str], Path], folder: Path
) -> tuple[list[Finding], dict[str, Any]]:
    if not manifest.has_audio:
        return [Finding("unplanned sound", 0, 0, "it has sound, the plan has none")] if measured.has_audio else [], {"Audio": False}
    if not measured.has_audio:
        return [Finding("no sound", 0, 0, f"it has no sound; planned: {len(manifest.audio)} tracks")], {"Audio": False}
    findings = []
    seconds = manifest.total_frames / manifest.fps
    if abs(measured.audio_seconds - seconds) > _AUDIO_TOLERANCE:
        text = f"its sound lasts {float(measured.audio_seconds):.3f} s; planned: {float(seconds):.3f} s"
        findings.append(Finding("duration", 0, 0, text))
    expected = measured.levels if mix is None else levels_of(ffmpeg_path, mix, folder / "mix")
    findings += compare_levels(expected, measured.levels)

    def source_level(track: AudioTrack, start: float, end: float) -> float:
        played = TimeMap.of(track)
        begin, until = (track.media_start + float(played.source(Fraction(moment - track.start))) for moment in (start, end))
        # A looping track returns to its in-point, so everything after that counts.
        window = (track.media_start, None) if track.loop else (begin, until - begin)
        return max(levels_of(ffmpeg_path, source(track.file), folder / "source", start=window[0], seconds=window[1]), default=-math.inf)

    findings += silent_tracks(manifest.audio, expected, source_level)
    return findings, {
        "Audio": True,
        "AudioDuration": round(float(measured.audio_seconds), 6),
        "AudioPeak": decibels(max(measured.levels, default=-math.inf)),
        "AudioTracks": len(manifest.audio),
    }


def measure(ffmpeg_path: Path, output: Path, folder: Path, *, video: bool, audio: bool, alpha: bool, decoder: str | None) -> Measured:
    """Decode `output` once; with `audio`, its sound too. Scratch files go into `folder`."""
    measured = Measured()
    options = {} if decoder is None else {"c:v": decoder}
    opened = ffmpeg.input(str(output), **options)
    thumbnails, levels = folder / "thumbnails", folder / "levels"
    listed, codecs, outputs = [], {}, []
    if video:
        listed.append(opened["v:0"])
        codecs["c:v"] = "copy"
        outputs.append(reduced(opened["v:0"], alpha=alpha).output(str(thumbnails), format="rawvideo", fps_mode="passthrough"))
    if audio:
        listed.append(with_levels(opened["a:0"], levels))
        codecs["c:a"] = "pcm_s16le"
    listing = _Listing(video=video)
    outputs.append(ffmpeg.output(*listed, "pipe:1", format="framecrc", **codecs))
    command = compile_command(ffmpeg.merge_outputs(*outputs), ffmpeg_path, log_level="info")
    try:
        log = run(command, purpose=f"decoding {output.name}", on_line=listing.add)
    except RenderError as error:
        if error.code is not ErrorCode.ENCODER_FAILED:
            raise
        if "matches no streams" in error.message and audio:
            return measure(ffmpeg_path, output, folder, video=video, audio=False, alpha=alpha, decoder=decoder)
        raise RenderError(ErrorCode.VERIFICATION_FAILED, f"{output.name}: {error.message}") from error
    own = log[: next((number for number, line in enumerate(log) if "Output #0" in line), len(log))]
    measured.has_audio = any("Stream #0:" in line and ": Audio:" in line for line in own)
    # The scaler warns about slow pixel formats, which says nothing about the file.
    measured.complaints = [line for line in serious(log) if "[swscaler]" not in line][:3]
    measured.packets, measured.audio_seconds = listing.packets, listing.audio_seconds
    measured.thumbnails = read_thumbnails(thumbnails, alpha=alpha) if video else []
    measured.levels = read_levels(levels)
    return measured


class _Listing:
    """Reads the framecrc listing: video packets, and the length of the decoded sound."""

    def __init__(self, *, video: bool) -> None:
        self.packets: list[str] = []
        self.audio_seconds = Fraction(0)
        self._audio = "1" if video else "0"
        self._time_base = Fraction(1)

    def add(self, line: str) -> None:
        """Read a line."""
        if line.startswith(f"#tb {self._audio}: "):
            self._time_base = Fraction(line.split(": ", 1)[1])
        packet = packet_of(line)
        if packet is None:
            return
        if line.startswith(f"{self._audio},"):
            self.audio_seconds += int(line.split(",")[3]) * self._time_base
        else:
            self.packets.append(packet)
