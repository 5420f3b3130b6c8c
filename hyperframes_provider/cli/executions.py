"""`progress`, `cancel`, `download`, `list`, `redrive`: running and finished renders."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime

from hyperframes_lambda.contract.config import parse_config
from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, age, seconds
from hyperframes_provider.cli.faults import FAILED
from hyperframes_provider.cli.follow import follow
from hyperframes_provider.cli.render import show_fetched
from hyperframes_provider.client.execution.executions import Status
from hyperframes_provider.client.execution.objects import fetch_object, fetch_render
from hyperframes_provider.client.execution.report import done_line, progress_line, size, started_line
from hyperframes_provider.client.execution.watch import RenderWatch, Snapshot
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.names import short_id
from hyperframes_provider.client.request.output_paths import check_output_path


def progress(options: argparse.Namespace, console: Console) -> int:
    """Report the progress of a render."""
    client = RenderClient(connect(options))
    execution_arn = find_execution(client, options.stack_name, options.id)
    snapshot = follow(client, execution_arn, console) if options.watch else client.snapshot(RenderWatch(execution_arn))
    status = snapshot.execution.status
    if options.watch:
        result = client.conclude(execution_arn)
        console.line("render", done_line(result))
        console.result(_document(snapshot) | {"result": result.to_xcom()})
        return 0
    console.line("render", f"{snapshot.execution.name}  {status}", progress_line(snapshot.progress, snapshot.cost_usd))
    if not status.terminal:
        console.detail("next", f"hyperframes-airflow progress {short_id(snapshot.execution.name)} --watch")
    console.result(_document(snapshot))
    return 0


def cancel(options: argparse.Namespace, console: Console) -> int:
    """Stop a render."""
    client = RenderClient(connect(options))
    execution_arn = find_execution(client, options.stack_name, options.id)
    done = client.cancel(execution_arn, cause="Stopped with hyperframes-airflow cancel")
    console.result({"execution_arn": execution_arn, **asdict(done)}, "stopped" if done.stopped else f"not stopped: {done.detail}")
    return 0 if done.stopped else FAILED


def download(options: argparse.Namespace, console: Console) -> int:
    """Download an object, or the output of a render."""
    reach = connect(options)
    if options.what.startswith("s3://"):
        path = fetch_object(reach, options.what, options.output)
        count = path.stat().st_size
        console.result({"path": path, "bytes": count}, f"{path} · {size(count)}")
        return 0
    client = RenderClient(reach)
    execution_arn = find_execution(client, options.stack_name, options.what)
    result = client.conclude(execution_arn)
    made = client.describe(execution_arn).output_format
    check_output_path(str(options.output), parse_config({"format": made.value}))
    fetched = fetch_render(reach, result, options.output, made)
    show_fetched(fetched, made, console)
    console.result({"execution_arn": execution_arn, "path": fetched.files[0], "files": fetched.files, "sidecar_paths": fetched.sidecars})
    return 0


def list_(options: argparse.Namespace, console: Console) -> int:
    """List renders, newest first."""
    client = RenderClient(connect(options))
    status = Status(options.status) if options.status else None
    found = client.recent(options.stack_name, status=status, limit=options.limit)
    now = datetime.now(UTC)
    for item in found:
        frames = f"{item.frames} frames" if item.frames is not None else item.error or "-"
        when = f"{age(item.started, now):>4} ago {seconds(item.seconds):>8}"
        console.detail(item.id, f"{item.status:9} {when}  {frames:>12}  {item.output_uri}")
    if not found:
        console.detail("renders", "none; start one: hyperframes-airflow render PROJECT -o OUT.mp4")
    console.result({"renders": [asdict(item) | {"status": item.status.value} for item in found]})
    return 0


def redrive(options: argparse.Namespace, console: Console) -> int:
    """Continue a render that did not succeed."""
    client = RenderClient(connect(options))
    started = client.redrive(find_execution(client, options.stack_name, options.id))
    console.line("render", started_line(started.execution_arn, started.how, started.because).removeprefix("render "))
    console.detail("next", f"hyperframes-airflow progress {started.execution_arn} --watch")
    console.result(asdict(started))
    return 0


def find_execution(client: RenderClient, stack_name: str, wanted: str) -> str:
    """Return the ARN of the execution that `wanted` names; raise `ExecutionNotFound` if there is none."""
    return wanted if wanted.startswith("arn:") else client.find(stack_name, wanted)


def _document(snapshot: Snapshot) -> dict[str, object]:
    return {
        "execution_arn": snapshot.execution.arn,
        "status": snapshot.execution.status.value,
        **asdict(snapshot.progress),
        "retries": len(snapshot.retries),
        "throttled": snapshot.throttled,
        "cost_usd": round(snapshot.cost_usd, 6),
    }
