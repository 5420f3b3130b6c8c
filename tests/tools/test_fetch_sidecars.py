"""What lies beside an output in S3 lies beside the downloaded file, with the same endings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from hyperframes_provider.cli.objects import fetch_sidecars

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
