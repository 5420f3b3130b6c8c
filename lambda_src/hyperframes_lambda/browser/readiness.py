"""Readiness of a composition, or the first cause that prevents it, with the place to fix."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

from hyperframes_lambda.browser.media_elements import MediaReference
from hyperframes_lambda.browser.report import FailedRequest, PageReport, Reporter
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

LONGEST_SECONDS = 4 * 3600.0
"""Longest duration of a composition."""

_POLL_MS = 20
_FRAMELESS_SECONDS = 0.2
"""Wait before a loaded page gets frames: most pages need none, and frames drawn before readiness may differ between chunks."""
_FAULT_SECONDS = 0.3
"""Patience with a loaded and quiet page that has a known fault."""
_LENGTH_SECONDS = 1.5
"""Patience with one that is complete but has no duration."""
_PATIENCE_SECONDS = 5.0
"""Patience with one that has no known fault: it may be waiting for a timer of its own."""

_ASSETS = frozenset({"script", "stylesheet", "image", "font", "document"})
"""Kinds of request that the picture depends on. A script may cope with missing data."""


class Asked(Protocol):
    """The part of a page that readiness needs; `CompositionPage` implements it."""

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""

    def pause(self, milliseconds: float) -> None:
        """Receive the page's events for a while."""

    def learn(self, wanted: MediaReference) -> None:
        """Look into a media file and pass its facts to the page."""

    def nudge(self) -> None:
        """Run an animation frame of the page at time zero."""


@dataclass(frozen=True)
class State:
    """The answer of `__HF_ENGINE__.state()`; see scripts/bridge/engine.js."""

    loaded: bool
    parsed: bool
    own: bool
    seekable: bool
    settled: bool
    duration: float
    compositions: list[str]
    missing: list[str]
    registered: list[str]
    unknown_media: list[MediaReference]
    pending_images: list[str]
    fonts_loading: bool
    errors: list[str]

    @property
    def complete(self) -> bool:
        """Whether everything is in place for a seek, apart from the duration."""
        pending = self.missing or self.unknown_media or self.pending_images or self.fonts_loading
        return self.loaded and self.seekable and self.settled and not pending


def wait_until_ready(page: Asked, reporter: Reporter, seconds: float) -> float:
    """Wait until the composition can be seeked and return its duration in seconds. Raise the cause once waiting longer cannot help."""
    deadline = time.monotonic() + seconds
    quiet_since: float | None = None
    idle_since: float | None = None
    before: State | None = None
    while True:
        state = _look(page)
        report = reporter.report
        now = time.monotonic()
        if state is not None:
            report.script_errors += [reporter.local_names(text) for text in state.errors]
            for wanted in state.unknown_media:
                page.learn(wanted)
            _refuse_unrenderable(report)
            if state.loaded or not state.parsed or reporter.loading:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= _FRAMELESS_SECONDS:
                # The load event may wait for a frame: a symbol of another SVG file loads only when the page is laid out for drawing.
                page.nudge()
            if not state.loaded or reporter.loading:
                quiet_since = None
            elif quiet_since is None or before is None or _progress(before) != _progress(state):
                quiet_since = now
            before = state
            if state.complete and not reporter.loading and state.duration > 0 and _patience(state, report) == _PATIENCE_SECONDS:
                return _checked_duration(state)
            if quiet_since is not None:
                if now - quiet_since >= _patience(state, report):
                    raise _diagnosis(state, report)
                if now - quiet_since >= _FRAMELESS_SECONDS:
                    page.nudge()
        if now >= deadline:
            raise _diagnosis(state, report) if state else _never_loaded(seconds, reporter)
        page.pause(_POLL_MS)


def asset_error(report: PageReport) -> RenderError | None:
    """Return the error, mostly `ASSET_UNAVAILABLE`, for the first unavailable file that the picture depends on; None without one."""
    if report.remote_faults:
        return report.remote_faults[0]
    if report.remote_requests:
        return _unanswered(report.remote_requests[0])
    missing = [request for request in report.failed_requests if request.kind in _ASSETS]
    if not missing:
        return None
    first = missing[0]
    return RenderError(
        ErrorCode.ASSET_UNAVAILABLE,
        f"the project has no {first.path}" + _wanted(first) + "".join(f"\nnor {other.path}{_wanted(other)}" for other in missing[1:5]),
        hint=f"Add the {first.kind} to the project, or correct its path{f' in {first.wanted_by}' if first.wanted_by else ''}.",
    )


def script_error(errors: list[str], when: str) -> RenderError:
    """Return the `COMPOSITION_ERROR` for the first of `errors`, with its place."""
    more = f"\n(and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return RenderError(
        ErrorCode.COMPOSITION_ERROR,
        f"a script of the composition threw {when}: {_brief(errors[0])}{more}",
        hint="Fix the script at that place. The console of a browser shows the same error.",
    )


def _look(page: Asked) -> State | None:
    """The page's state; None until the bridge runs, at the end of parsing."""
    data: dict[str, Any] | None = page.ask("window.__HF_ENGINE__ ? window.__HF_ENGINE__.state() : null")
    if data is None:
        return None
    return State(
        loaded=data["loaded"],
        parsed=data["parsed"],
        own=data["own"],
        seekable=data["seekable"],
        settled=data["settled"],
        duration=_number(data["duration"]),
        compositions=data["compositions"],
        missing=data["missing"],
        registered=data["registered"],
        unknown_media=[MediaReference(**wanted) for wanted in data["unknownMedia"]],
        pending_images=data["pendingImages"],
        fonts_loading=data["fontsLoading"],
        errors=data["errors"],
    )


def _number(text: str) -> float:
    """Read a number in JavaScript's notation. It is sent as text because JSON has no infinity."""
    try:
        return float(text.replace("Infinity", "inf"))
    except ValueError:
        return math.nan


_progress = attrgetter("missing", "settled", "pending_images", "seekable", "registered")
"""The part of a state that changes while a page makes progress."""


def _refuse_unrenderable(report: PageReport) -> None:
    """Raise the error of a remote file: waiting cannot help."""
    if report.remote_requests or report.remote_faults:
        fault = asset_error(report)
        if fault is not None:
            raise fault


def _unanswered(remote: FailedRequest) -> RenderError:
    wanted = f" (wanted by {remote.wanted_by})" if remote.wanted_by else ""
    if remote.kind == "websocket":
        return RenderError(
            ErrorCode.ASSET_UNAVAILABLE,
            f"the composition opens the WebSocket {remote.path}{wanted}, which cannot be recorded and replayed",
            hint="Fetch the data before the render, and put it into the project or a variable.",
        )
    return RenderError(
        ErrorCode.ASSET_UNAVAILABLE,
        f"the composition requests the remote file {remote.path}{wanted}, which is not part of the plan",
        hint="Copy the file into the project and refer to it by its path.",
    )


def _patience(state: State, report: PageReport) -> float:
    """Seconds that a loaded and quiet page may still take, by its known fault."""
    if report.script_errors or asset_error(report) or (not state.own and not state.compositions):
        return _FAULT_SECONDS
    # The runtime binds a late timeline within its next animation frames.
    return _LENGTH_SECONDS if state.complete and not state.duration > 0 else _PATIENCE_SECONDS


def _diagnosis(state: State, report: PageReport) -> RenderError:
    lost_scripts = [request for request in report.failed_requests if request.kind == "script"]
    if state.missing and lost_scripts:
        return _not_registered(state, report, lost_scripts)
    fault = asset_error(report)
    if fault is not None:
        return fault
    if report.script_errors:
        return script_error(report.script_errors, "while it loaded")
    if not state.own and not state.compositions:
        return RenderError(
            ErrorCode.COMPOSITION_EMPTY,
            "the page has no element with data-composition-id and no window.__hf = {duration, seek}",
            hint="Give the root element data-composition-id, data-width, data-height and a timeline.",
        )
    if state.missing:
        return _not_registered(state, report, report.failed_requests)
    if state.complete:
        return _bad_duration(state.duration)
    waiting = [
        *(f"image {url}" for url in state.pending_images),
        *(["fonts"] if state.fonts_loading else []),
        *([] if state.settled else ["the HyperFrames runtime"]),
        *([] if state.loaded else ["the load event"]),
    ]
    return RenderError(
        ErrorCode.COMPOSITION_NOT_READY, f"the composition never became ready; still waiting for {', '.join(waiting) or 'a player'}"
    )


def _not_registered(state: State, report: PageReport, lost: list[FailedRequest]) -> RenderError:
    name = state.missing[0]
    lines = [f'The composition "{name}" never registered window.__timelines["{name}"].']
    if state.missing[1:]:
        lines.append(f"Neither did {', '.join(state.missing[1:])}.")
    if state.registered:
        lines.append(f"Registered: {', '.join(state.registered)}.")
    if lost:
        kind = "A script it depends on" if lost[0].kind == "script" else "A request of the page"
        lines.append(f"{kind} failed to load: {', '.join(f'{request.path} ({request.status})' for request in lost[:5])}.")
    lines += [f"A script threw: {_brief(text)}" for text in report.script_errors[:3]]
    place = next((request.wanted_by for request in lost if request.wanted_by), None)
    mend = f"Fix the path in {place}, or add" if place else "Register the timeline under that name, or add"
    return RenderError(
        ErrorCode.COMPOSITION_NOT_READY, "\n".join(lines), hint=f"{mend} data-no-timeline if this composition has no timeline."
    )


def _never_loaded(seconds: float, reporter: Reporter) -> RenderError:
    waiting = ", ".join(sorted(reporter.loading))
    return RenderError(
        ErrorCode.COMPOSITION_NOT_READY, f"the page was not parsed within {seconds:g} s" + (f"; still loading {waiting}" if waiting else "")
    )


def _checked_duration(state: State) -> float:
    if not 0 < state.duration <= LONGEST_SECONDS:
        raise _bad_duration(state.duration)
    return state.duration


def _bad_duration(seconds: float) -> RenderError:
    shown = "not a number" if math.isnan(seconds) else f"{seconds:g} s"
    return RenderError(
        ErrorCode.DURATION_OUT_OF_RANGE,
        f"the composition's duration is {shown}; it must be more than 0 and at most {LONGEST_SECONDS:g} s",
        hint="Set data-duration on the root, or give its timeline a length.",
    )


def _wanted(request: FailedRequest) -> str:
    return f" ({request.kind}, wanted by {request.wanted_by})" if request.wanted_by else f" ({request.kind})"


def _brief(stack: str, lines: int = 3) -> str:
    """The message and the innermost places of a stack, on one line."""
    return " ".join(line.strip() for line in stack.strip().splitlines()[:lines])
