"""The Python that runs a complete ZIP: one of the runtime's minor version if this machine has one, else the current one.

It comes with the Runtime Interface Client, which Lambda's runtime contains and the ZIP does not. The current interpreter cannot load the
ZIP's native modules, which are built for the runtime's version, and uses this environment's packages instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from hyperframes_provider.local.errors import EndpointError
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.runtime_client import RUNTIME_CLIENT
from hyperframes_provider.toolset.setup import ensure_part

_PROBE = """
import json, platform, site, sys
print(json.dumps({
    "version": platform.python_version(), "prefix": sys.base_prefix, "sites": site.getsitepackages([sys.base_prefix]),
    "plain": sys.implementation.name == "cpython" and platform.machine() == "x86_64" and not sys.abiflags,
}))
"""
_PROBE_SECONDS = 20.0
_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
"""Distributions of the Runtime Interface Client in this environment."""

_FOR_OLDER = ("backports",)
"""Packages that the engine needs on a Python older than the runtime's, so a ZIP lacks them."""


@dataclass(frozen=True)
class Interpreter:
    """A Python installation and its additional packages."""

    version: str
    prefix: Path
    program: str
    """Relative to `prefix`."""
    sites: tuple[str, ...]
    """Folders of installed packages, relative to `prefix`; they are hidden from a function."""
    wanted: str
    """The minor version of the function's runtime."""
    client: tuple[Path, ...]
    """Modules and packages of the Runtime Interface Client."""
    reason: str = ""
    """Reason why this is not the runtime's version."""

    @property
    def matches(self) -> bool:
        """Whether this is the runtime's minor version."""
        return self.version.startswith(f"{self.wanted}.")

    def substitutes(self, code: Path) -> Substitutes:
        """Return the replacements for modules in `code` that this interpreter cannot load."""
        if self.matches:
            return Substitutes((), ())
        installed = {path.name.partition(".")[0]: path for path in _installed()}
        foreign = sorted(_foreign_modules(code))
        return Substitutes(
            tuple(installed[name] for name in (*foreign, *_FOR_OLDER) if name in installed),
            tuple(name for name in foreign if name not in installed),
        )


@dataclass(frozen=True)
class Substitutes:
    """Packages of this environment: native ones in place of a ZIP's for another Python, and those that an older Python needs."""

    found: tuple[Path, ...]
    missing: tuple[str, ...]
    """Packages that are not installed here, so the function cannot import them."""


@lru_cache
def find_interpreter(runtime: str) -> Interpreter:
    """Return the interpreter for a function whose `Runtime` is `runtime`, such as `python3.13`. The answer is cached."""
    wanted = runtime.removeprefix("python")
    own = _probe(Path(sys.executable))
    if own is None:
        raise EndpointError(f"{sys.executable} cannot run functions. Install a CPython for x86-64, and this package in it.")
    reason = f"no Python {wanted} is on this machine"
    if not own[0].startswith(f"{wanted}."):
        for program in _candidates(wanted):
            found = _probe(program)
            if found is None or not found[0].startswith(f"{wanted}."):
                continue
            try:
                return _interpreter(found, wanted, tuple(_fetched_client(wanted)))
            except ToolsetError as error:
                reason = f"{program} exists, but its Runtime Interface Client could not be installed: {error.message}"
                break
    matches = own[0].startswith(f"{wanted}.")
    return _interpreter(own, wanted, tuple(_own_client()), "" if matches else reason)


def _interpreter(probed: tuple[str, Path, tuple[str, ...]], wanted: str, client: tuple[Path, ...], reason: str = "") -> Interpreter:
    version, prefix, sites = probed
    minor = ".".join(version.split(".")[:2])
    return Interpreter(version, prefix, f"bin/python{minor}", sites, wanted, client, reason)


def _candidates(minor: str) -> Iterator[Path]:
    """Yield the places where a Python may be, the user's choice first."""
    name = f"python{minor}"
    home = Path.home()
    for folder in (*os.get_exec_path(), "/usr/local/bin", "/usr/bin"):
        yield Path(folder, name)
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for versions, pattern in ((pyenv, f"{minor}.*"), (managed, f"cpython-{minor}.*")):
        yield from (found / "bin" / name for found in sorted(versions.glob(pattern), reverse=True))


def _probe(program: Path) -> tuple[str, Path, tuple[str, ...]] | None:
    """Run `program`, which may be a shim or in a virtual environment; return its installation's version, prefix and site folders."""
    if not os.access(program, os.X_OK):
        return None
    try:
        done = subprocess.run(
            [program, "-I", "-c", _PROBE], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_PROBE_SECONDS, check=False
        )
        answer = json.loads(done.stdout)
        prefix = Path(answer["prefix"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return None  # a broken installation is skipped
    version = str(answer["version"])
    if not answer["plain"] or not (prefix / "bin" / f"python{'.'.join(version.split('.')[:2])}").exists():
        return None
    found = (Path(site) for site in answer["sites"])
    sites = tuple(str(site.relative_to(prefix)) for site in found if site.is_relative_to(prefix) and site.is_dir())
    return (version, prefix, sites) if sites else None


def _fetched_client(minor: str) -> Iterator[Path]:
    if minor not in RUNTIME_CLIENT:
        raise ToolsetError(f"none is pinned for Python {minor}", hint="Use the runtime python3.13.")
    for part in RUNTIME_CLIENT[minor]:
        installed = ensure_part(part)
        yield from (path for path in installed.folder.iterdir() if path.suffix in ("", ".py", ".so") and path.name != "licenses")


def _own_client() -> Iterator[Path]:
    for name in _CLIENT:
        yield from _top_level(metadata.distribution(name))


@lru_cache
def _installed() -> tuple[Path, ...]:
    return tuple(path for distribution in metadata.distributions() for path in _top_level(distribution))


def _top_level(distribution: metadata.Distribution) -> set[Path]:
    files = distribution.files or ()
    names = {
        file.parts[0]
        for file in files
        if not file.parts[0].endswith((".dist-info", ".data")) and file.parts[0] not in ("..", "__pycache__")
    }
    return {Path(str(distribution.locate_file(name))) for name in names}


def _foreign_modules(code: Path) -> set[str]:
    """Return top-level names in `code` with native modules for another Python than this one, judged by their file names."""
    return {
        path.relative_to(code).parts[0].partition(".")[0]
        for path in code.rglob("*.so")
        if ".cpython-" in path.name and not path.name.endswith(str(sysconfig.get_config_var("EXT_SUFFIX")))
    }
