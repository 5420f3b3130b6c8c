"""`NAME=VALUE` arguments, and the render configuration that the options make."""

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
    """`["a=1"]` as a mapping; `WrongRequest` for one without `=`, or a name that comes twice."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise WrongRequest(f"{option} {pair!r}: NAME=VALUE is needed", hint=example)
        if name in found:
            raise WrongRequest(f"{option} {name}: given twice", hint=example)
        found[name] = value
    return found


def render_config(options: argparse.Namespace) -> RenderConfig:
    """What the options ask for, of `render` or of a verb that takes some of them; `INVALID_CONFIG` names a field that is not accepted."""
    given = {name: getattr(options, name, None) for name in _FIELDS}
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted |= {name: _value(text) for name, text in pairs(getattr(options, "set", ()), "--set", "--set codec=h265").items()}
    return parse_config({**wanted, "variables": _variables(options)})


def _variables(options: argparse.Namespace) -> dict[str, Any]:
    text = options.variables or "{}"
    try:
        # No JSON begins so; and an argument of a command holds 128 kB at most.
        variables = json.loads(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise WrongRequest(f"--variables {text}: {error.strerror}", hint=_RENDER) from error
    except ValueError as error:
        raise WrongRequest(f"--variables: not JSON: {error}", hint=_RENDER) from error
    if not isinstance(variables, dict):
        raise WrongRequest("--variables: an object is needed", hint=_RENDER)
    return variables | {name: _value(text) for name, text in pairs(options.var, "--var", _RENDER).items()}


def _value(text: str) -> Any:
    """47 and true are what they look like; everything that is not JSON is text, and so is what JSON calls NaN."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
