"""The webhook's wire: what a POST says about a render that has ended, and how it is signed.

Headers and signature are those of the Standard Webhooks convention, so that a receiver in any language verifies with a library it has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

ID_HEADER = "webhook-id"
"""The same for every attempt at one message: a receiver that has seen it has nothing to do."""
TIMESTAMP_HEADER = "webhook-timestamp"
"""Unix seconds of this attempt."""
SIGNATURE_HEADER = "webhook-signature"
"""`v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; several, separated by spaces, while a secret is being changed."""

SECRET_PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes."""


class WebhookType(StrEnum):
    """What has happened."""

    SUCCEEDED = "render.succeeded"
    FAILED = "render.failed"
    TIMED_OUT = "render.timed_out"
    ABORTED = "render.aborted"


class RenderEnd(BaseModel):
    """The render that has ended."""

    model_config = ConfigDict(frozen=True)

    render_id: str
    execution_arn: str
    execution_name: str
    status: str
    """As Step Functions has it: SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    started_at: datetime
    stopped_at: datetime
    output: dict[str, Any] | None
    """What Assemble returned, `OutputS3Uri` first of all; None unless the render succeeded."""
    error: str | None
    """The name with which the execution failed: a code of the error table, or another name of Step Functions' or of an exception.

    For a distributed render whose chunks failed it is the map's own, `States.ExceedToleratedFailureThreshold`.
    """
    cause: str | None
    """The sentence that goes with it, never a stack trace."""


class WebhookMessage(BaseModel):
    """The body of a POST."""

    model_config = ConfigDict(frozen=True)

    type: WebhookType
    timestamp: datetime
    """When the render ended."""
    data: RenderEnd


def signing_key(secret: str) -> bytes:
    """The key that `secret` stands for: base64 of 24 to 64 bytes, with or without `whsec_` before it. Raises `ValueError`."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("the webhook's secret is not base64") from error
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"the webhook's secret has {len(key)} bytes; it needs {SHORTEST_KEY} to {LONGEST_KEY}")
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `SIGNATURE_HEADER`."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
