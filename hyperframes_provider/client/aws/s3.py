"""S3 locations, and small operations on single objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Steps, pages
from hyperframes_provider.client.aws.errors import InvalidRequest, error_code

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.*)", re.DOTALL)
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key, or a key prefix that ends in `/`."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Location:
        """Return the location of `name` below a prefix."""
        return S3Location(self.bucket, self.key + name)


def parse_s3_uri(uri: str, *, where: str) -> S3Location:
    """Parse an S3 URI; raise `InvalidRequest`, which names `where` it was given, if it is malformed."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise InvalidRequest(f"{where}: {uri!r} is not an S3 URI", hint="Use s3://bucket/key, with the bucket name in lower case.")
    return S3Location(match["bucket"], match["key"])


def object_size(location: S3Location) -> Steps[int | None]:
    """Return the object's size in bytes, None if it does not exist. Without s3:ListBucket, S3 answers 403 for a missing object."""
    head = yield from _head(location)
    return None if head is None else int(head["ContentLength"])


def object_version(location: S3Location) -> Steps[str | None]:
    """Return the object's ETag, which changes with its content; None if it does not exist."""
    head = yield from _head(location)
    return None if head is None else str(head["ETag"])


def _head(location: S3Location) -> Steps[dict[str, Any] | None]:
    try:
        head: dict[str, Any] = yield Call("s3", "head_object", {"Bucket": location.bucket, "Key": location.key})
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return head


def list_objects(prefix: S3Location) -> Steps[list[dict[str, Any]]]:
    """Return the entries of ListObjectsV2 for every object below a prefix."""
    found = yield from pages(Call("s3", "list_objects_v2", {"Bucket": prefix.bucket, "Prefix": prefix.key}))
    return [item for page in found for item in page.get("Contents", ())]


def write_object(location: S3Location, content: bytes, *, content_type: str) -> Steps[None]:
    """Write an object, replacing an existing one."""
    yield Call("s3", "put_object", {"Bucket": location.bucket, "Key": location.key, "Body": content, "ContentType": content_type})


def is_missing(error: ClientError) -> bool:
    """Whether S3 reports that the object or its bucket does not exist."""
    return error_code(error) in _MISSING
