"""The slim code ZIP: the handler and the engine's sources, without browser, ffmpeg or Python dependencies.

The embedded endpoint uses it, because its functions run in this machine's Python environment with its tools. The same sources make the same
bytes, so that a deploy without changes does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.aws.zips import Entry, write_zip

PACKAGE = "hyperframes_lambda"

HANDLER_NAME = "handler.py"

HANDLER_SOURCE = '''"""What the function's `Handler` setting, `handler.handler`, names."""

from hyperframes_lambda.entry.handler import handler, stay_ready

__all__ = ["handler"]

stay_ready()
'''
"""Content of `handler.py`. It is stored here because an installed wheel contains only the package."""


class EngineMissing(HyperFramesClientError):
    """The installation lacks the engine's sources."""

    retryable = False


def build_slim_zip(path: Path) -> str:
    """Write the ZIP to `path`, create its folder, and return the file's SHA-256 in hexadecimal.

    Entries are not compressed, because the output of zlib differs between versions.
    """
    return write_zip(path, engine_entries())


def engine_entries() -> Iterator[Entry]:
    """Yield the handler and every file of the engine's package."""
    yield Entry(HANDLER_NAME, HANDLER_SOURCE.encode())
    root = _package_folder()
    for file in root.rglob("*"):
        relative = file.relative_to(root)
        if file.is_file() and file.suffix != ".pyc" and not any(part.startswith((".", "__pycache__")) for part in relative.parts):
            yield Entry(f"{PACKAGE}/{relative.as_posix()}", file.read_bytes())


def _package_folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing(f"the Python package {PACKAGE} is not installed", hint="Reinstall hyperframes-provider; its wheel contains it.")
    return Path(next(iter(spec.submodule_search_locations)))
