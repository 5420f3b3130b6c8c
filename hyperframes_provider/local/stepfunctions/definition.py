"""Static checks of a state machine definition that Step Functions makes and moto does not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_ENDS = frozenset({"Succeed", "Fail"})
_PROCESSORS = ("ItemProcessor", "Iterator")
_OF_DISTRIBUTED = ("ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount", "ToleratedFailurePercentage")
_KNOWN_TYPES = frozenset({"Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"})


def definition_problems(definition: str) -> list[str]:
    """Return every problem of `definition` with its place, in the service's words; none if Step Functions would accept it."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    if not isinstance(machine, dict):
        return ["INVALID_JSON_DESCRIPTION: the definition is not an object"]
    names = [name for name, _ in _all_states(machine)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return [*(f"DUPLICATE_STATE_NAME: Duplicate State name: {name}" for name in repeated), *_machine_problems(machine, "")]


def _all_states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the states of a machine and of those inside it; a name must be unique among all of them."""
    states = machine.get("States")
    for name, state in states.items() if isinstance(states, dict) else ():
        yield name, state
        for inner in [*state.get("Branches", []), *(state[field] for field in _PROCESSORS if field in state)]:
            yield from _all_states(inner)


def _machine_problems(machine: Mapping[str, Any], place: str) -> Iterator[str]:
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield f"SCHEMA_VALIDATION_FAILED: States is missing or empty at {place or '/'}"
        return
    start = machine.get("StartAt")
    if start not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'StartAt' target: {start} at {place}/StartAt"
    reachable = {start}
    for name, state in states.items():
        for target, where in _transitions(state):
            reachable.add(target)
            if target not in states:
                yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {place}/States/{name}{where}"
        yield from _state_problems(state, f"{place}/States/{name}")
    for name in states:
        if name not in reachable:
            yield f'MISSING_TRANSITION_TARGET: State "{name}" is not reachable. at {place}/States/{name}'


def _state_problems(state: Mapping[str, Any], place: str) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in _KNOWN_TYPES:
        yield f"SCHEMA_VALIDATION_FAILED: Type {kind} is not known at {place}/Type"
    if kind not in _ENDS | {"Choice"} and ("Next" in state) == (state.get("End") is True):
        yield f"SCHEMA_VALIDATION_FAILED: exactly one of Next and End must be given at {place}"
    if kind == "Task" and "Resource" not in state:
        yield f"SCHEMA_VALIDATION_FAILED: The field 'Resource' is required but was missing at {place}"
    for field in ("Retry", "Catch"):
        rules = state.get(field, [])
        for index, rule in enumerate(rules):
            errors = rule.get("ErrorEquals") or []
            if not errors:
                yield f"SCHEMA_VALIDATION_FAILED: ErrorEquals is missing or empty at {place}/{field}[{index}]"
            if "States.ALL" in errors and (len(errors) > 1 or index < len(rules) - 1):
                yield f"SCHEMA_VALIDATION_FAILED: States.ALL must stand alone and last at {place}/{field}[{index}]/ErrorEquals"
    for index, branch in enumerate(state.get("Branches", [])):
        yield from _machine_problems(branch, f"{place}/Branches[{index}]")
    for field in _PROCESSORS:
        if field in state:
            yield from _map_problems(state, state[field].get("ProcessorConfig", {}), place)
            yield from _machine_problems(state[field], f"{place}/{field}")


def _map_problems(state: Mapping[str, Any], config: Mapping[str, Any], place: str) -> Iterator[str]:
    """Check a Map: a distributed one names its ExecutionType, and an inline one has no field of a distributed one."""
    if config.get("Mode", "INLINE") == "DISTRIBUTED":
        if config.get("ExecutionType") not in ("STANDARD", "EXPRESS"):
            yield f"SCHEMA_VALIDATION_FAILED: ExecutionType must be STANDARD or EXPRESS at {place}/ItemProcessor/ProcessorConfig"
        return
    for field in (*_OF_DISTRIBUTED, *(f"{name}Path" for name in _OF_DISTRIBUTED)):
        if field in state:
            yield f"SCHEMA_VALIDATION_FAILED: The field '{field}' is not supported by Mode INLINE at {place}"


def _transitions(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "Next" in state:
        yield state["Next"], "/Next"
    if "Default" in state:
        yield state["Default"], "/Default"
    for field in ("Choices", "Catch"):
        for index, rule in enumerate(state.get(field, [])):
            if "Next" in rule:
                yield rule["Next"], f"/{field}[{index}]/Next"
