"""What can be typed: a module for each group of verbs, with a function `register` that adds them and their options.

A new verb is one call of `Verbs.add` in the module of its group, and the function that it names. Nothing here imports what a verb does.
"""

from __future__ import annotations

import argparse
from importlib import import_module

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


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(prog="hyperframes-airflow", description="Render HTML compositions to video on AWS, or on this machine.")
    verbs = Verbs(made.add_subparsers(metavar="VERB", required=True))
    for group in GROUPS:
        import_module(f"hyperframes_provider.cli.parsers.{group}").register(verbs)
    return made


__all__ = ["GROUPS", "Verbs", "parser"]
