"""Verification of the stack's webhook, for receivers that have this package.

Any other library for Standard Webhooks verifies it as well.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import ValidationError
from standardwebhooks import Webhook

from hyperframes_lambda.contract.webhook import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    RenderEnd,
    WebhookMessage,
    WebhookType,
    signing_key,
)
from hyperframes_provider.client.aws.errors import HyperFramesClientError

__all__ = ["TOLERANCE_SECONDS", "InvalidWebhook", "RenderEnd", "WebhookMessage", "WebhookType", "verify_signature"]

TOLERANCE_SECONDS = 300
"""Maximum age of a POST, and maximum lead of the sender's clock."""


class InvalidWebhook(HyperFramesClientError):
    """The POST is forged, altered or too old. Answer 400 and do nothing."""

    retryable = False


def verify_signature(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = TOLERANCE_SECONDS, now: float | None = None
) -> WebhookMessage:
    """Return the message of a POST after verifying its signature.

    :param body: the body's bytes as they arrived; parsed and serialised again, they would differ
    :param headers: the request's headers, in any letter case
    :param secret: the content of the secret `WebhookSecretArn`
    :param tolerance: maximum difference in seconds between the timestamp and `now`, in either direction
    :param now: Unix seconds; default: the current time

    Raises `InvalidWebhook`. Remember the `webhook-id` of each handled message: a POST whose answer was lost arrives again.

    Example::

        message = verify_signature(request.body, request.headers, secret)
        if message.type is WebhookType.SUCCEEDED:
            publish(message.data.output["OutputS3Uri"])
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER) if not given.get(name)]
    if missing:
        raise InvalidWebhook(f"the POST has no {', '.join(missing)} header")
    try:
        timestamp = int(given[TIMESTAMP_HEADER])
        difference = abs((time.time() if now is None else now) - timestamp)
    except (ValueError, OverflowError) as error:
        raise InvalidWebhook(f"{TIMESTAMP_HEADER} is not a number of seconds") from error
    if difference > tolerance:
        raise InvalidWebhook(
            f"{TIMESTAMP_HEADER} is more than {tolerance:g} s from now", hint="This is a replay, or one of the clocks is wrong."
        )
    # The comparison is made here: `Webhook.verify` has a fixed clock and tolerance, and fails on a signature that it cannot parse.
    try:
        expected = Webhook(signing_key(secret)).sign(given[ID_HEADER], datetime.fromtimestamp(timestamp, UTC), body.decode()).encode()
    except UnicodeDecodeError as error:
        raise InvalidWebhook("the body is not UTF-8") from error
    except ValueError as error:
        raise InvalidWebhook(str(error), hint="Pass the content of the secret that the parameter WebhookSecretArn names.") from error
    # Each signature is compared, in constant time.
    matches = [hmac.compare_digest(expected, one.encode()) for one in given[SIGNATURE_HEADER].split(" ")]
    if not any(matches):
        raise InvalidWebhook(f"{SIGNATURE_HEADER} does not match the body", hint="Verify the body's bytes as they arrived.")
    try:
        return WebhookMessage.model_validate_json(body)
    except ValidationError as error:
        raise InvalidWebhook("the body is signed, but is not a message of this version") from error
