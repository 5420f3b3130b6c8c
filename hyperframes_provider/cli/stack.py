"""`build`, `deploy`, `destroy`: the code and the CloudFormation stack."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.tools import setup_reporter
from hyperframes_provider.cli.values import pairs


def build(options: argparse.Namespace, console: Console) -> int:
    """Write the ZIP, or the build context of an image."""
    if options.slim:
        return _build_slim(options.output, console)
    if options.image is not None:
        return _build_image(options.image, console)
    from hyperframes_provider.bundle import build_bundle

    with setup_reporter(console) as reporter:
        report = build_bundle(options.output, reporter)
    for component in report.components:
        console.line("with", f"{component.name} {component.version}", component.licence)
    console.line(
        "build",
        f"{report.path} · {report.zipped / 1e6:.1f} MB, unzipped {report.unzipped / 1e6:.1f} MB · sha256 {report.sha256}",
        f"in {seconds(report.seconds)}",
    )
    _say_next(options.output, console)
    console.result(
        {
            "path": report.path,
            "sha256": report.sha256,
            "bytes": report.zipped,
            "unzipped_bytes": report.unzipped,
            "seconds": round(report.seconds, 1),
            "components": [
                {"name": component.name, "version": component.version, "licence": component.licence, "purl": component.purl}
                for component in report.components
            ],
        }
    )
    return 0


def _build_image(folder: Path, console: Console) -> int:
    from hyperframes_provider.bundle import build_image_context

    with setup_reporter(console) as reporter:
        size = build_image_context(folder, reporter)
    console.result({"path": folder, "bytes": size}, f"{folder} · {size / 1e6:.0f} MB")
    console.detail("next", f"docker build -t hyperframes {folder}, push it to your registry, and deploy with its URI")
    return 0


def _build_slim(path: Path, console: Console) -> int:
    from hyperframes_provider.client.stack.slim_zip import build_slim_zip

    digest = build_slim_zip(path)
    size = path.stat().st_size
    console.result({"path": path, "sha256": digest, "bytes": size}, f"{path} · {size / 1000:.0f} kB · sha256 {digest}")
    _say_next(path, console)
    return 0


def _say_next(path: Path, console: Console) -> None:
    console.detail("next", f"hyperframes-airflow deploy --code {path}")


def deploy(options: argparse.Namespace, console: Console) -> int:
    """Create or update the stack."""
    from hyperframes_provider.client.stack.deploy import deploy_stack

    parameters = pairs(options.parameter, "--parameter", "hyperframes-airflow deploy --parameter LambdaMemoryMb=8192")
    with console.moving("deploy") as line:

        def code() -> Path:
            from hyperframes_provider.bundle import ensure_bundle

            line.show("fetching and packing browser, ffmpeg and Python packages, once for this version")
            return ensure_bundle()

        done = deploy_stack(
            connect(options),
            options.stack_name,
            parameters=parameters,
            code=options.code,
            build_code=code,
            role_arn=options.service_role,
            on_event=lambda event: line.show(f"stack {options.stack_name}  {event}"),
        )
    console.line(
        "deploy",
        f"stack {options.stack_name}  {done.outputs.status}",
        f"{done.action}, {done.resources} resources, {seconds(done.seconds)}",
    )
    console.detail("bucket", done.outputs.bucket)
    console.detail("next", f"hyperframes-airflow render PROJECT -o OUT.mp4 --stack-name {options.stack_name}")
    outputs = asdict(done.outputs)
    console.result(
        {"action": done.action, "resources": done.resources, "seconds": round(done.seconds, 1), "code": str(done.code), **outputs}
    )
    return 0


def destroy(options: argparse.Namespace, console: Console) -> int:
    """Delete the stack."""
    from hyperframes_provider.client.stack.delete import delete_stack

    with console.moving("destroy") as line:
        done = delete_stack(connect(options), options.stack_name, on_event=lambda event: line.show(f"stack {options.stack_name}  {event}"))
    kept = f"; its bucket stays: {done.kept_bucket}" if done.kept_bucket else ""
    console.result(asdict(done), f"stack {options.stack_name} {done.action}{kept}")
    return 0
