"""The log of a render that runs: late lines are shown, none twice, and the last look waits for what is still under way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hyperframes_provider.cli.logs import added
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.log_lines import LogReader

NAME = "card-0123456789abcdef-g1"
ARN = f"arn:aws:states:us-east-1:123456789012:execution:render:{NAME}"
BEGUN = datetime.now(UTC) - timedelta(minutes=5)


class FakeAws:
    """CloudWatch with the lines that have arrived, and an execution that runs until it is said to have ended."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.events: list[dict[str, Any]] = []
        self.slept: list[float] = []

    def connect(self, service: str) -> FakeAws:
        assert service in ("stepfunctions", "logs")
        return self

    def arrives(self, text: str, seconds: float) -> None:
        """A line that was written `seconds` after the start reaches CloudWatch."""
        message = json.dumps({"level": "INFO", "message": text, "execution": NAME})
        stamp = int((BEGUN + timedelta(seconds=seconds)).timestamp() * 1000)
        self.events.append({"eventId": text, "timestamp": stamp, "message": message})

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803  # as boto3 has them
        return {"executionArn": executionArn, "status": self.status, "startDate": BEGUN}

    def filter_log_events(self, startTime: int, endTime: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"events": [event for event in self.events if startTime <= event["timestamp"] <= endTime]}


def reader_of() -> LogReader:
    return LogReader(Execution(ARN, Status.RUNNING, BEGUN, None, None, "", "", "", False), ("render",))


def test_a_line_that_arrives_late_is_shown_once() -> None:
    aws, reader = FakeAws(), reader_of()

    def read() -> list[str]:
        return [line.message for line in run(aws.connect, reader.read(datetime.now(UTC)))]

    aws.arrives("first", 60)
    assert read() == ["first"]
    aws.arrives("written before, 25 s late", 35)
    assert read() == ["written before, 25 s late"]
    aws.arrives("next", 61)
    assert read() == ["next"]


def test_the_last_look_comes_when_late_lines_have_arrived() -> None:
    aws = FakeAws()

    def sleep(seconds: float) -> None:
        aws.slept.append(seconds)
        if len(aws.slept) == 2:
            aws.status = "SUCCEEDED"
        aws.arrives(f"line {len(aws.slept)}", len(aws.slept))

    looks = [(execution.status, [line.message for line in lines]) for execution, lines in added(aws.connect, reader_of(), sleep=sleep)]
    assert looks == [(Status.RUNNING, ["line 1"]), (Status.SUCCEEDED, ["line 2"]), (Status.SUCCEEDED, ["line 3"])]
    assert aws.slept == [2, 2, 10]
