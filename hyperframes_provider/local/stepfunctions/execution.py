"""Executions that can be stopped at any moment, redriven, and started for the items of a distributed Map."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.eval.evaluation_details import ExecutionDetails, StateMachineDetails
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from hyperframes_provider.local.connections import Connections
from hyperframes_provider.local.stepfunctions import redrive
from hyperframes_provider.local.stepfunctions.events import ExecutionEnd, announce
from hyperframes_provider.local.stepfunctions.map_run import MapRun


@dataclass
class MapRunRegistry:
    """The distributed Maps of all executions in a region, and the executions of their items, by ARN."""

    runs: dict[str, MapRun] = field(default_factory=dict)
    children: dict[str, LocalExecution] = field(default_factory=dict)


class LocalExecution(Execution):
    """An execution that can be stopped at any moment.

    The interpreter's threads cannot be stopped: as on AWS, a running invocation continues. Later reports from it change neither the status
    nor the history.
    """

    connections: ClassVar[Connections]

    def __init__(self, registry: MapRunRegistry, run: MapRun | None = None, **details: Any) -> None:
        super().__init__(start_date=datetime.now(UTC), cloud_watch_logging_session=None, activity_store={}, **details)
        self.ended = threading.Event()
        self.map_run = run
        """The map run whose item this is, if any."""
        self._registry = registry
        self._map_runs: list[MapRun] = []
        self._ending = threading.Lock()
        self._final_history: list[dict[str, Any]] | None = None
        self.redrives = 0
        self.redriven: datetime | None = None
        """Time of the last redrive."""
        self._earlier_events: list[dict[str, Any]] = []
        """Events up to the last redrive."""
        self._resumed: tuple[str, Any] | None = None
        """Definition and input after a redrive."""

    @property
    def definition(self) -> str:
        """The state machine's definition at the start of the execution."""
        return str(self.state_machine.definition)

    def stop(self, stop_date: datetime, error: str | None, cause: str | None) -> None:
        """End as ABORTED with `error` and `cause`, unless the execution has ended."""
        with self._ending:
            if self.status != "RUNNING":
                return
            details = {name: value for name, value in (("error", error), ("cause", cause)) if value is not None}
            self._freeze("ExecutionAborted", "executionAbortedEventDetails", details, stop_date)
            self.stop_date, self.error, self.cause = stop_date, error, cause
            self.exec_status = ExecutionStatus.ABORTED
            halted = (cast(ExecutionWorker, self.exec_worker), stop_date, error, cause)
        self._end_map_runs()
        self._announce()
        threading.Thread(target=_halt_interpreter, args=halted, daemon=True).start()

    def finish(self, reflect: Callable[[], None], redrives: int) -> None:
        """Take over the interpreter's final status with `reflect`, unless the execution was stopped.

        :param redrives: count of redrives when this interpreter began; the end of an earlier one is ignored
        """
        with self._ending:
            if self.status != "RUNNING" or redrives != self.redrives:
                return
            reflect()
            if self.status == "TIMED_OUT" and self.stop_date is not None:
                # The interpreter writes this event only after the running task has ended.
                self._freeze("ExecutionTimedOut", "executionTimedOutEventDetails", {}, self.stop_date)
            if self.map_run is not None:
                # A run may have thousands of children, so each keeps its history only.
                self._final_history = self.to_history_output()["events"]
                cast(ExecutionWorker, self.exec_worker).env = None
        self._end_map_runs()
        self._announce()

    @property
    def redrive_refusal(self) -> str:
        """The reason why it cannot be redriven, in the service's words; empty if it can."""
        if self.map_run is not None:
            return "Redrive the parent of this execution instead"
        if self.status not in ("FAILED", "TIMED_OUT", "ABORTED"):
            return f"Execution is {self.status} and cannot be redriven"
        return ""

    def redrive(self) -> datetime:
        """Continue from the state in which it ended, with the same history. `redrive_refusal` must be empty."""
        with self._ending:
            moment = datetime.now(UTC)
            events = self.to_history_output()["events"]
            self._resumed = redrive.resumption(self.definition, events, self.input_data)
            self.redrives += 1
            self._earlier_events = redrive.redriven(events, self.redrives, _stamp(moment))
            self._final_history = self.stop_date = self.error = self.cause = self.exec_worker = None
            self.redriven = moment
            self.ended.clear()
            self.start()
        return moment

    def get_start_state_machine_details(self) -> StateMachineDetails:
        """Return the details; after a redrive, with another first state."""
        details = super().get_start_state_machine_details()
        if self._resumed is not None:
            details.definition = self._resumed[0]  # type: ignore[misc]  # created a line above, for this execution alone
        return details

    def get_start_execution_details(self) -> ExecutionDetails:
        """Return the details; after a redrive, with that state's input."""
        details = super().get_start_execution_details()
        if self._resumed is not None:
            details.inpt = self._resumed[1]  # type: ignore[misc]  # created a line above, for this execution alone
        return details

    def begin_map_run(self, run: MapRun) -> None:
        """Register a distributed Map, which ends with this execution."""
        with self._ending:
            self._map_runs.append(run)
            self._registry.runs[run.arn] = run
            ended = self.status != "RUNNING"
        if ended:
            run.abort()

    def start_child(self, run: MapRun, definition: str, content: Any) -> LocalExecution:
        """Start the execution of one item of a distributed Map."""
        machine = copy.copy(self.state_machine)
        machine.definition, machine.arn = definition, run.record.map_state_machine_arn
        name = str(uuid.uuid4())
        child = LocalExecution(
            registry=self._registry,
            run=run,
            name=name,
            sm_type=self.sm_type,
            role_arn=self.role_arn,
            exec_arn=f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}",
            account_id=self.account_id,
            region_name=self.region_name,
            state_machine=machine,
            input_data=to_json_str(content, separators=(",", ":")),
        )
        self._registry.children[child.execution_arn] = child
        child.start()
        return child

    def described(self) -> dict[str, Any]:
        """Return DescribeExecution's answer, from before or after the end, never from in between."""
        with self._ending:
            ended = self.status != "RUNNING"
            succeeded = self.status == "SUCCEEDED"
            return {
                "executionArn": self.execution_arn,
                "stateMachineArn": self.state_machine_arn,
                "name": self.name,
                "status": self.status,
                "startDate": self.start_date,
                "stopDate": self.stop_date if ended else None,
                "input": self.execution_input,
                "inputDetails": {"included": True},
                "output": to_json_str(self.output, separators=(",", ":")) if succeeded else None,
                "outputDetails": {"included": True} if succeeded else None,
                "error": self.error,
                "cause": self.cause,
                "redriveCount": self.redrives,
                "redriveStatus": "NOT_REDRIVABLE" if self.redrive_refusal else "REDRIVABLE",
                "redriveStatusReason": self.redrive_refusal or None,
                "redriveDate": self.redriven,
                "mapRunArn": self.map_run.arn if self.map_run else None,
            }

    @property
    def map_runs(self) -> list[dict[str, Any]]:
        """The items of ListMapRuns."""
        return [dict(run.record.list_item()) for run in self._map_runs]

    def _end_map_runs(self) -> None:
        for run in self._map_runs:
            run.abort()
        self.ended.set()

    def _announce(self) -> None:
        """Send the end of the execution to EventBridge; items of a distributed Map send none."""
        if self.map_run is not None or self.status == "RUNNING":
            return
        end = ExecutionEnd(
            arn=str(self.execution_arn),
            state_machine_arn=str(self.state_machine_arn),
            name=str(self.name),
            status=str(self.status),
            started=self.start_date,
            stopped=self.stop_date or datetime.now(UTC),
            input=str(self.execution_input),
            output=to_json_str(self.output, separators=(",", ":")) if self.status == "SUCCEEDED" else None,
            error=self.error,
            cause=self.cause,
        )
        announce(self.connections, end)

    def to_history_output(self) -> Any:
        """Return the events so far, or the final ones after an end from outside."""
        if self._final_history is not None:
            return {"events": self._final_history}
        return {"events": redrive.continued(self._earlier_events, cast(Any, super().to_history_output()["events"]))}

    def _freeze(self, kind: str, field: str, details: Mapping[str, str], moment: datetime) -> None:
        events: list[dict[str, Any]] = self.to_history_output()["events"]
        last = events[-1]["id"] if events else 0
        events.append({"id": last + 1, "previousEventId": last, "timestamp": _stamp(moment), "type": kind, field: dict(details)})
        self._final_history = events

    def _get_start_execution_worker_comm(self) -> BaseExecutionWorkerCommunication:
        return _Communication(self)


def _halt_interpreter(worker: ExecutionWorker, stop_date: datetime, error: str | None, cause: str | None) -> None:
    """Prevent the interpreter from starting another task, once it runs: that is some milliseconds after StartExecution."""
    while (environment := worker.env) is None or environment.program_state() is None:
        time.sleep(0.02)
    environment.set_stop(stop_date=stop_date, cause=cause, error=error)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Communication(BaseExecutionWorkerCommunication):
    def __init__(self, execution: LocalExecution) -> None:
        super().__init__(execution)
        self._redrives = execution.redrives

    def terminated(self) -> None:
        cast(LocalExecution, self.execution).finish(self._reflect_execution_status, self._redrives)
