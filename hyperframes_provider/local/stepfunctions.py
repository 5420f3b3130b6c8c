"""The seam into moto's Step Functions interpreter: where it differs from the service in a way that a client can see.

Executions stop at once and keep error and cause, a name is idempotent, the history is paged, and definitions are checked when made.
Importing this module loads the interpreter, which takes more than a second.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import moto.stepfunctions.parser.asl.utils.boto_client as interpreter_client

from hyperframes_provider.local import requirements  # noqa: F401  (refuses any other moto before its internals are touched)
from hyperframes_provider.local.connections import Connections

_connections: Connections | None = None


def _client_for(region: str, service: str, state_credentials: object = None) -> Any:  # noqa: ARG001
    if _connections is None:
        raise RuntimeError("install() has not run")
    return _connections.client(service, region)


# The interpreter makes a new boto3 client for every task, tens of milliseconds each. Its modules bind this function when they are
# imported, so it has to be replaced before they are.
interpreter_client.boto_client_for = _client_for

import moto.stepfunctions.parser.models as interpreter  # noqa: E402
import moto.stepfunctions.urls as urls  # noqa: E402
from moto.core.base_backend import BackendDict  # noqa: E402
from moto.core.config import default_user_config  # noqa: E402
from moto.core.exceptions import ServiceException  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.stepfunctions.exceptions import ExecutionAlreadyExists, InvalidExecutionInput  # noqa: E402
from moto.stepfunctions.models import StateMachine  # noqa: E402
from moto.stepfunctions.parser.api import ExecutionStatus  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (  # noqa: E402
    InlineIterationComponent,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str  # noqa: E402
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution  # noqa: E402
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker  # noqa: E402
from moto.stepfunctions.responses import StepFunctionResponse  # noqa: E402

from hyperframes_provider.local.execution_events import ExecutionEnd, announce  # noqa: E402
from hyperframes_provider.local.state_machine import definition_problems  # noqa: E402

INPUT_LIMIT_BYTES = 262_144
_HISTORY_PAGE, _HISTORY_PAGE_LIMIT = 100, 1000


def install(connections: Connections) -> None:
    """Run state machines for real, calling services through `connections`. Must run before the first request to Step Functions."""
    global _connections
    _connections = connections
    InlineIterationComponent._eval_body = _iterate_on_the_cores  # type: ignore[method-assign, assignment]
    # A Map's worker calls itself once for each item that it has done.
    sys.setrecursionlimit(20_000)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    interpreter.stepfunctions_parser_backends = BackendDict(LocalStepFunctionsBackend, "stepfunctions")
    urls.url_paths["{0}/$"] = LocalStepFunctionsResponse.dispatch


_iterate = InlineIterationComponent._eval_body


def _iterate_on_the_cores(component: InlineIterationComponent, env: Any) -> None:
    """At most one iteration a core: a task's `TimeoutSeconds` would run out while its invocation waits for a core behind all the others."""
    work = env.stack[-1]
    if work.input_items:
        cores = os.cpu_count() or 1
        work.max_concurrency = min(work.max_concurrency or cores, cores)
    _iterate(component, env)


class StepFunctionsRequestError(ServiceException):
    """A request that Step Functions refuses: code and message. moto answers properly for subclasses only, by where they are defined."""


class LocalExecution(Execution):
    """An execution that can be stopped at any moment.

    The interpreter's threads cannot be: a running invocation goes on, as it does on AWS. What they report afterwards changes neither the
    status nor the history.
    """

    def __init__(self, **details: Any) -> None:
        super().__init__(**details)
        self._ending = threading.Lock()
        self._final_history: list[dict[str, Any]] | None = None

    def stop(self, stop_date: datetime, error: str | None, cause: str | None) -> None:
        """End as ABORTED, with `error` and `cause`; nothing when the execution has ended already."""
        with self._ending:
            if self.status != "RUNNING":
                return
            details = {name: value for name, value in (("error", error), ("cause", cause)) if value is not None}
            self._freeze("ExecutionAborted", "executionAbortedEventDetails", details, stop_date)
            self.stop_date, self.error, self.cause = stop_date, error, cause
            self.exec_status = ExecutionStatus.ABORTED
        self._announce()
        threading.Thread(target=self._halt_interpreter, args=(stop_date,), daemon=True).start()

    def finish(self, reflect: Callable[[], None]) -> None:
        """The interpreter has come to its end: take over its status with `reflect`, unless the execution was stopped."""
        with self._ending:
            if self.status != "RUNNING":
                return
            reflect()
            if self.status == "TIMED_OUT" and self.stop_date is not None:
                # The interpreter writes this event only when the task that is still running has ended.
                self._freeze("ExecutionTimedOut", "executionTimedOutEventDetails", {}, self.stop_date)
        self._announce()

    def _announce(self) -> None:
        """Tell EventBridge that it has ended."""
        if _connections is None or self.status == "RUNNING":
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
        announce(_connections, end)

    def to_history_output(self) -> Any:
        """The events so far; the final ones once the execution was ended from outside."""
        return {"events": self._final_history} if self._final_history is not None else super().to_history_output()

    def _halt_interpreter(self, stop_date: datetime) -> None:
        """Let it start no further task. It can be told so only once it runs, which is some milliseconds after StartExecution."""
        worker = cast(ExecutionWorker, self.exec_worker)
        while (environment := worker.env) is None or environment.program_state() is None:
            time.sleep(0.02)
        environment.set_stop(stop_date=stop_date, cause=self.cause, error=self.error)

    def _freeze(self, kind: str, field: str, details: Mapping[str, str], moment: datetime) -> None:
        events: list[dict[str, Any]] = [dict(event) for event in super().to_history_output()["events"]]
        last = events[-1]["id"] if events else 0
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        events.append({"id": last + 1, "previousEventId": last, "timestamp": stamp, "type": kind, field: dict(details)})
        self._final_history = events

    def _get_start_execution_worker_comm(self) -> BaseExecutionWorkerCommunication:
        return _Communication(self)


class _Communication(BaseExecutionWorkerCommunication):
    def terminated(self) -> None:
        cast(LocalExecution, self.execution).finish(self._reflect_execution_status)


class LocalStepFunctionsBackend(interpreter.StepFunctionsParserBackend):
    """State machines and executions with the service's rules about names, inputs and definitions."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._starting = threading.Lock()

    def create_state_machine(self, name: str, definition: str, roleArn: str, *args: Any, **kwargs: Any) -> StateMachine:  # noqa: N803
        """Refuse a broken definition, and a name that another definition has."""
        _check_definition(definition)
        existing = next((machine for machine in self.state_machines if machine.name == name), None)
        if existing is not None and (existing.definition, existing.roleArn) != (definition, roleArn):
            raise StepFunctionsRequestError("StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'")
        return super().create_state_machine(name, definition, roleArn, *args, **kwargs)

    def update_state_machine(self, arn: str, definition: str | None = None, *args: Any, **kwargs: Any) -> StateMachine:
        """Refuse a broken definition. Running executions keep the one that they were started with."""
        if definition is not None:
            _check_definition(definition)
        return super().update_state_machine(arn, cast(str, definition), *args, **kwargs)

    def start_execution(  # type: ignore[override]  # as in the class above this one: what runs is not moto's static Execution
        self, state_machine_arn: str, name: str | None = None, execution_input: str | None = None, trace_header: str | None = None
    ) -> LocalExecution:
        """Start, or return the running execution of this name and input; any other use of the name is an error."""
        machine = self.describe_state_machine(state_machine_arn)
        name = name or str(uuid.uuid4())
        self._validate_name(name)
        text = "{}" if execution_input is None else execution_input
        _check_input(text)
        executions = cast("list[LocalExecution]", machine.executions)
        with self._starting:
            for execution in executions:
                if execution.name == name:
                    if execution.execution_input == text and execution.status == "RUNNING":
                        return execution
                    raise ExecutionAlreadyExists(f"Execution Already Exists: '{execution.execution_arn}'")
            started = LocalExecution(
                name=name,
                sm_type=machine.sm_type,
                role_arn=machine.roleArn,
                exec_arn=f"arn:{self.partition}:states:{self.region_name}:{self.account_id}:execution:{machine.name}:{name}",
                account_id=self.account_id,
                region_name=self.region_name,
                # A shallow copy: an update replaces the attributes of the original and leaves the copy's alone.
                state_machine=copy.copy(machine),
                start_date=datetime.now(UTC),
                cloud_watch_logging_session=None,
                input_data=text,
                trace_header=trace_header,
                activity_store={},
            )
            started.start()
            executions.append(started)
        return started


class LocalStepFunctionsResponse(StepFunctionResponse):
    """The API operations whose requests or answers moto handles only in part."""

    def stop_execution(self) -> ActionResult:
        """Takes error and cause along; stopping what has ended answers with the time it ended."""
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        execution.stop(stop_date=datetime.now(UTC), error=self._get_param("error"), cause=self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def describe_execution(self) -> ActionResult:
        """All fields for all ends, TIMED_OUT included."""
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        answer = {
            "executionArn": execution.execution_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": execution.start_date,
            "input": execution.execution_input,
            "inputDetails": {"included": True},
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": _NO_REDRIVE,
        }
        if execution.status != "RUNNING":
            answer["stopDate"] = execution.stop_date
        if execution.status == "SUCCEEDED":
            answer |= {"output": to_json_str(execution.output, separators=(",", ":")), "outputDetails": {"included": True}}
        if execution.error is not None:
            answer["error"] = execution.error
        if execution.cause is not None:
            answer["cause"] = execution.cause
        return ActionResult(answer)

    def list_executions(self) -> ActionResult:
        """Newest first, in pages."""
        arn = self._get_param("stateMachineArn")
        executions, token = self.stepfunction_backend.list_executions(
            arn,
            status_filter=self._get_param("statusFilter"),
            max_results=self._get_int_param("maxResults"),
            next_token=self._get_param("nextToken"),
        )
        items = [
            {
                "executionArn": execution.execution_arn,
                "stateMachineArn": arn,
                "name": execution.name,
                "status": execution.status,
                "startDate": execution.start_date,
                **({"stopDate": execution.stop_date} if execution.status != "RUNNING" else {}),
            }
            for execution in executions
        ]
        return ActionResult({"executions": items, "nextToken": token})

    def get_execution_history(self) -> ActionResult:
        """In pages, in either direction, with or without inputs and outputs."""
        events = list(self.stepfunction_backend.get_execution_history(self._get_param("executionArn"))["events"])
        if self._get_param("reverseOrder"):
            events.reverse()
        if self._get_param("includeExecutionData") is False:
            events = [_without_data(event) for event in events]
        size = min(int(self._get_param("maxResults") or _HISTORY_PAGE), _HISTORY_PAGE_LIMIT)
        token = self._get_param("nextToken") or "0"
        if not token.isdecimal():
            raise StepFunctionsRequestError("InvalidToken", f"Invalid Token: '{token}'")
        start = int(token)
        answer: dict[str, Any] = {"events": events[start : start + size]}
        if start + size < len(events):
            answer["nextToken"] = str(start + size)
        return ActionResult(answer)

    def redrive_execution(self) -> ActionResult:
        """Absent; refused in the way in which the service refuses an execution that cannot be redriven."""
        arn = self._get_param("executionArn")
        self.stepfunction_backend.describe_execution(arn)
        raise StepFunctionsRequestError("ExecutionNotRedrivable", f"{_NO_REDRIVE}: '{arn}'")


_NO_REDRIVE = "The embedded endpoint cannot redrive an execution; start a new one under another name"


def _check_definition(definition: str) -> None:
    problems = definition_problems(definition)
    if problems:
        raise StepFunctionsRequestError("InvalidDefinition", f"Invalid State Machine Definition: '{', '.join(problems)}'")


def _check_input(text: str) -> None:
    if len(text.encode()) > INPUT_LIMIT_BYTES:
        raise StepFunctionsRequestError(
            "ValidationException", f"Value at 'input' must have length less than or equal to {INPUT_LIMIT_BYTES}"
        )
    try:
        json.loads(text)
    except ValueError as error:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from error


def _without_data(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: {name: item for name, item in value.items() if name not in ("input", "output", "parameters")}
        if isinstance(value, dict)
        else value
        for field, value in event.items()
    }
