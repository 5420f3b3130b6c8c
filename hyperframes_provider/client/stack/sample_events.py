"""Events for manual invocations: JSON files with `${Name}` placeholders, and the samples for the three roles that ship with the stack."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.stack.template import cfn_folder

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z][A-Za-z0-9]*)\}")
_WHOLE_NUMBER = re.compile(r"-?\d{1,15}")
_BUCKET = re.compile(r"s3://([^/$]+)/")


@dataclass(frozen=True)
class SampleEvent:
    """An event with placeholders."""

    path: Path
    document: Any

    @property
    def names(self) -> list[str]:
        """Names of the placeholders, in order."""
        return list(dict.fromkeys(_PLACEHOLDER.findall(json.dumps(self.document))))

    @property
    def buckets(self) -> list[str]:
        """Buckets that the event names literally, in order."""
        return list(dict.fromkeys(_BUCKET.findall(json.dumps(self.document))))

    def filled(self, values: Mapping[str, str]) -> Any:
        """Fill in the placeholders; raise `InvalidRequest` if one has no value.

        A string that consists of one placeholder becomes a number if its value is an integer.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            example = " ".join(f"--set {name}=…" for name in missing)
            raise InvalidRequest(f"{self.path} has no value for: {', '.join(missing)}", hint=f"hyperframes-airflow invoke … {example}")
        return _fill(self.document, values)


def sample_names() -> list[str]:
    """Return the names of the samples that ship with the stack."""
    return sorted(path.stem for path in (cfn_folder() / "events").glob("*.json"))


def load_event(name: str) -> SampleEvent:
    """Load the file `name`, or else the sample with that name; raise `InvalidRequest` if neither exists or it is not JSON."""
    path = Path(name)
    if not path.is_file():
        if name not in sample_names():
            raise InvalidRequest(f"there is no file {name}", hint=f"Pass a file or the name of a sample: {', '.join(sample_names())}.")
        path = cfn_folder() / "events" / f"{name}.json"
    try:
        return SampleEvent(path, json.loads(path.read_bytes()))
    except ValueError as error:
        raise InvalidRequest(f"{path} is not JSON: {error}", hint="An event is a JSON object.") from error


def _fill(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, Mapping):
        return {name: _fill(value, values) for name, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, values) for value in part]
    if not isinstance(part, str):
        return part
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], part)
    return int(text) if _PLACEHOLDER.fullmatch(part) and _WHOLE_NUMBER.fullmatch(text) else text
