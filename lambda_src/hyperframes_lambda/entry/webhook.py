"""The webhook function: send one signed POST for each execution that ends.

EventBridge invokes it. After an error Lambda repeats the invocation with the same message id, and finally puts the event into the queue of
lost signals. The event contains the users' variables: only the render's id is taken from its input, and the event is never logged.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities import parameters
from standardwebhooks import Webhook
from urllib3.exceptions import HTTPError

from hyperframes_lambda.contract.webhook import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    RenderEnd,
    WebhookMessage,
    WebhookType,
    signing_key,
)
from hyperframes_lambda.machine.redaction import redacted_json

URL_VARIABLE = "HYPERFRAMES_WEBHOOK_URL"
SECRET_VARIABLE = "HYPERFRAMES_WEBHOOK_SECRET_ARN"

_SECRET_SECONDS = 300
"""Maximum age of a cached secret, and so the time until a rotated one takes effect."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 15.0

logger = Logger(json_serializer=redacted_json)


class WebhookNotDelivered(Exception):
    """The receiver could not be reached or did not answer 2xx. Another attempt may succeed."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - the logger reads the request's id from it
    """Send the message about `event`. Raises `WebhookNotDelivered`, or `ValueError` for an unusable URL or secret."""
    message = message_of(event)
    logger.append_keys(render=message.data.render_id, execution=message.data.execution_name)
    status = send(
        os.environ[URL_VARIABLE],
        signing_key(str(parameters.get_secret(os.environ[SECRET_VARIABLE], max_age=_SECRET_SECONDS))),
        str(event["id"]),
        message.model_dump_json().encode(),
    )
    logger.info("webhook delivered", extra={"type": message.type.value, "status": status})
    return {"Status": status}


def message_of(event: Mapping[str, Any]) -> WebhookMessage:
    """Translate EventBridge's event about an execution's status change into the webhook's message."""
    detail = event["detail"]
    stopped = _moment(detail["stopDate"])
    output = json.loads(detail["output"]) if detail.get("output") else None
    end = RenderEnd(
        render_id=_render_id(detail),
        execution_arn=detail["executionArn"],
        execution_name=detail["name"],
        status=detail["status"],
        started_at=_moment(detail["startDate"]),
        stopped_at=stopped,
        output=output if isinstance(output, dict) else None,
        error=detail.get("error"),
        cause=_sentence(detail.get("cause")),
    )
    return WebhookMessage(type=WebhookType[detail["status"]], timestamp=stopped, data=end)


def send(url: str, key: bytes, message_id: str, body: bytes) -> int:
    """POST `body`, signed, over HTTPS and without following redirects; return the status, always 2xx."""
    host = urlsplit(url)
    if host.scheme != "https" or not host.hostname or host.username or host.password:
        raise ValueError(f"{URL_VARIABLE} is not an https URL without user info")
    signed = signed_headers(key, message_id, datetime.now(UTC), body)
    # Messages name only the host: the URL's query may be a credential.
    with urllib3.PoolManager(ssl_context=ssl.create_default_context()) as pool:
        try:
            answer = pool.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json", "User-Agent": "hyperframes-webhook", **signed},
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
                preload_content=False,
            )
        except HTTPError as error:
            raise WebhookNotDelivered(f"{host.hostname} cannot be reached: {type(error).__name__}") from None
        answer.release_conn()
    if not 200 <= answer.status < 300:
        raise WebhookNotDelivered(f"{host.hostname} answered {answer.status}")
    return int(answer.status)


def signed_headers(key: bytes, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers by which a receiver verifies `body`."""
    signature = Webhook(key).sign(message_id, now, body.decode())
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(int(now.timestamp())), SIGNATURE_HEADER: signature}


def _render_id(detail: Mapping[str, Any]) -> str:
    """The last part of the render's prefix, or the execution's name if the event has no input."""
    try:
        given = json.loads(detail.get("input") or "{}")
    except ValueError:
        given = {}
    prefix = given.get("PlanOutputS3Prefix") if isinstance(given, dict) else None
    return str(prefix or "").rstrip("/").rpartition("/")[2] or str(detail["name"])


def _sentence(cause: str | None) -> str | None:
    """The message of a cause. Lambda's causes are JSON objects that also carry a stack trace."""
    try:
        found = json.loads(cause or "")
    except ValueError:
        return cause
    return found.get("errorMessage") if isinstance(found, dict) else cause


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
