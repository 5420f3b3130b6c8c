"""Outputs of several files, and what lies beside an output in S3, as they lie on this machine after the download."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from hyperframes_provider.client.execution.objects import fetch_frames, fetch_package, fetch_sidecars

BUCKET = "sidecars-bucket"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}/outputs"


@pytest.mark.parametrize(
    ("output", "local", "expected"),
    [
        ("r1.mp4", "film.mp4", {"poster": "film.poster.jpg", "captions.de.srt": "film.de.srt"}),
        ("r1.tar", "frames", {"poster": "frames.poster.jpg", "captions.de.srt": "frames.de.srt"}),
    ],
)
def test_sidecars_take_the_name_of_the_downloaded_output(
    bucket: str, tmp_path: Path, output: str, local: str, expected: dict[str, str]
) -> None:
    s3 = boto3.client("s3")
    endings = {"poster": "poster.jpg", "captions.de.srt": "de.srt"}
    for name, ending in endings.items():
        s3.put_object(Bucket=BUCKET, Key=f"outputs/r1.{ending}", Body=name.encode())
    uris = {name: f"{bucket}/r1.{ending}" for name, ending in endings.items()}
    found = fetch_sidecars(boto3.client, uris, f"{bucket}/{output}", tmp_path / local)
    assert found == {name: tmp_path / file for name, file in expected.items()}
    assert {name: path.read_text() for name, path in found.items()} == {name: name for name in endings}


def test_packages_take_the_name_of_the_downloaded_output_so_that_two_may_lie_in_one_folder(bucket: str, tmp_path: Path) -> None:
    s3 = boto3.client("s3")
    for render in ("r1", "r2"):
        files = {
            "index.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex-media.m3u8\n",
            "index-media.m3u8": '#EXTM3U\n#EXT-X-MAP:URI="index-init.mp4"\n#EXTINF:1.0,\nindex-00000.m4s\n#EXT-X-ENDLIST\n',
            "index-init.mp4": f"{render} head",
            "index-00000.m4s": f"{render} body",
        }
        for name, text in files.items():
            s3.put_object(Bucket=BUCKET, Key=f"outputs/{render}/{name}", Body=text.encode())

    for render, name in (("r1", "film.m3u8"), ("r2", "index.m3u8")):
        found = fetch_package(boto3.client, f"{bucket}/{render}/index.m3u8", tmp_path / name)
        assert found[0] == tmp_path / name
        assert len(found) == 4

    assert (tmp_path / "film.m3u8").read_text().endswith("\nfilm-media.m3u8\n")
    assert (tmp_path / "film-media.m3u8").read_text() == (
        '#EXTM3U\n#EXT-X-MAP:URI="film-init.mp4"\n#EXTINF:1.0,\nfilm-00000.m4s\n#EXT-X-ENDLIST\n'
    )
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix in (".mp4", ".m4s")} == {
        "film-init.mp4": "r1 head",
        "film-00000.m4s": "r1 body",
        "index-init.mp4": "r2 head",
        "index-00000.m4s": "r2 body",
    }


def test_frames_replace_those_of_a_longer_render(bucket: str, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("000000.png", "000007.png", "notes.txt"):
        (folder / name).write_text("before")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("000000.png", "000001.png"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    boto3.client("s3").put_object(Bucket=BUCKET, Key="outputs/r1.tar", Body=content.getvalue())

    fetch_frames(boto3.client, f"{bucket}/r1.tar", folder)

    assert {path.name: path.read_text() for path in folder.iterdir()} == {"000000.png": "", "000001.png": "", "notes.txt": "before"}
