"""`local up|status|down`: the embedded endpoint."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.faults import FAILED, WrongRequest

if TYPE_CHECKING:
    from hyperframes_provider.local.endpoint import EndpointInfo

_UP = "hyperframes-airflow local up"


def up(options: argparse.Namespace, console: Console) -> int:
    """Start the endpoint."""
    from hyperframes_provider.toolset import read_toolset, toolset_path

    if not 0 <= options.port <= 65535:
        raise WrongRequest(f"--port: {options.port} is not a port", hint=_UP)
    info = start(console, options.outputs, options.port)
    console.detail("outputs", str(info.outputs))
    console.detail("use it", f"set AWS_ENDPOINT_URL={info.url}, or endpoint_url in the Airflow connection")
    console.detail("next", "hyperframes-airflow deploy" if read_toolset(toolset_path()) else "hyperframes-airflow setup")
    console.result({"url": info.url, "pid": info.pid, "port": info.port, "outputs": info.outputs, "already_running": info.already_running})
    return 0


def start(console: Console, outputs: Path, port: int = 0) -> EndpointInfo:
    """Start the endpoint, or find the running one, and report it."""
    from hyperframes_provider.local import endpoint

    started = time.monotonic()
    info = endpoint.up(port=port, outputs=outputs)
    words = "already up" if info.already_running else f"up in {seconds(time.monotonic() - started)}"
    console.line("endpoint", f"embedded AWS on 127.0.0.1:{info.port}", words)
    return info


def status(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001  # every verb has the same signature
    """Report whether the endpoint is up."""
    from hyperframes_provider.local import endpoint

    info = endpoint.status()
    if info is None:
        console.result({"running": False}, f"the embedded endpoint is not up; start it: {_UP}")
        return FAILED
    console.result(
        {"running": True, "url": info.url, "pid": info.pid, "port": info.port, "outputs": info.outputs},
        f"embedded AWS on {info.url} · process {info.pid} · outputs in {info.outputs}",
    )
    return 0


def down(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001  # every verb has the same signature
    """Stop the endpoint."""
    from hyperframes_provider.local import endpoint

    stopped = endpoint.down()
    console.result({"stopped": stopped}, "stopped" if stopped else "was not up")
    return 0
