"""`smoke` and `eval`: check a deployed renderer, and measure its speed and cost."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, pairs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _smoke(verbs)
    _eval(verbs)


def _smoke(verbs: Verbs) -> None:
    text = "deploy a temporary stack, render with several chunk counts, compare, and delete everything"
    smoke = verbs.add("smoke", "evaluation.smoke", text, verbs.aws)
    fixture = "a built-in fixture or a project folder (default: sweep)"
    smoke.add_argument("fixture", nargs="?", default="sweep", metavar="FIXTURE", help=fixture)
    smoke.add_argument("--chunk-counts", default="2,4,8", metavar="N,N", help="numbers of chunks to render with (default: 2,4,8)")
    smoke.add_argument("--psnr-threshold", type=float, default=40.0, metavar="DB", help="PSNR that a render must reach (default: 40)")
    smoke.add_argument("--reserved-concurrency", type=int, metavar="N", help="reserved concurrency of the stack's function (default: none)")
    pairs(smoke, "--parameter", "a stack parameter")
    code = smoke.add_mutually_exclusive_group()
    code.add_argument("--code", metavar="ZIP", help="path or s3://bucket/key of the code (default: the ZIP of build)")
    code.add_argument("--slim", action="store_true", help="use the ZIP of build --slim, for the embedded endpoint")
    smoke.add_argument("--keep-stack", action="store_true", help="keep stack and bucket, and print how to delete them")
    _output(smoke, "smoke")


def _eval(verbs: Verbs) -> None:
    text = "render on this machine and on the stack, and compare time, cost and pictures"
    evaluate = verbs.add("eval", "evaluation.evaluate", text, verbs.stack)
    evaluate.add_argument("fixtures", nargs="*", metavar="FIXTURE", help="built-in fixtures or project folders (default: all built-in)")
    evaluate.add_argument("--iterations", type=int, default=3, metavar="N", help="renders of each fixture, for the median (default: 3)")
    _output(evaluate, "eval")


def _output(parser: argparse.ArgumentParser, name: str) -> None:
    words = f"folder for results.json, renders and histories (default: evaluation/{name})"
    parser.add_argument("--output", type=Path, default=Path("evaluation") / name, metavar="DIR", help=words)
