"""Configuration with templates: validate the literal part when the DAG is parsed, and read the rest after rendering."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hyperframes_lambda.contract.config import parse_config
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.request.request import merge_variables

_MARKS = ("{{", "{%", "{#")


def is_template(value: object) -> bool:
    """Whether `value` is or contains a Jinja string or another task's result, which are known only when the task runs."""
    if isinstance(value, str):
        return any(mark in value for mark in _MARKS)
    if isinstance(value, Mapping):
        return any(is_template(item) for item in (*value.keys(), *value.values()))
    if isinstance(value, (list, tuple, set)):
        return any(is_template(item) for item in value)
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


def templated_fields(config: object) -> frozenset[str]:
    """Return the fields of `config` that contain a template."""
    return frozenset(name for name, value in config.items() if is_template(value)) if isinstance(config, Mapping) else frozenset()


def check_literal_config(config: object, variables: object) -> None:
    """Validate the literal values; raise `INVALID_CONFIG` or `InvalidRequest` for those that no rendering can correct."""
    known_config = isinstance(config, Mapping)
    if config is not None and not known_config and not is_template(config):
        raise InvalidRequest(f"config: {config!r} is not a mapping of field names to values")
    if variables is not None and not isinstance(variables, Mapping) and not is_template(variables):
        raise InvalidRequest(f"variables: {variables!r} is not a mapping of names to values")
    fields = dict(config) if isinstance(config, Mapping) else {}
    if isinstance(variables, Mapping):
        fields = merge_variables(fields, variables)
    parse_config({name: value for name, value in fields.items() if not is_template(name) and not is_template(value)})


def rendered_config(config: object, templated: frozenset[str]) -> dict[str, Any]:
    """Return the configuration after rendering.

    Templates render to text. A field in `templated` whose text spells a number or a boolean becomes that value; a mapping that was
    rendered as a whole is read as JSON.
    """
    fields = rendered_mapping(config, "config")
    return {name: _scalar(value) if name in templated and name != "variables" else value for name, value in fields.items()}


def rendered_mapping(value: object, where: str) -> dict[str, Any]:
    """Return a rendered mapping, parsed if it is the text of a JSON object; raise `InvalidRequest` for anything else."""
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidRequest(f"{where}: {value!r} is not a JSON object", hint="Render mappings with the tojson filter.") from None
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{where}: {value!r} is not a mapping of names to values")
    return dict(value)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        spelled = json.loads(value)
    except ValueError:
        return value
    return spelled if isinstance(spelled, (bool, int, float)) else value
