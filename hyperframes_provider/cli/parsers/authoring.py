"""`check`, `info`, `snapshot`: a project, before anything is paid for."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, project


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    looks = "say within seconds whether a project will render, and what may look different"
    project(verbs.add("check", "authoring.check", looks, verbs.quiet))
    project(verbs.add("info", "authoring.info", "say what a project is: size, duration, variables, media, remote files", verbs.quiet))
    snapshot = verbs.add("snapshot", "authoring.snapshot", "write what the video shows at some moments as PNG", verbs.quiet)
    project(snapshot)
    snapshot.add_argument("--at", required=True, metavar="TIMES", help="seconds, such as 1.5,3s")
    snapshot.add_argument("-o", "--output", type=Path, default=Path("snapshots"), metavar="DIR", help="default: snapshots")
