"""Facts read from a video file (streams, colours, transparency, rotation), and the words with which files are refused."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import MediaSource, VideoClip
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.probe import probe
from hyperframes_lambda.media.source_frames import SourceFrames

Encode = Callable[..., Path]

QUADRANTS = "color=red:s=96x64:r=30:d=0.2,drawbox=48:0:48:64:lime:fill,drawbox=0:32:48:32:blue:fill"
"""Red and lime above, blue and lime below."""

SHADES = "color=0x2060C0:s=96x64:r=30:d=0.2,format=gbrp"


@pytest.fixture
def encode(toolset: Toolset, tmp_path: Path) -> Encode:
    """Make a video of an ffmpeg pattern: name, the output's options, and where it matters the input's."""

    def make(name: str, *options: str, pattern: str = QUADRANTS, before: tuple[str, ...] = (), source: Path | None = None) -> Path:
        path = tmp_path / name
        given = [*before, "-i", str(source)] if source else ["-f", "lavfi", "-i", pattern]
        subprocess.run([str(toolset.ffmpeg.path), "-v", "error", "-y", *given, *options, str(path)], check=True)
        return path

    return make


@pytest.fixture
def first_frame(toolset: Toolset) -> Callable[[Path], NDArray[np.uint8]]:
    """The first frame as the page gets it."""

    def decode(file: Path) -> NDArray[np.uint8]:
        source = probe(toolset.ffmpeg.path, file, file.name)
        clip = VideoClip(element="<video>", file="v", index=0, start=0, end=1)
        served: dict[str, bytes] = {}
        options = {"frames": [0], "fps": Fraction(30), "pictures": served}
        with SourceFrames(toolset.ffmpeg.path, [clip], {"v": source}, lambda _key: file, **options) as video:
            (picture,) = video.at(0)
            return np.asarray(Image.open(io.BytesIO(served[picture.path])))

    return decode


def looked_into(toolset: Toolset, file: Path) -> MediaSource:
    return probe(toolset.ffmpeg.path, file, f'<video id="v"> in index.html: {file.name}')


def test_a_file_says_its_streams_and_their_exact_times(toolset: Toolset, encode: Encode) -> None:
    tone = ("-f", "lavfi", "-i", "sine=d=0.5:r=44100", "-c:a", "aac", "-ac", "1")
    found = looked_into(toolset, encode("both.mp4", *tone, "-c:v", "libx264", "-pix_fmt", "yuv420p"))
    assert found.video is not None
    assert (found.video.codec, found.video.width, found.video.height, found.video.alpha) == ("h264", 96, 64, False)
    assert found.video.frame_rate == pytest.approx(30)
    # Of the pictures, although the sound is longer.
    assert found.duration == pytest.approx(0.2)
    assert found.video.last == pytest.approx(5 / 30)
    assert (found.audio_codec, found.sample_rate, found.channels) == ("aac", 44100, 1)


def test_a_sound_file_with_a_cover_has_no_video(toolset: Toolset, encode: Encode, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "cover.png")
    cover = ("-i", str(tmp_path / "cover.png"), "-map", "0:a", "-map", "1:v", "-disposition:v", "attached_pic", "-c:v", "mjpeg")
    found = looked_into(toolset, encode("song.mp3", *cover, pattern="sine=d=1:r=48000"))
    assert found.video is None
    assert found.audio_codec == "mp3"
    assert found.duration == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("degrees", "expected"), [(90, "lime"), (180, "lime"), (270, "blue")])
def test_a_rotated_source_stands_upright(
    toolset: Toolset, encode: Encode, first_frame: Callable[[Path], NDArray[np.uint8]], degrees: int, expected: str
) -> None:
    plain = encode("plain.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p", "-qp", "4")
    turned = encode("turned.mp4", "-c", "copy", source=plain, before=("-display_rotation", str(degrees)))
    found = looked_into(toolset, turned).video
    assert found is not None
    picture = first_frame(turned)
    upright = np.rot90(first_frame(plain), degrees // 90)
    assert (found.height, found.width) == picture.shape[:2] == upright.shape[:2]
    assert np.abs(picture.astype(int) - upright).mean() < 1
    assert is_colour(picture[4, 4], expected)


def test_oblong_pixels_become_square(toolset: Toolset, encode: Encode) -> None:
    found = looked_into(toolset, encode("wide.mkv", "-vf", "setsar=4/3", "-c:v", "libx264", "-pix_fmt", "yuv420p")).video
    assert found is not None
    assert (found.width, found.height) == (128, 64)


@pytest.mark.parametrize(
    ("size", "convert", "tags"),
    [
        ("96x64", "out_color_matrix=bt709:out_range=tv", ("-colorspace", "bt709", "-color_range", "tv")),
        ("96x64", "out_color_matrix=smpte170m:out_range=tv", ("-colorspace", "smpte170m")),
        ("96x64", "out_color_matrix=bt709:out_range=pc", ("-colorspace", "bt709", "-color_range", "pc")),
        # Nothing is said: standard definition below 720 lines, high definition from there.
        ("96x64", "out_color_matrix=smpte170m:out_range=tv", ()),
        ("96x720", "out_color_matrix=bt709:out_range=tv", ()),
    ],
)
def test_colours_are_those_that_a_browser_shows(
    encode: Encode, first_frame: Callable[[Path], NDArray[np.uint8]], size: str, convert: str, tags: tuple[str, ...]
) -> None:
    unsaid = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown" if not tags else "null"
    chain = f"scale={convert},format=yuv420p,{unsaid}"
    file = encode("c.mp4", "-vf", chain, "-c:v", "libx264", "-qp", "1", *tags, pattern=SHADES.replace("96x64", size))
    picture = first_frame(file).reshape(-1, 3).astype(int)
    assert np.abs(picture - (0x20, 0x60, 0xC0)).max() <= 2


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_is_dimmed_for_an_ordinary_screen(
    encode: Encode, first_frame: Callable[[Path], NDArray[np.uint8]], transfer: str
) -> None:
    # A grey of 100 nits, which is the white of an ordinary screen: code 0.508 in PQ, 0.75 or less in HLG.
    tags = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv")
    grey = "geq=lum=509:cb=512:cr=512"
    pattern = "color=gray:s=96x64:r=30:d=0.2,format=yuv420p10le"
    params = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    file = encode("hdr.mp4", "-vf", grey, *tags, "-c:v", "libx265", "-x265-params", params, pattern=pattern)
    picture = first_frame(file).reshape(-1, 3).astype(int)
    assert np.ptp(picture) <= 4, "grey stays grey"
    assert 60 < picture.mean() < 230


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vp9.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", "10", "-deadline", "realtime", "-cpu-used", "8")),
        ("vp8.webm", ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-crf", "10", "-b:v", "1M")),
        ("prores.mov", ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")),
        ("png.mov", ("-c:v", "png", "-pix_fmt", "rgba")),
    ],
)
def test_transparency_is_kept(
    encode: Encode, first_frame: Callable[[Path], NDArray[np.uint8]], name: str, options: tuple[str, ...]
) -> None:
    pattern = "color=0x2060C0:s=96x64:r=30:d=0.2,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,48),255,64)'"
    picture = first_frame(encode(name, *options, pattern=pattern)).astype(int)
    assert picture.shape == (64, 96, 4)
    assert picture[32, 16] == pytest.approx((0x20, 0x60, 0xC0, 255), abs=6)
    assert picture[32, 80] == pytest.approx((0x20, 0x60, 0xC0, 64), abs=6)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"<!doctype html><title>Not found</title>", ErrorCode.NOT_MEDIA_PAYLOAD, "<!doctype html>"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", ErrorCode.NOT_MEDIA_PAYLOAD, "#EXTM3U"),
        (b"", ErrorCode.NOT_MEDIA_PAYLOAD, "is empty"),
        (bytes(range(256)) * 20, ErrorCode.MEDIA_UNREADABLE, "neither pictures nor sound"),
    ],
)
def test_what_is_no_video_is_refused_with_element_and_file(
    toolset: Toolset, tmp_path: Path, content: bytes, code: ErrorCode, words: str
) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(content)
    with pytest.raises(RenderError) as caught:
        looked_into(toolset, file)
    assert caught.value.code is code
    assert words in caught.value.message
    assert '<video id="v"> in index.html: clip.mp4' in caught.value.message


def test_a_video_that_was_cut_off_is_unreadable(toolset: Toolset, encode: Encode) -> None:
    whole = encode("whole.mp4", "-c:v", "libx264")
    whole.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(RenderError) as caught:
        looked_into(toolset, whole)
    assert caught.value.code is ErrorCode.MEDIA_UNREADABLE


def test_a_video_of_which_no_picture_can_be_decoded_is_unreadable(encode: Encode, first_frame: Callable[[Path], NDArray[np.uint8]]) -> None:
    file = encode("broken.mp4", "-c:v", "libx264", "-qp", "1", pattern="testsrc=s=96x64:r=30:d=0.2")
    content = bytearray(file.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = bytes(end - start)
    file.write_bytes(content)
    with pytest.raises(RenderError) as caught:
        first_frame(file)
    assert caught.value.code is ErrorCode.MEDIA_UNREADABLE


def is_colour(pixel: NDArray[np.uint8], name: str) -> bool:
    expected = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}[name]
    return bool(np.abs(pixel[:3].astype(int) - expected).max() < 40)
