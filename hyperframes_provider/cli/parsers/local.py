"""`local`: the embedded AWS endpoint."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    local = verbs.group("local", "the embedded AWS endpoint of this machine")
    up = local.add("up", "local.up", "start it, or report the one that runs", local.quiet)
    up.add_argument("--port", type=int, default=0, help="default: a free one")
    up.add_argument("--outputs", type=Path, default=Path("renders"), metavar="DIR", help="receives finished videos (default: renders)")
    local.add("status", "local.status", "say whether it is up; exits 1 when it is not", local.quiet)
    local.add("down", "local.down", "stop it and every process it started", local.quiet)
