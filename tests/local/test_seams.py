"""Failures between the parts of the embedded endpoint, each part alone with small stand-ins."""

from __future__ import annotations

import fcntl
import io
import json
import threading
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.events.models import events_backends
from moto.logs.models import LogsBackend
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import MapRunRecord

from hyperframes_provider.local.connections import ACCOUNT_ID
from hyperframes_provider.local.functions import environment as lambda_environment
from hyperframes_provider.local.functions.environment import Environment, FunctionConfig, InvocationResult, Usage
from hyperframes_provider.local.functions.pool import LambdaPool
from hyperframes_provider.local.functions.runner import log_to
from hyperframes_provider.local.functions.runtime_api import RuntimeApi
from hyperframes_provider.local.sandbox import code as lambda_code
from hyperframes_provider.local.sandbox.code import Code, kept
from hyperframes_provider.local.stepfunctions import events as execution_events
from hyperframes_provider.local.stepfunctions import map_run
from hyperframes_provider.local.stepfunctions.events import ExecutionEnd
from tests.local.deployed import eventually, function_zip

ARN = "arn:aws:lambda:us-east-1:123456789012:function:sample"
CONFIG = FunctionConfig(ARN, "app.handler", Code(Path("/nowhere"), complete=False), 128, 3.0, ())


class Held:
    """An environment whose invocation lasts until it is released."""

    def __init__(self, config: FunctionConfig) -> None:
        self.config = config
        self.idle_since = 0.0
        self.entered, self.go, self.closed = threading.Event(), threading.Event(), threading.Event()

    def alive(self) -> bool:
        return not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    def invoke(self, event: bytes, client_context: str | None) -> InvocationResult:
        self.entered.set()
        assert self.go.wait(5)
        return InvocationResult("id", event, failed=False, usage=Usage(1, None, 1, 1), reusable=True)


@pytest.mark.parametrize("changed", [True, False])
def test_an_environment_that_is_busy_while_its_function_changes_is_not_used_again(changed: bool) -> None:
    made: list[Held] = []

    def start(config: FunctionConfig) -> Any:
        made.append(Held(config))
        return made[-1]

    pool = LambdaPool(1, start)
    running = threading.Thread(target=pool.invoke, args=(CONFIG, None, b"1"))
    running.start()
    eventually(lambda: made and made[0].entered.is_set(), 5)
    if changed:
        pool.forget(ARN)
    assert not made[0].closed.is_set()
    made[0].go.set()
    running.join(5)
    assert made[0].closed.is_set() is changed
    pool.close()


def test_the_port_of_an_environment_that_does_not_start_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[RuntimeApi] = []

    def refuse(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(lambda_environment, "start", refuse)
    monkeypatch.setattr(RuntimeApi, "close", lambda api, close=RuntimeApi.close: (closed.append(api), close(api)))
    with pytest.raises(OSError, match="no room"):
        Environment(CONFIG, {}, print)
    assert len(closed) == 1


def test_lines_of_a_deleted_stream_are_dropped_and_nobody_waits_for_them() -> None:
    logs = LogsBackend("us-east-1", ACCOUNT_ID)
    logs.ensure_log_group("group")
    logs.create_log_stream("group", "stream")
    log = log_to(logs, "group", "stream")
    log("first")
    events = logs.groups["group"].streams["stream"].events
    logs.delete_log_stream("group", "stream")
    log("second")
    logs.delete_log_group("group")
    log("third")
    assert [event.message for event in events] == ["first"]


def test_the_same_zip_is_used_twice_at_a_time(tmp_path: Path) -> None:
    archive, cache = tmp_path / "code.zip", tmp_path / "cache"
    archive.write_bytes(function_zip())
    with kept(archive, cache) as (first, _), kept(archive, cache) as (second, _):
        assert first == second
        assert (first.folder / "app.py").is_file()
        (lock,) = cache.glob("*.lock")
        with lock.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_code_that_is_taken_away_before_it_is_shared_is_unpacked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, taken = tmp_path / "code.zip", []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("app.py", "x = 1\n")
    archive.write_bytes(buffer.getvalue())
    unpack = lambda_code.unpack

    def take_away_once(source: Any, folder: Path) -> Code:
        code = unpack(source, folder)
        if not taken:
            taken.append(folder)
            lambda_code.remove_tree(folder)
        return code

    monkeypatch.setattr(lambda_code, "unpack", take_away_once)
    with kept(archive, tmp_path / "cache") as (code, _):
        assert taken == [code.folder]
        assert (code.folder / "app.py").read_text() == "x = 1\n"


class Queues:
    """The endpoint's clients: a missing topic, a missing queue, and an existing queue."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def client(self, _service: str, _region: str) -> Queues:
        return self

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
        if QueueName == "gone":
            raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue"}}, "GetQueueUrl")
        return {"QueueUrl": QueueName}

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        self.sent.append(f"{QueueUrl} {json.loads(MessageBody)['detail']['status']}")

    def publish(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "NotFound"}}, "Publish")


def test_a_target_that_cannot_be_told_does_not_keep_the_others_from_being_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sqs, topic = "arn:aws:sqs:us-east-1:123456789012", "arn:aws:sns:us-east-1:123456789012:gone"
    targets = [
        {"Arn": topic, "DeadLetterConfig": {"Arn": f"{sqs}:gone"}},
        {"Arn": "no ARN at all"},
        {"Arn": topic, "DeadLetterConfig": {"Arn": f"{sqs}:letters"}},
        {"Arn": f"{sqs}:last"},
    ]
    rule = SimpleNamespace(state="ENABLED", event_pattern=SimpleNamespace(matches_event=lambda _: True), targets=targets)
    bus = events_backends[ACCOUNT_ID]["us-east-1"].event_buses["default"]
    monkeypatch.setattr(bus, "rules", {"rule": rule})
    now, queues = datetime.now(UTC), Queues()
    end = ExecutionEnd("arn:aws:states:us-east-1:1:execution:m:e", "m", "e", "SUCCEEDED", now, now, "{}", "{}", None, None)
    execution_events._announce(queues, end)  # type: ignore[arg-type]
    assert queues.sent == ["letters SUCCEEDED", "last SUCCEEDED"]
    assert [" either" in record.getMessage() for record in caplog.records] == [False, True, False, False]


@dataclass
class Interpreter:
    """The parts of moto's environment that a distributed Map without an item list needs."""

    run: MapRunRecord = field(default_factory=lambda: MapRunRecord("arn:aws:states:us-east-1:1:stateMachine:m", "e", 0, 0, 0.0, "label"))
    running: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.running.set()
        self.events: list[tuple[Any, Any]] = []
        work = SimpleNamespace(map_run_record=self.run, item_reader=None, input_items=[1, 2, 3], state_name="Chunks")
        self.stack: list[Any] = [work]
        self.next_state_name = "Chunks"
        self.event_history_context = SimpleNamespace(source_event_id=1)
        self.event_manager = SimpleNamespace(add_event=lambda _context, kind, details=None: self.events.append((kind, details)))

    def is_running(self) -> bool:
        return self.running.is_set()


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    monkeypatch.setattr(map_run, "_inputs", lambda _component, _env, _work, items: items)
    return Interpreter()


class Parent:
    """An execution whose children cannot be started; it may have been stopped."""

    def __init__(self, *, name: str = "Chunks", stopped: bool = False) -> None:
        processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "Chunk", "States": {"Chunk": {"Type": "Pass", "End": True}}}
        inner = {"StartAt": name, "States": {name: {"Type": "Map", "ItemProcessor": processor, "End": True}}}
        self.definition = json.dumps({"StartAt": "Outer", "States": {"Outer": {"Type": "Map", "ItemProcessor": inner, "End": True}}})
        self.stopped = stopped
        self.given: list[str] = []

    def begin_map_run(self, run: map_run.MapRun) -> None:
        if self.stopped:
            run.abort()

    def start_child(self, _run: map_run.MapRun, definition: str, content: Any) -> map_run.Child:
        self.given.append(definition)
        raise OSError(f"no thread for {content}")


def test_an_item_that_cannot_be_run_fails_the_map_with_the_cause(interpreter: Interpreter) -> None:
    parent = Parent()
    with pytest.raises(FailureEventException):
        map_run.evaluate(None, interpreter, parent)  # type: ignore[arg-type]
    kind, details = interpreter.events[-1]
    assert kind == HistoryEventType.MapRunFailed
    failed = details["mapRunFailedEventDetails"]
    assert failed["error"] == "States.ExceedToleratedFailureThreshold"
    assert failed["cause"].startswith("An item could not be run: OSError: no thread for ")
    assert interpreter.run.describe()["status"] == "FAILED"
    assert "ProcessorConfig" not in json.loads(parent.given[0])


def test_a_map_that_the_definition_does_not_have_is_an_error(interpreter: Interpreter) -> None:
    with pytest.raises(LookupError, match="no Map state 'Chunks'"):
        map_run.evaluate(None, interpreter, Parent(name="Other"))  # type: ignore[arg-type]


def test_a_map_whose_parent_was_stopped_does_not_end_before_the_interpreter_knows(interpreter: Interpreter) -> None:
    evaluating = threading.Thread(target=map_run.evaluate, args=(None, interpreter, Parent(stopped=True)))
    evaluating.start()
    eventually(lambda: interpreter.run.describe()["status"] == "ABORTED", 5)
    evaluating.join(0.2)
    assert evaluating.is_alive() and interpreter.stack == []
    interpreter.running.clear()
    evaluating.join(5)
    assert not evaluating.is_alive() and interpreter.stack == [[]]
