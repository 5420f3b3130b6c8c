"""The verification gate passes a healthy output and refuses every tampered one, saying what was done to it. Real ffmpeg throughout."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import Quality, RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.contract.segments import segment_name
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.machine.plan_folder import write_manifest
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.concat import concatenate
from hyperframes_lambda.media.gate_record import ChunkRecord, record_path
from hyperframes_lambda.media.gif import make_gif
from tests.engine.media.drawn_render import CHUNK, FPS, FRAMES, Ffmpeg, Render, render, sound


@pytest.fixture(scope="module")
def ffmpeg_path(toolset: Toolset) -> Path:
    return toolset.ffmpeg.path


@pytest.fixture(scope="module")
def ffmpeg(ffmpeg_path: Path) -> Ffmpeg:
    """Run ffmpeg with arguments as one types them."""

    def run(*arguments: object) -> None:
        subprocess.run([str(part) for part in (ffmpeg_path, "-v", "error", "-nostdin", "-y", *arguments)], check=True)

    return run


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, ffmpeg_path: Path, ffmpeg: Ffmpeg) -> Render:
    folder = tmp_path_factory.mktemp("healthy")
    return render(ffmpeg_path, folder, RenderConfig(quality=Quality.DRAFT), mix=sound(ffmpeg, folder))


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(RenderError) as caught:
        attempt()
    assert caught.value.code is ErrorCode.VERIFICATION_FAILED
    return caught.value.message


def test_a_healthy_output_passes_and_the_report_says_what_was_compared(healthy: Render) -> None:
    report = healthy.check(exact=True)
    assert report["FramesCompared"] == report["DecodedFrames"] == report["DistinctFrames"] == FRAMES
    assert report["PacketsIdentical"]
    assert report["Seams"] == 2
    assert report["BlankFrames"] == 0
    assert report["LargestDifference"] < 16 < report["ToleratedDifference"]
    assert report["FramesSeenByPlan"] == report["FramesAsPlanSawThem"] == 5
    assert report["FramesUnlikePlan"] == []
    assert report["Audio"] is True
    assert report["AudioDuration"] == pytest.approx(1.0, abs=0.022)


@pytest.mark.parametrize(
    "config",
    [
        {"format": "mp4", "codec": "h265", "quality": "draft"},
        {"format": "webm", "quality": "draft"},
        {"format": "mov"},
        {"format": "mp4", "bitrate": "60k", "quality": "draft"},
    ],
    ids=lambda config: "-".join(config.values()),
)
def test_every_codec_passes_the_gate_and_a_swap_does_not(tmp_path: Path, ffmpeg_path: Path, ffmpeg: Ffmpeg, config: dict[str, str]) -> None:
    made = render(ffmpeg_path, tmp_path, RenderConfig.model_validate(config), mix=sound(ffmpeg, tmp_path))
    report = made.check(exact=True)
    assert report["PacketsIdentical"]
    assert report["DecodedFrames"] == FRAMES

    swapped = tmp_path / f"swapped{made.output.suffix}"
    concatenate(ffmpeg_path, [made.segments[0], made.segments[2], made.segments[1]], swapped, fps=FPS, codec=codec_of(made.manifest.config))
    silent = made.manifest.model_copy(update={"audio": []})
    message = refusal(lambda: made.check(swapped, exact=True, manifest=silent, mix=None))
    assert "the packet of frame 16 (0.667 s, first of chunk 2) is in the place of frame 8" in message
    message = refusal(lambda: made.check(swapped, manifest=silent, mix=None))
    assert "frames 8-15 (0.333-0.625 s, first of chunk 1): shows the picture captured for frames 16-23" in message
    assert "frames 16-23 (0.667-0.958 s, first of chunk 2): shows the picture captured for frames 8-15" in message


def test_a_gif_passes_and_one_in_the_wrong_order_does_not(tmp_path: Path, ffmpeg_path: Path) -> None:
    made = render(ffmpeg_path, tmp_path, RenderConfig(format=OutputFormat.GIF))
    report = made.check()
    assert report["DecodedFrames"] == FRAMES
    assert report["LargestDifference"] < report["ToleratedDifference"] == 24

    swapped = tmp_path / "swapped.gif"
    make_gif(ffmpeg_path, [made.segments[0], made.segments[2], made.segments[1]], swapped, fps=FPS, loop=0)
    message = refusal(lambda: made.check(swapped))
    assert "frames 8-15 (0.333-0.625 s, first of chunk 1): shows the picture captured for frames 16-23" in message


def test_transparency_that_gets_lost_is_noticed(tmp_path: Path, ffmpeg_path: Path) -> None:
    made = render(ffmpeg_path, tmp_path, RenderConfig(format=OutputFormat.WEBM, quality=Quality.DRAFT))
    made.check(exact=True)
    # ffmpeg's own decoder of VP9 reads no transparency.
    assert "frames 0-23 (0.000-0.958 s): differs from the captured picture by 255 levels" in refusal(lambda: made.check(decoder=None))


PICTURE_TAMPERING = {
    "duplicated at a seam": (
        "[0:v]split[a][b];[a][b]freezeframes=first=8:last=8:replace=7",
        r"frame 8 \(0\.333 s, first of chunk 1\): (frozen, the picture is that of frame 7|shows the picture captured for frame 7)",
    ),
    "dropped at a seam": (
        "[0:v]select=not(eq(n\\,8)),setpts=N/24/TB",
        r"23 frames decode, 24 were captured\n"
        r"frames 8-22 \(0\.333-0\.917 s, first of chunk 1\): shows the picture captured for frames 9-23",
    ),
    "swapped at a seam": (
        "[0:v]shuffleframes=0 1 2 3 4 5 6 8 7 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23",
        r"frame 7 \(0\.292 s\): shows the picture captured for frame 8 \(0\.333 s, first of chunk 1\)\n"
        r"frame 8 \(0\.333 s, first of chunk 1\): shows the picture captured for frame 7 \(0\.292 s\)",
    ),
    "a black chunk": (
        "[0:v]drawbox=t=fill:color=black:enable=between(n\\,8\\,15)",
        r"frames 8-15 \(0\.333-0\.625 s, first of chunk 1\): black; the captured picture has levels up to \d+",
    ),
    "a frozen run": (
        "[0:v]split[a][b];[a][b]freezeframes=first=10:last=14:replace=9",
        r"frames 10-14 .*: frozen, the picture is that of frame 9; captured frames changed by \d+ levels",
    ),
    "another picture": (
        "[0:v]drawbox=t=fill:w=80:h=80:color=white:enable=between(n\\,3\\,4)",
        r"frames 3-4 .*: differs from the captured picture by \d+ levels at frame \d; tolerated: \d+",
    ),
}


@pytest.mark.parametrize(("graph", "found"), PICTURE_TAMPERING.values(), ids=PICTURE_TAMPERING.keys())
def test_tampered_pictures_are_refused(healthy: Render, tmp_path: Path, ffmpeg: Ffmpeg, graph: str, found: str) -> None:
    tampered = tmp_path / "tampered.mp4"
    ffmpeg("-i", healthy.output, "-filter_complex", f"{graph}[v]", "-map", "[v]", "-map", "0:a", "-c:a", "copy", "-crf", 18, tampered)
    assert re.search(found, refusal(lambda: healthy.check(tampered)))


def test_encoding_anew_without_tampering_is_no_fault(healthy: Render, tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    again = tmp_path / "again.mp4"
    ffmpeg("-i", healthy.output, "-c:a", "copy", "-crf", 32, "-preset", "ultrafast", again)
    healthy.check(again)


def test_packets_tell_apart_what_the_eye_cannot(tmp_path: Path, ffmpeg_path: Path) -> None:
    made = render(ffmpeg_path, tmp_path, RenderConfig(quality=Quality.STANDARD), still=True)
    made.check(exact=True)
    swapped = tmp_path / "swapped.mp4"
    concatenate(ffmpeg_path, [made.segments[1], made.segments[0], made.segments[2]], swapped, fps=FPS)
    made.check(swapped)
    message = refusal(lambda: made.check(swapped, exact=True))
    assert "the packet of frame 8 (0.333 s, first of chunk 1) is in the place of frame 0 (0.000 s)" in message


def test_assemble_holds_segments_to_their_records_and_keeps_what_was_there(tmp_path: Path, ffmpeg_path: Path) -> None:
    made = render(ffmpeg_path, tmp_path, RenderConfig(quality=Quality.DRAFT))
    manifest = made.manifest.model_copy(update={"build": find_tools().build()}).sealed()
    write_manifest(tmp_path / "plan", manifest)
    segments = [tmp_path / segment_name(chunk.index, chunk.first, chunk.last, ".mp4") for chunk in manifest.chunks]
    for segment, source, record in zip(segments, made.segments, made.records, strict=True):
        shutil.copy(source, segment)
        record_path(segment).write_text(record.to_json())
    output = tmp_path / "film.mp4"
    assert assemble(tmp_path / "plan", segments, output).verification["PacketsIdentical"]

    before = output.read_bytes()
    shutil.copy(made.segments[2], segments[1])
    message = refusal(lambda: assemble(tmp_path / "plan", segments, output))
    assert "the packet of frame 16 (0.667 s, first of chunk 2) is in the place of frame 8 (0.333 s, first of chunk 1)" in message
    assert "frames 8-15 (0.333-0.625 s, first of chunk 1): shows the picture captured for frames 16-23" in message
    assert output.read_bytes() == before

    record_path(segments[1]).unlink()
    assert "000001-8-15.mp4.frames is missing" in refusal(lambda: assemble(tmp_path / "plan", segments, output))


SOUND_TAMPERING = {
    "silenced": (["-af", "volume=0"], r"0\.25-0\.75 s: silent \((digital silence|-\d+\.\d dBFS)\), the mix is at -\d+\.\d dBFS"),
    "silent for a moment": (["-af", "volume=0:enable='between(t,0.4,0.6)'"], r"0\.4\d-0\.[56]\d s: silent \(digital silence\)"),
    "missing": (["-an"], "it has no sound; planned: 1 tracks"),
    "shortened": (["-af", "atrim=end=0.8"], r"its sound lasts 0\.8\d\d s; planned: 1\.000 s"),
    "late": (["-af", "adelay=200:all=1,atrim=end=1"], r"0\.25-0\.4\d s: silent(.|\n)*sound of .* where the mix is silent"),
}


@pytest.mark.parametrize(("options", "found"), SOUND_TAMPERING.values(), ids=SOUND_TAMPERING.keys())
def test_tampered_sound_is_refused(healthy: Render, tmp_path: Path, ffmpeg: Ffmpeg, options: list[str], found: str) -> None:
    tampered = tmp_path / "tampered.mp4"
    ffmpeg("-i", healthy.output, "-c:v", "copy", *options, tampered)
    assert re.search(found, refusal(lambda: healthy.check(tampered, exact=True)))


def test_sound_that_nobody_planned_is_refused(healthy: Render) -> None:
    unplanned = healthy.manifest.model_copy(update={"audio": []})
    assert "it has sound, the plan has none" in refusal(lambda: healthy.check(exact=True, manifest=unplanned, mix=None))


def test_a_track_that_never_got_into_the_mix_is_missed_unless_its_source_is_silent(healthy: Render, tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    mix, output, silence = tmp_path / "mix.wav", tmp_path / "output.mp4", tmp_path / "silence.wav"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", 1, mix)
    ffmpeg("-i", healthy.output, "-i", mix, "-map", "0:v", "-map", "1:a", "-c:v", "copy", output)
    found = refusal(lambda: healthy.check(output, exact=True, mix=mix))
    assert re.search(r"0\.250-0\.750 s: <audio id=tone> is silent, its source 'tone\.wav' is at -\d+\.\d dBFS", found)

    shutil.copy(mix, silence)
    healthy.check(output, exact=True, mix=mix, source=lambda _: silence)
    muted = healthy.manifest.model_copy(update={"audio": [healthy.manifest.audio[0].model_copy(update={"gain": 0.0})]})
    healthy.check(output, exact=True, mix=mix, manifest=muted)


def test_a_file_that_does_not_decode_is_refused(healthy: Render, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    content = bytearray(healthy.output.read_bytes())
    media = content.index(b"mdat")
    content[media + 300 : media + 1500] = bytes(1200)
    broken.write_bytes(content)
    refusal(lambda: healthy.check(broken, exact=True))


def test_a_chunk_that_captured_nothing_where_plan_saw_something_is_refused(healthy: Render) -> None:
    blank = bytes([18]) * len(healthy.records[0].thumbnails[0])
    records = [dataclasses.replace(record, packets=[]) for record in healthy.records]
    records[1] = dataclasses.replace(records[1], thumbnails=[blank] * CHUNK)
    message = refusal(lambda: healthy.check(records=records))
    assert "frame 10 (0.417 s): the chunk captured one flat colour, Plan saw a picture" in message


def test_a_record_that_is_too_short_is_refused(healthy: Render) -> None:
    message = refusal(lambda: healthy.check(records=healthy.records[:2]))
    assert "16 frames and 16 thumbnails were recorded; planned: 24" in message


@pytest.mark.parametrize(
    "content", [None, "{}", "[]", '{"version": 2}', '{"version":1,"alpha":false,"thumbnails":"eJwD","digests":[],"packets":[]}']
)
def test_a_damaged_record_is_a_typed_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "000000-0-7.mp4.frames"
    if content is not None:
        path.write_text(content)
    assert path.name in refusal(lambda: ChunkRecord.read(path))


def test_a_record_survives_the_way_through_a_file(healthy: Render, tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text(healthy.records[0].to_json())
    assert ChunkRecord.read(path) == healthy.records[0]
    assert path.stat().st_size < 200 * CHUNK


def test_formats_without_alpha_and_with_it_say_so(healthy: Render) -> None:
    assert not healthy.records[0].alpha
    assert OutputFormat.WEBM.spec.alpha
