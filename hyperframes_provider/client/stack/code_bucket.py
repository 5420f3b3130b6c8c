"""The bucket that CloudFormation reads: the function's code ZIP and the state machine's definition, named by their content.

Names by content make a deploy idempotent (the same bytes are the same parameters) and an update visible (CloudFormation compares keys, not
objects). There is one bucket per account and region, shared by its stacks and created if it is missing.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest, error_code
from hyperframes_provider.client.aws.s3 import is_missing
from hyperframes_provider.client.stack.template import StackTemplate


@dataclass(frozen=True)
class CodeLocation:
    """An object in S3, in the stack's region."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class CodeImage:
    """A container image in ECR, in the stack's region."""

    uri: str

    def __str__(self) -> str:
        return self.uri


def parse_code(code: str) -> CodeLocation | Path:
    """Parse `s3://bucket/key` as a location, anything else as a path; raise `InvalidRequest` for an S3 URI without a key."""
    if not code.startswith("s3://"):
        return Path(code)
    bucket, _, key = code.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise InvalidRequest(f"code: {code!r} names no object", hint="Pass s3://bucket/key.zip, or the path of a ZIP on this machine.")
    return CodeLocation(bucket, key)


class CodeBucket:
    """The bucket `hyperframes-code-<account>-<region>`; existing objects are not uploaded again."""

    def __init__(self, connect: Connect) -> None:
        self._s3 = connect("s3")
        self._account = str(connect("sts").get_caller_identity()["Account"])
        self._region = str(self._s3.meta.region_name)
        self.name = f"hyperframes-code-{self._account}-{self._region}"

    def add_code(self, path: Path) -> CodeLocation:
        """Upload a code ZIP that `check_zip` accepts."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        location = CodeLocation(self.name, f"code/{digest}.zip")
        if not self._has(location):
            self._s3.upload_file(str(path), location.bucket, location.key)
        return location

    def add_definition(self, template: StackTemplate) -> CodeLocation:
        """Upload the state machine's definition."""
        location = CodeLocation(self.name, f"definitions/{hashlib.sha256(template.definition).hexdigest()}.json")
        if not self._has(location):
            self._s3.put_object(
                Bucket=location.bucket, Key=location.key, Body=template.definition, ContentType="application/json", **self._owner
            )
        return location

    @property
    def _owner(self) -> dict[str, Any]:
        # The name is guessable, so another account may own the bucket: never upload code there.
        return {"ExpectedBucketOwner": self._account}

    def _has(self, location: CodeLocation) -> bool:
        self._ensure()
        return object_exists(self._s3, location, **self._owner)

    def _ensure(self) -> None:
        try:
            self._s3.head_bucket(Bucket=self.name, **self._owner)
        except ClientError as error:
            if not is_missing(error):
                raise
            self._create()

    def _create(self) -> None:
        # us-east-1 is the only region that must not be named.
        place: dict[str, Any] = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        try:
            self._s3.create_bucket(Bucket=self.name, **place)
        except ClientError as error:
            if error_code(error) != "BucketAlreadyOwnedByYou":  # created by a concurrent deploy
                raise
        blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
        self._s3.put_public_access_block(Bucket=self.name, PublicAccessBlockConfiguration=blocked, **self._owner)
        self._s3.put_bucket_encryption(
            Bucket=self.name,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
            **self._owner,
        )


def object_exists(s3: Any, location: CodeLocation, **options: Any) -> bool:
    """Whether the object exists; a refusal is raised, not mistaken for absence."""
    try:
        s3.head_object(Bucket=location.bucket, Key=location.key, **options)
    except ClientError as error:
        if not is_missing(error):
            raise
        return False
    return True


def check_zip(path: Path) -> None:
    """Raise `InvalidRequest` unless `path` is a ZIP with the function's `handler.handler`."""
    hint = "Pass s3://bucket/key.zip, or the path of a ZIP with handler.py at its top."
    if not path.is_file():
        raise InvalidRequest(f"code: there is no file {str(path)!r}", hint=hint)
    if not zipfile.is_zipfile(path):
        raise InvalidRequest(f"code: {str(path)!r} is not a ZIP", hint=hint)
    with zipfile.ZipFile(path) as archive:
        if "handler.py" not in archive.namelist():
            raise InvalidRequest(f"code: {str(path)!r} has no handler.py at its top", hint=hint)
