"""Bring every pinned part into the user cache, then write `toolset.json`.

Safe to kill at any moment: each part appears by one rename, unfinished work lies in a scratch folder that the next setup clears, and
concurrent setups take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, Browser, ChromeSource, Npm, Tool, Toolset, cache_home, toolset_path
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.fetch import npm_client
from hyperframes_provider.toolset.fonts import font_catalogue, fonts_conf, fonts_version
from hyperframes_provider.toolset.installed import InstalledPart, find_part, flush_folder, install_part, probe_version
from hyperframes_provider.toolset.part import Part, Role
from hyperframes_provider.toolset.pins import BROWSER_PROBE, PARTS
from hyperframes_provider.toolset.report import SetupReporter, Silent

_OWN_CHROME = "Add the browser to that file, or type: env -u HYPERFRAMES_TOOLSET hyperframes-airflow setup --chrome PATH"
_LOCK = "setup.lock"
_UNPACKED_FACTOR = 6
"""Free bytes needed for each byte of archive: the archive twice, and its unpacked content."""
_FETCHED_AT_ONCE = 8
"""Limited because each fetch runs a package manager, which takes memory."""


def ensure_toolset(
    progress: SetupReporter | None = None,
    *,
    chrome: Path | None = None,
    path: Path | None = None,
    parts: Sequence[Part] = PARTS,
) -> Path:
    """Install the missing parts and return the path of `toolset.json`. Takes milliseconds and no network if nothing is missing.

    :param progress: receives every step
    :param chrome: an existing chrome-headless-shell to register as the source `chrome-headless-shell`, beside the pinned browser
    :param path: the `toolset.json` to write, with the parts beside it; default `toolset_path()`
    :param parts: the parts to install

    If `HYPERFRAMES_TOOLSET` names a toolset that another program wrote, returns its path and changes nothing. Raises `ToolsetError`.
    """
    if path is None and own_toolset() is not None:
        if chrome is not None:
            raise ToolsetError(f"{TOOLSET_VARIABLE} names a toolset of your own, which setup does not change", hint=_OWN_CHROME)
        return toolset_path()
    path = (path or toolset_path()).absolute()
    reporter = progress or Silent()
    _require_linux()
    if chrome is None and _is_complete(path, parts):
        return path
    registered = None if chrome is None else _own_chrome(chrome)
    with locked(path.parent / _LOCK, "setup", reporter.waiting):
        with _scratch(path.parent / "setup.tmp") as scratch:
            installed = _install(parts, path.parent / "parts", scratch, reporter)
        _replace(_fonts_conf(path), fonts_conf(installed, path.parent / "fontconfig"))
        _replace(_catalogue(path), font_catalogue(installed, path.parent).model_dump_json(indent=1))
        _replace(path, _toolset(path, installed, registered).model_dump_json(indent=1))
        flush_folder(path.parent)
    return path


def ensure_part(part: Part) -> InstalledPart:
    """Install a part that is not in the toolset into the same cache, if it is missing; raise `ToolsetError` on failure."""
    return ensure_parts((part,))[0]


def ensure_parts(parts: Sequence[Part], progress: SetupReporter | None = None) -> list[InstalledPart]:
    """Install those of the parts that the user cache lacks; raise `ToolsetError` on failure."""
    reporter = progress or Silent()
    folder = cache_home() / "parts"
    found = _sound(parts, folder)
    if len(found) < len(parts):
        _require_linux()
        with locked(folder.parent / _LOCK, "setup", reporter.waiting), _scratch(folder.parent / "setup.tmp") as scratch:
            found = _install(parts, folder, scratch, reporter)
    return found


def own_toolset() -> Toolset | None:
    """Return the toolset that `HYPERFRAMES_TOOLSET` names if another program wrote it; setup leaves such a toolset alone."""
    if TOOLSET_VARIABLE not in os.environ:
        return None
    path = toolset_path().absolute()
    return None if (path.parent / "parts").is_dir() else read_toolset(path)


def read_toolset(path: Path) -> Toolset | None:
    """Return the toolset in the file `path`, or None if it is missing or invalid."""
    try:
        return Toolset.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _is_complete(path: Path, parts: Sequence[Part]) -> bool:
    found = _sound(parts, path.parent / "parts")
    return (
        len(found) == len(parts)
        and read_toolset(path) == _toolset(path, found, None)
        and all(file.is_file() for file in (_fonts_conf(path), _catalogue(path)))
    )


def _sound(parts: Sequence[Part], folder: Path) -> list[InstalledPart]:
    found = (find_part(part, folder) for part in parts)
    return [part for part in found if part is not None and part.damage(thoroughly=False) is None]


def _install(parts: Sequence[Part], folder: Path, scratch: Path, reporter: SetupReporter) -> list[InstalledPart]:
    present = {found.part: found for found in _sound(parts, folder)}
    missing = [part for part in parts if part not in present]
    if missing:
        _require_room(folder, _UNPACKED_FACTOR * sum(part.size for part in missing))
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(min(len(missing), _FETCHED_AT_ONCE)) as pool:
            for found in pool.map(lambda part: install_part(part, folder, scratch / part.name, reporter), missing):
                present[found.part] = found
    return [present[part] for part in parts]


def _toolset(path: Path, installed: Sequence[InstalledPart], chrome: Browser | None) -> Toolset:
    """Return the toolset of these parts. An earlier registered chrome-headless-shell stays while it exists."""
    browsers: dict[ChromeSource, Browser] = {}
    tools: dict[Role, Tool] = {}
    libraries: dict[str, Tool] = {}
    for found in installed:
        tool = Tool(path=found.main, version=found.record.version)
        if found.part.role is Role.BROWSER:
            browsers[ChromeSource.SPARTICUZ] = Browser(
                path=tool.path, version=tool.version, library_path=found.library_path, fontconfig=_fonts_conf(path)
            )
        elif found.part.role is Role.LIBRARY:
            libraries[found.part.name] = tool
        elif found.part.role is not Role.FONT:
            tools[found.part.role] = tool
    earlier = read_toolset(path)
    own = chrome or (earlier.browsers.get(ChromeSource.CHROME_HEADLESS_SHELL) if earlier else None)
    if own is not None and own.path.exists():
        # It uses the pinned fonts, so that both browsers draw the same text.
        browsers[ChromeSource.CHROME_HEADLESS_SHELL] = own.model_copy(update={"fontconfig": _fonts_conf(path)})
    return Toolset(
        browsers=browsers,
        ffmpeg=tools[Role.FFMPEG],
        runtime=tools[Role.RUNTIME],
        libraries=libraries,
        fonts=Tool(path=_catalogue(path), version=fonts_version(installed, path.parent)),
        npm=_npm(path),
    )


def _npm(path: Path) -> Npm | None:
    client = npm_client()
    return None if client is None else Npm(node=client[0], cli=client[1], packages=path.parent / "packages")


def _fonts_conf(path: Path) -> Path:
    return path.parent / "fonts.conf"


def _catalogue(path: Path) -> Path:
    return path.parent / "fonts.json"


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _own_chrome(chrome: Path) -> Browser:
    if not chrome.is_file():
        raise ToolsetError(
            f"--chrome: the file {chrome} does not exist",
            hint="Name an existing chrome-headless-shell: hyperframes-airflow setup --chrome PATH",
        )
    program = chrome.resolve()
    return Browser(path=program, version=probe_version(program, BROWSER_PROBE, None))


def _require_linux() -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise ToolsetError(
            f"the pinned parts are built for Linux on x86-64; this is {sys.platform} on {platform.machine()}",
            hint="Render against an AWS stack from here, or set up on an x86-64 Linux machine: hyperframes-airflow setup",
        )


def _require_room(folder: Path, wanted: int) -> None:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < wanted:
        raise ToolsetError(
            f"{existing} has {free / 1e6:.0f} MB free; setup needs {wanted / 1e6:.0f} MB",
            hint="Free some space, or choose another cache: XDG_CACHE_HOME=/some/where hyperframes-airflow setup",
        )


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a new folder to work in. Each setup needs its own, because the npm of a killed setup may still be writing."""
    # Anything here is left from a killed setup: the lock excludes a running one.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    try:
        yield Path(tempfile.mkdtemp(dir=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(lock: Path, again: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the file `lock`, making its folder; the operating system releases it however the process ends.

    :param again: the command to type after the cache folder has been corrected
    :param waiting: called if another process holds the lock
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise ToolsetError(
            f"the cache folder {lock.parent} cannot be written: {error.strerror}",
            hint=f"Choose another: XDG_CACHE_HOME=/some/where hyperframes-airflow {again}",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
