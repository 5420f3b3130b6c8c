"""The definition file: held to the error table, and free of transitions that Step Functions would refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import ErrorCode, Retry
from hyperframes_lambda.contract.events import (
    INLINE_CHUNKS,
    AssembleEvent,
    ExecutionInput,
    PlanEvent,
    PlanResult,
    RenderChunkEvent,
    RenderChunkResult,
)
from hyperframes_provider.client.request.request import INPUT_LIMIT
from hyperframes_provider.client.request.retry_policy import attempts, retriers
from hyperframes_provider.client.stack.template import cfn_folder
from hyperframes_provider.local.stepfunctions.definition import definition_problems

DEFINITION: dict[str, Any] = json.loads((cfn_folder() / "render.asl.json").read_text(encoding="utf-8"))
MAPS = ("RenderChunks", "RenderChunksDistributed")
CHUNK_TASKS = ("RenderChunk", "RenderDistributedChunk")
LONGEST_INVOCATION = 900
HISTORY_LIMIT = 25_000


def machines(machine: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The state machine and those inside its Map states."""
    yield path, machine
    for name, state in machine["States"].items():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"], f"{path}{name}/")


def tasks() -> dict[str, dict[str, Any]]:
    return {name: state for _, machine in machines(DEFINITION) for name, state in machine["States"].items() if state["Type"] == "Task"}


def faults(machine: Mapping[str, Any]) -> list[str]:
    """Return the transitions that the service would refuse, and the states that nothing reaches."""
    found: list[str] = []
    for path, part in machines(machine):
        states = part["States"]
        reached: set[str] = set()
        pending = [part["StartAt"]]
        while pending:
            name = pending.pop()
            if name in reached:
                continue
            reached.add(name)
            if name not in states:
                found.append(f"{path}{name}: there is no such state")
                continue
            pending += _targets(states[name])
        found += [f"{path}{name}: unreachable" for name in states if name not in reached]
        for name, state in states.items():
            ends = state["Type"] in ("Fail", "Succeed", "Choice")
            if not ends and ("Next" in state) == (state.get("End") is True):
                found.append(f"{path}{name}: needs either Next or End")
            if state["Type"] == "Choice" and "Default" not in state:
                found.append(f"{path}{name}: no Default")
            for kind in ("Retry", "Catch"):
                rules = [rule["ErrorEquals"] for rule in state.get(kind, [])]
                if any("States.ALL" in names and (names != ["States.ALL"] or names is not rules[-1]) for names in rules):
                    found.append(f"{path}{name}: States.ALL must be alone and last in {kind}")
                named = [error for names in rules for error in names]
                found += [f"{path}{name}: {error} twice in {kind}" for error in sorted(set(named)) if named.count(error) > 1]
    return found


def _targets(state: Mapping[str, Any]) -> list[str]:
    rules = [*state.get("Catch", []), *state.get("Choices", []), state]
    return [rule["Next"] for rule in rules if "Next" in rule] + ([state["Default"]] if "Default" in state else [])


def test_transitions_are_sound() -> None:
    assert faults(DEFINITION) == []


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}, "B: there is no such state"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}, "B": {"Type": "Pass", "End": True}}}, "B: unreachable"),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass"}}}, "A: needs either Next or End"),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Next": "B"}]}, "B": {"Type": "Fail"}}},
            "A: no Default",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Task", "End": True, "Retry": [{"ErrorEquals": ["States.ALL", "X"]}]}}},
            "A: States.ALL must be alone and last in Retry",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Task", "End": True, "Retry": [{"ErrorEquals": ["X"]}, {"ErrorEquals": ["X"]}]}}},
            "A: X twice in Retry",
        ),
        (
            {"StartAt": "M", "States": {"M": {"Type": "Map", "End": True, "ItemProcessor": {"StartAt": "Z", "States": {}}}}},
            "M/Z: there is no such state",
        ),
    ],
)
def test_the_transition_check_finds_each_fault(broken: dict[str, Any], fault: str) -> None:
    assert faults(broken) == [fault]


def test_the_embedded_endpoint_would_refuse_nothing_of_it() -> None:
    assert definition_problems(json.dumps(DEFINITION)) == []


def test_the_tasks_run_in_order() -> None:
    assert set(tasks()) == {"Plan", *CHUNK_TASKS, "Assemble"}
    states = DEFINITION["States"]
    assert (DEFINITION["StartAt"], states["Plan"]["Next"]) == ("Plan", "InlineOrDistributed")
    assert {states[name]["Next"] for name in MAPS} == {"Assemble"}


def test_more_chunks_than_an_inline_map_runs_at_once_are_distributed() -> None:
    choice = DEFINITION["States"]["InlineOrDistributed"]
    assert choice["Choices"] == [{"Variable": "$.Plan.ChunkCount", "NumericGreaterThan": INLINE_CHUNKS, "Next": "RenderChunksDistributed"}]
    assert choice["Default"] == "RenderChunks"


def test_both_maps_do_the_same_and_only_one_of_them_with_executions_of_their_own() -> None:
    inline, distributed = (DEFINITION["States"][name] for name in MAPS)
    assert inline["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}
    assert distributed["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert (inline["ItemsPath"], distributed["ItemReader"]["Parameters"]) == (
        "$.Plan.Chunks",
        {"Bucket.$": "$.Plan.ChunksBucket", "Key.$": "$.Plan.ChunksKey"},
    )
    assert distributed["ToleratedFailureCount"] == 0
    for field in ("ItemSelector", "MaxConcurrencyPath", "ResultPath"):
        assert inline[field] == distributed[field]
    renamed = json.loads(json.dumps(distributed["ItemProcessor"]["States"]).replace("Distributed", ""))
    for state in [*renamed.values(), *inline["ItemProcessor"]["States"].values()]:
        state.pop("Comment", None)
    assert renamed == inline["ItemProcessor"]["States"]


def test_a_chunk_that_is_not_complete_is_rendered_on_with_its_retries_counted_anew() -> None:
    for name, task in zip(MAPS, CHUNK_TASKS, strict=True):
        states = DEFINITION["States"][name]["ItemProcessor"]["States"]
        asked, done = states[states[task]["Next"]], states[states[states[task]["Next"]]["Default"]]
        assert asked["Choices"] == [{"Variable": "$.Result.Complete", "BooleanEquals": False, "Next": task}]
        # The input of the next invocation is that of the first.
        assert states[task]["ResultPath"] == "$.Result"
        assert (done["Type"], done["OutputPath"]) == ("Succeed", None)


@pytest.mark.parametrize("name", tasks())
def test_retry_lists_follow_from_the_error_table(name: str) -> None:
    assert tasks()[name]["Retry"] == retriers(), f"cfn/render.asl.json, {name}: Retry must be\n{json.dumps(retriers(), indent=2)}"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_of_the_table_meets_its_own_retrier(code: ErrorCode) -> None:
    first = next(rule for rule in retriers() if code in rule["ErrorEquals"] or rule["ErrorEquals"] == ["States.ALL"])
    assert first["ErrorEquals"] != ["States.ALL"]
    assert (first["MaxAttempts"] == 0) is (code.retry is Retry.NEVER)
    assert attempts(code.value) == 1 + first["MaxAttempts"]


def test_an_unknown_error_gets_two_more_attempts() -> None:
    assert retriers()[-1] | {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2} == retriers()[-1]
    assert attempts("KeyError") == 3


def test_throttling_is_waited_out_for_hours() -> None:
    throttled = throttling()
    assert throttled["JitterStrategy"] == "FULL"
    attempts = range(throttled["MaxAttempts"])
    waits = [min(throttled["MaxDelaySeconds"], throttled["IntervalSeconds"] * throttled["BackoffRate"] ** n) for n in attempts]
    assert sum(waits) / 2 > 6 * 3600  # full jitter halves the mean


def throttling() -> dict[str, Any]:
    (rule,) = [rule for rule in retriers() if "Lambda.TooManyRequestsException" in rule["ErrorEquals"]]
    return rule


def test_the_history_has_room_for_forty_chunks_that_are_throttled_and_fail_and_go_on_again_and_again() -> None:
    """An execution ends at 25,000 events. Events are those that Step Functions writes for this definition."""
    attempt = 3  # TaskScheduled, TaskStarted, TaskFailed or TaskSucceeded
    invocation = 2 + attempt + 2  # the task entered and exited, and the choice
    failures = sum(rule["MaxAttempts"] for rule in retriers())
    frame = 2 + 2  # the iteration begun and ended, ChunkDone entered and exited
    checkpoints = 10
    chunk = frame + checkpoints * invocation + failures * attempt
    coordinator = 2 * (2 + attempt + failures * attempt)  # Plan and Assemble
    rest = 2 + 2 + 4  # the execution, the choice of the Map, the Map
    assert INLINE_CHUNKS * chunk + coordinator + rest < HISTORY_LIMIT
    # A child of a distributed Map has a history to itself: a day's invocations, each throttled as long as can be, fit.
    day = DEFINITION["TimeoutSeconds"] // LONGEST_INVOCATION
    assert day * invocation + failures * attempt * 24 // 6 < HISTORY_LIMIT


def test_every_task_has_a_time_limit_beyond_the_function_s_own() -> None:
    assert all(LONGEST_INVOCATION < task["TimeoutSeconds"] <= LONGEST_INVOCATION + 120 for task in tasks().values())
    assert DEFINITION["TimeoutSeconds"] > LONGEST_INVOCATION


@pytest.mark.parametrize(
    ("name", "event"), [("Plan", PlanEvent), *((name, RenderChunkEvent) for name in CHUNK_TASKS), ("Assemble", AssembleEvent)]
)
def test_payloads_carry_exactly_the_event_s_fields(name: str, event: type[PlanEvent | RenderChunkEvent | AssembleEvent]) -> None:
    payload = tasks()[name]["Parameters"]["Payload"]
    # A stack that was deployed earlier passes on no other fields: these two travel inside Config.
    inside = {"VariablesS3Uri", "ConcurrencyLimit"} if event is PlanEvent else set()
    assert {key.removesuffix(".$") for key in payload} | inside == {field.alias for field in event.model_fields.values()}
    function = "RenderFunctionArn" if event is RenderChunkEvent else "CoordinatorFunctionArn"
    assert tasks()[name]["Parameters"]["FunctionName"] == f"${{{function}}}"


def test_the_state_keeps_of_the_plan_what_is_read_and_of_the_chunks_nothing() -> None:
    selected = dict(tasks()["Plan"]["ResultSelector"])
    fields = {key.removesuffix(".$") for key in selected}
    assert fields == set(re.findall(r"\$\.Plan\.(\w+)", json.dumps(DEFINITION)))
    # The children of a distributed Map belong to their parent: a cancel marker names that.
    assert selected.pop("ExecutionName.$") == "$$.Execution.Name"
    assert fields - {"ExecutionName"} <= {field.alias for field in PlanResult.model_fields.values()}
    assert all(value == f"$.Payload.{key.removesuffix('.$')}" for key, value in selected.items())
    for name in CHUNK_TASKS:
        chunk = {key.removesuffix(".$") for key in tasks()[name]["ResultSelector"]}
        assert chunk <= {field.alias for field in RenderChunkResult.model_fields.values()}
    # What the children of a Map hand back: one empty object each.
    assert 10_000 * len("{},") < INPUT_LIMIT
    assert all(DEFINITION["States"][name]["ResultPath"] is None for name in MAPS)


def test_the_state_machine_reads_the_execution_input_that_the_client_writes() -> None:
    fields = {field.alias for field in ExecutionInput.model_fields.values()}
    top = [DEFINITION["States"][name] for name in ("Plan", "Assemble")]
    read = {value for state in top for value in state["Parameters"]["Payload"].values() if value.startswith("$.") and "Plan." not in value}
    assert read == {f"$.{field}" for field in fields}


def test_a_failure_ends_the_execution_in_its_own_task_so_that_a_redrive_can_go_on_from_there() -> None:
    states = DEFINITION["States"]
    assert list(states) == ["Plan", "InlineOrDistributed", *MAPS, "Assemble"]
    assert not any("Catch" in state for state in [*states.values(), *tasks().values()])


def test_one_file_serves_both_endpoints() -> None:
    text = (cfn_folder() / "render.asl.json").read_text(encoding="utf-8")
    assert "\\u" not in text
    assert "JSONata" not in text and "{%" not in text
    assert {task["Resource"] for task in tasks().values()} == {"arn:${Partition}:states:::lambda:invoke"}
    rates = [rule["BackoffRate"] for task in tasks().values() for rule in task["Retry"] if "BackoffRate" in rule]
    assert rates and all(isinstance(rate, float) for rate in rates)
