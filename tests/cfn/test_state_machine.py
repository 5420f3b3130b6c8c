"""The definition file: held to the error table, and free of transitions that Step Functions would refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import ERROR_TABLE, ErrorCode, Retry
from hyperframes_lambda.contract.events import AssembleEvent, ExecutionInput, PlanEvent, PlanResult, RenderChunkEvent, RenderChunkResult
from hyperframes_provider.client.retry_policy import attempts, retriers
from hyperframes_provider.client.template import cfn_folder

DEFINITION: dict[str, Any] = json.loads((cfn_folder() / "render.asl.json").read_text(encoding="utf-8"))
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
    """What the service would refuse, or what could never happen: the transition check."""
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


def test_the_three_tasks_run_in_order() -> None:
    assert set(tasks()) == {"Plan", "RenderChunk", "Assemble"}
    states = DEFINITION["States"]
    assert (DEFINITION["StartAt"], states["Plan"]["Next"], states["RenderChunks"]["Next"]) == ("Plan", "RenderChunks", "Assemble")
    assert states["RenderChunks"]["ItemProcessor"]["ProcessorConfig"] == {"Mode": "INLINE"}


@pytest.mark.parametrize("name", tasks())
def test_retry_lists_follow_from_the_error_table(name: str) -> None:
    assert tasks()[name]["Retry"] == retriers(), f"cfn/render.asl.json, {name}: Retry must be\n{json.dumps(retriers(), indent=2)}"


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_of_the_table_meets_its_own_retrier(code: ErrorCode) -> None:
    first = next(rule for rule in retriers() if code in rule["ErrorEquals"] or rule["ErrorEquals"] == ["States.ALL"])
    assert first["ErrorEquals"] != ["States.ALL"]
    assert (first["MaxAttempts"] == 0) is (ERROR_TABLE[code].retry is Retry.NEVER)
    assert attempts(code.value) == 1 + first["MaxAttempts"]


def test_an_unknown_error_gets_two_more_attempts() -> None:
    assert retriers()[-1] | {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2} == retriers()[-1]
    assert attempts("KeyError") == 3


def test_throttling_waits_long_and_leaves_room_in_the_history() -> None:
    (throttled,) = [rule for rule in retriers() if "Lambda.TooManyRequestsException" in rule["ErrorEquals"]]
    assert throttled["JitterStrategy"] == "FULL"
    waits = [min(throttled["MaxDelaySeconds"], throttled["IntervalSeconds"] * throttled["BackoffRate"] ** n) for n in range(100)]
    assert sum(waits[: throttled["MaxAttempts"]]) / 2 > 3600  # full jitter halves the mean
    parallel, chunks, events_per_chunk, events_per_attempt = 40, 1000, 8, 3
    assert chunks * events_per_chunk + parallel * throttled["MaxAttempts"] * events_per_attempt < HISTORY_LIMIT


def test_every_task_has_a_time_limit_beyond_the_function_s_own() -> None:
    assert all(LONGEST_INVOCATION < task["TimeoutSeconds"] <= LONGEST_INVOCATION + 120 for task in tasks().values())
    assert DEFINITION["TimeoutSeconds"] > LONGEST_INVOCATION


@pytest.mark.parametrize(("name", "event"), [("Plan", PlanEvent), ("RenderChunk", RenderChunkEvent), ("Assemble", AssembleEvent)])
def test_payloads_carry_exactly_the_event_s_fields(name: str, event: type[PlanEvent | RenderChunkEvent | AssembleEvent]) -> None:
    payload = tasks()[name]["Parameters"]["Payload"]
    assert {key.removesuffix(".$") for key in payload} == {field.alias for field in event.model_fields.values()}
    assert tasks()[name]["Parameters"]["FunctionName"] == "${RenderFunctionArn}"


def test_plan_keeps_the_whole_result_and_a_chunk_only_a_few_bytes() -> None:
    selected = tasks()["Plan"]["ResultSelector"]
    assert {key.removesuffix(".$") for key in selected} == {field.alias for field in PlanResult.model_fields.values()}
    assert all(value == f"$.Payload.{key.removesuffix('.$')}" for key, value in selected.items())
    chunk = {key.removesuffix(".$") for key in tasks()["RenderChunk"]["ResultSelector"]}
    assert chunk <= {field.alias for field in RenderChunkResult.model_fields.values()}
    assert 1000 * len(json.dumps(dict.fromkeys(chunk, 123456))) < 256 * 1024
    assert DEFINITION["States"]["RenderChunks"]["ResultPath"] is None


def test_the_state_machine_reads_the_execution_input_that_the_client_writes() -> None:
    fields = {field.alias for field in ExecutionInput.model_fields.values()}
    top = [DEFINITION["States"][name] for name in ("Plan", "Assemble")]
    read = {value for state in top for value in state["Parameters"]["Payload"].values() if value.startswith("$.") and "Plan." not in value}
    assert read == {f"$.{field}" for field in fields}


def test_a_failure_ends_the_execution_in_its_own_task_so_that_a_redrive_can_go_on_from_there() -> None:
    states = DEFINITION["States"]
    assert list(states) == ["Plan", "RenderChunks", "Assemble"]
    assert not any("Catch" in state for state in [*states.values(), *tasks().values()])


def test_one_file_serves_both_endpoints() -> None:
    text = (cfn_folder() / "render.asl.json").read_text(encoding="utf-8")
    assert "\\u" not in text
    assert "JSONata" not in text and "{%" not in text
    assert {task["Resource"] for task in tasks().values()} == {"arn:aws:states:::lambda:invoke"}
    rates = [rule["BackoffRate"] for task in tasks().values() for rule in task["Retry"] if "BackoffRate" in rule]
    assert rates and all(isinstance(rate, float) for rate in rates)
