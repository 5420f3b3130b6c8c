"""Objects of S3 as local files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hyperframes_lambda.contract.formats import base_name
from hyperframes_provider.client.archives import tarfile
from hyperframes_provider.client.connect import Connect
from hyperframes_provider.client.errors import InvalidRequest, error_code
from hyperframes_provider.client.s3 import parse_s3_uri


def fetch_object(connect: Connect, uri: str, path: Path) -> Path:
    """Download `uri` to `path`, which appears when it is complete; `InvalidRequest` when there is no such object."""
    from botocore.exceptions import ClientError

    location = parse_s3_uri(uri, where="download")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        connect("s3").download_file(location.bucket, location.key, str(partial))
        partial.replace(path)
    except ClientError as error:
        if error_code(error) not in ("404", "NoSuchKey", "NoSuchBucket"):
            raise
        hint = "A restarted embedded endpoint forgets its objects; finished videos are in the folder of: hyperframes-airflow local status"
        raise InvalidRequest(f"there is no object {uri}", hint=hint) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def fetch_sidecars(connect: Connect, sidecars: Mapping[str, str], output_uri: str, path: Path) -> dict[str, Path]:
    """Download what lies beside `output_uri` to beside `path`, with the endings that it has there, and say what is where."""
    remote, local = base_name(output_uri.rpartition("/")[2]), base_name(path.name)
    return {
        name: fetch_object(connect, uri, path.with_name(local + uri.rpartition("/")[2].removeprefix(remote)))
        for name, uri in sidecars.items()
    }


def fetch_frames(connect: Connect, uri: str, folder: Path) -> Path:
    """Download a png-sequence and unpack it into `folder`."""
    with tempfile.TemporaryDirectory(prefix="hyperframes-frames-") as scratch:
        archive = fetch_object(connect, uri, Path(scratch) / "frames.tar")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


def fetch_package(connect: Connect, uri: str, path: Path) -> Path:
    """Download the HLS package whose master playlist is `uri` to `path` and files beside it; `path` appears last.

    The files keep their names, by which they refer to each other, so `path` may be called anything.
    """
    with tempfile.TemporaryDirectory(prefix="hyperframes-hls-") as scratch:
        master = fetch_object(connect, uri, Path(scratch) / "master.m3u8")
        for playlist in _named_in(master):
            media = fetch_object(connect, _beside(uri, playlist), path.with_name(playlist))
            for name in _named_in(media):
                fetch_object(connect, _beside(uri, name), path.with_name(name))
        path.write_bytes(master.read_bytes())
    return path


def _named_in(playlist: Path) -> list[str]:
    text = playlist.read_text("utf-8")
    names = re.findall(r'URI="([^"]+)"', text) + [line for line in text.splitlines() if line and not line.startswith("#")]
    return [name for name in names if "/" not in name]


def _beside(uri: str, name: str) -> str:
    return f"{uri.rpartition('/')[0]}/{name}"
