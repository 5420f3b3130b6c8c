"""A project with source video, sound, bundled font, remote library and captions, through the deployed stack into every kind of output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_provider.local.endpoint import EndpointInfo
from tests.e2e.media_project import (
    BOX_WAY,
    FPS,
    HEIGHT,
    HERTZ,
    SECONDS,
    TONE_FROM,
    TONE_TO,
    WIDTH,
    box_left,
    clip_number,
    number_in,
    word_width,
    write_project,
)
from tests.e2e.whole_path import Execution, WholePath

FRAMES = round(SECONDS * FPS)
CHUNKS = {"chunkSize": FRAMES // 4}
SIDECARS = {
    "poster": (".poster.jpg", "image/jpeg"),
    "contact-sheet": (".contact-sheet.jpg", "image/jpeg"),
    "captions.de.vtt": (".de.vtt", "text/vtt; charset=utf-8"),
    "report": (".report.json", "application/json"),
}
RATE = 48_000


@pytest.fixture(scope="module")
def folder(toolset: Toolset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("media") / "media-project", toolset.ffmpeg.path)


@pytest.fixture(scope="module")
def project(folder: Path, stack: WholePath) -> str:
    return stack.upload({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()})


def rendered(stack: WholePath, project: str, name: str, config: dict[str, Any]) -> tuple[dict[str, Any], Execution]:
    request = stack.request(project, OutputS3Uri=f"s3://{stack.bucket}/outputs/media/{name}", Config=config)
    done = stack.run(request)
    assert done.status == "SUCCEEDED", done.cause
    return request, done


def stored(stack: WholePath, uri: str) -> tuple[bytes, str]:
    """Body and media type of an object."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    answer = stack.client("s3").get_object(Bucket=bucket, Key=key)
    return answer["Body"].read(), answer["ContentType"]


def mirrored(endpoint: EndpointInfo, stack: WholePath, uri: str) -> Path:
    return endpoint.outputs / uri.removeprefix(f"s3://{stack.bucket}/outputs/")


def sound_of(path: Path) -> NDArray[np.float64]:
    """Return the left channel, from -1 to 1, as long as the container plays it."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        blocks = [
            resampled.to_ndarray()
            for frame in container.decode(audio=0)
            if (frame.pts or 0) >= 0
            for resampled in resampler.resample(frame)
        ]
    return np.concatenate(blocks, axis=1)[0].astype(float)


def assert_tone(sound: NDArray[np.float64]) -> None:
    """Hold the sound to the tone: place, pitch, level, and silence elsewhere."""
    assert abs(len(sound) / RATE - SECONDS) < 0.03
    inside = sound[round((TONE_FROM + 0.1) * RATE) : round((TONE_TO - 0.1) * RATE)]
    spectrum = np.abs(np.fft.rfft(inside))
    assert abs(int(spectrum.argmax()) * RATE / len(inside) - HERTZ) < 3
    assert np.sqrt((inside**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
    outside = np.concatenate([sound[: round((TONE_FROM - 0.05) * RATE)], sound[round((TONE_TO + 0.05) * RATE) :]])
    assert np.abs(outside).max() < 0.01


def assert_pictures(pictures: list[NDArray[np.uint8]]) -> None:
    """The video shows the frame it should, the library has moved the box, the word is set in the bundled font."""
    assert len(pictures) == FRAMES
    wanted = [clip_number(frame) for frame in range(FRAMES)]
    assert [number_in(picture) for picture, number in zip(pictures, wanted, strict=True) if number is not None] == [
        number for number in wanted if number is not None
    ]
    assert max(abs(box_left(picture) - BOX_WAY * frame / FRAMES) for frame, picture in enumerate(pictures)) < 1
    assert 50 < word_width(pictures[0]) < 90


def test_an_mp4_has_pictures_sound_and_sidecars_in_the_bucket_and_in_the_outputs_folder(
    stack: WholePath, project: str, embedded_endpoint: EndpointInfo, tmp_path: Path
) -> None:
    names = ["poster", "contact-sheet", "captions", "report"]
    request, done = rendered(stack, project, "film.mp4", CHUNKS | {"sidecars": names})

    assert (done.attempts("Plan"), done.attempts("RenderChunk"), done.attempts("Assemble")) == (1, 4, 1)
    film = stack.fetch(request["OutputS3Uri"], tmp_path / "film.mp4")
    with av.open(str(film)) as container:
        assert_pictures([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert_tone(sound_of(film))
    found = done.output["Verification"]
    assert done.output["HasAudio"] is True
    assert (found["Codec"], found["AudioCodec"], found["Frames"], found["FramesCompared"]) == ("h264", "aac", FRAMES, FRAMES)
    assert (found["PacketsIdentical"], found["Audio"], found["FramesUnlikePlan"]) == (True, True, [])
    assert set(done.output["Sidecars"]) == set(SIDECARS)
    for name, (ending, kind) in SIDECARS.items():
        uri = f"s3://{stack.bucket}/outputs/media/film{ending}"
        assert done.output["Sidecars"][name] == uri
        body, content_type = stored(stack, uri)
        assert content_type == kind
        assert mirrored(embedded_endpoint, stack, uri).read_bytes() == body
    assert mirrored(embedded_endpoint, stack, request["OutputS3Uri"]).read_bytes() == film.read_bytes()
    assert json.loads(stored(stack, done.output["Sidecars"]["report"])[0])["Verification"] == found
    poster = Image.open(io.BytesIO(stored(stack, done.output["Sidecars"]["poster"])[0]))
    assert (poster.width, poster.height) == (WIDTH, HEIGHT)

    # Only what a chunk's frames show is fetched, and nothing of it holds up the one that heard nothing: without the sound it renders again.
    manifest = json.loads(stored(stack, request["PlanOutputS3Prefix"] + "plan/manifest.json")[0])
    prefix = request["PlanOutputS3Prefix"].removeprefix(f"s3://{stack.bucket}/")
    s3 = stack.client("s3")

    def blob(name: str) -> str:
        sha256 = manifest["files"][name]["sha256"]
        return f"{prefix}plan/blobs/sha256/{sha256[:2]}/{sha256}"

    tone = s3.get_object(Bucket=stack.bucket, Key=blob("media/tone.wav"))["Body"].read()
    s3.put_object(Bucket=stack.bucket, Key=blob("media/tone.wav"), Body=b"not what its name says")
    chunks = stack.keys(request["PlanOutputS3Prefix"] + "chunks/")
    lost = next(key for key in chunks if "000001-" in key and ".frames" in key)
    s3.delete_object(Bucket=stack.bucket, Key=lost)
    event = {"Action": "renderChunk", "ManifestS3Uri": request["PlanOutputS3Prefix"] + "plan/manifest.json"}
    answers = [stack.invoke(event | {"PlanHash": done.output["PlanHash"], "ChunkIndex": index}) for index in (0, 1)]
    s3.put_object(Bucket=stack.bucket, Key=blob("media/tone.wav"), Body=tone)

    assert [answer.get("Reused") for answer in answers] == [True, False], answers
    assert stack.keys(request["PlanOutputS3Prefix"] + "chunks/").keys() == chunks.keys()

    # A plan that is there is used again, and nothing of it is uploaded, although it was recorded from a network.
    before = [
        (found["Key"], found["LastModified"]) for found in s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix + "plan/")["Contents"]
    ]
    again = stack.invoke(
        {"Action": "plan", **{name: request[name] for name in ("ProjectS3Uri", "PlanOutputS3Prefix", "Config")}, "ExecutionName": "again"}
    )
    after = [
        (found["Key"], found["LastModified"]) for found in s3.list_objects_v2(Bucket=stack.bucket, Prefix=prefix + "plan/")["Contents"]
    ]
    assert (again.get("Reused"), again.get("PlanHash")) == (True, done.output["PlanHash"]), again
    assert after == before
    assert any(url.startswith("https://cdn.jsdelivr.net/npm/gsap") for url in manifest["remote"])


def test_a_webm_keeps_what_is_transparent(stack: WholePath, project: str, toolset: Toolset, tmp_path: Path) -> None:
    request, done = rendered(stack, project, "film.webm", {"format": "webm", "chunkSize": FRAMES // 2})

    film = stack.fetch(request["OutputS3Uri"], tmp_path / "film.webm")
    command = [str(toolset.ffmpeg.path), "-v", "error", "-c:v", "libvpx-vp9", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 4)
    assert len(pictures) == FRAMES
    assert [number_in(pictures[frame]) for frame in (6, 20)] == [clip_number(frame) for frame in (6, 20)]
    # Beside the box and the film there is nothing; the film itself is opaque.
    assert (pictures[20, 170, 300, 3], pictures[20, 30, 60, 3]) == (0, 255)
    assert_tone(sound_of(film))
    assert (done.output["Verification"]["Codec"], done.output["Verification"]["AudioCodec"]) == ("vp9", "opus")


def test_an_hls_package_lies_side_by_side_with_the_right_media_types(
    stack: WholePath, project: str, embedded_endpoint: EndpointInfo
) -> None:
    request, _ = rendered(stack, project, "stream/index.m3u8", {"format": "hls", "hlsSegmentSeconds": 1, "chunkSize": FRAMES // 2})

    folder = request["OutputS3Uri"].rpartition("/")[0]
    kinds = {key.rpartition("/")[2]: stored(stack, f"s3://{stack.bucket}/{key}")[1] for key in stack.keys(f"{folder}/")}
    assert kinds == {
        "index.m3u8": "application/vnd.apple.mpegurl",
        "index-media.m3u8": "application/vnd.apple.mpegurl",
        "index-init.mp4": "video/mp4",
        "index-00000.m4s": "video/iso.segment",
        "index-00001.m4s": "video/iso.segment",
    }
    master = mirrored(embedded_endpoint, stack, request["OutputS3Uri"])
    assert {path.name for path in master.parent.iterdir()} == kinds.keys()
    with av.open(str(master)) as container:
        assert_pictures([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert_tone(sound_of(master))


def test_sound_alone_has_no_chunks(stack: WholePath, project: str, embedded_endpoint: EndpointInfo) -> None:
    request, done = rendered(stack, project, "sound.wav", {"format": "wav"})

    assert done.attempts("RenderChunk") == 0
    assert done.output["ChunkCount"] == 0
    assert stored(stack, request["OutputS3Uri"])[1] == "audio/wav"
    sound = sound_of(mirrored(embedded_endpoint, stack, request["OutputS3Uri"]))
    assert len(sound) == SECONDS * RATE
    assert_tone(sound)


@pytest.fixture
def command_line(stack: WholePath, folder: Path, tmp_path: Path) -> Iterator[Any]:
    """Run `hyperframes-airflow render` on the project, in a folder of its own, and return the document."""

    def render(output: str, *options: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).with_name("hyperframes-airflow")), "render", str(folder), "-o", output, "--json"]
        command += ["--stack-name", "hyperframes-e2e", "--endpoint-url", stack.endpoint_url, *options]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    yield render


def test_the_command_line_takes_large_variables_and_fetches_a_still(stack: WholePath, command_line: Any, tmp_path: Path) -> None:
    # Too large for the input of an execution: it travels by S3, and the page sees all of it.
    variables = tmp_path / "variables.json"
    variables.write_text(json.dumps({"word": "M" * 300_000}))
    document = command_line("shot.png", "--variables", f"@{variables}", "--set", "at=0.5")

    assert (document["frames"], document["path"]) == (1, "shot.png")
    started = stack.client("stepfunctions").describe_execution(executionArn=document["execution_arn"])
    assert len(started["input"]) < 2000
    with Image.open(tmp_path / "shot.png") as shot:
        picture = np.asarray(shot)
    assert picture.shape == (HEIGHT, WIDTH, 4)
    assert number_in(picture) == clip_number(12)
    assert abs(box_left(picture) - BOX_WAY / 3) < 1
    assert 50 < word_width(picture) < 90
    assert (picture[170, 300, 3], picture[30, 60, 3]) == (0, 255)


def test_the_command_line_fetches_everything_that_belongs_to_an_output(command_line: Any, tmp_path: Path) -> None:
    document = command_line("film.m3u8", "--chunk-size", "18", "--sidecar", "captions", "--sidecar", "report")

    assert document["sidecar_paths"] == {"captions.de.vtt": "film.de.vtt", "report": "film.report.json"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "film.m3u8",
        "film-media.m3u8",
        "film-init.mp4",
        "film-00000.m4s",
        "film.de.vtt",
        "film.report.json",
    }
    with av.open(str(tmp_path / "film.m3u8")) as container:
        assert_pictures([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert_tone(sound_of(tmp_path / "film.m3u8"))
