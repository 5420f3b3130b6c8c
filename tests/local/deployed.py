"""Common steps of the embedded endpoint's tests."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.local.endpoint import EndpointInfo

ROLE = "arn:aws:iam::123456789012:role/test"
LAMBDA_INVOKE = "arn:aws:states:::lambda:invoke"


def eventually(look: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Return the first truthy answer of `look`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def function_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(Path(__file__).with_name("sample_function.py"), "app.py")
    return buffer.getvalue()


@dataclass(frozen=True)
class Deployed:
    """The running endpoint and the tests' resources on it."""

    info: EndpointInfo
    state_dir: Path
    connect: Connect
    bucket: str

    def function(self, name: str, **options: Any) -> str:
        """Create a function for one test, with CreateFunction's `options`; return its name."""
        reserved = options.pop("reserved", None)
        self.connect("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=ROLE,
            Handler=options.pop("Handler", "app.handler"),
            Code={"S3Bucket": self.bucket, "S3Key": "code/function.zip"},
            **{"Timeout": 30, "MemorySize": 512, **options},
        )
        if reserved is not None:
            self.connect("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        return name

    def invoke(self, function: str, **event: Any) -> tuple[Any, str | None]:
        """Return the payload and the function error."""
        answer = self.connect("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    def machine(self, name: str, definition: dict[str, Any]) -> str:
        answer = self.connect("stepfunctions").create_state_machine(name=name, roleArn=ROLE, definition=json.dumps(definition))
        arn: str = answer["stateMachineArn"]
        return arn

    def start(self, machine: str, **options: Any) -> str:
        answer = self.connect("stepfunctions").start_execution(stateMachineArn=machine, **options)
        arn: str = answer["executionArn"]
        return arn

    def describe(self, execution: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.connect("stepfunctions").describe_execution(executionArn=execution)
        return answer

    def finished(self, execution: str, seconds: float = 20.0) -> dict[str, Any]:
        ended: dict[str, Any] = eventually(lambda: (d := self.describe(execution))["status"] != "RUNNING" and d, seconds)
        return ended

    def events(self, execution: str) -> list[dict[str, Any]]:
        pages = self.connect("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]


def task(function: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a Task state that invokes `function`; it ends the machine unless `Next` is given."""
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": LAMBDA_INVOKE, "Parameters": {"FunctionName": function, "Payload": payload}, **end, **fields}
