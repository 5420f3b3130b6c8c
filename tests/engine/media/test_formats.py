"""Every output format as ffprobe, another build than the engine's ffmpeg, sees it: streams, colours, transparency, times and sound.

Frames are painted here instead of by a browser: what a format does with them is what counts.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import wave
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hyperframes_lambda.assemble import AssembleOutcome, assemble
from hyperframes_lambda.contract.config import METADATA_NAMES, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import FRAME_RATES, GIF_RATES, Kind, OutputFormat
from hyperframes_lambda.contract.media import AudioTrack, MediaSource
from hyperframes_lambda.contract.plan import Canvas, Manifest, PlanFile, PlannedChunk, blob_path
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.contract.sizing import FrameCost, Wishes, choose
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.drawing.segments import SegmentFormat
from hyperframes_lambda.machine.plan_folder import file_sha256, write_manifest
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.media.gate_record import ChunkRecord, digest, packets_of, record_path
from hyperframes_lambda.media.png import tagged_srgb
from hyperframes_lambda.planning.sizing import here, planned_sizing
from hyperframes_provider.toolset.pins import FFPROBE
from hyperframes_provider.toolset.setup import ensure_part

WIDTH, HEIGHT = 160, 90
RATE = 48_000
COST = FrameCost(0.01, 0.01, 0.01)

Pixels = NDArray[np.uint8]
Render = Callable[..., "Rendered"]


@dataclass(frozen=True)
class Rendered:
    outcome: AssembleOutcome
    manifest: Manifest

    @property
    def path(self) -> Path:
        return self.outcome.output

    @property
    def seconds(self) -> Fraction:
        return self.manifest.total_frames / self.manifest.fps

    @property
    def starts(self) -> list[int]:
        return [chunk.first for chunk in self.manifest.chunks]


def painted(frame: int, *, opaque: bool = False) -> Image.Image:
    """The frame's number in eight squares along the top, half a card that is half transparent and moves, and nothing behind it."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (20, 90, 60, 255) if opaque else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((frame % 60, 30, frame % 60 + 70, 70), fill=(230, 120, 20, 255 if opaque else 128))
    draw.rectangle((120, 30, 150, 80), fill=(200, 30, 60, 255))
    for bit in range(8):
        draw.rectangle((bit * 16, 0, bit * 16 + 15, 15), fill=(255,) * 4 if frame >> bit & 1 else (0, 0, 0, 255))
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def number_in(pixels: Pixels) -> int:
    return sum(int(pixels[8, bit * 16 + 8, :3].mean() > 127) << bit for bit in range(8))


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of 440 Hz, which begin with a click."""
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    samples = array("h", (round(9000 * math.sin(2 * math.pi * 440 * at / RATE)) for at in range(10 * RATE)))
    samples[:24] = array("h", [30_000] * 24)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture
def render(tmp_path: Path, tone: Path) -> Render:
    """Plan, chunks and assembly of painted frames, as the roles would do them."""

    def rendered(
        config: Mapping[str, Any],
        *,
        frames: int = 21,
        sound: bool = False,
        name: str = "out",
        picture: Callable[[int], Image.Image] = painted,
    ) -> Rendered:
        tools, plan_dir = find_tools(), tmp_path / f"plan-{name}"
        settings = parse_config({"quality": "draft", "maxParallelChunks": 100, "fps": 30, **config})
        assert settings.fps is not None
        total, sizing = planned_sizing(
            settings,
            frames,
            settings.fps,
            lambda total: choose(total, WIDTH * HEIGHT, COST, here(), Wishes(settings.chunk_size, settings.max_parallel_chunks)),
        )
        files, extra = {}, {}
        if sound:
            sha256 = file_sha256(tone)
            blob = plan_dir / blob_path(sha256)
            blob.parent.mkdir(parents=True)
            blob.write_bytes(tone.read_bytes())
            files["tone.wav"] = PlanFile(sha256=sha256, size=tone.stat().st_size, content_type="audio/wav")
            extra = {
                "sources": {"tone.wav": MediaSource(duration=10.0, audio_codec="pcm_s16le")},
                "audio": [AudioTrack(element="<audio>", file="tone.wav", start=0.0, end=float(frames / settings.fps))],
            }
        manifest = Manifest(
            project_sha256="0" * 64,
            config=settings,
            build=tools.build(),
            entry="index.html",
            files=files,
            canvas=Canvas(width=WIDTH, height=HEIGHT, scale=1),
            fps=settings.fps,
            format=settings.format,
            width=WIDTH,
            height=HEIGHT,
            total_frames=total,
            chunks=[PlannedChunk.of(chunk) for chunk in sizing.chunks],
            segment_frames=total,
            **extra,
        ).sealed()
        write_manifest(plan_dir, manifest)
        segments = []
        for chunk in manifest.chunks:
            planned = Segment(chunk.index, chunk.first, chunk.last)
            segment = tmp_path / f"segments-{name}" / planned.name(settings.format.spec.segment_suffix)
            segment.parent.mkdir(exist_ok=True)
            captured = [png(picture(frame)) for frame in range(chunk.first, chunk.last + 1)]
            with SegmentFormat.of(manifest, tools.ffmpeg.path).writer(planned, segment) as writer:
                for capture in captured:
                    writer.write(capture)
            packets = packets_of(tools.ffmpeg.path, segment) if settings.format.spec.kind is Kind.VIDEO else []
            record = ChunkRecord([digest(capture) for capture in captured], writer.thumbnails, packets, settings.format.spec.alpha)
            record_path(segment).write_text(record.to_json())
            segments.append(segment)
        return Rendered(assemble(plan_dir, segments, tmp_path / f"{name}{settings.format.spec.suffix}"), manifest)

    return rendered


@pytest.fixture(scope="session")
def ffprobe(toolset: Toolset) -> Callable[..., dict[str, Any]]:
    program = ensure_part(FFPROBE).main

    def look(file: Path, *options: str) -> dict[str, Any]:
        command = [program, "-v", "error", "-show_streams", "-show_format", *options, "-of", "json", file]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        found: dict[str, Any] = json.loads(done.stdout)
        found |= {stream["codec_type"]: stream for stream in found["streams"]}
        return found

    return look


def decoded(toolset: Toolset, file: Path, *decoder: str) -> Pixels:
    """Every frame, with transparency."""
    command = [
        toolset.ffmpeg.path,
        "-v",
        "error",
        *decoder,
        "-i",
        file,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 4)


def heard(file: Path) -> NDArray[np.float32]:
    """The decoded sound, left channel, as a player plays it."""
    with av.open(str(file)) as container:
        resampler = av.AudioResampler("fltp", "stereo", RATE)
        blocks = [block.to_ndarray()[0] for frame in container.decode(audio=0) for block in resampler.resample(frame)]
    return np.concatenate(blocks)


COLOURS = {"color_range": "tv", "color_space": "bt709", "color_transfer": "bt709", "color_primaries": "bt709"}

VIDEOS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # Configuration, its video stream, its audio stream.
    "h264": (
        {"format": "mp4"},
        {"codec_name": "h264", "profile": "Constrained Baseline", "codec_tag_string": "avc1", "pix_fmt": "yuv420p", **COLOURS},
        {"codec_name": "aac", "profile": "LC"},
    ),
    "h264 high": (
        {"format": "mp4", "quality": "high"},
        {"codec_name": "h264", "profile": "High", "pix_fmt": "yuv420p", **COLOURS},
        {"codec_name": "aac"},
    ),
    "h265": (
        {"format": "mp4", "codec": "h265", "audioCodec": "opus"},
        {"codec_name": "hevc", "profile": "Main", "codec_tag_string": "hvc1", "pix_fmt": "yuv420p", **COLOURS},
        {"codec_name": "opus"},
    ),
    "webm": (
        {"format": "webm"},
        {"codec_name": "vp9", "profile": "Profile 0", "pix_fmt": "yuv420p", **COLOURS},
        {"codec_name": "opus"},
    ),
    "mov": (
        {"format": "mov"},
        # QuickTime has no tag for the range: ProRes is limited by definition.
        {"codec_name": "prores", "profile": "4444", "codec_tag_string": "ap4h", "pix_fmt": "yuva444p12le", **COLOURS, "color_range": None},
        {"codec_name": "pcm_s24le"},
    ),
    "mov aac": ({"format": "mov", "audioCodec": "aac", "audioBitrate": "96k"}, {"codec_name": "prores"}, {"codec_name": "aac"}),
}
ENDINGS = {"mp4": 1, "mov": 1, "webm": 1000}


@pytest.mark.parametrize("kind", VIDEOS)
@pytest.mark.parametrize("chunk_size", [21, 5, 3])
def test_a_video_is_what_ffprobe_expects_whatever_its_chunks(render: Render, ffprobe: Any, kind: str, chunk_size: int) -> None:
    config, video, audio = VIDEOS[kind]
    fps = Fraction(30000, 1001)

    made = render({**config, "fps": "30000/1001", "chunkSize": chunk_size}, sound=True)

    found = ffprobe(made.path, "-show_packets")
    assert {name: found["video"].get(name) for name in video} == video
    assert {name: found["audio"].get(name) for name in audio} == audio
    assert (found["video"]["width"], found["video"]["height"], Fraction(found["video"]["avg_frame_rate"])) == (WIDTH, HEIGHT, fps)
    assert (found["audio"]["sample_rate"], found["audio"]["channels"]) == ("48000", 2)
    webm = config["format"] == "webm"
    assert found["video"]["time_base"] == ("1/1000" if webm else "1/30000")
    pictures = [packet for packet in found["packets"] if packet["codec_type"] == "video"]
    exact = [Fraction(frame) / fps for frame in range(21)]
    ticks = [math.floor(time * (1000 if webm else 30000) + Fraction(1, 2)) for time in exact]
    assert [packet["pts"] for packet in pictures] == [packet["dts"] for packet in pictures] == ticks
    assert {number for number, packet in enumerate(pictures) if "K" in packet["flags"]} >= set(made.starts)
    assert Fraction(found["format"]["duration"]) == pytest.approx(float(made.seconds), abs=0.025)
    if not webm:
        assert Fraction(found["video"]["duration"]) == pytest.approx(float(made.seconds), abs=1e-6)
        assert Fraction(found["audio"]["duration"]) == pytest.approx(float(made.seconds), abs=1024 / RATE)
        assert found["video"]["start_time"] == found["audio"]["start_time"] == "0.000000"


@pytest.mark.parametrize("kind", ["h264", "h265", "webm", "mov", "mov aac"])
def test_sound_starts_with_the_picture_and_is_as_long(render: Render, kind: str) -> None:
    made = render({**VIDEOS[kind][0], "chunkSize": 40, "fps": 25}, frames=40, sound=True)

    sound = heard(made.path)

    assert abs(len(sound) - round(made.seconds * RATE)) <= 1024
    # The click at zero: an encoder's delay that is not taken back would move it by 312 or 1024 samples.
    assert int(np.argmax(np.abs(sound) > 0.4)) < 24
    crossings = np.flatnonzero((sound[4800:-4800:] >= 0) & (np.roll(sound, 1)[4800:-4800:] < 0))
    assert float(RATE / np.diff(crossings).mean()) == pytest.approx(440, rel=0.001)


@pytest.mark.parametrize(
    ("config", "decoder", "tolerance"), [({"format": "webm"}, ("-c:v", "libvpx-vp9"), 24), ({"format": "mov"}, (), 3)], ids=["webm", "mov"]
)
@pytest.mark.parametrize("chunk_size", [12, 5, 1])
def test_transparency_survives_every_seam(
    render: Render, toolset: Toolset, config: dict[str, Any], decoder: tuple[str, ...], tolerance: int, chunk_size: int
) -> None:
    made = render({**config, "quality": "standard", "chunkSize": chunk_size}, frames=12)

    frames = decoded(toolset, made.path, *decoder)

    assert [number_in(pixels) for pixels in frames] == list(range(12))
    for number, pixels in enumerate(frames):
        wanted = np.array(painted(number))
        assert np.abs(pixels[..., 3].astype(int) - wanted[..., 3]).mean() < 2, number
        assert np.abs(pixels[50, number + 30].astype(int) - [230, 120, 20, 128]).max() <= tolerance
        assert np.abs(pixels[50, 135].astype(int) - [200, 30, 60, 255]).max() <= tolerance
        assert pixels[85, 5, 3] == 0


def test_a_webm_says_that_it_has_transparency(render: Render, ffprobe: Any) -> None:
    assert ffprobe(render({"format": "webm", "chunkSize": 4}, frames=8).path)["video"]["tags"]["ALPHA_MODE"] == "1"


@pytest.mark.parametrize("fps", FRAME_RATES, ids=str)
def test_every_rate_has_exact_times(render: Render, ffprobe: Any, fps: Fraction) -> None:
    for name, ticks in (("mp4", None), ("webm", 1000)):
        made = render({"format": name, "fps": str(fps), "chunkSize": 7, "cfr": True}, frames=20, name=name)
        found = ffprobe(made.path, "-show_packets")
        rate = ticks or Fraction(found["video"]["time_base"]).denominator
        times = [packet["pts"] for packet in found["packets"]]
        assert times == [math.floor(frame / fps * rate + Fraction(1, 2)) for frame in range(20)]
        assert ticks or (rate / fps).denominator == 1
        assert Fraction(found["video"]["avg_frame_rate"]) == pytest.approx(fps, rel=1e-6)


def alternating(frame: int) -> Image.Image:
    return painted(frame, opaque=frame % 3 == 1)


@pytest.mark.parametrize("chunk_size", [12, 5])
@pytest.mark.parametrize("fps", [Fraction(12), Fraction(30), Fraction(50), Fraction(24000, 1001)], ids=str)
def test_a_gif_plays_for_ever_with_each_frame_in_time(
    render: Render, ffprobe: Any, toolset: Toolset, fps: Fraction, chunk_size: int
) -> None:
    made = render({"format": "gif", "fps": str(fps), "chunkSize": chunk_size}, frames=12, picture=alternating)

    found = ffprobe(made.path, "-show_packets")
    assert (found["video"]["codec_name"], found["video"]["pix_fmt"], found["video"]["time_base"]) == ("gif", "bgra", "1/100")
    assert [packet["pts"] for packet in found["packets"]] == [math.floor(frame / fps * 100 + Fraction(1, 2)) for frame in range(12)]
    assert b"NETSCAPE2.0\x03\x01\x00\x00\x00" in made.path.read_bytes()
    frames = decoded(toolset, made.path)
    assert [number_in(pixels) for pixels in frames] == list(range(12))
    with Image.open(made.path) as gif:
        for number, pixels in enumerate(frames):
            wanted = np.array(alternating(number))
            shown = wanted[..., 3] >= 128
            assert (shown == (pixels[..., 3] == 255)).all(), number
            assert np.abs(pixels[..., :3].astype(int) - wanted[..., :3])[shown].mean() < 4
            gif.seek(number)
            assert (np.array(gif.convert("RGBA"))[..., 3] == pixels[..., 3]).all()


def test_a_gif_has_one_palette_for_all_chunks(render: Render) -> None:
    """A colour that only the last chunk has is in the palette that the first one uses."""
    made = render({"format": "gif", "chunkSize": 2, "gifLoop": 3}, frames=6, picture=lambda frame: painted(frame, opaque=True))
    content = made.path.read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x03\x00\x00" in content
    with Image.open(made.path) as gif:
        assert gif.n_frames == 6
        tables = set()
        for number in range(6):
            gif.seek(number)
            tables.add(bytes(gif.global_palette.palette) if gif.global_palette else b"")
    assert len(tables) == 1


@pytest.mark.parametrize("chunk_size", [75, 25, 10])
@pytest.mark.parametrize("sound", [False, True])
def test_hls_is_cut_evenly_whatever_the_chunks(render: Render, ffprobe: Any, toolset: Toolset, chunk_size: int, sound: bool) -> None:
    made = render({"format": "hls", "fps": "30000/1001", "chunkSize": chunk_size, "hlsSegmentSeconds": 1}, frames=75, sound=sound)

    assert [file.name for file in made.outcome.files] == [
        "out-init.mp4", "out-00000.m4s", "out-00001.m4s", "out-00002.m4s", "out-media.m3u8", "out.m3u8",
    ]  # fmt: skip
    master = made.path.read_text()
    assert f'CODECS="avc1.42c00b{",mp4a.40.2" if sound else ""}"' in master
    assert "RESOLUTION=160x90,FRAME-RATE=29.970" in master
    media = made.path.with_name("out-media.m3u8").read_text().splitlines()
    assert [line for line in media if line.startswith("#EXTINF")] == ["#EXTINF:1.001000,", "#EXTINF:1.001000,", "#EXTINF:0.500500,"]
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in media
    assert media[-1] == "#EXT-X-ENDLIST"
    found = ffprobe(made.path, "-show_packets")
    assert {name: found["video"][name] for name in COLOURS} == COLOURS
    assert (found["video"]["codec_name"], found["video"]["pix_fmt"]) == ("h264", "yuv420p")
    assert ("audio" in found) is sound
    times = [Fraction(packet["pts_time"]) for packet in found["packets"] if packet["codec_type"] == "video"]
    assert times == pytest.approx([float(frame * Fraction(1001, 30000)) for frame in range(75)], abs=1e-5)
    assert [number_in(pixels) for pixels in decoded(toolset, made.path)] == list(range(75))
    if sound:
        assert int(np.argmax(np.abs(heard(made.path)) > 0.4)) < 24
    for number in range(3):
        fragment = made.path.with_name("fragment.mp4")
        fragment.write_bytes(made.path.with_name("out-init.mp4").read_bytes() + made.path.with_name(f"out-{number:05d}.m4s").read_bytes())
        assert number_in(decoded(toolset, fragment)[0]) == number * 30


def test_a_shorter_hls_package_leaves_none_of_a_longer_one(render: Render, tmp_path: Path) -> None:
    config = {"format": "hls", "hlsSegmentSeconds": 1}
    render(config, frames=75)
    (tmp_path / "plan-out").rename(tmp_path / "earlier")
    (tmp_path / "outside-00007.m4s").write_bytes(b"")
    made = render(config, frames=40)
    assert sorted(path.name for path in tmp_path.glob("*.m4s")) == ["out-00000.m4s", "out-00001.m4s", "outside-00007.m4s"]
    assert made.outcome.size == sum(path.stat().st_size for path in made.outcome.files)


@pytest.mark.parametrize(
    ("config", "frame"),
    [({}, 0), ({"frame": 7}, 7), ({"at": 0.25}, 7), ({"at": 8 / 30}, 8), ({"frame": 20}, 20)],
    ids=["first", "frame", "between", "at", "last"],
)
@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("quality", ["draft", "high"])
def test_a_still_is_the_frame_that_is_asked_for(
    render: Render, ffprobe: Any, name: str, config: dict[str, Any], frame: int, quality: str
) -> None:
    made = render({"format": name, "quality": quality, **config}, picture=lambda number: painted(number, opaque=name == "jpeg"))

    assert (made.manifest.total_frames, made.starts, made.outcome.frames) == (1, [frame], 1)
    with Image.open(made.path) as image:
        assert (image.size, image.format, image.mode) == ((WIDTH, HEIGHT), name.upper(), "RGB" if name == "jpeg" else "RGBA")
        shown = np.array(image).astype(int)
    wanted = np.array(painted(frame, opaque=name == "jpeg")).astype(int)[..., : shown.shape[-1]]
    assert number_in(shown.astype(np.uint8)) == frame
    visible = wanted if name == "jpeg" else wanted * (wanted[..., 3:] > 0)
    assert np.abs((shown if name == "jpeg" else shown * (wanted[..., 3:] > 0)) - visible).mean() < (4 if quality == "draft" else 1.5)
    expected = {"png": ("png", "rgba"), "jpeg": ("mjpeg", "yuvj444p"), "webp": ("webp", "argb")}[name]
    found = ffprobe(made.path)["video"]
    assert found["codec_name"] == expected[0]
    if name == "png":
        assert made.path.read_bytes() == tagged_srgb(png(painted(frame)))
        assert (found["color_transfer"], found["color_primaries"]) == ("iec61966-2-1", "bt709")
    if name == "jpeg":
        assert (found["pix_fmt"], found["color_range"]) == ("yuvj444p", "pc")


@pytest.mark.parametrize(
    ("name", "codec"), [("m4a", {"codec_name": "aac", "profile": "LC"}), ("wav", {"codec_name": "pcm_s24le"})], ids=["m4a", "wav"]
)
def test_sound_alone_has_no_chunks_and_the_compositions_length(render: Render, ffprobe: Any, name: str, codec: dict[str, Any]) -> None:
    made = render({"format": name, "fps": "24000/1001"}, frames=50, sound=True)

    assert made.manifest.chunks == []
    found = ffprobe(made.path)
    assert [stream["codec_type"] for stream in found["streams"]] == ["audio"]
    assert {key: found["audio"][key] for key in codec} == codec
    assert Fraction(found["audio"]["duration"]) == pytest.approx(float(made.seconds), abs=1 / RATE)
    sound = heard(made.path)
    assert 0 <= len(sound) - round(made.seconds * RATE) <= (1024 if name == "m4a" else 0)
    assert int(np.argmax(np.abs(sound) > 0.4)) < 24


def test_sound_that_is_not_there_makes_no_file(render: Render, tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        render({"format": "m4a"})
    assert caught.value.code is ErrorCode.COMPOSITION_EMPTY
    assert not (tmp_path / "out.m4a").exists()


def test_sound_is_left_out_on_request(render: Render, ffprobe: Any) -> None:
    made = render({"format": "mp4", "audio": False}, sound=True)
    assert [stream["codec_type"] for stream in ffprobe(made.path)["streams"]] == ["video"]
    assert made.manifest.has_audio is False


@pytest.mark.parametrize("name", ["mp4", "webm", "mov", "m4a", "wav"])
def test_tags_are_in_every_container_that_takes_them(render: Render, ffprobe: Any, name: str) -> None:
    tags = {tag: f"{tag}: Größe = 'ß', \\ \N{GRINNING FACE}" for tag in METADATA_NAMES}
    made = render({"format": name, "metadata": tags}, frames=3, sound=True)
    found = {key.lower(): value for key, value in ffprobe(made.path)["format"]["tags"].items()}
    assert {tag: found.get("artist" if tag == "author" else tag) for tag in METADATA_NAMES} == tags


@pytest.mark.parametrize(
    "config", [{"codec": "h264"}, {"codec": "h265"}, {"format": "webm"}], ids=lambda config: next(iter(config.values()))
)
def test_crf_and_bitrate_take_the_place_of_the_quality(render: Render, config: dict[str, Any]) -> None:
    def noisy(frame: int) -> Image.Image:
        noise = np.random.default_rng(frame).integers(-20, 20, (HEIGHT, WIDTH, 3))
        return Image.fromarray((np.array(painted(frame, opaque=True))[..., :3] + noise).clip(0, 255).astype(np.uint8))

    sizes = [render({**config, "crf": crf}, frames=6, picture=noisy, name=f"crf{crf}").outcome.size for crf in (10, 20, 30)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[2]
    low, high = (render({**config, "bitrate": rate}, frames=30, picture=noisy, name=rate).outcome.size for rate in ("300k", "3M"))
    assert high > 1.5 * low


def test_gif_rates_can_be_told_to_be_constant() -> None:
    for rate in GIF_RATES:
        exact = (100 / rate).denominator == 1
        try:
            parse_config({"format": "gif", "fps": str(rate), "cfr": True})
        except RenderError as error:
            assert not exact, rate
            assert "accepted with cfr: 10, 20, 25 or 50" in str(error)
        else:
            assert exact, rate


def test_a_frame_that_the_composition_does_not_have_is_refused(render: Render) -> None:
    for config, words in (({"frame": 21}, ["config.frame: 21", "0 to 20"]), ({"at": 0.7}, ["config.at: 0.7", "below 0.7"])):
        with pytest.raises(RenderError) as caught:
            render({"format": OutputFormat.PNG, **config})
        assert caught.value.code is ErrorCode.INVALID_CONFIG
        assert [word for word in words if word not in str(caught.value)] == []
