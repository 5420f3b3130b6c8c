"""Airflow with a home of its own, and the real stack on a real embedded endpoint, with a render function that draws nothing."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hyperframes_provider.client.aws.connect import Connect, connect_local
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackOutputs
from hyperframes_provider.local.endpoint import down, up

STACK = "hyperframes-provider-tests"


@dataclass
class Aws:
    """The deployed stack, and what a test looks at afterwards."""

    endpoint_url: str
    connect: Connect
    outputs: StackOutputs
    known: set[str] = field(default_factory=set)

    @property
    def bucket(self) -> str:
        return self.outputs.bucket

    def executions(self) -> list[dict[str, Any]]:
        """The executions since the test began, oldest first."""
        listed = self.connect("stepfunctions").list_executions(stateMachineArn=self.outputs.state_machine_arn)["executions"]
        return sorted((item for item in listed if item["executionArn"] not in self.known), key=lambda item: item["startDate"])

    def describe(self, arn: str) -> dict[str, Any]:
        return dict(self.connect("stepfunctions").describe_execution(executionArn=arn))

    def keys(self, prefix: str) -> list[str]:
        listed = self.connect("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", ())]

    def until(self, condition: Callable[[], Any], timeout: float = 20) -> Any:
        deadline, pause = time.monotonic() + timeout, threading.Event()
        while not (value := condition()):
            assert time.monotonic() < deadline, "the awaited condition did not come true"
            pause.wait(0.05)
        return value


@pytest.fixture(scope="session")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("endpoint")
    code = folder / "handler.zip"
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(Path(__file__).with_name("tiny_renderer.py"), "handler.py")
    info = up(outputs=folder / "outputs", state_dir=folder / "state")
    try:
        connect = connect_local(info.url)
        yield Aws(info.url, connect, deploy_stack(connect, STACK, parameters={"LambdaMemoryMb": "2048"}, code=code).outputs)
    finally:
        down(folder / "state")


@pytest.fixture
def aws(_deployed: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The stack, as the connection `aws_default` reaches it."""
    connection = {
        "conn_type": "aws",
        "login": "local",
        "password": "local",
        "extra": {"endpoint_url": _deployed.endpoint_url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    listed = _deployed.connect("stepfunctions").list_executions(stateMachineArn=_deployed.outputs.state_machine_arn)["executions"]
    _deployed.known = {item["executionArn"] for item in listed}
    return _deployed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The smallest project; its content differs from test to test, so that no render finds another test's."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "index.html").write_text(f"<!doctype html><title>{tmp_path}</title>")
    return folder


@dataclass
class FakeTaskInstance:
    """As much of a task instance as an operator touches."""

    dag_id: str = "weekly"
    task_id: str = "render"
    run_id: str = "manual__1"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Make the context of one attempt."""

    def make(**identity: Any) -> dict[str, Any]:
        ti = FakeTaskInstance(**identity)
        return {"ti": ti, "task_instance": ti, "run_id": ti.run_id, "logical_date": None}

    return make
