"""Run a verb of the command line and report its error. `parsers` defines the verbs.

Exit codes: 0 success, 1 failure, 2 wrong request, 130 interrupted (which also cancels the render).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import explain
from hyperframes_provider.cli.parsers import UsageError, parser

INTERRUPTED = 130

Verb = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb and return the exit code."""
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser().parse_args(typed)
    except UsageError as error:
        if "--json" in typed:
            Console(as_json=True).error("UsageError", error.message, "hyperframes-airflow --help")
        raise
    console = Console(as_json=options.json)
    # `kill` must clean up like Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        module, function = options.verb
        verb: Verb = getattr(import_module(f"hyperframes_provider.cli.{module}"), function)
        return verb(options, console)
    except KeyboardInterrupt:
        console.fail("Interrupted", "interrupted", "")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, as `head` does; the interpreter's last flush must not complain about it either.
        sys.stdout = None
        return 0
    except Exception as error:
        fault = explain(error)
        if fault is None:
            console.error(type(error).__name__, str(error), "")
            raise
        console.fail(fault.kind, fault.message, fault.hint, code=fault.code)
        return fault.exit_code


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
