"""What the verbs say: lines for a person, or exactly one JSON document for a program. Colours and moving lines on a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

LABEL_WIDTH = 10
_BAR_WIDTH = 16


class Console:
    """Where a verb writes.

    :param as_json: the result as one document on stdout, everything said on the way on stderr
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.rich = RichConsole(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)

    @property
    def on_terminal(self) -> bool:
        """Whether a line may be written over."""
        return self.rich.is_terminal

    def say(self, text: str) -> None:
        """One line."""
        self.rich.print(Text(text))
        if not self.on_terminal:
            self.rich.file.flush()

    def line(self, label: str, text: str, right: str = "") -> None:
        """One line of a report, its label in a column of its own."""
        self.rich.print(_labelled(label, text, right))
        if not self.on_terminal:
            self.rich.file.flush()

    def result(self, document: Mapping[str, Any], text: str = "") -> None:
        """What the verb found or did: the document with `--json`, else `text`."""
        if self.as_json:
            print(json.dumps(document, ensure_ascii=False, indent=2, default=str), flush=True)
        elif text:
            self.say(text)

    def fail(self, kind: str, message: str, hint: str, *, code: str = "") -> None:
        """An error: on stderr, and with `--json` as the one document."""
        errors = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        errors.print(Text.assemble((f"{kind}: ", "bold red"), message))
        for line in hint.splitlines():
            errors.print(Text(f"  {line}"))
        self.error(kind, message, hint, code=code)

    def error(self, kind: str, message: str, hint: str, *, code: str = "") -> None:
        """The one document with `--json`, of an error that is told on stderr in another way."""
        if self.as_json:
            self.result({"error": {"type": kind, **({"code": code} if code else {}), "message": message, "hint": hint}})

    @contextmanager
    def moving(self, label: str) -> Iterator[MovingLine]:
        """A line that changes while something goes on."""
        with MovingLine(self, label) as line:
            yield line


class MovingLine:
    """One line that is written over on a terminal; elsewhere only its notes are written, each once."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._live: Live | None = None

    def __enter__(self) -> MovingLine:
        if self._console.on_terminal:
            self._live = Live(Text(""), console=self._console.rich, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, text: str, share: float | None = None) -> None:
        """What the line says now, with a bar for `share`, from 0 to 1."""
        if self._live is not None:
            bar = "" if share is None else bar_of(share) + "  "
            self._live.update(_labelled(self._label, bar + text))

    def note(self, text: str) -> None:
        """A line for those who cannot see the moving one."""
        if self._live is None:
            self._console.line(self._label, text)


def bar_of(share: float) -> str:
    """`████████████░░░░` for 0.75."""
    full = round(max(0.0, min(1.0, share)) * _BAR_WIDTH)
    return "█" * full + "░" * (_BAR_WIDTH - full)


def _labelled(label: str, text: str, right: str = "") -> Text:
    line = Text.assemble((label.ljust(LABEL_WIDTH - 1) + " ", "bold cyan"), text, overflow="ellipsis")
    if right:
        line.append("  " + right, "green")
    return line


def seconds(duration: float) -> str:
    """`0.9s`, `41s`, `1m 12s`."""
    if duration < 10:
        return f"{duration:.1f}s"
    whole = round(duration)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m {whole % 60:02d}s"


def age(moment: datetime, now: datetime) -> str:
    """How long ago: `41s`, `12m`, `5h`, `3d`."""
    passed = max(0, round((now - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= length:
            return f"{passed // length}{unit}"
    return f"{passed}s"
