"""The webhook function: an execution that has ended in, one signed POST out.

EventBridge invokes it; an error makes Lambda repeat it, with the same message id, and in the end put the event into the queue of lost
signals. The event's input carries the users' variables: nothing of it is sent or logged but the render's id.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities import parameters
from urllib3.exceptions import HTTPError

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
from hyperframes_lambda.machine.redaction import redacted_json

URL_VARIABLE = "HYPERFRAMES_WEBHOOK_URL"
SECRET_VARIABLE = "HYPERFRAMES_WEBHOOK_SECRET_ARN"

_SECRET_SECONDS = 300
"""How long a secret that was read is used; one that was rotated is in force after that."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 15.0

logger = Logger(json_serializer=redacted_json)


class WebhookNotDelivered(Exception):
    """The receiver could not be reached or did not answer with 2xx; another attempt may succeed."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - the logger takes the request's id from it
    """Send the message about `event`. Raises `WebhookNotDelivered`, `ValueError` for a URL or a secret that cannot be used."""
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
    """What to say about an execution's status change, as EventBridge has it from Step Functions."""
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
    """POST `body`, signed, over HTTPS and without following redirects; returns the status, which is 2xx."""
    host = urlsplit(url)
    if host.scheme != "https" or not host.hostname or host.username or host.password:
        raise ValueError(f"{URL_VARIABLE} is no https URL without user info")
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hyperframes-webhook",
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: signature(key, message_id, timestamp, body),
    }
    # The query of the URL may be a credential: of the address, messages name the host alone.
    with urllib3.PoolManager(ssl_context=ssl.create_default_context()) as pool:
        try:
            answer = pool.request(
                "POST",
                url,
                body=body,
                headers=headers,
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


def _render_id(detail: Mapping[str, Any]) -> str:
    """The last part of the render's prefix; the execution's name when the event came without its input."""
    try:
        given = json.loads(detail.get("input") or "{}")
    except ValueError:
        given = {}
    prefix = given.get("PlanOutputS3Prefix") if isinstance(given, dict) else None
    return str(prefix or "").rstrip("/").rpartition("/")[2] or str(detail["name"])


def _sentence(cause: str | None) -> str | None:
    """What a cause says: of Lambda's, JSON with a stack trace, the message alone; None when there is none."""
    try:
        found = json.loads(cause or "")
    except ValueError:
        return cause
    return found.get("errorMessage") if isinstance(found, dict) else cause


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
