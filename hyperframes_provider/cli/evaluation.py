"""`smoke` and `eval`: run an evaluation and report it on the console and as `results.json`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import FAILED, WrongRequest
from hyperframes_provider.cli.values import pairs

_SMOKE = "hyperframes-airflow smoke --chunk-counts 2,4,8"


def smoke(options: argparse.Namespace, console: Console) -> int:
    """Deploy, render, compare and delete; exit with 1 if the comparison fails."""
    from hyperframes_provider.evaluation.fixtures import find
    from hyperframes_provider.evaluation.smoke import SmokeOptions, run_smoke

    parameters: dict[str, object] = dict(pairs(options.parameter, "--parameter", f"{_SMOKE} --parameter LambdaMemoryMb=4096"))
    if options.reserved_concurrency is not None:
        parameters["ReservedConcurrency"] = options.reserved_concurrency
    wanted = SmokeOptions(
        fixture=find(options.fixture),
        output=options.output,
        code=options.code,
        build_code=None if options.slim else _bundle,
        chunk_counts=_counts(options.chunk_counts),
        psnr_threshold=options.psnr_threshold,
        parameters=parameters,
        keep_stack=options.keep_stack,
    )
    reach = connect(options)
    with console.moving("smoke") as line:

        def say(text: str) -> None:
            console.line("smoke", text)
            line.show("")

        document = run_smoke(reach, wanted, say=say, on_event=lambda event: line.show(str(event)))
    console.line("smoke", "passed" if document["passed"] else "failed", str(options.output / "results.json"))
    console.result(document)
    return 0 if document["passed"] else FAILED


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Render on this machine and on the stack, and compare; exit with 1 if a fixture fails."""
    from hyperframes_provider.evaluation.compare import EvalOptions, run_eval, table
    from hyperframes_provider.evaluation.fixtures import built_in, find

    fixtures = [find(name) for name in options.fixtures] or built_in()
    wanted = EvalOptions(fixtures, options.stack_name, options.output, options.iterations)
    document = run_eval(connect(options), wanted, say=lambda text: console.line("eval", text))
    for line in table(document):
        console.say(line)
    console.line("eval", str(options.output / "results.json"))
    console.result(document)
    return 0 if document["passed"] else FAILED


def _bundle() -> Path:
    from hyperframes_provider.bundle import ensure_bundle

    return ensure_bundle()


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise WrongRequest(f"--chunk-counts {text!r}: give numbers separated by commas", hint=_SMOKE) from error
