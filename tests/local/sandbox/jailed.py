"""Helpers of the sandbox's tests: a probe function and a running environment."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from hyperframes_provider.local import processes
from hyperframes_provider.local.functions.environment import Environment, FunctionConfig, InvocationResult
from hyperframes_provider.local.sandbox.code import BUNDLE_RECORD, unpack
from hyperframes_provider.local.sandbox.variables import JAIL_VARIABLES, lambda_variables


def probe_zip(**files: bytes) -> bytes:
    """Pack the probe, which needs no packages."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(Path(__file__).with_name("probe_function.py"), "probe.py")
        archive.writestr(BUNDLE_RECORD, "{}")
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def probe_config(folder: Path, endpoint: str = "http://127.0.0.1:9", *, archive: bytes | None = None, **changes: Any) -> FunctionConfig:
    code = unpack(io.BytesIO(archive or probe_zip()), folder / "code")
    variables = {**lambda_variables("probe", "probe.handler", 512, "python3.13", "us-east-1", endpoint), **JAIL_VARIABLES}
    config = FunctionConfig(
        "arn:aws:lambda:us-east-1:123456789012:function:probe", "probe.handler", code, 512, 20.0, tuple(variables.items())
    )
    return replace(config, **changes)


@dataclass
class Running:
    """An environment and the lines that it logged."""

    environment: Environment
    said: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, config: FunctionConfig, scratch_dir: Path | None = None) -> Running:
        said: list[str] = []
        return cls(Environment(config, {}, said.append, scratch_dir=scratch_dir), said)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.environment.close()

    def invoke(self, **event: Any) -> InvocationResult:
        return self.environment.invoke(json.dumps(event).encode())

    def answer(self, **event: Any) -> Any:
        """Return the handler's answer; fail if the invocation failed."""
        result = self.invoke(**event)
        assert not result.failed, result.payload
        return json.loads(result.payload)

    def error(self, **event: Any) -> Mapping[str, Any]:
        result = self.invoke(**event)
        assert result.failed
        found: Mapping[str, Any] = json.loads(result.payload)
        return found

    def inside(self) -> list[psutil.Process]:
        return processes.tree(self.environment.enclosure.process.pid)
