"""`build`, `deploy`, `destroy`: the code and the CloudFormation stack."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _build(verbs)
    _deploy(verbs)
    verbs.add("destroy", "stack.destroy", "delete the stack; its bucket stays, with everything in it", verbs.stack)


def _build(verbs: Verbs) -> None:
    build = verbs.add("build", "stack.build", "write the slim code ZIP, which runs on the embedded endpoint", verbs.quiet)
    build.add_argument("-o", "--output", type=Path, default=Path("handler.zip"), metavar="ZIP", help="default: handler.zip")


def _deploy(verbs: Verbs) -> None:
    deploy = verbs.add("deploy", "stack.deploy", "create or update the stack; the second time nothing changes", verbs.stack)
    deploy.add_argument("--code", metavar="ZIP", help="path or s3://bucket/key of the code; default on the embedded endpoint: the slim one")
    deploy.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a stack parameter; may be repeated")
