"""The probe of `check`, appended to the virtual time script of a served project."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

_VIRTUAL_TIME = "__hyperframes/virtual_time.js"


def with_probe(files: Mapping[str, tuple[Path, str]], folder: Path) -> dict[str, tuple[Path, str]]:
    """Return `files` with a virtual time script that includes probe.js. The changed script is written to `folder`."""
    path, content_type = files[_VIRTUAL_TIME]
    probe = resources.files("hyperframes_lambda.composition").joinpath("scripts", "probe.js").read_bytes()
    probed = folder / "virtual_time_with_probe.js"
    probed.write_bytes(path.read_bytes() + b"\n" + probe)
    return {**files, _VIRTUAL_TIME: (probed, content_type)}
