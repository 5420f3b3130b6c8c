"""`check`, `info`, `snapshot`, `estimate`: inspect a project before paying for a render."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, encoding, positive, project


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    looks = "report within seconds whether a project will render, and what may look different"
    project(verbs.add("check", "authoring.check", looks, verbs.quiet))
    project(verbs.add("info", "authoring.info", "describe a project: size, duration, variables, media, remote files", verbs.quiet))
    snapshot = verbs.add("snapshot", "authoring.snapshot", "write the frames at the given times as PNG", verbs.quiet)
    project(snapshot)
    snapshot.add_argument("--at", required=True, metavar="TIMES", help="seconds, such as 1.5,3s")
    snapshot.add_argument("-o", "--output", type=Path, default=Path("snapshots"), metavar="DIR", help="default: snapshots")
    _estimate(verbs)


def _estimate(verbs: Verbs) -> None:
    text = "estimate the time and cost of a render by measuring frames on this machine; starts no render"
    estimate = verbs.add("estimate", "authoring.estimate", text, verbs.aws)
    project(estimate)
    encoding(estimate)
    estimate.add_argument("--stack-name", metavar="NAME", help="read memory, timeout and concurrency from this stack")
    estimate.add_argument("--memory-mb", type=positive, default=10240, metavar="MB", help="function memory without a stack (10240)")
    estimate.add_argument("--timeout", type=positive, default=900, metavar="SECONDS", help="function timeout without a stack (900)")
    estimate.add_argument("--concurrency", type=positive, metavar="N", help="simultaneous invocations (default: unlimited)")
    factor = "seconds that a Lambda vCPU takes for one second of a processor here (default: 1.0, not measured)"
    estimate.add_argument("--vcpu-factor", type=float, default=1.0, metavar="X", help=factor)
