"""`check`, `info`, `snapshot`, `estimate`: a project, before anything is paid for."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, encoding, positive, project


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    looks = "say within seconds whether a project will render, and what may look different"
    project(verbs.add("check", "authoring.check", looks, verbs.quiet))
    project(verbs.add("info", "authoring.info", "say what a project is: size, duration, variables, media, remote files", verbs.quiet))
    snapshot = verbs.add("snapshot", "authoring.snapshot", "write what the video shows at some moments as PNG", verbs.quiet)
    project(snapshot)
    snapshot.add_argument("--at", required=True, metavar="TIMES", help="seconds, such as 1.5,3s")
    snapshot.add_argument("-o", "--output", type=Path, default=Path("snapshots"), metavar="DIR", help="default: snapshots")
    _estimate(verbs)


def _estimate(verbs: Verbs) -> None:
    text = "say what a render will take and cost, from what a frame takes on this machine; nothing is started"
    estimate = verbs.add("estimate", "authoring.estimate", text, verbs.aws)
    project(estimate)
    encoding(estimate)
    estimate.add_argument("--stack-name", metavar="NAME", help="take memory, timeout and concurrency from this stack")
    estimate.add_argument("--memory-mb", type=positive, default=10240, metavar="MB", help="without a stack: of the function (10240)")
    estimate.add_argument("--timeout", type=positive, default=900, metavar="SECONDS", help="without a stack: of the function (900)")
    estimate.add_argument("--concurrency", type=positive, metavar="N", help="invocations that run at once (default: not limited)")
    factor = "seconds of a Lambda vCPU for a second of a processor here (default: 1.0, which nobody measured)"
    estimate.add_argument("--vcpu-factor", type=float, default=1.0, metavar="X", help=factor)
