"""`python -m hyperframes_lambda.authoring VERB PROJECT --config JSON`: print one JSON document for the provider's command line.

The exit code is 0 with the verb's answer, 1 with a `Failure`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperframes_lambda.authoring import check, info, measure, snapshot
from hyperframes_lambda.contract.authoring import Failure
from hyperframes_lambda.contract.config import parse_config
from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.machine.workspace import workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb, print its document and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        answer = _answer(options)
    except RenderError as error:
        failure = Failure(code=error.code, message=error.message, hint=error.hint)
        print(failure.model_dump_json(by_alias=True))
        return 1
    print(json.dumps(answer, ensure_ascii=False))
    return 0


def _answer(options: argparse.Namespace) -> Any:
    config = parse_config(json.loads(options.config))
    with workspace() as work:
        if options.verb == "snapshot":
            pictures = snapshot(options.project, config, options.at, options.output, work)
            return [picture.model_dump(mode="json", by_alias=True) for picture in pictures]
        verb = {"info": info, "check": check, "measure": measure}[options.verb]
        return verb(options.project, config, work).model_dump(mode="json", by_alias=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hyperframes_lambda.authoring", description="Look at a project without rendering it.")
    parser.add_argument("verb", choices=("info", "check", "measure", "snapshot"))
    parser.add_argument("project", type=Path)
    parser.add_argument("--config", default="{}", metavar="JSON", help="a RenderConfig")
    parser.add_argument("--at", type=float, action="append", default=[], metavar="SECONDS", help="snapshot: a moment; may be repeated")
    parser.add_argument("--output", type=Path, metavar="DIR", help="snapshot: the folder that receives the pictures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
