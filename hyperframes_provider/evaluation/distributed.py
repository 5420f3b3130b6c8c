"""One render on a deployed stack for an evaluation: always a new one, its history and its video kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, typed_errors
from hyperframes_provider.client.aws.s3 import parse_s3_uri
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.request import RenderTarget, read_config
from hyperframes_provider.evaluation.fixtures import Fixture

Say = Callable[[str], None]
"""Takes one line for a person."""

_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class DistributedRender:
    """A finished one."""

    result: RenderResult
    path: Path
    history: Path
    """Not written where AWS did not give it, which was said."""
    wall_seconds: float
    """From the upload to the downloaded video; `result.seconds` is the execution's own."""


def render_distributed(
    connect: Connect,
    target: RenderTarget,
    fixture: Fixture,
    *,
    config: dict[str, Any],
    identity: tuple[object, ...],
    output: Path,
    history: Path,
    say: Say,
) -> DistributedRender:
    """Render `fixture`, download the video to `output` and write the execution's events to `history`, also of one that failed.

    :param identity: what makes this render another than all before it, so that no finished chunk is found
    :raises RenderFailed: and whatever else keeps a render from being started or followed; one that is given up or interrupted is stopped
    """
    client = RenderClient(connect)
    started = time.monotonic()
    prepared = client.prepare(
        target, project=fixture.project, config=read_config(config), label=f"evaluation-{fixture.name}", identity=identity
    )
    client.upload(prepared)
    execution: list[str] = []
    try:
        execution = [client.start(prepared, on_begin=lambda arn: execution.append(arn)).execution_arn]
        client.wait(execution[0], poll_interval=_POLL_SECONDS, say=say)
        result = client.conclude(execution[0])
    except (RenderFailed, RenderCancelled):
        raise
    except BaseException as error:
        if execution:
            with _at_best(say, "the render could not be stopped"):
                client.cancel(execution[-1], cause=f"The evaluation gave it up: {type(error).__name__}", prepared=prepared)
        raise
    finally:
        if execution:
            with _at_best(say, "the history could not be kept"):
                _keep_history(connect, execution[-1], history)
    output.parent.mkdir(parents=True, exist_ok=True)
    place = parse_s3_uri(result.output_uri, where="output")
    with typed_errors():
        connect("s3").download_file(place.bucket, place.key, str(output))
    return DistributedRender(result, output, history, round(time.monotonic() - started, 2))


@contextmanager
def _at_best(say: Say, problem: str) -> Iterator[None]:
    """A known fault inside the block is said and goes no further: it would hide how the render ended."""
    try:
        yield
    except HyperFramesClientError as error:
        say(f"{problem}: {error.message}")


def _keep_history(connect: Connect, execution_arn: str, path: Path) -> None:
    """The execution's description and all of its events, as Step Functions says them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = connect("stepfunctions")
    with typed_errors():
        described = machine.describe_execution(executionArn=execution_arn)
        pages = machine.get_paginator("get_execution_history").paginate(executionArn=execution_arn, includeExecutionData=True)
        events = [event for page in pages for event in page["events"]]
    described.pop("ResponseMetadata", None)
    path.write_text(json.dumps({"execution": described, "events": events}, default=str, ensure_ascii=False, indent=1), "utf-8")
