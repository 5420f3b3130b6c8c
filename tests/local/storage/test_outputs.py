"""The outputs folder: finished objects appear in it, complete, and nothing outside it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from hyperframes_provider.local.storage.outputs import OutputsFolder
from tests.local.deployed import Deployed

MB = 1 << 20


def test_put_copy_and_multipart_are_mirrored(local_aws: Deployed) -> None:
    s3, bucket, folder = local_aws.connect("s3"), local_aws.bucket, local_aws.info.outputs
    s3.put_object(Bucket=bucket, Key="outputs/deep/er/put.mp4", Body=b"first")
    s3.put_object(Bucket=bucket, Key="outputs/deep/er/put.mp4", Body=b"second")
    s3.copy_object(Bucket=bucket, Key="outputs/copy.mp4", CopySource={"Bucket": bucket, "Key": "outputs/deep/er/put.mp4"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="outputs/large.mp4")["UploadId"]
    parts = []
    for number, body in ((1, b"a" * 5 * MB), (2, b"b" * MB)):
        part = s3.upload_part(Bucket=bucket, Key="outputs/large.mp4", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
        assert not (folder / "large.mp4").exists()
    s3.complete_multipart_upload(Bucket=bucket, Key="outputs/large.mp4", UploadId=upload, MultipartUpload={"Parts": parts})
    assert (folder / "deep" / "er" / "put.mp4").read_bytes() == b"second"
    assert (folder / "copy.mp4").read_bytes() == b"second"
    assert (folder / "large.mp4").stat().st_size == 6 * MB
    assert not list(folder.rglob(".*")), "a temporary file was left behind"


def test_other_keys_are_not_mirrored(local_aws: Deployed) -> None:
    local_aws.connect("s3").put_object(Bucket=local_aws.bucket, Key="renders/r/chunk.mp4", Body=b"x")
    assert not list(local_aws.info.outputs.rglob("chunk.mp4"))


def test_a_mirror_that_cannot_be_written_fails_the_request(local_aws: Deployed) -> None:
    s3 = local_aws.connect("s3")
    s3.put_object(Bucket=local_aws.bucket, Key="outputs/taken", Body=b"x")
    with pytest.raises(ClientError, match=r"outputs/taken/below could not be copied to .*(Not a directory|File exists)"):
        s3.put_object(Bucket=local_aws.bucket, Key="outputs/taken/below", Body=b"y")


@pytest.mark.parametrize(
    "key", ["outputs/../escaped", "outputs/a/../../escaped", "outputs//etc/escaped", "outputs/", "outputs/folder/", "other/a"]
)
def test_names_that_have_no_place_in_the_folder(tmp_path: Path, key: str) -> None:
    folder = OutputsFolder(tmp_path / "renders")
    assert folder.path_of(key) is None
    folder.write(key, b"x")
    assert list(tmp_path.iterdir()) == []


def test_files_get_the_users_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        folder = OutputsFolder(tmp_path)
    finally:
        os.umask(before)
    folder.write("outputs/a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
