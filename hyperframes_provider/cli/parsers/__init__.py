"""The verbs and their options: each group has a module whose function `register` adds its verbs.

A new verb needs a call of `Verbs.add` in the module of its group, and the function that the call names. Nothing here imports a verb's code.
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
"""The modules with a `register` function, in the order of the help."""


class UsageError(SystemExit):
    """The command line is wrong; stderr already has the usage.

    :param message: argparse's error message
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
    """Return the parser of the whole command line, which raises `UsageError`."""
    made: argparse.ArgumentParser = _Parser(
        prog="hyperframes-airflow", description="Render HTML compositions to video on AWS, or on this machine."
    )
    verbs = Verbs(made.add_subparsers(metavar="VERB", required=True))
    for group in GROUPS:
        import_module(f"hyperframes_provider.cli.parsers.{group}").register(verbs)
    return made


__all__ = ["GROUPS", "UsageError", "Verbs", "parser"]
