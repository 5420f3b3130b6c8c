"""`render-batch`: a render for each row of a file. Ctrl-C stops the running renders; the same command resumes the batch."""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.faults import FAILED
from hyperframes_provider.cli.follow import POLL_SECONDS
from hyperframes_provider.cli.values import render_config
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import HyperFramesClientError, typed_errors
from hyperframes_provider.client.batch.batch import Batch
from hyperframes_provider.client.batch.items import BatchItem, prepare_batch, project_version
from hyperframes_provider.client.batch.outcomes import BatchProgress, Outcome, RowState
from hyperframes_provider.client.batch.rows import plan_rows, read_rows
from hyperframes_provider.client.execution.objects import fetch_render
from hyperframes_provider.client.execution.report import dollars, size
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.stack.describe import describe_stack

_DOWNLOADS = 4
"""Simultaneous downloads, while other rows render."""
_SHOWN_FAILURES = 20


def render_batch(options: argparse.Namespace, console: Console) -> int:
    """Render every row; exit with 1 if one fails."""
    config = render_config(options)
    # The wire omits the default format; a requested one must win over an output's extension.
    asked = {"format": config.format.value} if "format" in config.model_fields_set else {}
    rows = plan_rows(read_rows(options.rows), config.to_wire() | asked, template=options.output)
    reach = connect(options)
    client = RenderClient(reach)
    label = Path(options.project.removesuffix(".tar.gz")).name or "render"
    version = run(reach, project_version(options.project))
    items = prepare_batch(client.target(options.stack_name), rows, project=options.project, label=label, identity=("batch", version))
    stack = describe_stack(reach, options.stack_name)
    memory = {"memory_mb": stack.memory_mb, "coordinator_memory_mb": stack.coordinator_memory_mb}
    batch = Batch(reach, items, max_running=options.max_running, memory=memory)
    decision = batch.admit()
    if decision is not None:
        console.line("warning" if decision.warning else "chunks", decision.text)
    upload = batch.upload()
    console.line("project", f"{upload.archive.uri} · {size(upload.size)}", "uploaded" if upload.uploaded else "already uploaded")
    results = options.results or options.rows.with_name(f"{options.rows.stem}.results.jsonl")
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("w", encoding="utf-8") as file, ThreadPoolExecutor(_DOWNLOADS) as pool, console.moving("batch") as line:
        report = Report(reach, console, file, pool)
        batch.on_outcome = report.ended
        batch.on_progress = lambda progress: line.show(batch_line(progress), progress.ended / progress.total)
        try:
            batch.run(poll_interval=POLL_SECONDS)
            report.finish()
        except KeyboardInterrupt:
            stopped = batch.cancel("Interrupted on the command line")
            console.line("cancel", f"stopped {stopped.count} running renders; the next run skips finished rows")
            for arn, error in stopped.failures.items():
                console.line("warning", f"{arn} could not be stopped: {_first_line(error.message)}")
            pool.shutdown(wait=False, cancel_futures=True)
            report.finish()
            raise
    return _conclude(batch, report, results, console)


class Report:
    """Writes a result line for each row that ended, after downloading its video if wanted."""

    def __init__(self, reach: Connect, console: Console, file: TextIO, pool: ThreadPoolExecutor) -> None:
        self._reach = reach
        self._console = console
        self._file = file
        self._pool = pool
        self._pending: dict[Future[dict[str, Any]], Outcome] = {}
        self.failures: list[dict[str, Any]] = []

    def ended(self, item: BatchItem, outcome: Outcome) -> None:
        """Record the outcome of a row."""
        if outcome.result is not None and item.row.path is not None:
            self._pending[self._pool.submit(self._fetch, item, outcome)] = outcome
        else:
            self._write(outcome.to_json())
        self._flush(wait=False)

    def finish(self) -> None:
        """Wait for the remaining downloads; cancelled ones get no path."""
        self._flush(wait=True)

    def _flush(self, *, wait: bool) -> None:
        for future, outcome in list(self._pending.items()):
            if wait or future.done():
                # An interrupt while waiting leaves the row pending.
                fetched = {} if future.cancelled() else future.result()
                del self._pending[future]
                self._write(outcome.to_json() | fetched)

    def _fetch(self, item: BatchItem, outcome: Outcome) -> dict[str, Any]:
        """Download the files and return their paths; skip a file that exists with the size of the output."""
        assert item.row.path is not None
        assert outcome.result is not None
        path = item.row.path
        try:
            if outcome.how == "finished" and path.is_file() and path.stat().st_size == outcome.result.bytes and not outcome.result.sidecars:
                return {"path": str(path)}
            with typed_errors():
                fetched = fetch_render(self._reach, outcome.result, path, item.row.config.format)
        except (HyperFramesClientError, OSError, tarfile.TarError) as error:
            return {"state": RowState.FAILED.value, "code": "DownloadFailed", "message": str(error)}
        return {"path": str(fetched.files[0]), "sidecar_paths": {name: str(file) for name, file in fetched.sidecars.items()}}

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        if line["state"] != RowState.SUCCEEDED.value:
            self.failures.append({name: line.get(name, "") for name in ("row", "state", "code", "message", "execution_arn")})
            self._console.line("row", f"{line['row']} {line['state']}: {line.get('code', '')}: {_first_line(line.get('message', ''))}")


def _conclude(batch: Batch, report: Report, results: Path, console: Console) -> int:
    outcomes, progress = list(batch.outcomes.values()), batch.progress()
    failures = sorted(report.failures, key=lambda failure: int(failure["row"]))
    spent = [outcome.result.cost_usd for outcome in outcomes if outcome.result is not None and outcome.how != "finished"]
    before = sum(outcome.how == "finished" for outcome in outcomes)
    done = len(outcomes) - len(failures)
    words = f"{done} of {progress.total} rows done" + (f", {before} of them earlier" if before else "")
    console.line("batch", f"{words} · {len(failures)} failed · {dollars(sum(spent))} · {results}", f"in {seconds(progress.seconds)}")
    for failure in failures[:_SHOWN_FAILURES]:
        console.detail("failed", f"row {failure['row']}: {failure['code']}: {_first_line(failure['message'])}")
    if failures[_SHOWN_FAILURES:]:
        console.detail("failed", f"and {len(failures) - _SHOWN_FAILURES} more, in {results}")
    if failures:
        console.detail("next", "correct the failed rows and type the same command again; it skips finished rows")
    console.result(
        {
            "rows": progress.total,
            "succeeded": done,
            "skipped": before,
            "failed": len(failures),
            "seconds": round(progress.seconds, 1),
            "cost_usd": round(sum(spent), 6),
            "results": results,
            "failures": failures,
        }
    )
    return FAILED if failures else 0


def batch_line(progress: BatchProgress) -> str:
    """Return a progress line: `120/1000 rows · 40 running · 2 failed · ETA 3m 20s`."""
    parts = [f"{progress.ended}/{progress.total} rows", f"{progress.running} running"]
    bad = progress.failed + progress.cancelled
    if bad:
        parts.append(f"{bad} failed")
    if progress.eta and progress.ended < progress.total:
        parts.append(f"ETA {seconds(progress.eta)}")
    return " · ".join(parts)


def _first_line(message: str) -> str:
    return next(iter(message.splitlines()), "")
