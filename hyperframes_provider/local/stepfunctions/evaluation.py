"""Replacements for parts of the interpreter: the evaluation of Map states, and the parsing of definitions."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, cast

import moto.stepfunctions.parser.models as interpreter
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import InlineIterationComponent
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from hyperframes_provider.local.stepfunctions import map_run
from hyperframes_provider.local.stepfunctions.execution import LocalExecution

_iterate = InlineIterationComponent._eval_body


def iterate_on_cores(component: InlineIterationComponent, env: Any) -> None:
    """Run at most one iteration of an inline Map per core."""
    work = env.stack[-1]
    if work.input_items:
        cores = os.cpu_count() or 1
        work.max_concurrency = min(work.max_concurrency or cores, cores)
    _iterate(component, env)


def run_as_children(component: DistributedIterationComponent, env: Any) -> None:
    """Run every item of a distributed Map as an execution of its own, with a history that shows its attempts."""
    details = env.aws_execution_details
    backend: Any = interpreter.stepfunctions_parser_backends[details.account][details.region]
    # StartExecution registers the execution after it has started it.
    with backend.starting:
        parent = backend.describe_execution(env.states.context_object.context_object_data["Execution"]["Id"])
    map_run.evaluate(component, env, cast(LocalExecution, parent))


def parsed_definition(worker: ExecutionWorker) -> Any:
    """Return the parsed definition of the worker's execution."""
    return _parse(worker._evaluation_details.state_machine_details.definition)


@lru_cache(maxsize=32)
def _parse(definition: str) -> Any:
    # The result holds no state: an execution keeps that in its environment.
    return AmazonStateLanguageParser.parse(definition)[0]
