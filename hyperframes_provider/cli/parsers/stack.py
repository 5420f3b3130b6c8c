"""`build`, `deploy`, `destroy`, `quotas`: the code and the CloudFormation stack."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _build(verbs)
    _deploy(verbs)
    quotas = "say what the account allows, and how many chunks can run at once"
    verbs.add("quotas", "quotas.quotas", quotas, verbs.stack)
    verbs.add("destroy", "stack.destroy", "delete the stack; its bucket stays, with everything in it", verbs.stack)


def _build(verbs: Verbs) -> None:
    build = verbs.add(
        "build", "stack.build", "build the function's code: a ZIP with its own browser, ffmpeg and Python packages", verbs.quiet
    )
    build.add_argument("-o", "--output", type=Path, default=Path("handler.zip"), metavar="ZIP", help="default: handler.zip")
    kinds = build.add_mutually_exclusive_group()
    kinds.add_argument("--slim", action="store_true", help="the engine alone, for the embedded endpoint with the tools of this machine")
    kinds.add_argument("--image", type=Path, metavar="DIR", help="in place of a ZIP, the context of a container image")


def _deploy(verbs: Verbs) -> None:
    deploy = verbs.add("deploy", "stack.deploy", "create or update the stack; the second time nothing changes", verbs.stack)
    deploy.add_argument(
        "--code",
        metavar="ZIP",
        help="path or s3://bucket/key of the code; default: what build makes, on the embedded endpoint what build --slim makes",
    )
    deploy.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a stack parameter; may be repeated")
    deploy.add_argument("--service-role", metavar="ARN", help="a role that CloudFormation takes, with the policy of: policies role")
