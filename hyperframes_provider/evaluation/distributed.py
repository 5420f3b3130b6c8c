"""A new render on a deployed stack, with its history and its video, for an evaluation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.calls import Call, Steps, pages, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, typed_errors
from hyperframes_provider.client.aws.s3 import parse_s3_uri
from hyperframes_provider.client.execution.failure import RenderCancelled, RenderFailed
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.request import RenderTarget, read_config
from hyperframes_provider.evaluation.fixtures import Fixture

Say = Callable[[str], None]
"""Takes a line for a person."""

_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class DistributedRender:
    """A finished render."""

    result: RenderResult
    path: Path
    history: Path
    """Missing if AWS did not deliver it, which was reported."""
    wall_seconds: float
    """Time from upload to download; `result.seconds` covers the execution only."""


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
    """Render `fixture` and download the video to `output`; write the execution's events to `history`, even if it failed.

    Stops the render if waiting fails or is interrupted.

    :param identity: distinguishes this render from all earlier ones, so that it finds no finished chunk
    :raises RenderFailed: or another client error
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
            with _at_best(say, "cannot stop the render"):
                client.cancel(execution[-1], cause=f"Stopped by the evaluation: {type(error).__name__}", prepared=prepared)
        raise
    finally:
        if execution:
            with _at_best(say, "cannot save the history"):
                _keep_history(connect, execution[-1], history)
    output.parent.mkdir(parents=True, exist_ok=True)
    place = parse_s3_uri(result.output_uri, where="output")
    with typed_errors():
        connect("s3").download_file(place.bucket, place.key, str(output))
    return DistributedRender(result, output, history, round(time.monotonic() - started, 2))


@contextmanager
def _at_best(say: Say, problem: str) -> Iterator[None]:
    """Report a client error of the block instead of raising it, so that it does not hide how the render ended."""
    try:
        yield
    except HyperFramesClientError as error:
        say(f"{problem}: {error.message}")


def _keep_history(connect: Connect, execution_arn: str, path: Path) -> None:
    history = run(connect, _history(execution_arn))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(history, default=str, ensure_ascii=False, indent=1), "utf-8")


def _history(execution_arn: str) -> Steps[dict[str, Any]]:
    """Return the execution's description and events as Step Functions returns them."""
    described = yield Call("stepfunctions", "describe_execution", {"executionArn": execution_arn})
    arguments = {"executionArn": execution_arn, "includeExecutionData": True}
    found = yield from pages(Call("stepfunctions", "get_execution_history", arguments))
    described.pop("ResponseMetadata", None)
    return {"execution": described, "events": [event for page in found for event in page["events"]]}
