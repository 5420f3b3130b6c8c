"""`logs`: the log of a render's functions."""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.executions import find_execution
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.execution.executions import Execution, describe
from hyperframes_provider.client.execution.log_lines import LogLine, LogReader, log_text, of_chunk
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.stack.describe import describe_stack

_FOLLOW_SECONDS = 2.0
_LATE = timedelta(seconds=10)
"""Time for the last lines to reach CloudWatch after the execution has ended."""


def logs(options: argparse.Namespace, console: Console) -> int:
    """Print the log of a render; with `--follow`, continue until the render ends."""
    reach = connect(options)
    client = RenderClient(reach)
    execution = client.describe(find_execution(client, options.stack_name, options.id))
    reader = LogReader(execution, describe_stack(reach, options.stack_name).functions)
    end = datetime.now(UTC) if execution.stopped is None else execution.stopped + _LATE
    kept: deque[LogLine] = deque(of_chunk(run(reach, reader.read(end)), options.chunk), maxlen=options.tail)
    _show(kept, console)
    count = len(kept)
    if options.follow and not execution.status.terminal:
        for latest, lines in added(reach, reader):
            execution = latest
            more = of_chunk(lines, options.chunk)
            _show(more, console)
            kept.extend(more)
            count += len(more)
    if not count:
        console.detail("logs", f"no lines of {execution.name} yet; its status is {execution.status}")
    console.result({"execution_arn": execution.arn, "status": execution.status.value, "lines": [_document(line) for line in kept]})
    return 0


def added(reach: Connect, reader: LogReader, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[Execution, list[LogLine]]]:
    """Yield the execution and its new log lines after each poll; the last poll follows `_LATE` after its end."""
    execution = reader.execution
    while not execution.status.terminal:
        sleep(_FOLLOW_SECONDS)
        execution = run(reach, describe(execution.arn))
        yield execution, run(reach, reader.read(datetime.now(UTC)))
    sleep(_LATE.total_seconds())
    yield execution, run(reach, reader.read(datetime.now(UTC)))


def _show(lines: Iterable[LogLine], console: Console) -> None:
    if not console.as_json:
        for line in lines:
            console.say(f"{line.time:%H:%M:%S.%f}"[:-3] + f"  {log_text(line)}")


def _document(line: LogLine) -> dict[str, object]:
    return asdict(line) | {"time": line.time.isoformat(timespec="milliseconds")}
