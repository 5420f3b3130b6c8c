"""Transfer of whole objects between S3 and local files, restricted to the allowed buckets, with typed errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.machine.plan_folder import matches

BUCKET_VARIABLE = "HYPERFRAMES_BUCKET"
ALLOWED_VARIABLE = "HYPERFRAMES_ALLOWED_BUCKETS"

_PARALLEL = 16

_ALONE = TransferConfig()
_AMONG_OTHERS = TransferConfig(use_threads=False)
"""For one of several transfers, which already has a thread of its own."""

_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
_REFUSED = {"403", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"}

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key, or a key prefix."""

    bucket: str
    key: str

    def __truediv__(self, name: str) -> S3Location:
        """The object `name` below this prefix."""
        return S3Location(self.bucket, f"{self.key}{name}")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def beside(self, name: str) -> S3Location:
        """The object `name` next to this one."""
        folder, slash, _ = self.key.rpartition("/")
        return S3Location(self.bucket, f"{folder}{slash}{name}")

    def __str__(self) -> str:
        """The URI."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Wanted:
    """An object to download, its local path and its digest."""

    location: S3Location
    path: Path
    sha256: str
    otherwise: ErrorCode = ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH
    hint: str = "Delete the plan's manifest and start the render again: it plans anew and keeps finished chunks."
    """Error and hint for an object with another digest."""


class Storage:
    """Objects of the allowed buckets. Every method may raise S3_OBJECT_NOT_FOUND or S3_ACCESS_FAILED, naming the object."""

    def __init__(self, client: Any, allowed: Iterable[str]) -> None:
        self._s3 = client
        self._allowed = frozenset(allowed)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Storage:
        """A storage for the buckets that the stack's template names; the AWS SDK finds credentials, region and endpoint."""
        names = [environ.get(BUCKET_VARIABLE, ""), *environ.get(ALLOWED_VARIABLE, "").split(",")]
        config = Config(max_pool_connections=_PARALLEL, retries={"mode": "standard", "max_attempts": 5})
        return cls(boto3.client("s3", config=config), {name.strip() for name in names if name.strip()})

    def locate(self, uri: str) -> S3Location:
        """Split an `s3://` URI; `S3_URI_NOT_ALLOWED` unless its bucket is the stack's or an allowed one."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if bucket not in self._allowed:
            raise RenderError(
                ErrorCode.S3_URI_NOT_ALLOWED,
                f"{uri} is in the bucket {bucket!r}; allowed: {', '.join(sorted(self._allowed)) or 'none'}",
                hint=f"Use the stack's bucket, or add {bucket} to the stack's parameter AllowedBuckets ({ALLOWED_VARIABLE}).",
            )
        return S3Location(bucket, key)

    def read(self, location: S3Location) -> bytes:
        """Return the content of a small object."""
        with _typed(location, "read"):
            body = self._s3.get_object(Bucket=location.bucket, Key=location.key)["Body"]
            with body:
                return bytes(body.read())

    def read_if_exists(self, location: S3Location) -> bytes | None:
        """Return the content of a small object, or None if it does not exist."""
        try:
            return self.read(location)
        except RenderError as error:
            if error.code is ErrorCode.S3_OBJECT_NOT_FOUND:
                return None
            raise

    def keys(self, prefix: S3Location) -> set[str]:
        """List the keys below `prefix`, relative to it."""
        with _typed(prefix, "list"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            return {found["Key"].removeprefix(prefix.key) for page in pages for found in page.get("Contents", ())}

    def write(self, location: S3Location, content: bytes, *, content_type: str = "application/json") -> None:
        """Put a small object."""
        with _typed(location, "write"):
            self._s3.put_object(Bucket=location.bucket, Key=location.key, Body=content, ContentType=content_type)

    def download(self, location: S3Location, path: Path, *, transfer: TransferConfig = _ALONE) -> None:
        """Download an object; `path` appears complete or not at all. Raises `OSError` if it cannot be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        try:
            with _typed(location, "read"), part.open("wb") as file:
                self._s3.download_fileobj(location.bucket, location.key, file, Config=transfer)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def upload(self, path: Path, location: S3Location, *, content_type: str, transfer: TransferConfig = _ALONE) -> None:
        """Upload a file; the object appears complete or not at all."""
        with _typed(location, "write"), path.open("rb") as file:
            self._s3.upload_fileobj(file, location.bucket, location.key, ExtraArgs={"ContentType": content_type}, Config=transfer)

    def download_all(self, items: Iterable[tuple[S3Location, Path]]) -> None:
        """Download objects in parallel."""
        _in_parallel(lambda item: self.download(*item, transfer=_AMONG_OTHERS), items)

    def download_verified(self, items: Iterable[Wanted]) -> None:
        """Download objects in parallel; one with a wrong digest is downloaded once more before it is an error."""
        _in_parallel(self._download_verified, items)

    def upload_all(self, items: Iterable[tuple[Path, S3Location, str]]) -> None:
        """Upload files (path, location, media type) in parallel."""
        _in_parallel(lambda item: self.upload(item[0], item[1], content_type=item[2], transfer=_AMONG_OTHERS), items)

    def _download_verified(self, wanted: Wanted) -> None:
        for _ in range(2):
            self.download(wanted.location, wanted.path, transfer=_AMONG_OTHERS)
            if matches(wanted.path, wanted.sha256):
                return
        raise RenderError(wanted.otherwise, f"{wanted.location} has a wrong digest, downloaded twice", hint=wanted.hint)


def _in_parallel(work: Callable[[_Item], None], items: Iterable[_Item]) -> None:
    """Call `work` on every item in parallel; raise the first failure, in the items' order, and skip those not yet begun."""
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="s3") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()


@contextmanager
def _typed(location: S3Location, verb: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            message = f"{location} does not exist"
            raise RenderError(ErrorCode.S3_OBJECT_NOT_FOUND, message, hint="Check the URI; objects below renders/ expire.") from error
        hint = "The function's role needs read and write access to the bucket." if code in _REFUSED else None
        raise RenderError(ErrorCode.S3_ACCESS_FAILED, f"cannot {verb} {location}: {error}", hint=hint) from error
    except BotoCoreError as error:
        raise RenderError(ErrorCode.S3_ACCESS_FAILED, f"cannot {verb} {location}: {error}") from error
