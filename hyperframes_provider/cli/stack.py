"""`build`, `deploy`, `destroy`: the code and the CloudFormation stack."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.values import pairs


def build(options: argparse.Namespace, console: Console) -> int:
    """Write the slim ZIP."""
    from hyperframes_provider.client.slim_zip import build_slim_zip

    digest = build_slim_zip(options.output)
    size = options.output.stat().st_size
    console.result({"path": options.output, "sha256": digest, "bytes": size}, f"{options.output} · {size / 1000:.0f} kB · sha256 {digest}")
    if not console.as_json:
        console.line("next", f"hyperframes-airflow deploy --code {options.output}")
    return 0


def deploy(options: argparse.Namespace, console: Console) -> int:
    """Create or update the stack."""
    from hyperframes_provider.client.stack import deploy_stack

    parameters = pairs(options.parameter, "--parameter", "hyperframes-airflow deploy --parameter LambdaMemoryMb=8192")
    with console.moving("deploy") as line:
        done = deploy_stack(
            connect(options),
            options.stack_name,
            parameters=parameters,
            code=options.code,
            on_event=lambda event: line.show(f"stack {options.stack_name}  {event}"),
        )
    console.line(
        "deploy",
        f"stack {options.stack_name}  {done.outputs.status}",
        f"{done.action}, {done.resources} resources, {seconds(done.seconds)}",
    )
    if not console.as_json:
        console.line("bucket", done.outputs.bucket)
        console.line("next", f"hyperframes-airflow render PROJECT -o OUT.mp4 --stack-name {options.stack_name}")
    outputs = asdict(done.outputs)
    console.result(
        {"action": done.action, "resources": done.resources, "seconds": round(done.seconds, 1), "code": str(done.code), **outputs}
    )
    return 0


def destroy(options: argparse.Namespace, console: Console) -> int:
    """Delete the stack."""
    from hyperframes_provider.client.stack import delete_stack

    with console.moving("destroy") as line:
        done = delete_stack(connect(options), options.stack_name, on_event=lambda event: line.show(f"stack {options.stack_name}  {event}"))
    kept = f"; its bucket is kept: {done.kept_bucket}" if done.kept_bucket else ""
    console.result(asdict(done), f"stack {options.stack_name} {done.action}{kept}")
    return 0
