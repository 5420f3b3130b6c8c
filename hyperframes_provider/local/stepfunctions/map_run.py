"""Distributed Maps as in the service: an execution for every item, and a map run that counts them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType, MapRunStatus
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import MapRunRecord
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool

_EXCEEDED = "The specified tolerated failure threshold was exceeded"
_HALT_PAUSE = 0.02
"""Seconds."""
_COUNTS = {"RUNNING": "running", "SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut", "ABORTED": "aborted"}


class Child(Protocol):
    """The execution of one item."""

    ended: threading.Event
    output: Any

    @property
    def status(self) -> str:
        """The status as in DescribeExecution."""

    def stop(self, stop_date: datetime, error: str | None, cause: str | None) -> None:
        """End as ABORTED, unless it has ended."""


class Parent(Protocol):
    """The execution with the Map state."""

    @property
    def definition(self) -> str:
        """Definition of its state machine."""

    def begin_map_run(self, run: MapRun) -> None:
        """Register the run, so that it can be found and ends with the execution."""

    def start_child(self, run: MapRun, definition: str, content: Any) -> Child:
        """Start the execution of one item with `content` as its input."""


class MapRun:
    """One distributed Map in one execution: its items and their progress."""

    def __init__(self, record: MapRunRecord, definition: str, inputs: list[Any]) -> None:
        self.record = record
        self.definition = definition
        self.children: list[Child] = []
        self._outputs: list[Any] = [None] * len(inputs)
        self._waiting = iter(enumerate(inputs))
        self._total = len(inputs)
        self._lock = threading.Lock()
        self._aborted = False
        self._failed = False
        self._cause = _EXCEEDED

    @property
    def arn(self) -> str:
        """`…:mapRun:<machine>/<label>:<id>`."""
        return str(self.record.map_run_arn)

    def work(self, parent: Parent) -> list[Any]:
        """Run all items, at most one per core at a time; return their outputs in order.

        Raise `MapRunFailedError` with the cause once a child fails or cannot be run, which stops the others, and `MapRunAbortedError` if
        the parent has ended.
        """
        cores = os.cpu_count() or 1
        workers = [
            threading.Thread(target=self._work, args=(parent,), name="map-run", daemon=True)
            for _ in range(min(self.record.max_concurrency or cores, cores, self._total))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self._aborted:
            raise MapRunAbortedError
        if self._failed:
            raise MapRunFailedError(self._cause)
        return self._outputs

    def abort(self) -> None:
        """Stop the running children and start no more."""
        with self._lock:
            self._aborted = self._aborted or not self._failed
        self._stop_children()

    def describe(self) -> dict[str, Any]:
        """Return DescribeMapRun's answer."""
        with self._lock:
            counts, started = Counter(child.status for child in self.children), len(self.children)
        waiting = 0 if self._aborted or self._failed else self._total - started
        wire = {name: counts[status] for status, name in _COUNTS.items()}
        wire |= {"pending": waiting, "total": self._total, "resultsWritten": 0}
        return {**self.record.describe(), "itemCounts": wire, "executionCounts": wire, "redriveCount": 0}

    def _work(self, parent: Parent) -> None:
        try:
            self._run_items(parent)
        except Exception as error:  # noqa: BLE001  (an exception would end the thread silently, and its items would be missing)
            self._cause = f"An item could not be run: {type(error).__name__}: {error}"
            self._fail()

    def _run_items(self, parent: Parent) -> None:
        while True:
            with self._lock:
                item = None if self._aborted or self._failed else next(self._waiting, None)
                if item is None:
                    return
                index, content = item
                child = parent.start_child(self, self.definition, content)
                self.children.append(child)
            child.ended.wait()
            if child.status == "SUCCEEDED":
                self._outputs[index] = child.output
                continue
            self._fail()

    def _fail(self) -> None:
        with self._lock:
            self._failed = True
        self._stop_children()

    def _stop_children(self) -> None:
        with self._lock:
            running = [child for child in self.children if child.status == "RUNNING"]
        for child in running:
            child.stop(datetime.now(UTC), None, None)


class MapRunFailedError(Exception):
    """A child failed, and none may; the message is the cause."""


class MapRunAbortedError(Exception):
    """The parent has ended."""


def evaluate(component: DistributedIterationComponent, env: Any, parent: Parent) -> None:
    """Evaluate a distributed Map, in place of moto's `DistributedIterationComponent._eval_body`."""
    work = env.stack.pop()
    record: MapRunRecord = work.map_run_record
    add = env.event_manager.add_event
    started: Any = {"mapRunStartedEventDetails": {"mapRunArn": record.map_run_arn}}
    add(env.event_history_context, HistoryEventType.MapRunStarted, started)
    try:
        items = _items(env, work)
    except ClientError as error:
        raise _failure(env, record, StatesErrorNameType.StatesItemReaderFailed, str(error)) from error
    definition = _processor(json.loads(parent.definition), work.state_name)
    run = MapRun(record, json.dumps(definition), list(_inputs(component, env, work, items)))
    parent.begin_map_run(run)
    try:
        outputs = run.work(parent)
    except MapRunAbortedError:
        record.set_stop(status=MapRunStatus.ABORTED)
        add(env.event_history_context, HistoryEventType.MapRunAborted)
        outputs = []
        # Another thread stops the interpreter; until then, the parent would continue with the next state.
        while env.is_running():
            time.sleep(_HALT_PAUSE)
    except MapRunFailedError as error:
        raise _failure(env, record, StatesErrorNameType.StatesExceedToleratedFailureThreshold, str(error)) from None
    else:
        record.set_stop(status=MapRunStatus.SUCCEEDED)
        add(env.event_history_context, HistoryEventType.MapRunSucceeded)
    env.stack.append(outputs)


def _failure(env: Any, record: MapRunRecord, kind: StatesErrorNameType, cause: str) -> FailureEventException:
    """End the run as FAILED, and return the error that fails the state."""
    record.set_stop(status=MapRunStatus.FAILED)
    name = StatesErrorName(typ=kind)
    details: Any = {"mapRunFailedEventDetails": {"error": name.error_name, "cause": cause}}
    env.event_manager.add_event(env.event_history_context, HistoryEventType.MapRunFailed, details)
    return FailureEventException(FailureEvent(env, name, HistoryEventType.MapRunFailed, details))


def _items(env: Any, work: Any) -> list[Any]:
    if work.item_reader:
        work.item_reader.eval(env=env)
    else:
        env.stack.append(work.input_items)
    items: list[Any] = env.stack.pop()
    return items


def _inputs(component: DistributedIterationComponent, env: Any, work: Any, items: list[Any]) -> Iterator[Any]:
    """Yield each child's input: the item, or ItemSelector applied to it and to the state's input."""
    worker: Any = component._create_worker(env=env, eval_input=work, job_pool=JobPool(job_program=None, job_inputs=[]))  # type: ignore[arg-type]
    for index, item in enumerate(items):
        frame = env.open_inner_frame()
        frame.states.context_object.context_object_data["Map"] = {"Item": {"Index": index, "Value": item}}
        frame.states.reset(item)
        worker._eval_input(env_frame=frame)
        yield frame.states.get_input()
        env.delete_frame(frame)


def _processor(machine: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the definition of a Map state's children; raise `LookupError` if there is no such state. State names are unique."""
    machines = [machine]
    while machines:
        states = machines.pop()["States"]
        if name in states:
            return {field: value for field, value in states[name]["ItemProcessor"].items() if field != "ProcessorConfig"}
        machines += [state["ItemProcessor"] for state in states.values() if "ItemProcessor" in state]
    raise LookupError(f"the definition has no Map state {name!r} outside of Parallel states")
