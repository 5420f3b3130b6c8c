"""`NAME=VALUE` arguments, and the render configuration from the options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.config import RenderConfig, parse_config
from hyperframes_provider.cli.faults import WrongRequest

_RENDER = 'hyperframes-airflow render PROJECT -o OUT.mp4 --var title="Week 47"'
_FIELDS = (
    "fps",
    "width",
    "height",
    "format",
    "quality",
    "crf",
    "bitrate",
    "chunk_size",
    "max_parallel_chunks",
    "entry_file",
    "strict_variables",
    "sidecars",
    "allowed_hosts",
)


def pairs(given: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Return `["a=1"]` as a mapping; raise `WrongRequest` if `=` is missing or a name occurs twice."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise WrongRequest(f"{option} {pair!r}: give NAME=VALUE", hint=example)
        if name in found:
            raise WrongRequest(f"{option} {name}: given twice", hint=example)
        found[name] = value
    return found


def render_config(options: argparse.Namespace) -> RenderConfig:
    """Return the configuration from the options of a verb; raise `INVALID_CONFIG` with the name of a wrong field."""
    given = {name: getattr(options, name, None) for name in _FIELDS}
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted |= {name: _value(text) for name, text in pairs(getattr(options, "set", ()), "--set", "--set codec=h265").items()}
    return parse_config({**wanted, "variables": _variables(options)})


def _variables(options: argparse.Namespace) -> dict[str, Any]:
    text = options.variables or "{}"
    try:
        # JSON never begins with @; a file lifts the 128 kB limit of a command-line argument.
        variables = json.loads(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise WrongRequest(f"--variables {text}: {error.strerror}", hint=_RENDER) from error
    except ValueError as error:
        raise WrongRequest(f"--variables: not JSON: {error}", hint=_RENDER) from error
    if not isinstance(variables, dict):
        raise WrongRequest("--variables: give a JSON object", hint=_RENDER)
    return variables | {name: _value(text) for name, text in pairs(options.var, "--var", _RENDER).items()}


def _value(text: str) -> Any:
    """Read a value as JSON, such as 47 or true; anything else, NaN included, is text."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
