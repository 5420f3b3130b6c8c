"""`render`: upload, start, follow and download. Ctrl-C also stops the render."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_provider.cli import aws
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.follow import follow
from hyperframes_provider.cli.values import render_config
from hyperframes_provider.client.execution.objects import Fetched, fetch_render
from hyperframes_provider.client.execution.report import done_line, size, started_line
from hyperframes_provider.client.execution.result import RenderResult
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.output_paths import check_output_path, format_asked, is_remote
from hyperframes_provider.client.request.request import PreparedRender


def render(options: argparse.Namespace, console: Console) -> int:
    """Render a project."""
    asked = format_asked(options.output)
    options.format = options.format or (asked.value if asked else None)
    config = render_config(options)
    check_output_path(options.output, config)
    remote = options.output if is_remote(options.output) else None
    connect = aws.connect(options)
    client = RenderClient(connect)
    prepared = client.prepare(
        client.target(options.stack_name),
        project=options.project,
        config=config,
        output=remote,
        label=Path(options.project.removesuffix(".tar.gz")).name or "render",
        # The same request is the same render: it adopts a running one and finds finished chunks.
        identity=("command line",),
    )
    for warning in prepared.warnings:
        console.line("warning", warning)
    upload = client.upload(prepared)
    console.line("project", f"{upload.archive.uri} · {size(upload.size)}", "uploaded" if upload.uploaded else "already uploaded")
    result = _run(client, prepared, console)
    fetched = None if remote else fetch_render(connect, result, Path(options.output), config.format)
    client.mark_taken(result.execution_arn)
    console.line("render", done_line(result))
    if fetched is not None:
        show_fetched(fetched, config.format, console)
    else:
        for name, uri in result.sidecars.items():
            console.line("sidecar", uri, name)
    document = {"path": fetched.files[0] if fetched else None, "sidecar_paths": fetched.sidecars if fetched else {}}
    console.result(result.to_xcom() | document)
    return 0


def show_fetched(fetched: Fetched, made: OutputFormat, console: Console) -> None:
    """List the downloaded files."""
    files = fetched.files
    beside = f"and {len(files) - 1} more files, {size(sum(file.stat().st_size for file in files))}" if files[1:] else ""
    console.line("frames" if made is OutputFormat.PNG_SEQUENCE else made.spec.kind.value, str(files[0]), beside)
    for sidecar in fetched.sidecars.values():
        console.line("sidecar", str(sidecar), size(sidecar.stat().st_size))


def _run(client: RenderClient, prepared: PreparedRender, console: Console) -> RenderResult:
    execution_arn: str | None = None

    def begin(arn: str) -> None:
        nonlocal execution_arn
        execution_arn = arn

    try:
        started = client.start(prepared, on_begin=begin, say=lambda line: console.line("capacity", line))
        execution_arn = started.execution_arn
        console.line("render", started_line(started.execution_arn, started.how, started.because).removeprefix("render "))
        if started.how != "finished":
            follow(client, started.execution_arn, console)
        return client.conclude(started.execution_arn)
    except KeyboardInterrupt:
        if execution_arn is not None:
            stopped = client.cancel(execution_arn, cause="Interrupted on the command line", prepared=prepared)
            console.line("cancel", "the render was stopped; finished chunks are kept" if stopped.stopped else stopped.detail)
        raise
