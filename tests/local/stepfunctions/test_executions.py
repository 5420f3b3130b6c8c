"""Executions as a client sees them: flow, errors, retries, stopping, names and history."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.deployed import Deployed, eventually, task


def flow(function: str, bucket: str, prefix: str) -> dict[str, Any]:
    """Return Plan → Map → Assemble, like the render state machine."""
    chunk = {"do": "render", "bucket": bucket, "prefix": prefix, "chunk.$": "$.ChunkIndex"}
    return {
        "StartAt": "Plan",
        "States": {
            "Plan": task(
                function,
                {"do": "plan", "chunks.$": "$.chunks", "parallel": 2},
                ResultSelector={"Chunks.$": "$.Payload.Chunks", "MaxParallelChunks.$": "$.Payload.MaxParallelChunks"},
                ResultPath="$.Plan",
                Next="RenderChunks",
            ),
            "RenderChunks": {
                "Type": "Map",
                "ItemsPath": "$.Plan.Chunks",
                "MaxConcurrencyPath": "$.Plan.MaxParallelChunks",
                "ItemSelector": {"ChunkIndex.$": "$$.Map.Item.Value", "ExecutionName.$": "$$.Execution.Name"},
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "RenderChunk",
                    "States": {"RenderChunk": task(function, chunk)},
                },
                "ResultPath": None,
                "Next": "Assemble",
            },
            "Assemble": task(
                function, {"do": "assemble", "bucket": bucket, "prefix": prefix, "output": f"outputs/{prefix}.txt"}, OutputPath="$.Payload"
            ),
        },
    }


def retried(error: str, **fields: Any) -> dict[str, Any]:
    return {"ErrorEquals": [error], "IntervalSeconds": 1, "BackoffRate": 1.0, **fields}


INNER = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}


def one(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state}}


def test_plan_map_assemble(local_aws: Deployed, function: str) -> None:
    execution = local_aws.start(local_aws.machine("flow", flow(function, local_aws.bucket, "flow")), input='{"chunks": 5}')
    ended = local_aws.finished(execution)
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {"OutputS3Uri": f"s3://{local_aws.bucket}/outputs/flow.txt", "Chunks": 5}
    kinds = Counter(event["type"] for event in local_aws.events(execution))
    assert (kinds["TaskSucceeded"], kinds["MapIterationSucceeded"], kinds["ExecutionSucceeded"]) == (7, 5, 1)
    assert (local_aws.info.outputs / "flow.txt").read_text() == "01234"


def test_a_wide_map_does_not_run_its_tasks_out_of_time(local_aws: Deployed, function: str) -> None:
    body = {"StartAt": "A", "States": {"A": task(function, {"do": "sleep", "seconds": 0.5}, TimeoutSeconds=2)}}
    state = {"Type": "Map", "ItemsPath": "$.x", "MaxConcurrency": 40, "ItemProcessor": body, "ResultPath": None, "End": True}
    items = list(range(6 * (os.cpu_count() or 1)))
    ended = local_aws.finished(local_aws.start(local_aws.machine("wide", one(state)), input=json.dumps({"x": items})))
    assert (ended["status"], ended.get("error")) == ("SUCCEEDED", None)


def test_a_map_of_a_thousand_keeps_its_order(local_aws: Deployed) -> None:
    body = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    state = {"Type": "Map", "ItemsPath": "$.x", "MaxConcurrency": 1, "ItemProcessor": body, "End": True}
    ended = local_aws.finished(local_aws.start(local_aws.machine("thousand", one(state)), input=json.dumps({"x": list(range(1000))})), 60)
    assert json.loads(ended["output"]) == list(range(1000)), ended


def test_a_typed_error_is_retried_as_often_as_written(local_aws: Deployed, function: str) -> None:
    state = task(function, {"do": "fail", "how": "flaky"}, Retry=[retried("FlakyError", MaxAttempts=2)])
    execution = local_aws.start(local_aws.machine("retry", one(state)))
    ended = local_aws.finished(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "FlakyError")
    assert json.loads(ended["cause"])["errorMessage"] == "asked to fail: flaky"
    assert Counter(event["type"] for event in local_aws.events(execution))["TaskScheduled"] == 3
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() >= 2


def test_an_error_that_is_not_listed_is_not_retried(local_aws: Deployed, function: str) -> None:
    never = {"ErrorEquals": ["BadInputError"], "MaxAttempts": 0}
    state = task(function, {"do": "fail", "how": "bad"}, Retry=[never, retried("States.ALL", MaxAttempts=3)])
    execution = local_aws.start(local_aws.machine("never", one(state)))
    assert local_aws.finished(execution)["error"] == "BadInputError"
    assert Counter(event["type"] for event in local_aws.events(execution))["TaskScheduled"] == 1


def test_a_retry_that_succeeds(local_aws: Deployed, function: str) -> None:
    payload = {"do": "count_and_fail", "bucket": local_aws.bucket, "prefix": "tries/", "succeed_on": 2}
    state = task(function, payload, Retry=[retried("FlakyError", MaxAttempts=3, JitterStrategy="FULL")], OutputPath="$.Payload")
    ended = local_aws.finished(local_aws.start(local_aws.machine("second-try", one(state))))
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"tried": 2})


@pytest.mark.parametrize(
    ("payload", "error"),
    [({"do": "exit", "status": 1}, "Runtime.ExitError"), ({"do": "sleep", "seconds": 30}, "Sandbox.Timedout")],
)
def test_lost_invocations_have_lambdas_error_names(local_aws: Deployed, payload: dict[str, Any], error: str) -> None:
    name = local_aws.function(f"lost-{payload['do']}", Timeout=1)
    ended = local_aws.finished(local_aws.start(local_aws.machine(name, one(task(name, payload)))))
    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_throttling_is_an_error_of_its_own(local_aws: Deployed) -> None:
    name = local_aws.function("shut", reserved=0)
    ended = local_aws.finished(local_aws.start(local_aws.machine("shut", one(task(name, {"do": "echo"})))))
    assert ended["error"] == "Lambda.TooManyRequestsException"


def test_a_task_over_its_time_is_states_timeout(local_aws: Deployed, function: str) -> None:
    state = task(function, {"do": "sleep", "seconds": 2}, TimeoutSeconds=1)
    assert local_aws.finished(local_aws.start(local_aws.machine("task-time", one(state))))["error"] == "States.Timeout"


def test_a_machine_over_its_time_is_timed_out(local_aws: Deployed) -> None:
    machine = local_aws.machine("machine-time", {**one({"Type": "Wait", "Seconds": 60, "End": True}), "TimeoutSeconds": 1})
    execution = local_aws.start(machine)
    ended = local_aws.finished(execution)
    assert ended["status"] == "TIMED_OUT"
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() < 5
    assert local_aws.events(execution)[-1]["type"] == "ExecutionTimedOut"
    listed = local_aws.connect("stepfunctions").list_executions(stateMachineArn=machine, statusFilter="TIMED_OUT")["executions"]
    assert [(item["executionArn"], item["stopDate"]) for item in listed] == [(execution, ended["stopDate"])]


def test_stop_inside_a_map_takes_effect_at_once_and_stays(local_aws: Deployed) -> None:
    name = local_aws.function("stoppable")
    sfn = local_aws.connect("stepfunctions")
    state = {
        "Type": "Map",
        "ItemsPath": "$.x",
        "MaxConcurrency": 2,
        "ItemProcessor": {"StartAt": "A", "States": {"A": task(name, {"do": "sleep", "seconds": 1})}},
        "End": True,
    }
    execution = local_aws.start(local_aws.machine("stop-map", one(state)), input='{"x": [1, 2, 3, 4, 5, 6]}')
    eventually(lambda: any(event["type"] == "TaskStarted" for event in local_aws.events(execution)))
    stopped = sfn.stop_execution(executionArn=execution, error="RENDER_CANCELLED", cause="asked by the test")
    ended = local_aws.describe(execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "RENDER_CANCELLED", "asked by the test")
    assert ended["stopDate"] == stopped["stopDate"]
    frozen = local_aws.events(execution)
    assert frozen[-1]["executionAbortedEventDetails"] == {"error": "RENDER_CANCELLED", "cause": "asked by the test"}
    # The two running invocations end; their results change nothing, and no third one starts.
    logs = local_aws.connect("logs")
    eventually(
        lambda: sum(e["message"].startswith("REPORT") for e in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]) == 2
    )
    assert local_aws.events(execution) == frozen
    assert local_aws.describe(execution)["status"] == "ABORTED"
    assert sfn.stop_execution(executionArn=execution, error="again")["stopDate"] == stopped["stopDate"]
    assert local_aws.describe(execution)["error"] == "RENDER_CANCELLED"


def test_stop_right_after_start(local_aws: Deployed) -> None:
    machine = local_aws.machine("stop-early", one({"Type": "Wait", "Seconds": 60, "End": True}))
    execution = local_aws.start(machine)
    local_aws.connect("stepfunctions").stop_execution(executionArn=execution)
    ended = local_aws.describe(execution)
    assert ended["status"] == "ABORTED"
    assert "error" not in ended


def test_a_name_is_idempotent_while_it_runs_and_taken_afterwards(local_aws: Deployed) -> None:
    sfn = local_aws.connect("stepfunctions")
    machine = local_aws.machine("names", one({"Type": "Wait", "Seconds": 60, "End": True}))
    first = local_aws.start(machine, name="render-1", input='{"a": 1}')
    assert local_aws.start(machine, name="render-1", input='{"a": 1}') == first
    assert first.endswith(":execution:names:render-1")
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        local_aws.start(machine, name="render-1", input='{"a": 2}')
    sfn.stop_execution(executionArn=first)
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        local_aws.start(machine, name="render-1", input='{"a": 1}')
    unnamed = {local_aws.start(machine), local_aws.start(machine)}
    assert len(unnamed) == 2
    assert len(sfn.list_executions(stateMachineArn=machine)["executions"]) == 3
    for execution in unnamed:
        sfn.stop_execution(executionArn=execution)


def test_history_comes_in_pages_in_either_direction(local_aws: Deployed) -> None:
    sfn = local_aws.connect("stepfunctions")
    names = [f"S{index:02}" for index in range(60)]
    states = {name: {"Type": "Pass", "Next": following} for name, following in pairwise(names)}
    execution = local_aws.start(
        local_aws.machine("long", {"StartAt": "S00", "States": {**states, "S59": {"Type": "Pass", "End": True}}}), input='{"k": 1}'
    )
    local_aws.finished(execution)
    page = sfn.get_execution_history(executionArn=execution)
    assert (len(page["events"]), page["nextToken"] != "") == (100, True)
    everything = local_aws.events(execution)
    assert [event["id"] for event in everything] == list(range(1, 123))
    backwards = sfn.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)["events"]
    assert [event["type"] for event in backwards] == ["ExecutionSucceeded"]
    bare = sfn.get_execution_history(executionArn=execution, includeExecutionData=False, maxResults=1)["events"][0]
    assert "input" not in bare["executionStartedEventDetails"]
    with pytest.raises(ClientError) as refused:
        sfn.get_execution_history(executionArn=execution, nextToken="nonsense")
    assert refused.value.response["Error"]["Code"] == "InvalidToken"


def test_an_update_does_not_touch_running_executions(local_aws: Deployed) -> None:
    sfn = local_aws.connect("stepfunctions")
    wait = {"Type": "Wait", "Seconds": 1, "Next": "Say"}
    old = {"StartAt": "W", "States": {"W": wait, "Say": {"Type": "Pass", "Result": "old", "End": True}}}
    machine = local_aws.machine("updated", old)
    running = local_aws.start(machine)
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(one({"Type": "Pass", "Result": "new", "End": True})))
    assert local_aws.finished(local_aws.start(machine))["output"] == '"new"'
    assert local_aws.finished(running)["output"] == '"old"'


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (one({"Type": "Pass", "Next": "Nowhere"}), "Missing 'Next' target: Nowhere"),
        ({"StartAt": "Nowhere", "States": {"A": {"Type": "Pass", "End": True}}}, "Missing 'StartAt' target: Nowhere"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}, "B": {"Type": "Succeed"}}}, 'State "B" is not reachable'),
        (one({"Type": "Pass"}), "exactly one of Next and End"),
        (one({"Type": "Bogus", "End": True}), "Type Bogus is not known"),
        (one({"Type": "Task", "End": True}), "The field 'Resource' is required"),
        (one({"Type": "Map", "ItemProcessor": one({"Type": "Pass", "Next": "X"}), "End": True}), "Missing 'Next' target: X"),
        (
            one(task("f", {}, Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}])),
            "States.ALL must stand alone and last",
        ),
        (one(task("f", {}, Catch=[{"ErrorEquals": ["E"], "Next": "Nowhere"}])), "Missing 'Next' target: Nowhere"),
        (one({"Type": "Map", "ItemProcessor": one({"Type": "Pass", "End": True}), "End": True}), "Duplicate State name: Only"),
        (
            one({"Type": "Map", "ItemProcessor": {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED"}}, "End": True}),
            "ExecutionType must be STANDARD or EXPRESS",
        ),
        (one({"Type": "Map", "Label": "x", "ItemProcessor": INNER, "End": True}), "'Label' is not supported by Mode INLINE"),
    ],
)
def test_a_broken_definition_is_refused(local_aws: Deployed, definition: dict[str, Any], problem: str) -> None:
    sfn = local_aws.connect("stepfunctions")
    with pytest.raises(sfn.exceptions.InvalidDefinition) as refused:
        local_aws.machine("broken", definition)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"input": "{not json"}, "InvalidExecutionInput"),
        ({"input": json.dumps("x" * 262_144)}, "ValidationException"),
        ({"name": "with space"}, "InvalidName"),
        ({"name": "n" * 81}, "ValidationException"),
    ],
)
def test_a_wrong_start_is_refused(local_aws: Deployed, options: dict[str, str], code: str) -> None:
    machine = local_aws.machine("starts", one({"Type": "Pass", "End": True}))
    with pytest.raises(ClientError) as refused:
        local_aws.start(machine, **options)
    assert refused.value.response["Error"]["Code"] == code


def test_a_redrive_goes_on_with_the_state_that_failed_and_keeps_the_history(local_aws: Deployed, function: str) -> None:
    sfn = local_aws.connect("stepfunctions")
    payload = {"do": "count_and_fail", "bucket": local_aws.bucket, "prefix": "redriven/", "succeed_on": 3, "given.$": "$.given"}
    states = {"First": {"Type": "Pass", "Result": {"given": 1}, "Next": "Only"}, "Only": task(function, payload, OutputPath="$.Payload")}
    execution = local_aws.start(local_aws.machine("redriven", {"StartAt": "First", "States": states}), input='{"a": 1}')
    failed = local_aws.finished(execution)
    assert (failed["error"], failed["redriveStatus"], failed["redriveCount"]) == ("FlakyError", "REDRIVABLE", 0)
    before = local_aws.events(execution)

    sfn.redrive_execution(executionArn=execution)
    assert local_aws.finished(execution)["redriveCount"] == 1
    redriven = sfn.redrive_execution(executionArn=execution)["redriveDate"]
    ended = local_aws.finished(execution)

    assert (ended["status"], ended["output"], ended["input"]) == ("SUCCEEDED", '{"tried":3}', '{"a": 1}')
    assert (ended["redriveDate"], ended["startDate"], "error" in ended) == (redriven, failed["startDate"], False)
    events = local_aws.events(execution)
    assert events[: len(before)] == before
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)
    kinds = Counter(event["type"] for event in events)
    assert (kinds["ExecutionStarted"], kinds["ExecutionRedriven"], kinds["PassStateEntered"], kinds["TaskScheduled"]) == (1, 2, 1, 3)
    with pytest.raises(sfn.exceptions.ExecutionNotRedrivable, match="SUCCEEDED"):
        sfn.redrive_execution(executionArn=execution)


def test_what_was_stopped_goes_on_when_redriven_and_its_old_invocation_means_nothing(local_aws: Deployed) -> None:
    sfn = local_aws.connect("stepfunctions")
    name = local_aws.function("stopped-and-redriven")
    execution = local_aws.start(local_aws.machine("redriven-stopped", one(task(name, {"do": "sleep", "seconds": 1}))))
    eventually(lambda: any(event["type"] == "TaskStarted" for event in local_aws.events(execution)))
    sfn.stop_execution(executionArn=execution, error="E")
    sfn.redrive_execution(executionArn=execution)
    assert local_aws.describe(execution)["status"] == "RUNNING"
    ended = local_aws.finished(execution)
    assert (ended["status"], "error" in ended) == ("SUCCEEDED", False)
    kinds = Counter(event["type"] for event in local_aws.events(execution))
    assert (kinds["ExecutionAborted"], kinds["TaskScheduled"], kinds["TaskSucceeded"]) == (1, 2, 1)
