"""A report on everything that a local render needs from this machine: versions, damage, gaps. Changes nothing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hyperframes_lambda.contract.toolset import ChromeSource, Toolset, toolset_path
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.installed import find_part, probe_version
from hyperframes_provider.toolset.part import Part, Role
from hyperframes_provider.toolset.pins import BROWSER_PROBE, PARTS
from hyperframes_provider.toolset.setup import own_toolset, read_toolset

SETUP = "hyperframes-airflow setup"
_PACKAGES = ("apache-airflow", "apache-airflow-providers-amazon", "moto", "awslambdaric", "playwright")
_LEAST_DISK = 2 * 10**9
_LEAST_SHARED_MEMORY = 64 * 10**6


class State(StrEnum):
    """The verdict on one item."""

    OK = "ok"
    MISSING = "missing"
    DAMAGED = "damaged"
    WARNING = "warning"


@dataclass(frozen=True)
class ToolStatus:
    """One line of the doctor's report. `hint` is the next command, if any."""

    name: str
    state: State
    version: str = ""
    detail: str = ""
    hint: str = ""


def inspect(path: Path | None = None, parts: Sequence[Part] = PARTS) -> list[ToolStatus]:
    """Inspect the machine. Hashes every file and runs every program, which takes about two seconds."""
    path = (path or toolset_path()).absolute()
    own = own_toolset()
    tools = _named(own) if own is not None else _parts(parts, path.parent / "parts")
    return [*_machine(path), *_packages(), *tools, *_toolset(path)]


def _parts(parts: Sequence[Part], folder: Path) -> list[ToolStatus]:
    """Return a line for each part, with a single line for all sound fonts."""
    tools = [_part(part, folder) for part in parts if part.role is not Role.FONT]
    fonts = [_part(part, folder) for part in parts if part.role is Role.FONT]
    sound = [status for status in fonts if status.state is State.OK]
    if sound:
        tools.append(ToolStatus("fonts", State.OK, f"{len(sound)} of {len(fonts)}", str(folder)))
    return [*tools, *(status for status in fonts if status.state is not State.OK)]


def _machine(path: Path) -> Iterator[ToolStatus]:
    number = platform.python_version()
    supported = platform.python_version_tuple()[:2] in (("3", "11"), ("3", "12"), ("3", "13"))
    yield ToolStatus("python", State.OK if supported else State.WARNING, number, "" if supported else "tested with 3.11 to 3.13")
    existing = next(parent for parent in path.parents if parent.exists())
    free = shutil.disk_usage(existing).free
    yield _enough("disk", free, _LEAST_DISK, f"free at {existing}", "free some space, or set XDG_CACHE_HOME")
    shared = Path("/dev/shm")
    if shared.is_dir():
        yield _enough("shared memory", shutil.disk_usage(shared).total, _LEAST_SHARED_MEMORY, "/dev/shm", "in a container: --shm-size=256m")
    else:
        yield ToolStatus("shared memory", State.WARNING, "", "/dev/shm does not exist", "in a container: --shm-size=256m")


def _enough(name: str, found: int, least: int, where: str, hint: str) -> ToolStatus:
    size = f"{found / 1e9:.1f} GB" if found >= 10**9 else f"{found / 1e6:.0f} MB"
    if found >= least:
        return ToolStatus(name, State.OK, size, where)
    return ToolStatus(name, State.WARNING, size, f"{where}; at least {least / 1e6:.0f} MB are needed", hint)


def _packages() -> Iterator[ToolStatus]:
    for name in _PACKAGES:
        try:
            yield ToolStatus(name, State.OK, version(name))
        except PackageNotFoundError:
            yield ToolStatus(name, State.MISSING, "", "", 'pip install "hyperframes-provider[local]"')


def _part(part: Part, parts: Path) -> ToolStatus:
    found = find_part(part, parts)
    if found is None:
        return ToolStatus(part.name, State.MISSING, "", f"{part.spec} is not in {parts}", SETUP)
    damage = found.damage(thoroughly=True)
    if damage is not None:
        hint = f"rm -r {found.folder} && {SETUP}"
        return ToolStatus(part.name, State.DAMAGED, found.record.version, damage, hint)
    if part.probe:
        return _program(part.name, found.main, part.probe, found.library_path)
    return ToolStatus(part.name, State.OK, found.record.version, str(found.main))


def _named(toolset: Toolset) -> list[ToolStatus]:
    """Return a line for each tool of a toolset that another program wrote; their hashes are unknown."""
    tools = {"ffmpeg": toolset.ffmpeg, "runtime": toolset.runtime, **toolset.libraries}
    return [
        *(_program(source.value, browser.path, BROWSER_PROBE, browser.library_path) for source, browser in toolset.browsers.items()),
        *(
            _program(name, tool.path, ("-version",), None)
            if name == "ffmpeg"
            else ToolStatus(name, State.OK if tool.path.is_file() else State.MISSING, tool.version, str(tool.path))
            for name, tool in tools.items()
        ),
    ]


def _program(name: str, path: Path, probe: tuple[str, ...], library_path: Path | None) -> ToolStatus:
    try:
        return ToolStatus(name, State.OK, probe_version(path, probe, library_path), str(path))
    except ToolsetError as error:
        return ToolStatus(name, State.DAMAGED, "", error.message, error.hint)


def _toolset(path: Path) -> Iterator[ToolStatus]:
    toolset = read_toolset(path)
    if toolset is None:
        yield ToolStatus("toolset", State.MISSING, "", f"no usable {path}", SETUP)
        return
    yield ToolStatus("toolset", State.OK, "", str(path))
    own = toolset.browsers.get(ChromeSource.CHROME_HEADLESS_SHELL)
    if own is None:
        return
    name = ChromeSource.CHROME_HEADLESS_SHELL.value
    try:
        number = probe_version(own.path, BROWSER_PROBE, own.library_path)
    except ToolsetError as error:
        yield ToolStatus(name, State.DAMAGED, own.version, error.message, f"{SETUP} --chrome PATH")
        return
    if number != own.version:
        yield ToolStatus(name, State.WARNING, number, f"registered as {own.version}", f"{SETUP} --chrome {own.path}")
    else:
        yield ToolStatus(name, State.OK, number, str(own.path))
