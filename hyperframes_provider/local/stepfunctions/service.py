"""The seam into moto's Step Functions interpreter: where it differs from the service in a way that a client can see.

Executions stop at once and keep error and cause, a name is idempotent, the history is paged, definitions are checked when made, and the
items of a distributed Map are executions of their own (see `map_run`).
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
from functools import lru_cache
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
from moto.stepfunctions.exceptions import ExecutionAlreadyExists, InvalidExecutionInput, ResourceNotFound  # noqa: E402
from moto.stepfunctions.models import StateMachine  # noqa: E402
from moto.stepfunctions.parser.api import ExecutionStatus  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E402
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (  # noqa: E402
    InlineIterationComponent,
)
from moto.stepfunctions.parser.asl.eval.evaluation_details import ExecutionDetails, StateMachineDetails  # noqa: E402
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser  # noqa: E402
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str  # noqa: E402
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution  # noqa: E402
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker  # noqa: E402
from moto.stepfunctions.responses import StepFunctionResponse  # noqa: E402

from hyperframes_provider.local.stepfunctions import map_run, redrive  # noqa: E402
from hyperframes_provider.local.stepfunctions.events import ExecutionEnd, announce  # noqa: E402
from hyperframes_provider.local.stepfunctions.state_machine import definition_problems  # noqa: E402

INPUT_LIMIT_BYTES = 262_144
_HISTORY_PAGE, _LIST_PAGE, _HISTORY_PAGE_LIMIT = 100, 100, 1000


def install(connections: Connections) -> None:
    """Run state machines for real, calling services through `connections`. Must run before the first request to Step Functions."""
    global _connections
    _connections = connections
    InlineIterationComponent._eval_body = _iterate_on_the_cores  # type: ignore[method-assign, assignment]
    DistributedIterationComponent._eval_body = _run_as_children  # type: ignore[method-assign, assignment]
    ExecutionWorker._get_evaluation_entrypoint = _parsed  # type: ignore[method-assign, assignment]
    # The worker of an inline Map calls itself once for each item that it has done.
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


def _run_as_children(component: DistributedIterationComponent, env: Any) -> None:
    """Every item an execution of its own, with a history that tells of its attempts."""
    details = env.aws_execution_details
    backend = interpreter.stepfunctions_parser_backends[details.account][details.region]
    parent = backend.describe_execution(env.states.context_object.context_object_data["Execution"]["Id"])
    map_run.evaluate(component, env, cast(LocalExecution, parent))


def _parsed(worker: ExecutionWorker) -> Any:
    return _parse(worker._evaluation_details.state_machine_details.definition)


@lru_cache(maxsize=32)
def _parse(definition: str) -> Any:
    """Parsing takes longer than a small execution, and its result holds no state: an execution keeps that in its environment."""
    return AmazonStateLanguageParser.parse(definition)[0]


class StepFunctionsRequestError(ServiceException):
    """A request that Step Functions refuses: code and message. moto answers properly for subclasses only, by where they are defined."""


class LocalExecution(Execution):
    """An execution that can be stopped at any moment.

    The interpreter's threads cannot be: a running invocation goes on, as it does on AWS. What they report afterwards changes neither the
    status nor the history.
    """

    def __init__(self, backend: LocalStepFunctionsBackend, run: map_run.MapRun | None = None, **details: Any) -> None:
        super().__init__(**details)
        self.ended = threading.Event()
        self.map_run = run
        """The run whose item this is, if it is one."""
        self._backend = backend
        self._map_runs: list[map_run.MapRun] = []
        self._ending = threading.Lock()
        self._final_history: list[dict[str, Any]] | None = None
        self.redrives = 0
        self.redriven: datetime | None = None
        """When it was redriven last."""
        self._earlier_events: list[dict[str, Any]] = []
        """What happened until it was redriven."""
        self._resumed: tuple[str, Any] | None = None
        """Definition and input with which it goes on after a redrive."""

    @property
    def definition(self) -> str:
        """Of the state machine that it runs, as it was when it started."""
        return str(self.state_machine.definition)

    def stop(self, stop_date: datetime, error: str | None, cause: str | None) -> None:
        """End as ABORTED, with `error` and `cause`; nothing when the execution has ended already."""
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
        """The interpreter has come to its end: take over its status with `reflect`, unless the execution was stopped.

        :param redrives: how often it had been redriven when this interpreter began; the end of an earlier one means nothing any more
        """
        with self._ending:
            if self.status != "RUNNING" or redrives != self.redrives:
                return
            reflect()
            if self.status == "TIMED_OUT" and self.stop_date is not None:
                # The interpreter writes this event only when the task that is still running has ended.
                self._freeze("ExecutionTimedOut", "executionTimedOutEventDetails", {}, self.stop_date)
            if self.map_run is not None:
                # A run may have thousands of children: what stays of each is its history.
                self._final_history = self.to_history_output()["events"]
                cast(ExecutionWorker, self.exec_worker).env = None
        self._end_map_runs()
        self._announce()

    @property
    def redrive_refusal(self) -> str:
        """Why it cannot be redriven, in the service's words; empty when it can."""
        if self.map_run is not None:
            return "Redrive the parent of this execution instead"
        if self.status not in ("FAILED", "TIMED_OUT", "ABORTED"):
            return f"Execution is {self.status} and cannot be redriven"
        return ""

    def redrive(self) -> datetime:
        """Go on with the state in which it ended; its history grows on. `redrive_refusal` must be empty."""
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
        """Of a redriven execution, with another first state."""
        details = super().get_start_state_machine_details()
        if self._resumed is not None:
            details.definition = self._resumed[0]  # type: ignore[misc]  # ours alone, made a line above
        return details

    def get_start_execution_details(self) -> ExecutionDetails:
        """Of a redriven execution, with that state's input."""
        details = super().get_start_execution_details()
        if self._resumed is not None:
            details.inpt = self._resumed[1]  # type: ignore[misc]  # ours alone, made a line above
        return details

    def begin_map_run(self, run: map_run.MapRun) -> None:
        """A distributed Map was entered."""
        with self._ending:
            self._map_runs.append(run)
            self._backend.map_runs[run.arn] = run
            ended = self.status != "RUNNING"
        if ended:
            run.abort()

    def start_child(self, run: map_run.MapRun, definition: str, content: Any) -> LocalExecution:
        """Start the execution of one item of a distributed Map."""
        machine = copy.copy(self.state_machine)
        machine.definition, machine.arn = definition, run.record.map_state_machine_arn
        name = str(uuid.uuid4())
        child = LocalExecution(
            backend=self._backend,
            run=run,
            name=name,
            sm_type=self.sm_type,
            role_arn=self.role_arn,
            exec_arn=f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}",
            account_id=self.account_id,
            region_name=self.region_name,
            state_machine=machine,
            start_date=datetime.now(UTC),
            cloud_watch_logging_session=None,
            input_data=to_json_str(content, separators=(",", ":")),
            activity_store={},
        )
        self._backend.children[child.execution_arn] = child
        child.start()
        return child

    def described(self) -> dict[str, Any]:
        """The answer of DescribeExecution: the state before its end or after it, and nothing in between."""
        with self._ending:
            answer = {
                "executionArn": self.execution_arn,
                "stateMachineArn": self.state_machine_arn,
                "name": self.name,
                "status": self.status,
                "startDate": self.start_date,
                "input": self.execution_input,
                "inputDetails": {"included": True},
                "redriveCount": self.redrives,
                "redriveStatus": "NOT_REDRIVABLE" if self.redrive_refusal else "REDRIVABLE",
            }
            if self.redrive_refusal:
                answer["redriveStatusReason"] = self.redrive_refusal
            if self.redriven is not None:
                answer["redriveDate"] = self.redriven
            if self.status != "RUNNING":
                answer["stopDate"] = self.stop_date
            if self.status == "SUCCEEDED":
                answer |= {"output": to_json_str(self.output, separators=(",", ":")), "outputDetails": {"included": True}}
            if self.error is not None:
                answer["error"] = self.error
            if self.cause is not None:
                answer["cause"] = self.cause
            if self.map_run is not None:
                answer["mapRunArn"] = self.map_run.arn
        return answer

    @property
    def map_runs(self) -> list[dict[str, Any]]:
        """The items of ListMapRuns."""
        return [dict(run.record.list_item()) for run in self._map_runs]

    def _end_map_runs(self) -> None:
        for run in self._map_runs:
            run.abort()
        self.ended.set()

    def _announce(self) -> None:
        """Tell EventBridge that it has ended; of a distributed Map, only the whole."""
        if _connections is None or self.map_run is not None or self.status == "RUNNING":
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
    """Let it start no further task. It can be told so only once it runs, which is some milliseconds after StartExecution."""
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


class LocalStepFunctionsBackend(interpreter.StepFunctionsParserBackend):
    """State machines and executions with the service's rules about names, inputs and definitions."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.starting = threading.Lock()
        self.map_runs: dict[str, map_run.MapRun] = {}
        self.children: dict[str, LocalExecution] = {}
        """The executions of the items of all distributed Maps, by ARN."""

    def describe_execution(self, execution_arn: str) -> LocalExecution:  # type: ignore[override]  # as with `start_execution`
        """Also those of a distributed Map's items."""
        return self.children.get(execution_arn) or cast(LocalExecution, super().describe_execution(execution_arn))

    def describe_map_run(self, map_run_arn: str) -> dict[str, Any]:
        """How far the items of a distributed Map are."""
        return self._map_run(map_run_arn).describe()

    def list_map_runs(self, execution_arn: str) -> dict[str, Any]:
        """The distributed Maps that an execution has entered."""
        return {"mapRuns": self.describe_execution(execution_arn).map_runs}

    def children_of(self, map_run_arn: str, status: str | None) -> list[LocalExecution]:
        """The executions of a distributed Map's items, the newest first."""
        children = cast("list[LocalExecution]", list(self._map_run(map_run_arn).children))
        return [child for child in reversed(children) if status in (None, child.status)]

    def _map_run(self, arn: str) -> map_run.MapRun:
        if arn not in self.map_runs:
            raise ResourceNotFound(arn)
        return self.map_runs[arn]

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
        with self.starting:
            for execution in executions:
                if execution.name == name:
                    if execution.execution_input == text and execution.status == "RUNNING":
                        return execution
                    raise ExecutionAlreadyExists(f"Execution Already Exists: '{execution.execution_arn}'")
            started = LocalExecution(
                backend=self,
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

    @property
    def _backend(self) -> LocalStepFunctionsBackend:
        return cast(LocalStepFunctionsBackend, self.stepfunction_backend)

    def stop_execution(self) -> ActionResult:
        """Takes error and cause along; stopping what has ended answers with the time it ended."""
        execution = self._backend.describe_execution(self._get_param("executionArn"))
        execution.stop(stop_date=datetime.now(UTC), error=self._get_param("error"), cause=self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def describe_execution(self) -> ActionResult:
        """All fields for all ends, TIMED_OUT included."""
        return ActionResult(self._backend.describe_execution(self._get_param("executionArn")).described())

    def list_executions(self) -> ActionResult:
        """Newest first, in pages."""
        map_run_arn = self._get_param("mapRunArn")
        if map_run_arn:
            children = self._backend.children_of(map_run_arn, self._get_param("statusFilter"))
            page, following = self._page(children, _LIST_PAGE, _HISTORY_PAGE_LIMIT)
            return ActionResult({"executions": [{**_listed(child), "mapRunArn": map_run_arn} for child in page], **following})
        arn = self._get_param("stateMachineArn")
        executions, token = self._backend.list_executions(
            arn,
            status_filter=self._get_param("statusFilter"),
            max_results=self._get_int_param("maxResults"),
            next_token=self._get_param("nextToken"),
        )
        return ActionResult({"executions": [_listed(cast(LocalExecution, execution)) for execution in executions], "nextToken": token})

    def get_execution_history(self) -> ActionResult:
        """In pages, in either direction, with or without inputs and outputs."""
        events = list(self._backend.get_execution_history(self._get_param("executionArn"))["events"])
        if self._get_param("reverseOrder"):
            events.reverse()
        if self._get_param("includeExecutionData") is False:
            events = [cast(Any, _without_data(event)) for event in events]
        page, token = self._page(events, _HISTORY_PAGE, _HISTORY_PAGE_LIMIT)
        return ActionResult({"events": page, **token})

    def redrive_execution(self) -> ActionResult:
        """Goes on with an execution that ended without success. A client token is not looked at: nobody asks twice here."""
        execution = self._backend.describe_execution(self._get_param("executionArn"))
        with self._backend.starting:
            if execution.redrive_refusal:
                raise StepFunctionsRequestError("ExecutionNotRedrivable", f"{execution.redrive_refusal}: '{execution.execution_arn}'")
            return ActionResult({"redriveDate": execution.redrive()})

    def _page(self, items: list[Any], usual: int, most: int) -> tuple[list[Any], dict[str, str]]:
        """The part of `items` that the request asks for, and the token for the next one, where there is one."""
        size = min(int(self._get_param("maxResults") or usual), most)
        token = self._get_param("nextToken") or "0"
        if not token.isdecimal():
            raise StepFunctionsRequestError("InvalidToken", f"Invalid Token: '{token}'")
        start = int(token)
        return items[start : start + size], ({"nextToken": str(start + size)} if start + size < len(items) else {})


def _listed(execution: LocalExecution) -> dict[str, Any]:
    """An item of ListExecutions."""
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        **({"stopDate": execution.stop_date} if execution.status != "RUNNING" else {}),
    }


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
