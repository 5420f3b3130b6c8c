"""The slim code ZIP: the handler and the engine's sources, without browser, ffmpeg or Python dependencies.

For the embedded endpoint, whose function processes run in this machine's Python environment and with its tools. The same sources always
make the same bytes, so that a deploy without a change finds nothing to do.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from hyperframes_provider.client.errors import HyperFramesClientError

PACKAGE = "hyperframes_lambda"

HANDLER_NAME = "handler.py"

HANDLER_SOURCE = '''"""What the function's `Handler` setting, `handler.handler`, names."""

from hyperframes_lambda.handler import handler

__all__ = ["handler"]
'''
"""The top of the ZIP. Written here because an installed wheel has the package only."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold: real ones would differ from checkout to checkout."""


class EngineMissing(HyperFramesClientError):
    """The installation lacks the engine's sources."""

    retryable = False


def build_slim_zip(path: Path) -> str:
    """Write the ZIP to `path`, making its folder, and return the file's SHA-256 in hexadecimal.

    Entries are sorted and stored, not compressed: zlib's output differs between its versions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(_entries()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, wherever it is built: the mode below is a Unix one
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _entries() -> Iterator[tuple[str, bytes]]:
    yield HANDLER_NAME, HANDLER_SOURCE.encode()
    root = _package_folder()
    for file in root.rglob("*"):
        relative = file.relative_to(root)
        if file.is_file() and file.suffix != ".pyc" and not any(part.startswith((".", "__pycache__")) for part in relative.parts):
            yield f"{PACKAGE}/{relative.as_posix()}", file.read_bytes()


def _package_folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing(
            f"the Python package {PACKAGE} is not installed", hint="Install hyperframes-provider again; its wheel carries it."
        )
    return Path(next(iter(spec.submodule_search_locations)))
