"""`build`, `deploy`, `destroy`, `quotas`: the code and the CloudFormation stack."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, pairs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _build(verbs)
    _deploy(verbs)
    quotas = "list the account's quotas, and how many chunks can run at once"
    verbs.add("quotas", "quotas.quotas", quotas, verbs.stack)
    verbs.add("destroy", "stack.destroy", "delete the stack but keep its bucket with everything in it", verbs.stack)


def _build(verbs: Verbs) -> None:
    build = verbs.add("build", "stack.build", "build the function's code: a ZIP with browser, ffmpeg and Python packages", verbs.quiet)
    build.add_argument("-o", "--output", type=Path, default=Path("handler.zip"), metavar="ZIP", help="file to write (default: handler.zip)")
    kinds = build.add_mutually_exclusive_group()
    kinds.add_argument("--slim", action="store_true", help="the engine alone, for the embedded endpoint with the tools of this machine")
    kinds.add_argument("--image", type=Path, metavar="DIR", help="write the build context of a container image instead of a ZIP")


def _deploy(verbs: Verbs) -> None:
    deploy = verbs.add("deploy", "stack.deploy", "create or update the stack; repeating a deploy changes nothing", verbs.stack)
    code = "path or s3://bucket/key of the code (default: the ZIP of build; on the embedded endpoint, of build --slim)"
    deploy.add_argument("--code", metavar="ZIP", help=code)
    pairs(deploy, "--parameter", "a stack parameter")
    deploy.add_argument("--service-role", metavar="ARN", help="a role for CloudFormation to assume; `policies role` prints its policy")
