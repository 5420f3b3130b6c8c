"""`local up|status|down`: the embedded endpoint."""

from __future__ import annotations

import argparse
import time

from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.faults import FAILED, WrongRequest

_UP = "hyperframes-airflow local up"


def up(options: argparse.Namespace, console: Console) -> int:
    """Start it."""
    from hyperframes_provider.local import endpoint
    from hyperframes_provider.toolset import read_toolset, toolset_path

    if not 0 <= options.port <= 65535:
        raise WrongRequest(f"--port: {options.port} is not a port", hint=_UP)
    started = time.monotonic()
    info = endpoint.up(port=options.port, outputs=options.outputs)
    words = "was up already" if info.already_running else f"up in {seconds(time.monotonic() - started)}"
    console.line("endpoint", f"embedded AWS on 127.0.0.1:{info.port}", words)
    if not console.as_json:
        console.line("outputs", str(info.outputs))
        console.line("use it", f"AWS_ENDPOINT_URL={info.url}, or as endpoint_url of the Airflow connection")
        console.line("next", "hyperframes-airflow deploy" if read_toolset(toolset_path()) else "hyperframes-airflow setup")
    console.result({"url": info.url, "pid": info.pid, "port": info.port, "outputs": info.outputs, "already_running": info.already_running})
    return 0


def status(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001  # every verb is called alike
    """Say whether it is up."""
    from hyperframes_provider.local import endpoint

    info = endpoint.status()
    if info is None:
        console.result({"running": False}, f"the embedded endpoint is not up; it starts with: {_UP}")
        return FAILED
    console.result(
        {"running": True, "url": info.url, "pid": info.pid, "port": info.port, "outputs": info.outputs},
        f"embedded AWS on {info.url} · process {info.pid} · outputs in {info.outputs}",
    )
    return 0


def down(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001  # every verb is called alike
    """Stop it."""
    from hyperframes_provider.local import endpoint

    stopped = endpoint.down()
    console.result({"stopped": stopped}, "stopped" if stopped else "it was not up")
    return 0
