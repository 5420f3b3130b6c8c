"""S3 and archives: only allowed buckets, whole files, nothing outside the project's folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.entry.storage import S3Location, Storage, Wanted
from hyperframes_lambda.machine import archive as archive_module
from hyperframes_lambda.machine.archive import unpack_project

BUCKET = "render-bucket"


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HYPERFRAMES_BUCKET": BUCKET,
        "HYPERFRAMES_ALLOWED_BUCKETS": "studio, archive ,",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield Storage.from_environment()


def test_only_the_stacks_bucket_and_the_allowed_ones_are_touched(storage: Storage) -> None:
    assert storage.locate(f"s3://{BUCKET}/a/b.mp4") == S3Location(BUCKET, "a/b.mp4")
    assert str(storage.locate("s3://studio/x") / "y") == "s3://studio/xy"
    assert storage.locate("s3://archive/x").bucket == "archive"
    for foreign in (f"s3://{BUCKET}-2/x", "s3://else/x", "s3:///x"):
        with pytest.raises(RenderError, match="AllowedBuckets") as caught:
            storage.locate(foreign)
        assert caught.value.code is ErrorCode.S3_URI_NOT_ALLOWED
        assert foreign in caught.value.message


def test_a_long_listing_comes_in_pages(storage: Storage) -> None:
    first: dict[str, Any] = {"IsTruncated": True, "NextContinuationToken": "more", "Contents": [{"Key": "r/1"}]}
    where = {"Bucket": BUCKET, "Prefix": "r/"}
    with Stubber(storage._s3) as stub:
        stub.add_response("list_objects_v2", first, where)
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "r/2"}]}, where | {"ContinuationToken": "more"})
        assert storage.keys(S3Location(BUCKET, "r/")) == {"1", "2"}


def test_objects_come_and_go_whole(storage: Storage, tmp_path: Path) -> None:
    prefix = S3Location(BUCKET, "renders/r/")
    storage.write(prefix / "a.json", b"{}")
    (tmp_path / "big").write_bytes(bytes(range(256)) * 50_000)
    storage.upload(tmp_path / "big", prefix / "big", content_type="video/mp4")
    storage.upload_all([(tmp_path / "big", prefix / "deep/1", "text/plain"), (tmp_path / "big", prefix / "deep/2", "text/plain")])
    assert storage.read(prefix / "a.json") == b"{}"
    assert storage.keys(prefix) == {"a.json", "big", "deep/1", "deep/2"}
    assert storage.read_if_exists(prefix / "none") is None
    storage.download(prefix / "big", tmp_path / "into" / "copy")
    storage.download_all([(prefix / "deep/1", tmp_path / "1"), (prefix / "deep/2", tmp_path / "2")])
    assert (tmp_path / "into" / "copy").read_bytes() == (tmp_path / "1").read_bytes() == (tmp_path / "big").read_bytes()


def test_a_missing_object_is_named_and_leaves_no_file(storage: Storage, tmp_path: Path) -> None:
    lost = S3Location(BUCKET, "sites/none/project.tar.gz")
    actions: list[Callable[[], object]] = [
        lambda: storage.read(lost),
        lambda: storage.download(lost, tmp_path / "file"),
        lambda: storage.download_all([(lost, tmp_path / "file")]),
        lambda: storage.read(S3Location("studio", "no-such-bucket")),
    ]
    for action in actions:
        with pytest.raises(RenderError, match="does not exist") as caught:
            action()
        assert caught.value.code is ErrorCode.S3_OBJECT_NOT_FOUND
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError"])
def test_other_refusals_of_s3_may_be_retried(code: str) -> None:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_client_error("get_object", service_error_code=code, http_status_code=403)
        with pytest.raises(RenderError, match="cannot read s3://b/k") as caught:
            Storage(client, {"b"}).read(S3Location("b", "k"))
    assert caught.value.code is ErrorCode.S3_ACCESS_FAILED
    assert (caught.value.hint is not None) == (code == "AccessDenied")


def test_an_unreachable_s3_may_be_retried() -> None:
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    client = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x", config=config
    )
    with pytest.raises(RenderError) as caught:
        Storage(client, {"b"}).read(S3Location("b", "k"))
    assert caught.value.code is ErrorCode.S3_ACCESS_FAILED


class Flaky:
    """An S3 client that answers from a list of contents, one per fetch."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = list(contents)

    def download_fileobj(self, bucket: str, key: str, file: io.BufferedWriter, **_: Any) -> None:
        file.write(self.contents.pop(0))


def test_a_blob_with_a_wrong_digest_is_fetched_once_more(tmp_path: Path) -> None:
    good = Wanted(S3Location("b", "blob"), tmp_path / "blob", hashlib.sha256(b"good").hexdigest())
    Storage(Flaky(b"bad", b"good"), {"b"}).download_verified([good])
    assert (tmp_path / "blob").read_bytes() == b"good"
    client = Flaky(b"bad", b"worse", b"good")
    with pytest.raises(RenderError, match="s3://b/blob") as caught:
        Storage(client, {"b"}).download_verified([good])
    assert caught.value.code is ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH
    assert client.contents == [b"good"]


def packed(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for entry in members:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            member = tarfile.TarInfo(entry[0])
            member.size = len(entry[1])
            tar.addfile(member, io.BytesIO(entry[1]))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


PAGE = ("index.html", b"<p>")


def test_a_project_lies_at_the_top_or_in_the_only_folder(tmp_path: Path) -> None:
    flat = unpack_project(packed(tmp_path / "1.tgz", PAGE, ("a/b.css", b"x")), tmp_path / "1", entry="index.html")
    assert flat == tmp_path / "1"
    assert (flat / "a/b.css").read_bytes() == b"x"
    nested = packed(tmp_path / "2.tgz", ("demo/index.html", b"<p>"), ("demo/a.css", b"x"), (".DS_Store", b""))
    assert unpack_project(nested, tmp_path / "2", entry="index.html") == tmp_path / "2/demo"
    dotted = packed(tmp_path / "3.tgz", ("./index.html", b"<p>"), link("alias.html", "index.html"))
    assert (unpack_project(dotted, tmp_path / "3", entry="index.html") / "alias.html").read_bytes() == b"<p>"


DEVICE = tarfile.TarInfo("null")
DEVICE.type = tarfile.CHRTYPE


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ([PAGE, ("../outside.txt", b"x")], "../outside.txt"),
        ([PAGE, ("a/../../outside.txt", b"x")], "a/../../outside.txt"),
        ([PAGE, ("/etc/outside.txt", b"x")], "/etc/outside.txt"),
        ([PAGE, link("evil", "../../outside.txt")], "evil"),
        ([PAGE, link("evil", "/etc/passwd")], "evil"),
        ([PAGE, link("evil", "../outside.txt", tarfile.LNKTYPE)], "evil"),
        ([PAGE, link("folder", "."), ("folder/../../outside.txt", b"x")], "outside.txt"),
        ([PAGE, DEVICE], "null"),
        ([PAGE, ("a", b"file"), ("a/b", b"below a file")], "a/b"),
        ([PAGE, ("x" * 300, b"long name")], "xxx"),
        ([("readme.txt", b"hello")], "no index.html"),
        ([("a/index.html", b"<p>"), ("b/index.html", b"<p>")], "a/index.html, b/index.html"),
        ([], "no index.html"),
    ],
)
def test_an_unsafe_or_useless_archive_is_rejected_by_name(members: list[Any], found: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(RenderError) as caught:
        unpack_project(packed(tmp_path / "p.tgz", *members), tmp_path / "in" / "side", entry="index.html")
    assert caught.value.code is ErrorCode.ARCHIVE_REJECTED
    assert found in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "p.tgz"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["side"]


def test_what_is_no_gzip_compressed_tar_is_rejected(tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole.tgz", PAGE, ("noise", hashlib.sha256(b"").digest() * 5000)).read_bytes()
    contents = {
        "text": b"this is no archive",
        "empty": b"",
        "uncompressed": packed(tmp_path / "plain.tar", PAGE, mode="w:").read_bytes(),
        "cut": whole[: len(whole) // 2],
        "damaged": whole[:60] + b"\0" * 20 + whole[80:],
        "bzip2": packed(tmp_path / "p.tar.bz2", PAGE, mode="w:bz2").read_bytes(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RenderError, match=r"\.tar\.gz") as caught:
            unpack_project(tmp_path / name, tmp_path / f"{name}-out", entry="index.html")
        assert caught.value.code is ErrorCode.ARCHIVE_REJECTED


def test_the_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 3)
    monkeypatch.setattr(archive_module, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(archive_module, "MAX_TOTAL_BYTES", 150)
    for members, found in (
        ([PAGE, ("a", b""), ("b", b""), ("c", b"")], "'c' is entry 4"),
        ([PAGE, ("large", bytes(101))], "'large' has 101 bytes"),
        ([PAGE, ("a", bytes(90)), ("b", bytes(90))], "with 'b'"),
    ):
        with pytest.raises(RenderError, match=found) as caught:
            unpack_project(packed(tmp_path / "p.tgz", *members), tmp_path / "out", entry="index.html")
        assert caught.value.code is ErrorCode.ARCHIVE_REJECTED
