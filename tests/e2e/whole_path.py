"""Drive the deployed stack from outside, as any AWS client would: upload, start, watch, read the history."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

TERMINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


def archive(files: dict[str, bytes]) -> bytes:
    """Pack a `.tar.gz` with exactly these member names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def failures(events: list[dict[str, Any]]) -> list[str]:
    """The errors of the tasks that failed, in order."""
    keys = ("taskFailedEventDetails", "taskTimedOutEventDetails")
    return [event[key]["error"] for event in events for key in keys if event.get(key, {}).get("error")]


@dataclass(frozen=True)
class Execution:
    """A finished execution, with all its events."""

    status: str
    error: str
    cause: str
    output: dict[str, Any]
    events: list[dict[str, Any]]

    def attempts(self, state: str) -> int:
        """Return how many times the task of `state` was started, over all items of a Map."""
        started, current = 0, {}
        for event in self.events:
            name = event.get("stateEnteredEventDetails", {}).get("name")
            current[event["id"]] = name or current.get(event.get("previousEventId", 0))
            started += event["type"] == "TaskStarted" and current[event["id"]] == state
        return started

    def failures(self) -> list[str]:
        """The errors of the tasks that failed, in order."""
        return failures(self.events)


@dataclass
class WholePath:
    """The deployed stack of one test session."""

    endpoint_url: str
    bucket: str
    state_machine: str
    function: str
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, endpoint_url=self.endpoint_url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
            )
        return self.clients[service]

    def upload(self, files: dict[str, bytes] | bytes) -> str:
        body = files if isinstance(files, bytes) else archive(files)
        key = f"sites/{uuid.uuid4().hex}/project.tar.gz"
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def request(self, project: str, **changes: Any) -> dict[str, Any]:
        render = uuid.uuid4().hex
        return {
            "ProjectS3Uri": project,
            "PlanOutputS3Prefix": f"s3://{self.bucket}/renders/{render}/",
            "OutputS3Uri": f"s3://{self.bucket}/outputs/tests/{render}.mp4",
            "Config": {"fps": 24, "chunkSize": 12, "maxParallelChunks": 8},
        } | changes

    def start(self, request: dict[str, Any]) -> str:
        machine = self.client("stepfunctions")
        return str(
            machine.start_execution(stateMachineArn=self.state_machine, name=uuid.uuid4().hex, input=json.dumps(request))["executionArn"]
        )

    def finish(self, arn: str, timeout: float = 240) -> Execution:
        """Wait for the end; `TimeoutError` when it does not come."""
        machine, deadline, pause = self.client("stepfunctions"), time.monotonic() + timeout, threading.Event()
        while (found := machine.describe_execution(executionArn=arn))["status"] not in TERMINAL:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arn} is still {found['status']}")
            pause.wait(0.2)
        output = json.loads(found.get("output") or "{}")
        return Execution(found["status"], found.get("error", ""), found.get("cause", ""), output, self.events(arn))

    def events(self, arn: str) -> list[dict[str, Any]]:
        """The history of an execution so far."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]

    def failures(self, arn: str) -> list[str]:
        """The errors of the tasks of an execution that have failed so far, in order."""
        return failures(self.events(arn))

    def run(self, request: dict[str, Any]) -> Execution:
        return self.finish(self.start(request))

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.client("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        return dict(json.loads(answer["Payload"].read()))

    def keys(self, prefix: str) -> dict[str, str]:
        """Return key → ETag for everything below an `s3://` prefix of the stack's bucket."""
        listing = self.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix.removeprefix(f"s3://{self.bucket}/"))
        return {entry["Key"]: entry["ETag"] for entry in listing.get("Contents", [])}

    def frames_done(self, request: dict[str, Any]) -> int:
        """Return how many frames the chunks of a render have reported so far."""
        s3 = self.client("s3")
        bodies = [
            s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.keys(request["PlanOutputS3Prefix"] + "progress/")
        ]
        return sum(json.loads(body)["FramesDone"] for body in bodies)

    def fetch(self, uri: str, path: Path) -> Path:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client("s3").download_file(bucket, key, str(path))
        return path

    def wait_for(self, condition: Callable[[], Any], timeout: float = 60) -> Any:
        """Poll `condition` until it is true and return its value; `TimeoutError` when it never is."""
        deadline, pause = time.monotonic() + timeout, threading.Event()
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError("the awaited condition did not come true")
            pause.wait(0.05)
        return value
