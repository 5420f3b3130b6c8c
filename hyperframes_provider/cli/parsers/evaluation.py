"""`smoke` and `eval`: whether a deployed renderer does what it should, and what it costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _smoke(verbs)
    _eval(verbs)


def _smoke(verbs: Verbs) -> None:
    smoke = verbs.add(
        "smoke", "evaluation.smoke", "deploy a stack of its own, render at several chunk counts, compare, and delete it all", verbs.aws
    )
    smoke.add_argument(
        "fixture", nargs="?", default="sweep", metavar="FIXTURE", help="a built-in one or a project's folder (default: sweep)"
    )
    smoke.add_argument("--chunk-counts", default="2,4,8", metavar="N,N", help="default: 2,4,8")
    smoke.add_argument("--psnr-threshold", type=float, default=40.0, metavar="DB", help="decibels that a render must reach (default: 40)")
    smoke.add_argument("--reserved-concurrency", type=int, metavar="N", help="of the stack's function; default: none is reserved")
    smoke.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a stack parameter; may be repeated")
    code = smoke.add_mutually_exclusive_group()
    code.add_argument("--code", metavar="ZIP", help="path or s3://bucket/key of the code; default: what build makes")
    code.add_argument("--slim", action="store_true", help="what build --slim makes, for the embedded endpoint")
    smoke.add_argument("--keep-stack", action="store_true", help="leave stack and bucket, and say how to delete them")
    _output(smoke, "smoke")


def _eval(verbs: Verbs) -> None:
    evaluate = verbs.add(
        "eval", "evaluation.evaluate", "render on this machine and on the stack, and compare time, cost and picture", verbs.stack
    )
    evaluate.add_argument("fixtures", nargs="*", metavar="FIXTURE", help="built-in ones or projects' folders; default: all built-in ones")
    evaluate.add_argument("--iterations", type=int, default=3, metavar="N", help="of which the median is taken (default: 3)")
    _output(evaluate, "eval")


def _output(parser: argparse.ArgumentParser, name: str) -> None:
    words = f"receives results.json, renders and histories (default: evaluation/{name})"
    parser.add_argument("--output", type=Path, default=Path("evaluation") / name, metavar="DIR", help=words)
