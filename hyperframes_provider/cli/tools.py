"""`setup`, `doctor`, `add`: the third-party parts on this machine."""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.faults import FAILED, WrongRequest
from hyperframes_provider.client.aws.errors import HyperFramesClientError
from hyperframes_provider.client.stack.health import StackCheck, check_stack
from hyperframes_provider.toolset import ToolsetError, ensure_toolset, inspect, read_toolset, toolset_path
from hyperframes_provider.toolset.doctor import State, ToolStatus
from hyperframes_provider.toolset.part import Part
from hyperframes_provider.toolset.report import Phase, SetupReporter

_STYLE = {State.OK: "green", State.WARNING: "yellow", State.MISSING: "red", State.DAMAGED: "red"}


def setup(options: argparse.Namespace, console: Console) -> int:
    """Install the missing parts."""
    path, toolset, took = bring(console, options.chrome)
    console.line("setup", versions(toolset), f"ready in {seconds(took)}")
    console.result({"toolset": str(path), "seconds": round(took, 1), **toolset.model_dump(mode="json")})
    return 0


def bring(console: Console, chrome: Path | None = None) -> tuple[Path, Toolset, float]:
    """Set up with progress on the console; return path and content of `toolset.json`, and the seconds that it took."""
    started = time.monotonic()
    with setup_reporter(console) as reporter:
        path = ensure_toolset(reporter, chrome=chrome)
    toolset = read_toolset(path)
    if toolset is None:
        raise ToolsetError(f"{path} cannot be read back", hint="Try again: hyperframes-airflow setup")
    return path, toolset, time.monotonic() - started


def versions(toolset: Toolset) -> str:
    """Return `chromium 153 · ffmpeg 9.0 · runtime 0.8 · gsap 3.15`."""
    browsers = [
        f"{'chromium' if source.value == 'sparticuz' else source.value} {browser.version.split('.')[0]}"
        for source, browser in toolset.browsers.items()
    ]
    tools = {"ffmpeg": toolset.ffmpeg, "runtime": toolset.runtime, **toolset.libraries}
    return " · ".join([*browsers, *(f"{name} {'.'.join(tool.version.split('.')[:2])}" for name, tool in tools.items())])


def doctor(options: argparse.Namespace, console: Console) -> int:
    """Print the report; exit with 1 if something is missing or damaged."""
    found = [*inspect(), _endpoint()]
    if options.stack_name is not None:
        found += [_verdict(check) for check in _stack_checks(options)]
    width = max(len(status.name) for status in found)
    for status in found:
        if not console.as_json:
            console.rich.print(
                f"[{_STYLE[status.state]}]{status.state.value:8}[/]",
                f"{status.name:{width}}",
                " ".join(filter(None, (status.version, status.detail))),
            )
            if status.hint:
                console.say(f"         {' ' * width} next: {status.hint}")
    sound = all(status.state in (State.OK, State.WARNING) for status in found)
    console.result({"ok": sound, "checks": [asdict(status) for status in found]})
    return 0 if sound else FAILED


def _endpoint() -> ToolStatus:
    try:
        # Cannot be imported without the pinned moto.
        from hyperframes_provider.local import endpoint
    except (ImportError, RuntimeError) as error:
        return ToolStatus("endpoint", State.MISSING, "", str(error), 'pip install "hyperframes-provider[local]"')
    running = endpoint.status()
    if running is None:
        return ToolStatus("endpoint", State.OK, "", "not running; start it: hyperframes-airflow local up")
    return ToolStatus("endpoint", State.OK, "", f"{running.url} (process {running.pid})")


def _stack_checks(options: argparse.Namespace) -> list[StackCheck]:
    try:
        return check_stack(connect(options), options.stack_name, version=version("hyperframes-provider"))
    except HyperFramesClientError as error:
        # Also a verdict: the report on the machine is useful without the one on the stack.
        return [StackCheck("stack", "missing", "", error.message, error.hint or "")]


def _verdict(check: StackCheck) -> ToolStatus:
    return ToolStatus(check.name, State(check.state), check.version, check.detail, check.hint)


def add(options: argparse.Namespace, console: Console) -> int:
    """Copy a library into a project."""
    target = add_library(options.library, options.to)
    console.result({"library": options.library, "path": str(target)}, f"{target}")
    return 0


def add_library(name: str, folder: Path) -> Path:
    """Copy the pinned library into `folder` under its own file name; raise `WrongRequest` or `ToolsetError`."""
    toolset = read_toolset(toolset_path())
    if toolset is None:
        raise ToolsetError(f"the toolset {toolset_path()} does not exist", hint="Install it first: hyperframes-airflow setup")
    library = toolset.libraries.get(name)
    if library is None:
        known = ", ".join(toolset.libraries) or "none"
        raise WrongRequest(f"the toolset has no library {name!r}; known: {known}", hint="Example: hyperframes-airflow add gsap --to DIR")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(library.path, folder / library.path.name))


@contextmanager
def setup_reporter(console: Console) -> Iterator[SetupReporter]:
    """Yield the reporter for a setup or a build."""
    if not console.on_terminal:
        yield _PlainReporter(console)
        return
    bars = Progress(
        TextColumn("[bold cyan]{task.description:10}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[phase]}"),
        console=console.rich,
        transient=True,
    )
    with bars:
        yield _BarReporter(bars)


class _PlainReporter:
    """Writes a line for each part that becomes ready."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def waiting(self) -> None:
        """Explain the pause."""
        self._console.line("setup", "another setup is running; waiting for it")

    def phase(self, part: Part, phase: Phase) -> None:
        """Report a part that is ready."""
        with self._lock:
            self._started.setdefault(part.name, time.monotonic())
            if phase is Phase.DONE:
                took = time.monotonic() - self._started[part.name]
                self._console.line("setup", f"{part.spec} · {part.size / 1e6:.1f} MB", f"in {seconds(took)}")

    def fetched(self, part: Part, size: int) -> None:
        """Do nothing: a line for each step would be noise."""


class _BarReporter:
    """Shows a bar for each part."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._tasks: dict[str, int] = {}

    def waiting(self) -> None:
        """Explain the pause."""
        self._bars.console.print("another setup is running; waiting for it")

    def phase(self, part: Part, phase: Phase) -> None:
        """Show the phase behind the bar."""
        with self._lock:
            if part.name not in self._tasks:
                self._tasks[part.name] = self._bars.add_task(part.name, total=part.size, phase=phase.value)
            self._bars.update(self._tasks[part.name], phase=phase.value)  # type: ignore[arg-type]  # rich's TaskID is an int

    def fetched(self, part: Part, size: int) -> None:
        """Move the bar."""
        self._bars.update(self._tasks[part.name], completed=size)  # type: ignore[arg-type]  # as above
