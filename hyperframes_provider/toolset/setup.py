"""Bring every pinned part into the user cache and write `toolset.json`, last.

Safe to kill at any moment: a part appears by one rename, what was half-done lies in one scratch folder that the next set-up clears, and
two set-ups at a time take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, Browser, ChromeSource, Npm, Tool, Toolset
from hyperframes_provider.toolset.errors import ToolsetError
from hyperframes_provider.toolset.fetch import npm_client
from hyperframes_provider.toolset.fonts import font_catalogue, fonts_conf, fonts_version
from hyperframes_provider.toolset.parts import InstalledPart, find_part, flush_folder, install_part, probe_version
from hyperframes_provider.toolset.paths import cache_home, toolset_path
from hyperframes_provider.toolset.pins import BROWSER_PROBE, PARTS, Part, Role
from hyperframes_provider.toolset.report import SetupReporter, Silent

_OWN_CHROME = "Add the browser to that file, or: env -u HYPERFRAMES_TOOLSET hyperframes-airflow setup --chrome PATH"
_UNPACKED_FACTOR = 6
"""Room wanted for each byte of archive: the archive twice, and what comes out of it."""
_FETCHED_AT_ONCE = 8
"""Each fetch is a package manager of its own, with the memory that it takes."""


def ensure_toolset(
    progress: SetupReporter | None = None,
    *,
    chrome: Path | None = None,
    path: Path | None = None,
    parts: Sequence[Part] = PARTS,
) -> Path:
    """Bring what is missing and return the path of `toolset.json`; without anything missing that takes milliseconds and no network.

    :param progress: told of every step
    :param chrome: an existing chrome-headless-shell to register as the source `chrome-headless-shell`, beside the pinned browser
    :param path: where `toolset.json` goes, the parts beside it; default `toolset_path()`
    :param parts: what to bring

    A toolset that the environment names and somebody else made is returned as it is. Raises `ToolsetError`.
    """
    if path is None and own_toolset() is not None:
        if chrome is not None:
            raise ToolsetError(f"{TOOLSET_VARIABLE} names a toolset of your own, which the set-up does not change", hint=_OWN_CHROME)
        return toolset_path()
    path = (path or toolset_path()).absolute()
    reporter = progress or Silent()
    _require_linux()
    if chrome is None and _is_complete(path, parts):
        return path
    registered = None if chrome is None else _own_chrome(chrome)
    with _locked(path.parent, reporter):
        with _scratch(path.parent / "setup.tmp") as scratch:
            installed = _install(parts, path.parent / "parts", scratch, reporter)
        _replace(_fonts_conf(path), fonts_conf(installed, path.parent / "fontconfig"))
        _replace(_catalogue(path), font_catalogue(installed, path.parent).model_dump_json(indent=1))
        _replace(path, _toolset(path, installed, registered).model_dump_json(indent=1))
        flush_folder(path.parent)
    return path


def ensure_part(part: Part) -> InstalledPart:
    """Bring a part that is not in the toolset into the same cache, if it is missing; raises `ToolsetError`."""
    return ensure_parts((part,))[0]


def ensure_parts(parts: Sequence[Part], progress: SetupReporter | None = None) -> list[InstalledPart]:
    """Bring those of the parts that are missing into the user cache, whether they are in the toolset or not; raises `ToolsetError`."""
    reporter = progress or Silent()
    folder = cache_home() / "parts"
    found = _sound(parts, folder)
    if len(found) < len(parts):
        _require_linux()
        with _locked(folder.parent, reporter), _scratch(folder.parent / "setup.tmp") as scratch:
            found = _install(parts, folder, scratch, reporter)
    return found


def own_toolset() -> Toolset | None:
    """The toolset that `HYPERFRAMES_TOOLSET` names when somebody else made it: the set-up leaves such a one alone."""
    if TOOLSET_VARIABLE not in os.environ:
        return None
    path = toolset_path().absolute()
    return None if (path.parent / "parts").is_dir() else read_toolset(path)


def read_toolset(path: Path) -> Toolset | None:
    """What `path` holds; None when it is missing or not a toolset."""
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
    """The toolset of these parts; a chrome-headless-shell that was registered before stays so while it exists."""
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
        # It draws with the pinned fonts, so that both browsers set the same text.
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
            f"--chrome: there is no file {chrome}",
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
            f"{existing} has {free / 1e6:.0f} MB free; the set-up needs {wanted / 1e6:.0f} MB",
            hint="Free some, or choose another cache: XDG_CACHE_HOME=/some/where hyperframes-airflow setup",
        )


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder to work in, of this set-up alone: the npm of one that was killed may go on writing into its own for a while."""
    # Whoever left something here was killed: the lock says that no set-up works in it now.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    try:
        yield Path(tempfile.mkdtemp(dir=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, reporter: SetupReporter) -> Iterator[None]:
    """One set-up at a time; the lock ends with its holder, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "setup.lock").open("w")
    except OSError as error:
        raise ToolsetError(
            f"the cache folder {folder} cannot be written: {error.strerror}",
            hint="Choose another: XDG_CACHE_HOME=/some/where hyperframes-airflow setup",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
