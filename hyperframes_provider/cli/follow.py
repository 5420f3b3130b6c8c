"""The progress of a running render on the console."""

from __future__ import annotations

from hyperframes_provider.cli.console import Console
from hyperframes_provider.client.execution.report import progress_line
from hyperframes_provider.client.execution.watch import Snapshot
from hyperframes_provider.client.renders import RenderClient

POLL_SECONDS = 2.0
"""Seconds between polls; short, because someone is watching."""


def follow(client: RenderClient, execution_arn: str, console: Console) -> Snapshot:
    """Show the execution's progress until it ends; return the last snapshot."""
    with console.moving("render") as line:

        def show(snapshot: Snapshot) -> bool:
            line.show(summary(snapshot), share(snapshot))
            return False

        return client.wait(
            execution_arn, poll_interval=POLL_SECONDS, say=lambda text: line.note(text.removeprefix("render ")), on_snapshot=show
        )


def summary(snapshot: Snapshot) -> str:
    """Return the progress with the number of retries and of throttled invocations."""
    retried = f" · {len(snapshot.retries)} retried" if snapshot.retries else ""
    throttled = f" · {snapshot.throttled} throttled" if snapshot.throttled else ""
    return progress_line(snapshot.progress, snapshot.cost_usd) + retried + throttled


def share(snapshot: Snapshot) -> float:
    """Return the share of frames that are done; 0 while their number is unknown."""
    total = snapshot.progress.frames_total
    return snapshot.progress.frames_done / total if total else 0.0
