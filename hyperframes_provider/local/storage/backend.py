"""moto's S3 with a mirror of finished objects."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import moto.s3.urls
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, S3Backend

from hyperframes_provider.local.storage.outputs import OutputsFolder


class MirroredS3Backend(S3Backend):
    """moto's S3; every way to create an object (put, multipart upload, copy) ends in `put_object`."""

    outputs: OutputsFolder

    @property
    def _url_module(self) -> ModuleType:  # moto derives it from the name of the class's module
        return moto.s3.urls

    def put_object(self, bucket_name: str, key_name: str, value: bytes, *args: Any, **kwargs: Any) -> FakeKey:
        """Store and mirror the object; the request fails if the mirror cannot be written, since a lost video must not look finished."""
        key = super().put_object(bucket_name, key_name, value, *args, **kwargs)
        try:
            self.outputs.write(key_name, value)
        except OSError as error:
            raise S3ClientError("InternalError", f"{key_name} could not be copied to {self.outputs.folder}: {error}") from error
        return key
