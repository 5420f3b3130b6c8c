"""The Step Functions operations whose requests or answers moto handles only in part."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.stepfunctions.responses import StepFunctionResponse

from hyperframes_provider.local.stepfunctions.backend import LocalStepFunctionsBackend, StepFunctionsRequestError
from hyperframes_provider.local.stepfunctions.execution import LocalExecution

_PAGE, _LARGEST_PAGE = 100, 1000


class LocalStepFunctionsResponse(StepFunctionResponse):
    """One request to Step Functions."""

    @property
    def _backend(self) -> LocalStepFunctionsBackend:
        return cast(LocalStepFunctionsBackend, self.stepfunction_backend)

    def stop_execution(self) -> ActionResult:
        """Stop with error and cause; for an ended execution, answer with the time of its end."""
        execution = self._backend.describe_execution(self._get_param("executionArn"))
        execution.stop(stop_date=datetime.now(UTC), error=self._get_param("error"), cause=self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def describe_execution(self) -> ActionResult:
        """Answer with all fields, whatever the status."""
        return ActionResult(self._backend.describe_execution(self._get_param("executionArn")).described())

    def list_executions(self) -> ActionResult:
        """Answer in pages, newest first."""
        map_run_arn = self._get_param("mapRunArn")
        if map_run_arn:
            children = self._backend.children_of(map_run_arn, self._get_param("statusFilter"))
            page, following = self._page(children)
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
        """Answer in pages, in either direction, with or without inputs and outputs."""
        events = list(self._backend.get_execution_history(self._get_param("executionArn"))["events"])
        if self._get_param("reverseOrder"):
            events.reverse()
        if self._get_param("includeExecutionData") is False:
            events = [cast(Any, _without_data(event)) for event in events]
        page, token = self._page(events)
        return ActionResult({"events": page, **token})

    def redrive_execution(self) -> ActionResult:
        """Redrive an execution that ended without success. Client tokens are ignored: the endpoint's clients do not retry."""
        execution = self._backend.describe_execution(self._get_param("executionArn"))
        with self._backend.starting:
            if execution.redrive_refusal:
                raise StepFunctionsRequestError("ExecutionNotRedrivable", f"{execution.redrive_refusal}: '{execution.execution_arn}'")
            return ActionResult({"redriveDate": execution.redrive()})

    def _page(self, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        """Return the requested page of `items`, and the token of the next page if there is one."""
        size = min(int(self._get_param("maxResults") or _PAGE), _LARGEST_PAGE)
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


def _without_data(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: {name: item for name, item in value.items() if name not in ("input", "output", "parameters")}
        if isinstance(value, dict)
        else value
        for field, value in event.items()
    }
