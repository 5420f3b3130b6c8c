"""EventBridge events about the end of an execution, delivered in the background to the matching rules of the default bus.

Targets are Lambda functions (with the retries and failure destination of asynchronous invocations), topics and queues. A refused event goes
to the target's dead-letter queue at once: RetryPolicy has no effect here.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from botocore.exceptions import ClientError
from moto.events.models import events_backends
from moto.events.utils import EventMessageType

from hyperframes_provider.local.connections import ACCOUNT_ID, Connections

_RETRY_PAUSES = (1.0, 2.0)
"""Seconds before the second and third attempts at a function. Lambda waits one and two minutes."""

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9._-]+)>")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExecutionEnd:
    """An execution that has ended."""

    arn: str
    state_machine_arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime
    input: str
    output: str | None
    error: str | None
    cause: str | None

    @property
    def region(self) -> str:
        """The execution's region."""
        return self.arn.split(":")[3]

    def event(self) -> dict[str, Any]:
        """Return the event that Step Functions sends to EventBridge."""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": ACCOUNT_ID,
            "time": self.stopped.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": [self.arn],
            "detail": {
                "executionArn": self.arn,
                "stateMachineArn": self.state_machine_arn,
                "name": self.name,
                "status": self.status,
                "startDate": int(self.started.timestamp() * 1000),
                "stopDate": int(self.stopped.timestamp() * 1000),
                "input": self.input,
                "inputDetails": {"included": True},
                "output": self.output,
                "outputDetails": {"included": True} if self.output is not None else None,
                "error": self.error,
                "cause": self.cause,
            },
        }


def announce(connections: Connections, end: ExecutionEnd) -> None:
    """Deliver the event to every target of every matching rule, in the background."""
    threading.Thread(target=_announce, args=(connections, end), name=f"events-{end.name}", daemon=True).start()


def _announce(connections: Connections, end: ExecutionEnd) -> None:
    event = end.event()
    rules = events_backends[ACCOUNT_ID][end.region].event_buses["default"].rules
    for rule in list(rules.values()):
        if rule.state == "ENABLED" and rule.event_pattern.matches_event(cast(EventMessageType, event)):
            for target in list(rule.targets):
                _notify(connections, end, target, event)


def _notify(connections: Connections, end: ExecutionEnd, target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    """Deliver to one target. Failures are logged, so that the other targets still get the event."""
    try:
        _deliver(connections, end.region, target, _input_of(target, event))
    except Exception as error:  # noqa: BLE001  (an exception would end the thread silently)
        _log.warning("the event of %s did not reach %s: %s", end.arn, target["Arn"], error)
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        try:
            _dead_letter(connections, end.region, queue, json.dumps(event))
        except Exception as lost:  # noqa: BLE001  (as above)
            _log.warning("the event of %s did not reach %s either: %s", end.arn, queue, lost)


def _input_of(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the target's input: the event, possibly transformed. As on AWS, a path that leads nowhere gives an empty value."""
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event)
    values = {name: _at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}

    def value(match: re.Match[str]) -> str:
        found = values.get(match.group(1))
        text = "" if found is None else found if isinstance(found, str) else json.dumps(found)
        return json.dumps(text)[1:-1]

    return _PLACEHOLDER.sub(value, transformer["InputTemplate"])


def _at(path: str, event: Mapping[str, Any]) -> Any:
    found: Any = event
    for name in path.removeprefix("$.").split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _deliver(connections: Connections, region: str, target: Mapping[str, Any], text: str) -> None:
    arn = target["Arn"]
    match arn.split(":")[2]:
        case "lambda":
            _invoke(connections, region, arn, text)
        case "sns":
            # A quoted template is a string, and subscribers read its content.
            parsed = json.loads(text)
            connections.client("sns", region).publish(TopicArn=arn, Message=parsed if isinstance(parsed, str) else text)
        case "sqs":
            _dead_letter(connections, region, arn, text)
        case service:
            _log.warning("the embedded endpoint cannot deliver events to %s: %s", service, arn)


def _invoke(connections: Connections, region: str, arn: str, event: str) -> None:
    """Invoke a function asynchronously: retry after errors, then send the event to the failure destination."""
    client = connections.client("lambda", region)
    attempts, destination = 3, None
    try:
        configured = client.get_function_event_invoke_config(FunctionName=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
    else:
        attempts = 1 + int(configured.get("MaximumRetryAttempts", 2))
        destination = configured.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    for attempt in range(attempts):
        if attempt:
            time.sleep(_RETRY_PAUSES[attempt - 1])
        answer = client.invoke(FunctionName=arn, Payload=event.encode())
        payload = answer["Payload"].read()
        if "FunctionError" not in answer:
            return
    failure = {
        "version": "1.0",
        "requestContext": {"functionArn": f"{arn}:$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": attempts},
        "requestPayload": json.loads(event),
        "responsePayload": json.loads(payload),
    }
    _dead_letter(connections, region, destination, json.dumps(failure))


def _dead_letter(connections: Connections, region: str, queue_arn: str | None, message: str) -> None:
    if queue_arn is not None:
        sqs = connections.client("sqs", region)
        url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=message)
