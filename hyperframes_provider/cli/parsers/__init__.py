"""What can be typed: a module for each group of verbs, with a function `register` that adds them and their options.

A new verb is one call of `Verbs.add` in the module of its group, and the function that it names. Nothing here imports what a verb does.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import NoReturn

from hyperframes_provider.cli.parsers.verbs import Verbs

GROUPS = (
    "machine",
    "authoring",
    "local",
    "stack",
    "policies",
    "sandbox",
    "renders",
    "evaluation",
    "demo",
)
"""The modules with a `register`, in the order of the help."""


class UsageError(SystemExit):
    """What was typed is no command; it has been said on stderr.

    :param message: argparse's sentence
    """

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: error: {message}", file=sys.stderr)
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The whole command line; what it does not take is a `UsageError`."""
    made: argparse.ArgumentParser = _Parser(
        prog="hyperframes-airflow", description="Render HTML compositions to video on AWS, or on this machine."
    )
    verbs = Verbs(made.add_subparsers(metavar="VERB", required=True))
    for group in GROUPS:
        import_module(f"hyperframes_provider.cli.parsers.{group}").register(verbs)
    return made


__all__ = ["GROUPS", "UsageError", "Verbs", "parser"]
