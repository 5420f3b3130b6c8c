"""The webhook's wire: the body of a POST about a render that has ended, and the headers that authenticate it.

Headers and signature follow Standard Webhooks, so a receiver in any language verifies them with an existing library.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

ID_HEADER = "webhook-id"
"""The same for every attempt at one message; a receiver ignores an id that it has handled."""
TIMESTAMP_HEADER = "webhook-timestamp"
"""Unix seconds of this attempt."""
SIGNATURE_HEADER = "webhook-signature"
"""`v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; while a secret is being rotated, several of them, separated by spaces."""

SECRET_PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes."""


class WebhookType(StrEnum):
    """The kind of event."""

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
    """The execution's status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    started_at: datetime
    stopped_at: datetime
    output: dict[str, Any] | None
    """The result of Assemble, including `OutputS3Uri`; None unless the render succeeded."""
    error: str | None
    """Name of the execution's error: a code of the error table, a name of Step Functions or an exception's class.

    A distributed render whose chunks failed has the name of the map's error, `States.ExceedToleratedFailureThreshold`.
    """
    cause: str | None
    """Message of the error, without a stack trace."""


class WebhookMessage(BaseModel):
    """The body of a POST."""

    model_config = ConfigDict(frozen=True)

    type: WebhookType
    timestamp: datetime
    """When the render ended."""
    data: RenderEnd


def signing_key(secret: str) -> bytes:
    """Decode `secret`: base64 of 24 to 64 bytes, with or without the prefix `whsec_`; `ValueError` for anything else.

    The library for Standard Webhooks skips what is not base64 and accepts a key of any length.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("the webhook's secret is not base64") from error
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"the webhook's secret has {len(key)} bytes; it needs {SHORTEST_KEY} to {LONGEST_KEY}")
    return key
