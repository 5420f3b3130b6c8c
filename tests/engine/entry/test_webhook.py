"""The webhook's message and signature, and the messages that a receiver refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from hyperframes_lambda.contract.webhook import WebhookType, signing_key
from hyperframes_lambda.entry.webhook import WebhookNotDelivered, message_of, send, signed_headers
from hyperframes_provider.client.execution.webhooks import InvalidWebhook, verify_signature

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NOW = 1_790_000_000


def event(status: str = "SUCCEEDED", **detail: Any) -> dict[str, Any]:
    """As EventBridge has it."""
    given = {
        "executionArn": "arn:aws:states:eu-west-1:1:execution:studio-render:recap-g1",
        "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:studio-render",
        "name": "recap-g1",
        "status": status,
        "startDate": 1_790_000_000_000,
        "stopDate": 1_790_000_041_500,
        "input": json.dumps({"PlanOutputS3Prefix": "s3://bucket/renders/recap/", "Config": {"variables": {"title": "secret"}}}),
        "output": json.dumps({"OutputS3Uri": "s3://bucket/outputs/recap.mp4"}) if status == "SUCCEEDED" else None,
        "error": None,
        "cause": None,
    }
    return {"id": "7bf73129-1428-4cd3-a780-95db273d1602", "detail": given | detail}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("SUCCEEDED", WebhookType.SUCCEEDED),
        ("FAILED", WebhookType.FAILED),
        ("TIMED_OUT", WebhookType.TIMED_OUT),
        ("ABORTED", WebhookType.ABORTED),
    ],
)
def test_the_message(status: str, kind: WebhookType) -> None:
    message = message_of(event(status))
    assert (message.type, message.data.render_id, message.data.status) == (kind, "recap", status)
    assert (message.data.stopped_at - message.data.started_at).total_seconds() == 41.5
    assert "secret" not in message.model_dump_json()


def test_the_message_about_a_failure() -> None:
    message = message_of(event("FAILED", error="COMPOSITION_EMPTY", cause="Plan: nothing to render"))
    assert (message.data.error, message.data.cause, message.data.output) == ("COMPOSITION_EMPTY", "Plan: nothing to render", None)


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (
            json.dumps({"errorMessage": "Plan: nothing to render", "errorType": "COMPOSITION_EMPTY", "stackTrace": ["secret"]}),
            "Plan: nothing to render",
        ),
        (json.dumps({"errorType": "Sandbox.Timedout", "stackTrace": ["secret"]}), None),
        ("The state ran out of time", "The state ran out of time"),
        ("404", "404"),
        ("", ""),
        (None, None),
    ],
)
def test_of_a_cause_the_sentence_is_sent(cause: str | None, told: str | None) -> None:
    message = message_of(event("FAILED", error="COMPOSITION_EMPTY", cause=cause))
    assert message.data.cause == told
    assert "secret" not in message.model_dump_json()


def test_the_event_is_not_logged() -> None:
    """Whatever the function's environment asks for: it holds the variables."""
    program = "import sys, json; from types import SimpleNamespace as N; from hyperframes_lambda.entry.webhook import handler\n"
    program += "handler(json.load(sys.stdin), N(function_name='f', memory_limit_in_mb=1, invoked_function_arn='arn', aws_request_id='r'))"
    environment = os.environ | {"POWERTOOLS_LOGGER_LOG_EVENT": "true", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("HYPERFRAMES_WEBHOOK_URL", None)
    ran = subprocess.run([sys.executable, "-c", program], input=json.dumps(event()), env=environment, capture_output=True, text=True)
    assert "KeyError: 'HYPERFRAMES_WEBHOOK_URL'" in ran.stderr
    assert "secret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("given", [None, "", "no json", "[]", "{}"])
def test_without_its_input_a_render_is_called_as_its_execution(given: str | None) -> None:
    assert message_of(event(input=given)).data.render_id == "recap-g1"


def test_an_event_without_error_and_cause_is_one_without_them() -> None:
    bare = event("TIMED_OUT")
    for name in ("error", "cause", "output", "input"):
        del bare["detail"][name]
    assert message_of(bare).data.error is None


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """As the convention defines it."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def post(body: bytes = b"", *, at: int = NOW, key: bytes = KEY) -> tuple[bytes, dict[str, str]]:
    content = body or message_of(event()).model_dump_json().encode()
    headers = {"Webhook-Id": "id-1", "Webhook-Timestamp": str(at), "Webhook-Signature": signature(key, "id-1", at, content)}
    return content, headers


def test_a_post_is_signed_and_verified_as_the_convention_says() -> None:
    body, headers = post()
    message = verify_signature(body, headers, SECRET, now=NOW)
    assert message == message_of(event())
    ours = signed_headers(KEY, "id-1", datetime.fromtimestamp(NOW + 0.9, UTC), body)
    assert ours == {name.lower(): value for name, value in headers.items()}


def test_one_of_several_signatures_is_enough() -> None:
    """While the secret is being changed."""
    body, headers = post()
    headers["Webhook-Signature"] = f"{signature(b'x' * 32, 'id-1', NOW, body)} {headers['Webhook-Signature']} v2,other"
    assert verify_signature(body, headers, SECRET, now=NOW).data.render_id == "recap"


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_clocks_may_differ(seconds: int) -> None:
    body, headers = post()
    verify_signature(body, headers, SECRET, now=NOW + seconds)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Webhook-Id": "id-2"}, "does not match the body"),
        ({"Webhook-Timestamp": str(NOW + 1)}, "does not match the body"),
        ({"Webhook-Timestamp": "yesterday"}, "not a number"),
        ({"Webhook-Timestamp": str(NOW - 301)}, "more than 300 s"),
        ({"Webhook-Timestamp": str(NOW + 301)}, "more than 300 s"),
        ({"Webhook-Signature": "v1,AAAA"}, "does not match the body"),
        ({"Webhook-Signature": "v1,\N{LATIN SMALL LETTER E WITH ACUTE}"}, "does not match the body"),
        ({"Webhook-Signature": ""}, "no webhook-signature header"),
    ],
)
def test_what_is_refused(change: dict[str, str], words: str) -> None:
    body, headers = post()
    with pytest.raises(InvalidWebhook, match=words):
        verify_signature(body, headers | change, SECRET, now=NOW)


def test_other_bodies_and_secrets_are_refused() -> None:
    body, headers = post()
    with pytest.raises(InvalidWebhook, match="does not match the body"):
        verify_signature(body + b" ", headers, SECRET, now=NOW)
    with pytest.raises(InvalidWebhook, match="does not match the body"):
        verify_signature(body, headers, base64.b64encode(b"x" * 32).decode(), now=NOW)
    with pytest.raises(InvalidWebhook, match="not a number"):
        verify_signature(body, headers | {"Webhook-Timestamp": "9" * 400}, SECRET)
    with pytest.raises(InvalidWebhook, match="not UTF-8"):
        verify_signature(body + b"\xff", headers, SECRET, now=NOW)
    with pytest.raises(InvalidWebhook, match="not a message of this version"):
        verify_signature(*post(b'{"type": "render.paused"}'), SECRET, now=NOW)


@pytest.mark.parametrize(
    ("secret", "words"), [("whsec_***", "not base64"), ("c2hvcnQ=", "has 5 bytes"), (base64.b64encode(b"x" * 65).decode(), "has 65 bytes")]
)
def test_secrets_that_are_none(secret: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        signing_key(secret)


def test_a_secret_with_or_without_its_prefix_is_the_same() -> None:
    assert signing_key(SECRET) == signing_key(SECRET.removeprefix("whsec_") + "\n") == KEY


@pytest.mark.parametrize("url", ["http://studio.example/hook", "https://user:word@studio.example", "https:///hook", "ftp://studio.example"])
def test_nothing_is_sent_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match="not an https URL"):
        send(url, KEY, "id-1", b"{}")


def test_who_cannot_be_reached_is_named_without_the_url_s_query() -> None:
    with pytest.raises(WebhookNotDelivered) as caught:
        send("https://127.0.0.1:9/hook?token=secret", KEY, "id-1", b"{}")
    assert str(caught.value) == "127.0.0.1 cannot be reached: NewConnectionError"
