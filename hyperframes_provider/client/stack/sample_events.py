"""Events for the function by hand: JSON files whose texts may hold `${Name}`, and the samples for the three roles that come with the stack.

A sample knows where a render keeps its files; what is in S3, and what it is called there, says whoever fills it in.
"""

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
    """An event that is not filled in yet."""

    path: Path
    document: Any

    @property
    def names(self) -> list[str]:
        """The names that stand for something, in their order."""
        return list(dict.fromkeys(_PLACEHOLDER.findall(json.dumps(self.document))))

    @property
    def buckets(self) -> list[str]:
        """The buckets that it names itself, in their order."""
        return list(dict.fromkeys(_BUCKET.findall(json.dumps(self.document))))

    def filled(self, values: Mapping[str, str]) -> Any:
        """The event; a text that is one name alone, and gets a whole number, becomes a number. `InvalidRequest` names what is missing."""
        missing = [name for name in self.names if name not in values]
        if missing:
            example = " ".join(f"--set {name}=…" for name in missing)
            raise InvalidRequest(f"{self.path} leaves open: {', '.join(missing)}", hint=f"hyperframes-airflow invoke … {example}")
        return _fill(self.document, values)


def sample_names() -> list[str]:
    """The samples that come with the stack."""
    return sorted(path.stem for path in (cfn_folder() / "events").glob("*.json"))


def load_event(name: str) -> SampleEvent:
    """The file `name`, else the sample of that name; `InvalidRequest` when there is neither, or no JSON in it."""
    path = Path(name)
    if not path.is_file():
        if name not in sample_names():
            raise InvalidRequest(f"there is no file {name}", hint=f"Name a file, or a sample: {', '.join(sample_names())}.")
        path = cfn_folder() / "events" / f"{name}.json"
    try:
        return SampleEvent(path, json.loads(path.read_bytes()))
    except ValueError as error:
        raise InvalidRequest(f"{path} is not JSON: {error}", hint="An event is one JSON object.") from error


def _fill(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, Mapping):
        return {name: _fill(value, values) for name, value in part.items()}
    if isinstance(part, list):
        return [_fill(value, values) for value in part]
    if not isinstance(part, str):
        return part
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], part)
    return int(text) if _PLACEHOLDER.fullmatch(part) and _WHOLE_NUMBER.fullmatch(text) else text
