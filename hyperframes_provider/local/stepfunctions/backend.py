"""moto's Step Functions with the service's rules about names, inputs, definitions and map runs."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from typing import Any, cast

from moto.core.exceptions import ServiceException
from moto.stepfunctions.exceptions import ExecutionAlreadyExists, InvalidExecutionInput, ResourceNotFound
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from hyperframes_provider.local.stepfunctions.definition import definition_problems
from hyperframes_provider.local.stepfunctions.execution import LocalExecution, MapRunRegistry
from hyperframes_provider.local.stepfunctions.map_run import MapRun

INPUT_LIMIT_BYTES = 262_144


class StepFunctionsRequestError(ServiceException):
    """A request that Step Functions refuses. moto cannot serialise a plain `ServiceException`, whose module names no service."""


class LocalStepFunctionsBackend(StepFunctionsParserBackend):
    """State machines and executions with the service's rules about names, inputs and definitions."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.starting = threading.Lock()
        self._registry = MapRunRegistry()

    def describe_execution(self, execution_arn: str) -> LocalExecution:  # type: ignore[override]  # as with `start_execution`
        """Find an execution, also one of a distributed Map's item."""
        return self._registry.children.get(execution_arn) or cast(LocalExecution, super().describe_execution(execution_arn))

    def describe_map_run(self, map_run_arn: str) -> dict[str, Any]:
        """Return the progress of a distributed Map."""
        return self._map_run(map_run_arn).describe()

    def list_map_runs(self, execution_arn: str) -> dict[str, Any]:
        """Return the distributed Maps that an execution has entered."""
        return {"mapRuns": self.describe_execution(execution_arn).map_runs}

    def children_of(self, map_run_arn: str, status: str | None) -> list[LocalExecution]:
        """Return the executions of a distributed Map's items, newest first."""
        children = cast("list[LocalExecution]", list(self._map_run(map_run_arn).children))
        return [child for child in reversed(children) if status in (None, child.status)]

    def _map_run(self, arn: str) -> MapRun:
        if arn not in self._registry.runs:
            raise ResourceNotFound(arn)
        return self._registry.runs[arn]

    def create_state_machine(self, name: str, definition: str, roleArn: str, *args: Any, **kwargs: Any) -> StateMachine:  # noqa: N803
        """Refuse a broken definition, and a name that another definition uses."""
        _check_definition(definition)
        existing = next((machine for machine in self.state_machines if machine.name == name), None)
        if existing is not None and (existing.definition, existing.roleArn) != (definition, roleArn):
            raise StepFunctionsRequestError("StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'")
        return super().create_state_machine(name, definition, roleArn, *args, **kwargs)

    def update_state_machine(self, arn: str, definition: str | None = None, *args: Any, **kwargs: Any) -> StateMachine:
        """Refuse a broken definition. Running executions keep theirs."""
        if definition is not None:
            _check_definition(definition)
        return super().update_state_machine(arn, cast(str, definition), *args, **kwargs)

    def start_execution(  # type: ignore[override]  # like its base class, this returns a running Execution, not moto's static one
        self, state_machine_arn: str, name: str | None = None, execution_input: str | None = None, trace_header: str | None = None
    ) -> LocalExecution:
        """Start an execution, or return the running one of this name and input; any other reuse of a name is an error."""
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
                registry=self._registry,
                name=name,
                sm_type=machine.sm_type,
                role_arn=machine.roleArn,
                exec_arn=f"arn:{self.partition}:states:{self.region_name}:{self.account_id}:execution:{machine.name}:{name}",
                account_id=self.account_id,
                region_name=self.region_name,
                # A shallow copy: an update replaces the attributes of the original only.
                state_machine=copy.copy(machine),
                input_data=text,
                trace_header=trace_header,
            )
            started.start()
            executions.append(started)
        return started


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
