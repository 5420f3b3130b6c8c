"""`progress`, `cancel`, `download`: renders that are under way or done."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import FAILED
from hyperframes_provider.cli.follow import follow
from hyperframes_provider.cli.objects import fetch_object
from hyperframes_provider.client.connect import Connect
from hyperframes_provider.client.errors import ExecutionNotFound, typed_errors
from hyperframes_provider.client.names import render_id_of, short_id
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.report import done_line, progress_line, size
from hyperframes_provider.client.watch import RenderWatch, Snapshot

LATEST = "latest"


def progress(options: argparse.Namespace, console: Console) -> int:
    """Say how far a render is."""
    reach = connect(options)
    client = RenderClient(reach)
    execution_arn = find_execution(reach, client, options.stack_name, options.id)
    snapshot = follow(client, execution_arn, console) if options.watch else client.snapshot(RenderWatch(execution_arn))
    status = snapshot.execution.status
    if options.watch:
        result = client.conclude(execution_arn)
        console.line("render", done_line(result))
        console.result(_document(snapshot) | {"result": result.to_xcom()})
        return 0
    console.line("render", f"{snapshot.execution.name}  {status}", progress_line(snapshot.progress, snapshot.cost_usd))
    if not console.as_json and not status.terminal:
        console.line("next", f"hyperframes-airflow progress {short_id(snapshot.execution.name)} --watch")
    console.result(_document(snapshot))
    return 0


def cancel(options: argparse.Namespace, console: Console) -> int:
    """Stop a render."""
    reach = connect(options)
    client = RenderClient(reach)
    execution_arn = find_execution(reach, client, options.stack_name, options.id)
    done = client.cancel(execution_arn, cause="Stopped with hyperframes-airflow cancel")
    console.result({"execution_arn": execution_arn, **asdict(done)}, "stopped" if done.stopped else f"not stopped: {done.detail}")
    return 0 if done.stopped else FAILED


def download(options: argparse.Namespace, console: Console) -> int:
    """Fetch an object."""
    path = fetch_object(connect(options), options.uri, options.output)
    count = path.stat().st_size
    console.result({"path": path, "bytes": count}, f"{path} · {size(count)}")
    return 0


def find_execution(reach: Connect, client: RenderClient, stack_name: str, wanted: str) -> str:
    """The ARN of the execution that `wanted` names: newest first where it names several. `ExecutionNotFound` when there is none."""
    if wanted.startswith("arn:"):
        return wanted
    machine = client.target(stack_name).state_machine_arn
    with typed_errors():
        for page in reach("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine):
            for execution in page["executions"]:
                name = str(execution["name"])
                if wanted in (LATEST, name, render_id_of(name), short_id(name)):
                    return str(execution["executionArn"])
    raise ExecutionNotFound(
        f"stack {stack_name!r} has no render {wanted!r}",
        hint="The newest one is shown by: hyperframes-airflow progress latest. A restarted embedded endpoint has forgotten its renders.",
    )


def _document(snapshot: Snapshot) -> dict[str, object]:
    return {
        "execution_arn": snapshot.execution.arn,
        "status": snapshot.execution.status.value,
        **asdict(snapshot.progress),
        "retries": len(snapshot.retries),
        "cost_usd": round(snapshot.cost_usd, 6),
    }
