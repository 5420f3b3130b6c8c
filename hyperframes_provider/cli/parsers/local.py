"""`local`: the embedded AWS endpoint."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    local = verbs.group("local", "control the embedded AWS endpoint on this machine")
    up = local.add("up", "local.up", "start the endpoint, or report the running one", local.quiet)
    up.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    up.add_argument("--outputs", type=Path, default=Path("renders"), metavar="DIR", help="folder for finished videos (default: renders)")
    local.add("status", "local.status", "report whether the endpoint is up; exit with 1 if it is not", local.quiet)
    local.add("down", "local.down", "stop the endpoint and every process that it started", local.quiet)
