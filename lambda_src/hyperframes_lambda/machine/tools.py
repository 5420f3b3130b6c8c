"""Find browser, ffmpeg and runtime on this machine, and identify their build. `hyperframes-airflow setup` installs them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hyperframes_lambda import __version__
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Build
from hyperframes_lambda.contract.toolset import (
    CHROME_SOURCE_VARIABLE,
    TOOLSET_VARIABLE,
    Browser,
    ChromeSource,
    Npm,
    Tool,
    Toolset,
    toolset_path,
)
from hyperframes_lambda.machine.bundled_tools import BundledTools, has_bundle

TASK_ROOT_VARIABLE = "LAMBDA_TASK_ROOT"
"""Environment variable with the folder of the code on Lambda."""

_SETUP = "Run: hyperframes-airflow setup"


@dataclass(frozen=True)
class Tools:
    """The programs and files that the engine runs."""

    source: ChromeSource
    browser: Browser
    ffmpeg: Tool
    runtime: Tool
    fonts: Tool | None = None
    npm: Npm | None = None
    """Source of remote files whose host is unreachable; not part of the build, because it does not change the picture."""

    def build(self) -> Build:
        """Return the identity that all chunks of a render must share."""
        return Build(
            renderer=__version__,
            browser=f"{self.source.value} {self.browser.version}",
            ffmpeg=self.ffmpeg.version,
            runtime=self.runtime.version,
            fonts=self.fonts.version if self.fonts else "",
        )


def find_tools(environ: Mapping[str, str] = os.environ, *, before_unpacking: Callable[[], None] = lambda: None) -> Tools:
    """Return the toolset named by the environment, else the code's own, which is unpacked on first use and when damaged.

    `before_unpacking` ends this process's programs of an earlier copy, because a removed file keeps its disk space while it is open.

    Raise `CHROME_UNAVAILABLE` or `FFMPEG_UNAVAILABLE` when a part is missing or incomplete, `DISK_FULL` without room to unpack.
    """
    toolset = _read_toolset(environ, before_unpacking)
    wanted = environ.get(CHROME_SOURCE_VARIABLE) or ChromeSource.SPARTICUZ.value
    if wanted not in set(ChromeSource):
        message = f"{CHROME_SOURCE_VARIABLE}={wanted!r}: accepted: {', '.join(ChromeSource)}"
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, message)
    source = ChromeSource(wanted)
    browser = toolset.browsers.get(source)
    if browser is None:
        message = f"the toolset has no browser from {source.value}; it has {', '.join(toolset.browsers) or 'none'}"
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, message, hint=_SETUP)
    _require_program(browser.path, "Chromium", ErrorCode.CHROME_UNAVAILABLE)
    for part in (browser.library_path, browser.fontconfig, browser.driver_node):
        if part is not None and not part.exists():
            raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{part}, required by Chromium, does not exist", hint=_SETUP)
    _require_program(toolset.ffmpeg.path, "ffmpeg", ErrorCode.FFMPEG_UNAVAILABLE)
    if not toolset.runtime.path.is_file():
        message = f"the HyperFrames runtime is not at {toolset.runtime.path}"
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, message, hint=_SETUP)
    if toolset.fonts is not None and not toolset.fonts.path.is_file():
        message = f"the list of the bundled fonts is not at {toolset.fonts.path}"
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, message, hint=_SETUP)
    return Tools(source=source, browser=browser, ffmpeg=toolset.ffmpeg, runtime=toolset.runtime, fonts=toolset.fonts, npm=toolset.npm)


def discard_unpacked(environ: Mapping[str, str] = os.environ) -> None:
    """Remove the unpacked copy of the code's own tools, so that the next attempt unpacks them again."""
    bundled = _bundled(environ)
    if bundled is not None:
        bundled.discard()


def _bundled(environ: Mapping[str, str]) -> BundledTools | None:
    root = environ.get(TASK_ROOT_VARIABLE)
    if environ.get(TOOLSET_VARIABLE) or not root or not has_bundle(Path(root)):
        return None
    return BundledTools(Path(root))


def _read_toolset(environ: Mapping[str, str], before_unpacking: Callable[[], None]) -> Toolset:
    bundled = _bundled(environ)
    if bundled is not None:
        return bundled.toolset(before_unpacking)
    if TASK_ROOT_VARIABLE in environ and not environ.get(TOOLSET_VARIABLE):
        message = f"{TOOLSET_VARIABLE} is not set: it names the toolset.json with browser, ffmpeg and runtime"
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, message, hint=_SETUP)
    location = toolset_path(environ)
    try:
        return Toolset.model_validate_json(location.read_bytes())
    except OSError as error:
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{location}: {error.strerror}", hint=_SETUP) from error
    except ValidationError as error:
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{location} is damaged: {error}", hint=_SETUP) from error


def _require_program(path: Path, name: str, code: ErrorCode) -> None:
    if not path.is_file():
        raise RenderError(code, f"{name} is not at {path}", hint=_SETUP)
    if not os.access(path, os.X_OK):
        raise RenderError(code, f"{name} at {path} is not executable", hint=_SETUP)
    if not _complete(path):
        raise RenderError(code, f"{name} at {path} is incomplete", hint=f"Remove it, then {_SETUP[0].lower()}{_SETUP[1:]}")


def _complete(program: Path) -> bool:
    """Whether every segment and section of an ELF file lies inside it. A start script counts as complete."""
    size = program.stat().st_size
    with program.open("rb") as file:
        header = file.read(64)
        if header.startswith(b"#!"):
            return True
        if len(header) < 64 or not header.startswith(b"\x7fELF\x02\x01"):
            return False
        segments_at, sections_at = struct.unpack_from("<QQ", header, 32)
        segment_size, segments, section_size, sections = struct.unpack_from("<HHHH", header, 54)
        if sections_at + section_size * sections > size or segments_at + segment_size * segments > size:
            return False
        file.seek(segments_at)
        table = file.read(segment_size * segments)
    ends = (sum(struct.unpack_from("<Q", table, number * segment_size + at)[0] for at in (8, 32)) for number in range(segments))
    return max(ends, default=0) <= size
