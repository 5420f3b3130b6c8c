"""The seam into moto's S3: finished objects are mirrored to the outputs folder, and bucket policies are kept but not enforced."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import moto.s3.urls
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends

from hyperframes_provider.local import requirements  # noqa: F401  (refuses any other moto before its internals are touched)
from hyperframes_provider.local.storage.outputs import OutputsFolder


def install(outputs: OutputsFolder) -> None:
    """Must run before the first request to S3."""
    MirroredS3Backend.outputs = outputs
    s3_backends.backend = MirroredS3Backend
    # moto takes any condition on a Deny for fulfilled: the stack's own TLS-only policy would lock everybody out of an endpoint that speaks
    # plain HTTP. The endpoint authorises nobody anyway.
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]


class MirroredS3Backend(S3Backend):
    """moto's S3; every way to make an object (put, finished multipart upload, copy) passes through `put_object`."""

    outputs: OutputsFolder

    @property
    def _url_module(self) -> ModuleType:  # moto derives it from the name of the class's module
        return moto.s3.urls

    def put_object(self, bucket_name: str, key_name: str, value: bytes, *args: Any, **kwargs: Any) -> FakeKey:
        """Store the object, and fail the request when its mirror cannot be written: a lost video must not look like a finished one."""
        key = super().put_object(bucket_name, key_name, value, *args, **kwargs)
        try:
            self.outputs.write(key_name, value)
        except OSError as error:
            raise S3ClientError("InternalError", f"{key_name} could not be copied to {self.outputs.folder}: {error}") from error
        return key
