"""Segments join without a seam, colours survive, and nothing but the planned video passes verification. Real ffmpeg throughout."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hyperframes_lambda.contract.chunks import plan_chunks
from hyperframes_lambda.contract.config import Quality
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import FRAME_RATES
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.codecs import track_timescale
from hyperframes_lambda.media.concat import concatenate
from hyperframes_lambda.media.encode import RateControl, SegmentEncoder
from hyperframes_lambda.media.process import failure
from hyperframes_lambda.media.verify import verify_video

WIDTH, HEIGHT = 128, 72
DRAFT = RateControl.of(Quality.DRAFT)


@pytest.fixture(scope="module")
def ffmpeg(toolset: Toolset) -> Path:
    return toolset.ffmpeg.path


def picture(frame: int, width: int = WIDTH, height: int = HEIGHT, mode: str = "RGB") -> bytes:
    """Stripes that move, and the frame's number in eight black or white squares along the top."""
    image = Image.new(mode, (width, height), (40, 60, 90) if mode == "RGB" else (40, 60, 90, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((frame % width, height // 2, frame % width + 20, height - 8), fill="orange")
    for bit in range(8):
        draw.rectangle((bit * 16, 0, bit * 16 + 15, 15), fill="white" if frame >> bit & 1 else "black")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def number_in(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    return sum(int(pixels[8, bit * 16 + 8].mean() > 127) << bit for bit in range(8))


def encode(ffmpeg: Path, out: Path, first: int, frames: int, fps: Fraction, rate: RateControl = DRAFT) -> Path:
    with SegmentEncoder(ffmpeg, out, fps=fps, width=WIDTH, height=HEIGHT, frames=frames, rate=rate) as encoder:
        for frame in range(first, first + frames):
            encoder.write(picture(frame))
    return out


def joined(ffmpeg: Path, folder: Path, total: int, chunk_size: int, fps: Fraction, rate: RateControl = DRAFT) -> tuple[Path, list[int]]:
    chunks = plan_chunks(total, chunk_size, 1000)
    segments = [encode(ffmpeg, folder / f"{chunk.index}.mp4", chunk.first, chunk.frames, fps, rate) for chunk in chunks]
    out = folder / "out.mp4"
    concatenate(ffmpeg, segments, out, fps=fps)
    return out, [chunk.first for chunk in chunks]


@pytest.mark.parametrize(("chunk_size", "segments"), [(42, 1), (11, 4), (6, 7)])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30), Fraction(60), Fraction(30000, 1001)], ids=str)
def test_segments_join_to_every_frame_evenly_spaced(
    ffmpeg: Path,
    tmp_path: Path,
    packets: Callable[[Path], Any],
    decoded: Callable[..., Iterator[Any]],
    fps: Fraction,
    chunk_size: int,
    segments: int,
) -> None:
    out, starts = joined(ffmpeg, tmp_path, 42, chunk_size, fps)
    assert len(starts) == segments
    summary = verify_video(ffmpeg, out, fps=fps, frames=42, width=WIDTH, height=HEIGHT, segment_starts=starts)
    assert summary["Frames"] == summary["DecodedFrames"] == 42
    assert summary["Keyframes"] == segments
    seen = packets(out)
    assert seen.times == [frame / fps for frame in range(42)]
    assert seen.duration == 42 / fps
    assert seen.keyframes == set(starts)
    assert seen.warnings == ""
    assert [number_in(pixels) for pixels in decoded(out, WIDTH, HEIGHT)] == list(range(42))


@pytest.mark.parametrize("quality", list(Quality))
def test_a_last_chunk_of_one_frame_joins_like_any_other(
    ffmpeg: Path, tmp_path: Path, packets: Callable[[Path], Any], quality: Quality
) -> None:
    fps = Fraction(30)
    out, starts = joined(ffmpeg, tmp_path, 21, 10, fps, RateControl.of(quality))
    assert starts == [0, 10, 20]
    verify_video(ffmpeg, out, fps=fps, frames=21, width=WIDTH, height=HEIGHT, segment_starts=starts)
    assert packets(out).warnings == ""


def test_many_short_ntsc_segments_do_not_drift(ffmpeg: Path, tmp_path: Path, packets: Callable[[Path], Any]) -> None:
    fps = Fraction(24000, 1001)
    short = encode(ffmpeg, tmp_path / "short.mp4", 0, 7, fps)
    concatenate(ffmpeg, [short] * 150, tmp_path / "out.mp4", fps=fps)
    assert packets(tmp_path / "out.mp4").times == [frame / fps for frame in range(1050)]


@pytest.mark.parametrize("fps", FRAME_RATES, ids=str)
def test_every_frame_time_is_a_whole_number_of_ticks(fps: Fraction) -> None:
    assert (track_timescale(fps) / fps).denominator == 1


@pytest.mark.parametrize(("quality", "tolerance"), [(Quality.DRAFT, 4), (Quality.STANDARD, 2), (Quality.HIGH, 2)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (255, 255, 255), (0, 0, 0), (18, 52, 86)])
def test_colours_survive(
    ffmpeg: Path, tmp_path: Path, decoded: Callable[..., Iterator[Any]], colour: tuple[int, int, int], quality: Quality, tolerance: int
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), colour).save(buffer, "PNG")
    out, rate = tmp_path / "colour.mp4", RateControl.of(quality)
    with SegmentEncoder(ffmpeg, out, fps=Fraction(30), width=WIDTH, height=HEIGHT, frames=2, rate=rate) as encoder:
        encoder.write(buffer.getvalue())
        encoder.write(buffer.getvalue())
    for pixels in decoded(out, WIDTH, HEIGHT):
        assert np.abs(pixels.astype(int) - np.array(colour)).max() <= tolerance


def test_frames_with_and_without_alpha_mix_in_one_segment(ffmpeg: Path, tmp_path: Path, decoded: Callable[..., Iterator[Any]]) -> None:
    out = tmp_path / "mixed.mp4"
    with SegmentEncoder(ffmpeg, out, fps=Fraction(30), width=WIDTH, height=HEIGHT, frames=6, rate=DRAFT) as encoder:
        for frame in range(6):
            encoder.write(picture(frame, mode="RGBA" if frame % 2 else "RGB"))
    assert [number_in(pixels) for pixels in decoded(out, WIDTH, HEIGHT)] == list(range(6))


def test_crf_and_bitrate_override_the_ladder(ffmpeg: Path, tmp_path: Path) -> None:
    fps = Fraction(30)
    sizes = [
        encode(ffmpeg, tmp_path / f"{number}.mp4", 0, 30, fps, rate).stat().st_size
        for number, rate in enumerate([RateControl.of(Quality.DRAFT, crf=5), DRAFT, RateControl.of(Quality.DRAFT, crf=50)])
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    low = encode(ffmpeg, tmp_path / "low.mp4", 0, 30, fps, RateControl.of(Quality.DRAFT, bitrate="50k")).stat().st_size
    high = encode(ffmpeg, tmp_path / "high.mp4", 0, 30, fps, RateControl.of(Quality.DRAFT, bitrate="2M")).stat().st_size
    assert low < high


def test_verification_refuses_a_truncated_file(ffmpeg: Path, tmp_path: Path) -> None:
    fps = Fraction(30)
    out, starts = joined(ffmpeg, tmp_path, 30, 10, fps)
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(RenderError) as caught:
        verify_video(ffmpeg, out, fps=fps, frames=30, width=WIDTH, height=HEIGHT, segment_starts=starts)
    assert caught.value.code is ErrorCode.VERIFICATION_FAILED
    assert "out.mp4" in caught.value.message


def test_verification_refuses_damaged_pictures(ffmpeg: Path, tmp_path: Path) -> None:
    fps = Fraction(30)
    out, starts = joined(ffmpeg, tmp_path, 30, 10, fps)
    data = bytearray(out.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 400] = os.urandom(400)
    out.write_bytes(data)
    with pytest.raises(RenderError) as caught:
        verify_video(ffmpeg, out, fps=fps, frames=30, width=WIDTH, height=HEIGHT, segment_starts=starts)
    assert caught.value.code is ErrorCode.VERIFICATION_FAILED


def test_verification_says_what_it_found(ffmpeg: Path, tmp_path: Path) -> None:
    fps = Fraction(30)
    segment = encode(ffmpeg, tmp_path / "segment.mp4", 0, 10, fps)
    twice = tmp_path / "twice.mp4"
    concatenate(ffmpeg, [segment, segment], twice, fps=fps)
    plan: dict[str, Any] = {"fps": fps, "frames": 10, "width": WIDTH, "height": HEIGHT, "segment_starts": [0]}

    def found(video: Path, **other: Any) -> str:
        with pytest.raises(RenderError) as caught:
            verify_video(ffmpeg, video, **{**plan, **other})
        assert caught.value.code is ErrorCode.VERIFICATION_FAILED
        return caught.value.message

    assert "20 frames; planned: 10" in found(twice)
    assert "10 frames; planned: 11" in found(segment, frames=11)
    assert "planned: 0.040000 s" in found(segment, fps=Fraction(25))
    assert "planned: h264 yuv420p 64x64" in found(segment, width=64, height=64)
    assert "frame 10 starts a segment" in found(encode(ffmpeg, tmp_path / "one.mp4", 0, 20, fps), frames=20, segment_starts=[0, 10])
    no_video = tmp_path / "text.mp4"
    no_video.write_text("this is no video")
    assert "text.mp4" in found(no_video)
    assert verify_video(ffmpeg, segment, **plan, decode=False)["Frames"] == 10


def test_verification_refuses_an_untagged_video(ffmpeg: Path, tmp_path: Path) -> None:
    (tmp_path / "frame.png").write_bytes(picture(0))
    out = tmp_path / "untagged.mp4"
    subprocess.run(
        [ffmpeg, "-v", "error", "-i", tmp_path / "frame.png", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-r", "30", out], check=True
    )
    with pytest.raises(RenderError, match="colours are tagged"):
        verify_video(ffmpeg, out, fps=Fraction(30), frames=1, width=WIDTH, height=HEIGHT, segment_starts=[0])


def encoder_for(ffmpeg: Path, out: Path, frames: int = 500) -> SegmentEncoder:
    return SegmentEncoder(ffmpeg, out, fps=Fraction(30), width=WIDTH, height=HEIGHT, frames=frames, rate=DRAFT)


def slow_ffmpeg(tmp_path: Path) -> Path:
    """Stands in for an ffmpeg that has stopped reading: the feeding thread fills the pipe and blocks, as the queue then does.

    Its process id comes through a named pipe, of which both ends wait for each other.
    """
    os.mkfifo(tmp_path / "pid")
    script = tmp_path / "ffmpeg-asleep"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    script.chmod(0o755)
    return script


def test_ffmpeg_killed_while_the_writer_blocks_ends_in_encoder_crashed(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    noise = io.BytesIO()
    Image.effect_noise((WIDTH, HEIGHT), 100).save(noise, "PNG")
    blocked = threading.Event()

    def kill_once_blocked() -> None:
        blocked.wait()
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill_once_blocked)
    killer.start()
    written = 0
    with pytest.raises(RenderError) as caught, encoder_for(slow_ffmpeg(tmp_path), out) as encoder:
        for written in range(500):
            if written * len(noise.getvalue()) > 70_000:
                blocked.set()
            encoder.write(noise.getvalue())
    killer.join()
    assert caught.value.code is ErrorCode.ENCODER_CRASHED
    assert "SIGKILL" in caught.value.message
    assert written < 100
    assert list(tmp_path.glob("out*")) == []


def test_a_killed_real_ffmpeg_ends_in_encoder_crashed(ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught, encoder_for(ffmpeg, tmp_path / "out.mp4") as encoder:
        for frame in range(500):
            encoder.write(picture(frame))
            # More than the pipe holds: it has read some, and encodes.
            if frame == 200:
                encoder._ffmpeg.process.terminate()
    assert caught.value.code is ErrorCode.ENCODER_CRASHED
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_disk_full(ffmpeg: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4.part").symlink_to("/dev/full")
    with pytest.raises(RenderError) as caught, encoder_for(ffmpeg, tmp_path / "out.mp4", frames=60) as encoder:
        for frame in range(60):
            encoder.write(picture(frame))
    assert caught.value.code is ErrorCode.DISK_FULL
    assert caught.value.hint is not None
    assert "chunkSize" in caught.value.hint


def test_a_damaged_frame_is_not_skipped(ffmpeg: Path, tmp_path: Path) -> None:
    damaged = bytearray(picture(3))
    damaged[60:90] = bytes(30)
    with pytest.raises(RenderError) as caught, encoder_for(ffmpeg, tmp_path / "out.mp4", frames=6) as encoder:
        for frame in range(6):
            encoder.write(bytes(damaged) if frame == 3 else picture(frame))
    assert caught.value.code is ErrorCode.ENCODER_FAILED
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_refused_by_number(ffmpeg: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(RenderError, match="frame 1 is 64x72 pixels; planned: 128x72") as caught,
        encoder_for(ffmpeg, tmp_path / "out.mp4") as encoder,
    ):
        encoder.write(picture(0))
        encoder.write(picture(1, width=64))
    assert caught.value.code is ErrorCode.VERIFICATION_FAILED


def test_too_few_frames_leave_no_segment(ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="got 2 frames; planned: 3"), encoder_for(ffmpeg, tmp_path / "out.mp4", frames=3) as encoder:
        encoder.write(picture(0))
        encoder.write(picture(1))
    assert list(tmp_path.iterdir()) == []


def test_an_exception_while_capturing_ends_ffmpeg_and_passes_through(ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), encoder_for(ffmpeg, tmp_path / "out.mp4") as encoder:
        encoder.write(picture(0))
        raise ZeroDivisionError
    assert encoder._ffmpeg.process.poll() is not None
    assert list(tmp_path.iterdir()) == []


def test_an_ffmpeg_that_cannot_be_started_is_unavailable(tmp_path: Path) -> None:
    half = tmp_path / "ffmpeg"
    half.write_bytes(b"\x7fELF" + bytes(100))
    half.chmod(0o755)
    for path in (half, tmp_path / "missing"):
        with pytest.raises(RenderError, match="hyperframes-airflow setup") as caught, encoder_for(path, tmp_path / "out.mp4"):
            pass
        assert caught.value.code is ErrorCode.FFMPEG_UNAVAILABLE


@pytest.mark.parametrize(
    ("code", "log", "expected"),
    [
        (-9, [], ErrorCode.ENCODER_CRASHED),
        (-11, ["[error] something odd"], ErrorCode.ENCODER_CRASHED),
        (255, [], ErrorCode.ENCODER_CRASHED),
        (255, ["[png_pipe] [warning] Could not find codec parameters for stream 0"], ErrorCode.ENCODER_CRASHED),
        (255, ["[error] Operation not permitted"], ErrorCode.ENCODER_FAILED),
        (187, ["[error] Unknown encoder 'libx264'"], ErrorCode.ENCODER_FAILED),
        (228, ["[out#0/mp4] [error] Error writing trailer: No space left on device"], ErrorCode.DISK_FULL),
    ],
)
def test_the_exit_code_and_the_log_decide_the_error(code: int, log: list[str], expected: ErrorCode) -> None:
    error = failure("encoding 000003.mp4", code, log)
    assert error.code is expected
    assert "000003.mp4" in error.message
    assert all(line in error.message for line in log)
