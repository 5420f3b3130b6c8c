"""Objects of S3 as local files."""

from __future__ import annotations

import tempfile
from pathlib import Path

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


def fetch_frames(connect: Connect, uri: str, folder: Path) -> Path:
    """Download a png-sequence and unpack it into `folder`."""
    with tempfile.TemporaryDirectory(prefix="hyperframes-frames-") as scratch:
        archive = fetch_object(connect, uri, Path(scratch) / "frames.tar")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder
