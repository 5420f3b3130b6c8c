"""`check`: find out within seconds, and before paying for it, whether a project renders and looks as it does in a browser."""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperframes_lambda.browser import PageReport
from hyperframes_lambda.composition.source import files_of
from hyperframes_lambda.contract.authoring import CheckReport, Finding, Severity
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.drawing.page import PlannedBrowser, planned_browser
from hyperframes_lambda.machine.archive import MAX_FILE_BYTES, MAX_TOTAL_BYTES
from hyperframes_lambda.machine.tools import Tools, find_tools
from hyperframes_lambda.plan import plan
from hyperframes_lambda.planning.look import sampled_frames

_USES = {
    "random": (
        "unseeded-random",
        "chance (Math.random or crypto)",
        "Each frame gets a stream of its own, the same in every render but not the same as in a browser. Use a seeded generator.",
    ),
    "clock": (
        "wall-clock",
        "the clock (Date or performance.now)",
        "In a render the clock starts in 1970 and follows the timeline. Pass dates in as variables, and take times from the timeline.",
    ),
    "timer": (
        "timer",
        "setInterval",
        "A timer follows the machine's time, not the timeline. Animate with a timeline, or use the argument of requestAnimationFrame.",
    ),
}
_NAMED_PLACES = 3
_NAMING = frozenset({".html", ".htm", ".css", ".js", ".mjs"})
"""Endings of files that may name a picture."""
_DOCUMENTS = re.compile(r"<(?:object|iframe|embed)\b[^>]*>", re.IGNORECASE)
"""Elements that show an SVG file as a document, whose animations follow the timeline."""
_ANIMATED = re.compile(r"<(?:animate|animateTransform|animateMotion|set)\b|@keyframes\b")


def check(project: Path, config: RenderConfig, work: Path) -> CheckReport:
    """Check `project`, with the scratch folder `work`. Faults of the project become findings; only missing tools raise."""
    started = time.monotonic()
    tools = find_tools()
    try:
        files = files_of(project)
        findings = list(_sizes(files)) or _looked(project, files, config, work, tools)
    except RenderError as error:
        findings = [Finding(severity=Severity.ERROR, code=error.code, message=error.message, hint=error.hint)]
    return CheckReport(findings=findings, seconds=round(time.monotonic() - started, 3))


def _sizes(files: Mapping[str, Path]) -> Iterator[Finding]:
    """Yield the sizes for which an upload would be refused."""
    total = 0
    for name, file in files.items():
        size = file.stat().st_size
        total += size
        if size > MAX_FILE_BYTES:
            yield _too_large(f"{name} has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    if total > MAX_TOTAL_BYTES:
        yield _too_large(f"the project has {total:,} bytes; the limit is {MAX_TOTAL_BYTES:,}")


def _too_large(message: str) -> Finding:
    return Finding(severity=Severity.ERROR, code="asset-too-large", message=message, hint="Shrink it, or serve it by URL.")


def _looked(project: Path, files: Mapping[str, Path], config: RenderConfig, work: Path, tools: Tools) -> list[Finding]:
    manifest = plan(project, config, work / "plan", tools=tools, scratch=work)
    frames = sampled_frames(manifest.total_frames)
    with planned_browser(work / "plan", manifest, tools, work, probe_in=work) as browser:
        with browser.open(frames) as page:
            reached = {frame: _digest(page.capture(frame)) for frame in frames}
            uses, report = page.uses(), page.report
        differing = [frame for frame in _chunk_starts(frames) if _digest_of_first(browser, frame) != reached[frame]]
    return [*_history(differing, manifest), *_fonts(manifest), *_animated_pictures(files), *_uses(uses), *_requests(report)]


def _chunk_starts(frames: list[int]) -> list[int]:
    """Return the frames to capture as a chunk's first: one in the middle, and the last."""
    return sorted({frames[len(frames) // 2], frames[-1]} - {0})


def _digest_of_first(browser: PlannedBrowser, frame: int) -> bytes:
    with browser.open([frame]) as page:
        return _digest(page.capture(frame))


def _history(differing: list[int], manifest: Manifest) -> Iterator[Finding]:
    if differing:
        at = float(differing[0] / manifest.fps)
        yield Finding(
            severity=Severity.ERROR,
            code="history-dependent",
            message=f"the picture at {at:.3f} s depends on the moments shown before it",
            hint="Chunks begin anywhere. Compute each moment from its time alone instead of adding to the state that the last frame left.",
        )


def _fonts(manifest: Manifest) -> Iterator[Finding]:
    for family in manifest.substituted_fonts:
        yield Finding(
            severity=Severity.WARNING,
            code="font-substituted",
            message=f"the font family {family!r} is neither bundled nor in the project or on Google Fonts; the next one listed is used",
            hint="Add an @font-face rule with a font file in the project, or use a bundled family.",
        )


def _animated_pictures(files: Mapping[str, Path]) -> Iterator[Finding]:
    """Report animated SVG files that a page shows as pictures: Chromium moves those by the machine's clock, not by the timeline."""
    texts = [file.read_text(errors="replace") for file in files.values() if file.suffix.lower() in _NAMING]
    shown = "\n".join(_DOCUMENTS.sub("", text) for text in texts)
    for name, file in files.items():
        if file.suffix.lower() == ".svg" and file.name in shown and _ANIMATED.search(file.read_text(errors="replace")):
            yield Finding(
                severity=Severity.WARNING,
                code="animated-picture",
                message=f"{name}: the animation inside this picture follows the machine's clock",
                hint="Put the <svg> into the page, or show the file with <object> or <iframe>: its animations then follow the timeline.",
            )


def _uses(uses: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    places: dict[str, list[str]] = defaultdict(list)
    for use in uses:
        if use["place"] not in places[use["what"]]:
            places[use["what"]].append(use["place"])
    for what, found in sorted(places.items()):
        code, name, hint = _USES[what]
        more = f" and {len(found) - _NAMED_PLACES} more places" if len(found) > _NAMED_PLACES else ""
        yield Finding(severity=Severity.WARNING, code=code, message=f"{', '.join(found[:_NAMED_PLACES])}{more}: uses {name}", hint=hint)


def _requests(report: PageReport) -> Iterator[Finding]:
    """Report failed requests that a script may do without. A failed request that the picture needs fails the plan."""
    for request in report.failed_requests:
        wanted = f", wanted by {request.wanted_by}" if request.wanted_by else ""
        yield Finding(
            severity=Severity.WARNING,
            code="failed-request",
            message=f"{request.path} ({request.kind}{wanted}): {request.status}",
            hint="Add the file to the project, or remove the request.",
        )
    for text in report.console_errors:
        yield Finding(severity=Severity.WARNING, code="console-error", message=text)


def _digest(png: bytes) -> bytes:
    return hashlib.sha256(png).digest()
