"""PNG segments and sequences: the captured bytes, complete, in order, or an error that names the frame."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media.png import tagged_srgb
from hyperframes_lambda.media.png_sequence import PngSegment, frame_name, join_to_folder, join_to_tar

SIZE = {"width": 8, "height": 6}


def frame(number: int, size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (number, 20, 30, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def segment(path: Path, first: int, frames: int) -> Path:
    with PngSegment(path, first=first, frames=frames, **SIZE) as writer:
        for number in range(first, first + frames):
            writer.write(frame(number))
    return path


@pytest.fixture
def segments(tmp_path: Path) -> list[Path]:
    return [segment(tmp_path / "0.tar", 0, 5), segment(tmp_path / "1.tar", 5, 5), segment(tmp_path / "2.tar", 10, 2)]


def test_a_tar_holds_the_captured_bytes_under_their_global_numbers(segments: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    summary = join_to_tar(segments, out, frames=12, **SIZE)
    assert summary == {"Frames": 12, "Codec": "png", "Width": 8, "Height": 6, "Intact": True}
    with tarfile.open(out) as tar:
        assert tar.getnames() == [f"{number:06d}.png" for number in range(12)]
        assert [tar.extractfile(name).read() for name in tar.getnames()] == [tagged_srgb(frame(number)) for number in range(12)]  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o644)}


def test_the_same_frames_make_the_same_bytes(segments: list[Path], tmp_path: Path) -> None:
    assert segment(tmp_path / "again.tar", 5, 5).read_bytes() == segments[1].read_bytes()


def test_a_folder_loses_the_frames_of_a_longer_render_and_nothing_else(segments: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "frames"
    out.mkdir()
    (out / "000012.png").write_bytes(b"stale")
    (out / "notes.txt").write_text("mine")
    (out / "cover.png").write_bytes(b"mine")
    join_to_folder(segments, out, frames=12, **SIZE)
    assert sorted(path.name for path in out.iterdir()) == [*map(frame_name, range(12)), "cover.png", "notes.txt"]
    assert (out / "000011.png").read_bytes() == tagged_srgb(frame(11))


def test_what_is_missing_doubled_or_of_another_size_is_refused(segments: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    odd = tmp_path / "odd.tar"
    with tarfile.open(odd, "w") as tar:
        member = tarfile.TarInfo("000010.png")
        member.size = len(frame(10, (9, 6)))
        tar.addfile(member, io.BytesIO(frame(10, (9, 6))))
    (tmp_path / "text.tar").write_text("this is no tar" * 100)
    cases = [
        ([segments[0], segments[2]], "'000010.png' in the place of 000005.png"),
        ([segments[0], segments[0]], "'000000.png' in the place of 000005.png"),
        (segments[:2], "10 frames; planned: 12"),
        ([*segments[:2], odd], "frame 10 is 9x6 pixels; planned: 8x6"),
        ([tmp_path / "text.tar"], "not a tar"),
    ]
    for given, found in cases:
        with pytest.raises(RenderError, match=found) as caught:
            join_to_tar(given, out, frames=12, **SIZE)
        assert caught.value.code is ErrorCode.VERIFICATION_FAILED
        assert not out.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "appended"])
def test_a_damaged_picture_is_named(damage: str, tmp_path: Path) -> None:
    good = frame(0)
    bad = {"cut": good[:-20], "flipped": good[:50] + bytes([good[50] ^ 1]) + good[51:], "appended": good + b"x"}[damage]
    with PngSegment(tmp_path / "0.tar", first=0, frames=1, **SIZE) as writer:
        writer.write(bad)
    with pytest.raises(RenderError, match="frame 0") as caught:
        join_to_tar([tmp_path / "0.tar"], tmp_path / "out.tar", frames=1, **SIZE)
    assert caught.value.code is ErrorCode.VERIFICATION_FAILED


def test_an_unfinished_segment_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RenderError, match="got 1 frames; planned: 2"),
        PngSegment(tmp_path / "0.tar", first=0, frames=2, **SIZE) as writer,
    ):
        writer.write(frame(0))
    with pytest.raises(ZeroDivisionError), PngSegment(tmp_path / "0.tar", first=0, frames=2, **SIZE) as writer:
        writer.write(frame(0))
        raise ZeroDivisionError
    with pytest.raises(RenderError, match="is not a PNG"), PngSegment(tmp_path / "0.tar", first=0, frames=1, **SIZE) as writer:
        writer.write(b"GIF89a")
    assert list(tmp_path.iterdir()) == []
