"""For whoever receives the stack's webhook: verify that a POST is the stack's own, and read it.

Any library for Standard Webhooks verifies it as well; this module is for receivers that have this package.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

from pydantic import ValidationError

from hyperframes_lambda.contract.webhook import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    RenderEnd,
    WebhookMessage,
    WebhookType,
    signature,
    signing_key,
)
from hyperframes_provider.client.aws.errors import HyperFramesClientError

__all__ = ["TOLERANCE_SECONDS", "InvalidWebhook", "RenderEnd", "WebhookMessage", "WebhookType", "verify_signature"]

TOLERANCE_SECONDS = 300
"""How old a POST may be, and how far ahead the sender's clock."""


class InvalidWebhook(HyperFramesClientError):
    """The POST is not from the stack, was tampered with, or is too old: answer 400 and do nothing."""

    retryable = False


def verify_signature(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = TOLERANCE_SECONDS, now: float | None = None
) -> WebhookMessage:
    """The message in a POST, once its signature is seen to be right.

    :param body: the request's body as it arrived; parsed and written again it would not have the same bytes
    :param headers: the request's headers, in any case of letters
    :param secret: what the secret of `WebhookSecretArn` holds
    :param tolerance: seconds that the timestamp may be away from `now` in either direction
    :param now: Unix seconds; default: the clock

    Raises `InvalidWebhook`. Keep the `webhook-id` of what was handled: a POST whose answer was lost comes again.

    Example::

        message = verify_signature(request.body, request.headers, secret)
        if message.type is WebhookType.SUCCEEDED:
            publish(message.data.output["OutputS3Uri"])
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER) if not given.get(name)]
    if missing:
        raise InvalidWebhook(f"the POST has no header {', '.join(missing)}")
    try:
        timestamp = int(given[TIMESTAMP_HEADER])
    except ValueError as error:
        raise InvalidWebhook(f"{TIMESTAMP_HEADER} is no number of seconds") from error
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        raise InvalidWebhook(
            f"{TIMESTAMP_HEADER} is more than {tolerance:g} s from now", hint="A replay, or a clock that is wrong: compare the clocks."
        )
    try:
        expected = signature(signing_key(secret), given[ID_HEADER], timestamp, body).encode()
    except ValueError as error:
        raise InvalidWebhook(str(error), hint="Pass what the secret of the parameter WebhookSecretArn holds.") from error
    # Every one is compared, each in constant time.
    matches = [hmac.compare_digest(expected, one.encode()) for one in given[SIGNATURE_HEADER].split(" ")]
    if not any(matches):
        raise InvalidWebhook(f"{SIGNATURE_HEADER} does not fit the body", hint="Verify the body's bytes as they arrived.")
    try:
        return WebhookMessage.model_validate_json(body)
    except ValidationError as error:
        raise InvalidWebhook("the body is signed, but it is no message of this version") from error
