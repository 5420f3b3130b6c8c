"""One invocation, as its log lines, metrics and error messages identify it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from hyperframes_lambda.entry.storage import S3Location
from hyperframes_lambda.machine.redaction import redacted_json

logger = Logger(json_serializer=redacted_json)


@dataclass
class Invocation:
    """State of the current invocation, which the event and the manifest complete."""

    cold: bool
    """Whether it is the first of its sandbox."""
    ends: float
    """The moment (`time.monotonic`) at which Lambda ends it."""
    role: str = "event"
    label: str = "Event"
    """Its name in error messages."""
    render: str = ""
    """Prefix of the render in S3."""

    def concerns(self, prefix: S3Location, **more: object) -> None:
        """Add the render to the metrics and to every log line from now on, `more` to the log lines only."""
        self.render = prefix.key
        logger.append_keys(render=prefix.key, **more)
