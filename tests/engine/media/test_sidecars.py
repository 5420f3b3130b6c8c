"""Sidecars: pictures of the right frames in the right colours, captions byte for byte, a report that says it all. Real ffmpeg."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.composition import ServedFile, requested_captions
from hyperframes_lambda.contract.config import Quality, RenderConfig, Sidecar, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import OutputFormat, base_name
from hyperframes_lambda.contract.media import CaptionFile
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.media.gate_record import samples_of
from hyperframes_lambda.media.png_sequence import PngSegment, join_to_folder, join_to_tar
from hyperframes_lambda.media.sidecars import poster_frame, sheet_frames, write_sidecars
from tests.engine.media.drawn_render import FRAMES, HEIGHT, WIDTH, Render, picture, render

ALL_PICTURES = [Sidecar.POSTER, Sidecar.CONTACT_SHEET]


@pytest.fixture(scope="module")
def ffmpeg_path(toolset: Toolset) -> Path:
    return toolset.ffmpeg.path


def made_for(render_: Render, *wanted: Sidecar, output: Path | None = None, **changes: Any) -> dict[str, Path]:
    config = render_.manifest.config.model_copy(update={"sidecars": list(wanted), **changes})
    manifest = render_.manifest.model_copy(update={"config": config, "captions": changes.get("captions", [])})
    return write_sidecars(
        render_.ffmpeg,
        output or render_.output,
        manifest,
        render_.records,
        {"Frames": FRAMES},
        source=lambda file: render_.output.parent / file,
        decoder=render_.decoder,
    )


def pixels(path: Path, mode: str = "RGB") -> np.ndarray[Any, np.dtype[np.int16]]:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode)).astype(np.int16)


def drawn(frame: int, *, alpha: bool = False) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(Image.open(io.BytesIO(picture(frame, alpha=alpha))).convert("RGBA" if alpha else "RGB")).astype(np.int16)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, ffmpeg_path: Path) -> Render:
    return render(ffmpeg_path, tmp_path_factory.mktemp("video"), RenderConfig(quality=Quality.HIGH))


def box_left(image: np.ndarray[Any, np.dtype[np.int16]]) -> int:
    """Where the orange box of the drawn pictures begins."""
    row = image[60]
    return int(np.argmax((row[:, 0] > 200) & (row[:, 2] < 80)))


def test_poster_and_contact_sheet_show_the_frames_they_should_in_the_right_colours(video: Render) -> None:
    made = made_for(video, *ALL_PICTURES, poster_at=0.5)
    assert {name: path.name for name, path in made.items()} == {
        "poster": "output.poster.jpg",
        "contact-sheet": "output.contact-sheet.jpg",
    }
    poster = pixels(made["poster"])
    assert poster.shape == (HEIGHT, WIDTH, 3)
    # Away from the edges, where JPEG rings: wall, floor and box.
    for y, x in ((20, 10), (150, 160), (60, 12 * 12 + 20)):
        assert np.abs(poster[y, x] - drawn(12)[y, x]).max() <= 4
    sheet = pixels(made["contact-sheet"])
    assert sheet.shape == (8 + 4 * (180 + 8), 8 + 4 * (320 + 8), 3)
    for number, frame in enumerate(sheet_frames(FRAMES)):
        top, left = 8 + number // 4 * 188, 8 + number % 4 * 328
        assert box_left(sheet[top : top + 180, left : left + 320]) == pytest.approx(12 * frame, abs=2)


@pytest.mark.parametrize("name", [OutputFormat.WEBM, OutputFormat.MOV, OutputFormat.GIF])
def test_transparent_outputs_have_transparent_posters(tmp_path: Path, ffmpeg_path: Path, name: OutputFormat) -> None:
    made = made_for(render(ffmpeg_path, tmp_path, RenderConfig(format=name, quality=Quality.DRAFT)), *ALL_PICTURES, poster_at=0.25)
    poster = pixels(made["poster"], "RGBA")
    assert made["poster"].suffix == ".png"
    assert poster[20, 200, 3] == 0
    assert poster[60, 12 * 6 + 20] == pytest.approx(drawn(6, alpha=True)[60, 12 * 6 + 20], abs=12)
    # In the sheet, what is transparent is black.
    assert pixels(made["contact-sheet"])[8 + 20, 8 + 200].max() < 16


@pytest.mark.parametrize("packed", [True, False])
def test_a_png_sequence_has_posters_too(tmp_path: Path, video: Render, packed: bool) -> None:
    segment = tmp_path / "segment.tar"
    with PngSegment(segment, first=0, frames=FRAMES, width=WIDTH, height=HEIGHT) as writer:
        for frame in range(FRAMES):
            writer.write(picture(frame))
    output = tmp_path / ("frames.tar" if packed else "frames")
    (join_to_tar if packed else join_to_folder)([segment], output, frames=FRAMES, width=WIDTH, height=HEIGHT)
    seen = samples_of(video.ffmpeg, {frame: picture(frame) for frame in (0, 5, 10)}, tmp_path, alpha=True)
    manifest = video.manifest.model_copy(update={"format": OutputFormat.PNG_SEQUENCE, "samples": seen})
    made = made_for(dataclasses.replace(video, manifest=manifest, records=[]), *ALL_PICTURES, output=output)
    assert made["poster"] == tmp_path / "frames.poster.png"
    # Of the frames that Plan saw, 5 is the first after a tenth of 24.
    assert np.array_equal(pixels(made["poster"]), drawn(5))
    assert pixels(made["contact-sheet"]).shape[2] == 3


def test_the_default_poster_is_the_first_picture_after_a_tenth(video: Render) -> None:
    blank, seen = bytes([18]) * len(video.records[0].thumbnails[0]), video.records[0].thumbnails[0]
    late = [dataclasses.replace(video.records[0], thumbnails=[seen, *[blank] * 6, seen])]
    empty = [dataclasses.replace(video.records[0], thumbnails=[blank] * 8)]
    assert poster_frame(video.manifest, video.records) == 2
    assert poster_frame(video.manifest, late) == 7
    assert poster_frame(video.manifest, empty) == 2


@pytest.mark.parametrize(("moment", "frame"), [(0, 0), (0.5, 12), (1 / 24, 1), (0.1, 2), (0.99, 23), (7, 23)])
def test_the_poster_is_the_frame_shown_at_its_moment(video: Render, moment: float, frame: int) -> None:
    config = RenderConfig(sidecars=[Sidecar.POSTER], poster_at=moment)
    assert poster_frame(video.manifest.model_copy(update={"config": config}), video.records) == frame


@pytest.mark.parametrize(("total", "frames"), [(1, [0]), (2, [0, 1]), (16, list(range(16))), (32, list(range(1, 33, 2)))])
def test_a_contact_sheet_spreads_over_the_whole_render(total: int, frames: list[int]) -> None:
    assert sheet_frames(total) == frames


def test_captions_keep_their_bytes_and_take_the_name_of_the_output(video: Render) -> None:
    folder = video.output.parent
    for name, text in {"a.vtt": "WEBVTT\n", "b.vtt": "WEBVTT B\n", "captions.de.srt": "1\r\n", "captions.vtt": "WEBVTT C\n"}.items():
        (folder / name).write_bytes(text.encode())
    captions = [
        CaptionFile(file="a.vtt", language="en"),
        CaptionFile(file="b.vtt", language="en"),
        CaptionFile(file="captions.de.srt", language="de"),
        CaptionFile(file="captions.vtt"),
    ]
    made = made_for(video, Sidecar.CAPTIONS, captions=captions)
    assert {name: path.read_bytes() for name, path in made.items()} == {
        "captions.en.vtt": b"WEBVTT\n",
        "captions.en-2.vtt": b"WEBVTT B\n",
        "captions.de.srt": b"1\r\n",
        "captions.vtt": b"WEBVTT C\n",
    }
    assert sorted(path.name for path in made.values()) == ["output.de.srt", "output.en-2.vtt", "output.en.vtt", "output.vtt"]


def test_the_report_has_plan_versions_and_verification(video: Render) -> None:
    made = made_for(video, Sidecar.POSTER, Sidecar.REPORT)
    report = json.loads(made["report"].read_text("utf-8"))
    assert made["report"].name == "output.report.json"
    assert report["Verification"] == {"Frames": FRAMES}
    assert report["Versions"].keys() >= {"renderer", "browser", "ffmpeg", "runtime"}
    assert report["Chunks"] == [[0, 7], [8, 15], [16, 23]]
    assert report["Sidecars"] == {"poster": ".poster.jpg"}
    assert report["Fps"] == 24


@pytest.mark.parametrize(
    ("name", "base"),
    [("film.mp4", "film"), ("week.47", "week.47"), ("frames", "frames"), ("a.b.MOV", "a.b"), ("master.m3u8", "master"), (".mp4", ".mp4")],
)
def test_sidecars_are_called_like_the_output(name: str, base: str) -> None:
    assert base_name(name) == base


def captions_in(files: Mapping[str, str], entry: str = "index.html") -> list[tuple[str, str | None]]:
    served = {name: ServedFile("text/plain", content=text.encode()) for name, text in files.items()}
    config = RenderConfig(sidecars=[Sidecar.CAPTIONS], entry_file=entry)
    return [(captions.file, captions.language) for captions in requested_captions(served, config)]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"index.html": "<video><track src='talk.vtt' srclang=en></video>", "talk.vtt": ""}, [("talk.vtt", "en")]),
        ({"a/index.html": "<track kind=captions src='../talk.srt'>", "talk.srt": ""}, [("talk.srt", None)]),
        ({"index.html": "<track src='captions.de.vtt'>", "captions.de.vtt": ""}, [("captions.de.vtt", "de")]),
        ({"index.html": "", "captions.vtt": "", "x/captions.pt-BR.srt": ""}, [("captions.vtt", None), ("x/captions.pt-BR.srt", "pt-BR")]),
        ({"index.html": "<track kind=chapters src=gone.vtt>", "captions.srt": "", "captions.css": ""}, [("captions.srt", None)]),
        ({"index.html": "<track src='https://studio.example/a.vtt'>", "captions_en.vtt": ""}, [("captions_en.vtt", "en")]),
    ],
)
def test_captions_are_found_by_element_and_by_name(files: dict[str, str], found: list[tuple[str, str | None]]) -> None:
    assert captions_in(files, next(name for name in files if name.endswith("index.html"))) == found


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"index.html": "<p>"}, ErrorCode.INVALID_CONFIG, "the project has none"),
        ({"index.html": "<track src=gone.vtt>"}, ErrorCode.ASSET_UNAVAILABLE, "gone.vtt"),
    ],
)
def test_captions_that_are_not_there_are_a_typed_error(files: dict[str, str], code: ErrorCode, words: str) -> None:
    with pytest.raises(RenderError) as caught:
        captions_in(files)
    assert caught.value.code is code
    assert words in str(caught.value)


def test_captions_nobody_asked_for_are_nobodys_business() -> None:
    assert requested_captions({"index.html": ServedFile("text/html", content=b"<track src=gone.vtt>")}, RenderConfig()) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sidecars": ["posters"]}, "'poster'"),
        ({"sidecars": ["poster", "poster"]}, "once"),
        ({"posterAt": 1}, "only when the sidecars include a poster"),
        ({"sidecars": ["poster"], "posterAt": -1}, "posterAt"),
        ({"sidecars": ["poster"], "format": "wav"}, "wav has no poster"),
        ({"sidecars": ["contact-sheet"], "format": "png"}, "png has no poster and no contact sheet"),
        ({"sidecars": ["captions"], "format": "jpeg"}, "jpeg has no captions"),
    ],
)
def test_sidecars_that_make_no_sense_are_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderError) as caught:
        parse_config(config)
    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert words in caught.value.message
