"""`render`: upload, start, follow, download; Ctrl-C stops the render as well as the command."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.formats import OutputFormat, format_of
from hyperframes_provider.cli import aws
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import WrongRequest
from hyperframes_provider.cli.follow import follow
from hyperframes_provider.cli.objects import fetch_frames, fetch_object, fetch_package, fetch_sidecars
from hyperframes_provider.cli.values import render_config
from hyperframes_provider.client.connect import Connect
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.report import done_line, size, started_line
from hyperframes_provider.client.request import PreparedRender
from hyperframes_provider.client.result import RenderResult


def render(options: argparse.Namespace, console: Console) -> int:
    """Render a project."""
    options.format = _format(options)
    config = render_config(options)
    _check_output(options.output, config)
    remote = options.output if options.output.startswith("s3://") else None
    connect = aws.connect(options)
    client = RenderClient(connect)
    prepared = client.prepare(
        client.target(options.stack_name),
        project=options.project,
        config=config,
        output=remote,
        label=Path(options.project.removesuffix(".tar.gz")).name or "render",
        # The same request again is the same render: it adopts one that runs, and finds the chunks that are finished.
        identity=("command line",),
    )
    for warning in prepared.warnings:
        console.line("warning", warning)
    upload = client.upload(prepared)
    console.line("project", f"{upload.archive.uri} · {size(upload.size)}", "uploaded" if upload.uploaded else "was there already")
    result = _run(client, prepared, console)
    files = [] if remote else _download(connect, result, options.output, config)
    sidecars = {} if remote else fetch_sidecars(connect, result.sidecars, result.output_uri, files[0])
    client.mark_taken(result.execution_arn)
    console.line("render", done_line(result))
    if files:
        beside = f"and {len(files) - 1} files beside it, {size(sum(file.stat().st_size for file in files))}" if files[1:] else ""
        console.line("frames" if config.format is OutputFormat.PNG_SEQUENCE else config.format.spec.kind.value, str(files[0]), beside)
    for sidecar in sidecars.values():
        console.line("sidecar", str(sidecar), size(sidecar.stat().st_size))
    for name, uri in result.sidecars.items() if remote else ():
        console.line("sidecar", uri, name)
    console.result({**result.to_xcom(), "path": files[0] if files else None, "sidecar_paths": sidecars})
    return 0


def _run(client: RenderClient, prepared: PreparedRender, console: Console) -> RenderResult:
    execution_arn: str | None = None

    def begin(arn: str) -> None:
        nonlocal execution_arn
        execution_arn = arn

    try:
        started = client.start(prepared, on_begin=begin)
        execution_arn = started.execution_arn
        console.line("render", started_line(started.execution_arn, started.how, started.because).removeprefix("render "))
        if started.how != "finished":
            follow(client, started.execution_arn, console)
        return client.conclude(started.execution_arn)
    except KeyboardInterrupt:
        if execution_arn is not None:
            stopped = client.cancel(execution_arn, cause="Interrupted on the command line", prepared=prepared)
            console.line("cancel", "the render was stopped; its finished chunks are kept" if stopped.stopped else stopped.detail)
        raise


def _format(options: argparse.Namespace) -> str | None:
    """The format that is asked for, in words or by the ending of the output; a folder is for frames."""
    named = OutputFormat.PNG_SEQUENCE if options.output.endswith("/") else format_of(Path(options.output).suffix)
    return options.format or (named.value if named else None)


def _download(connect: Connect, result: RenderResult, output: str, config: RenderConfig) -> list[Path]:
    """The output's files, or its folder; the first is what `output` names."""
    path = Path(output)
    if config.format is OutputFormat.PNG_SEQUENCE and path.suffix != ".tar":
        return [fetch_frames(connect, result.output_uri, path)]
    if config.format is OutputFormat.HLS:
        return fetch_package(connect, result.output_uri, path)
    return [fetch_object(connect, result.output_uri, path)]


def _check_output(output: str, config: RenderConfig) -> None:
    """Before anything is uploaded or paid for."""
    if output.startswith("s3://"):
        return
    path = Path(output)
    name, suffix = config.format.value, config.format.spec.suffix
    if config.format is OutputFormat.PNG_SEQUENCE:
        if path.suffix not in ("", suffix) and not output.endswith("/"):
            raise WrongRequest(
                f"-o {output}: a folder, or a file ending in {suffix}, is needed for the format {name}",
                hint=f"hyperframes-airflow render PROJECT -o FOLDER --format {name}",
            )
    elif format_of(path.suffix) is not config.format or path.is_dir():
        raise WrongRequest(
            f"-o {output}: a file ending in {suffix} is needed for the format {name}",
            hint=f"hyperframes-airflow render PROJECT -o OUT{suffix}; for a folder of frames: -o FOLDER/",
        )
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise WrongRequest(f"-o {output}: {existing} cannot be written to", hint="Choose another folder: -o /some/where/OUT.mp4")
