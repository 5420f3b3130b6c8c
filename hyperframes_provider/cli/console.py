"""The output of the verbs: lines for a person, or one JSON document for a program. Colours and moving lines only on a terminal."""

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
    """The output of a verb.

    :param as_json: write the result as one document to stdout and everything else to stderr
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.rich = RichConsole(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)

    @property
    def on_terminal(self) -> bool:
        """Whether lines can be overwritten."""
        return self.rich.is_terminal

    def say(self, text: str) -> None:
        """Write a line."""
        self.rich.print(Text(text))
        if not self.on_terminal:
            self.rich.file.flush()

    def line(self, label: str, text: str, right: str = "") -> None:
        """Write a line of a report, with its label in a column."""
        self.rich.print(_labelled(label, text, right))
        if not self.on_terminal:
            self.rich.file.flush()

    def detail(self, label: str, text: str, right: str = "") -> None:
        """Write a line for a person only: with `--json`, the document says the same."""
        if not self.as_json:
            self.line(label, text, right)

    def result(self, document: Mapping[str, Any], text: str = "") -> None:
        """Write the result of the verb: the document with `--json`, else `text`."""
        if self.as_json:
            print(json.dumps(document, ensure_ascii=False, indent=2, default=str), flush=True)
        elif text:
            self.say(text)

    def fail(self, kind: str, message: str, hint: str, *, code: str = "") -> None:
        """Write an error to stderr, and with `--json` also as the document."""
        errors = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        errors.print(Text.assemble((f"{kind}: ", "bold red"), message))
        for line in hint.splitlines():
            errors.print(Text(f"  {line}"))
        self.error(kind, message, hint, code=code)

    def error(self, kind: str, message: str, hint: str, *, code: str = "") -> None:
        """With `--json`, write the document of an error that is reported on stderr by other means."""
        if self.as_json:
            self.result({"error": {"type": kind, **({"code": code} if code else {}), "message": message, "hint": hint}})

    @contextmanager
    def moving(self, label: str) -> Iterator[MovingLine]:
        """Show a line that changes while the block runs."""
        with MovingLine(self, label) as line:
            yield line


class MovingLine:
    """A line that is overwritten on a terminal; elsewhere only its notes appear."""

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
        """Set the text of the line, with a bar for `share`, from 0 to 1."""
        if self._live is not None:
            bar = "" if share is None else bar_of(share) + "  "
            self._live.update(_labelled(self._label, bar + text))

    def note(self, text: str) -> None:
        """Write a line if the moving one is invisible."""
        if self._live is None:
            self._console.line(self._label, text)


def bar_of(share: float) -> str:
    """Return `████████████░░░░` for 0.75."""
    full = round(max(0.0, min(1.0, share)) * _BAR_WIDTH)
    return "█" * full + "░" * (_BAR_WIDTH - full)


def _labelled(label: str, text: str, right: str = "") -> Text:
    line = Text.assemble((label.ljust(LABEL_WIDTH - 1) + " ", "bold cyan"), text, overflow="ellipsis")
    if right:
        line.append("  " + right, "green")
    return line


def seconds(duration: float) -> str:
    """Format a duration: `0.9s`, `41s`, `1m 12s`."""
    if duration < 10:
        return f"{duration:.1f}s"
    whole = round(duration)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m {whole % 60:02d}s"


def age(moment: datetime, now: datetime) -> str:
    """Format the time since `moment`: `41s`, `12m`, `5h`, `3d`."""
    passed = max(0, round((now - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if passed >= length:
            return f"{passed // length}{unit}"
    return f"{passed}s"
