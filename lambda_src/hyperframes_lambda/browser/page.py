"""An open composition: a page under frame control, seeked and drawn in one step per frame."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, BrowserContext, CDPSession, Error, Page

from hyperframes_lambda.browser.interception import Interception
from hyperframes_lambda.browser.media_elements import MediaElement, MediaReference, read_elements
from hyperframes_lambda.browser.media_sounds import Volume, read_volumes
from hyperframes_lambda.browser.readiness import asset_error, script_error, wait_until_ready
from hyperframes_lambda.browser.report import PageReport, Reporter
from hyperframes_lambda.browser.spec import PageSpec
from hyperframes_lambda.browser.watchdog import Watchdog
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

SEEK_SECONDS = 60.0
"""Time limit of a seek or a drawing: one that takes longer never ends."""

_ORIGIN = 1_000_000
"""Compositor time at the start of the composition, in microseconds."""

_TICK = 10
"""Smallest step of compositor time between frames, in microseconds. Only such steps pass during warm-up, so that things that run on the
compositor's clock (animated images) have not moved when the first frame is taken. It exceeds the clock's resolution, because Chromium never
answers a beginFrame with the time of the previous one."""

_INTERVAL_MS = 1_000 / 60

_WARM_UP_FRAMES = 3


class CompositionPage:
    """A composition that can be seeked. `duration` is in seconds."""

    def __init__(
        self,
        context: BrowserContext,
        page: Page,
        cdp: CDPSession,
        watchdog: Watchdog,
        reporter: Reporter,
        spec: PageSpec,
    ) -> None:
        self.duration = 0.0
        self.media: list[MediaElement] = []
        """The `<video>` and `<audio>` elements with a source, in the order of their numbers."""
        self._context = context
        self._page = page
        self._cdp = cdp
        self._watchdog = watchdog
        self._reporter = reporter
        self._ticks = _ORIGIN
        self._look_up = spec.media
        # The fast PNG path rounds partly transparent pixels.
        self._screenshot = {"format": "png", "optimizeForSpeed": not spec.transparent}

    @property
    def report(self) -> PageReport:
        """Everything that the page has reported and requested so far."""
        return self._reporter.report

    def capture(self, seconds: float, pictures: Sequence[tuple[int, str, float]] = ()) -> bytes:
        """Return the PNG of the composition at `seconds`: seek, wait for everything the seek needs, draw.

        `pictures` are those of the source videos: number of the element, path below the served root, second of the source. Every other
        `<video>` shows nothing.

        Raise `COMPOSITION_ERROR` when a callback throws, `ASSET_UNAVAILABLE` when the frame needs a file that is missing,
        `CAPTURE_STALLED` when seek or drawing do not end, and `BROWSER_CRASHED` when page or browser die.
        """
        with self._lost(f"the frame at {seconds:.3f} s"):
            self._seek(seconds, pictures)
            return self._draw(seconds)

    def visit(self, seconds: float) -> None:
        """Seek without drawing, so that the page requests the files of that moment. Raise the errors of `capture`."""
        with self._lost(f"the seek to {seconds:.3f} s"):
            self._seek(seconds)

    def volumes(self, seconds: float | None = None) -> dict[int, Volume]:
        """Return the volume of each media element, by its number: now, or at `seconds` after a seek without drawing."""
        if seconds is not None:
            self.visit(seconds)
        with self._lost("the query of the volumes"):
            return read_volumes(self.ask("window.__HF_ENGINE__.volumes()"))

    def warm_up(self) -> None:
        """Seek to the beginning and draw until layers, images and fonts are in place. Discard the pictures."""
        with self._lost("the first frames"):
            for _ in range(_WARM_UP_FRAMES):
                self._seek(0.0)
                self._begin_frame(self._ticks + _TICK, self._screenshot)

    def close(self) -> None:
        """Close the page. The browser keeps running."""
        with suppress(Error), self._watchdog.guard(10.0):
            self._context.close()

    def __enter__(self) -> Self:
        """Return the page itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the page."""
        self.close()

    def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression or of its promise. An exception in the page is a `COMPOSITION_ERROR`."""
        answer = self._cdp.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        details = answer.get("exceptionDetails")
        if details:
            text = str(details.get("exception", {}).get("description") or details.get("text"))
            raise script_error([self._reporter.local_names(text)], "when it was asked for its state or its next frame")
        return answer["result"].get("value")

    def pause(self, milliseconds: float) -> None:
        """Receive the page's events for a while."""
        self._page.wait_for_timeout(milliseconds)

    def learn(self, wanted: MediaReference) -> None:
        """Look into the file that an element plays and pass its facts to the page. Raise the errors of the look-up."""
        if self._look_up is None:
            raise RenderError(
                ErrorCode.COMPOSITION_UNSUPPORTED,
                f"{wanted.name} plays {self._reporter.local_names(wanted.url)[:200]}, but the page was opened without media files",
            )
        facts = self._look_up(wanted)
        self.ask(f"window.__HF_ENGINE__.learn({json.dumps(wanted.url)}, {json.dumps(asdict(facts))})")

    def stray_media(self) -> list[MediaReference]:
        """Return the elements with a source that are missing from `media` or have changed their source since."""
        with self._lost("the query of the media"):
            return [MediaReference(**stray) for stray in self.ask("window.__HF_ENGINE__.strayMedia()")]

    def nudge(self) -> None:
        """Run the page's animation frames at time zero and draw once, for a page that waits for a frame before it becomes ready."""
        self.ask("window.__HF_ENGINE__.flush()")
        self._begin_frame(self._ticks + _TICK)

    def _lost(self, what: str) -> AbstractContextManager[None]:
        return _lost(self._watchdog, self._reporter, what)

    def _seek(self, seconds: float, pictures: Sequence[tuple[int, str, float]] = ()) -> None:
        report = self.report
        known_failures, known_remote = len(report.failed_requests), _remote(report)
        with self._watchdog.guard(SEEK_SECONDS):
            shown = json.dumps([(element, f"/{path}", time) for element, path, time in pictures])
            thrown = self.ask(f"window.__HF_ENGINE__.frame({seconds!r}, {shown})")
            while self._reporter.loading:
                self.pause(1)
                if not self._reporter.loading:
                    self.ask("window.__HF_ENGINE__.settle()")
        report.script_errors += [self._reporter.local_names(text) for text in thrown]
        if len(report.failed_requests) > known_failures or _remote(report) > known_remote:
            fault = asset_error(report)
            if fault is not None:
                raise fault
        # A ready page has thrown nothing, so errors of modules and promises between two seeks count as well.
        if report.script_errors:
            raise script_error(report.script_errors, f"at {seconds:.3f} s")

    def _draw(self, seconds: float) -> bytes:
        ticks = max(self._ticks + _TICK, _ORIGIN + round(seconds * 1_000_000))
        data = self._begin_frame(ticks, self._screenshot).get("screenshotData")
        if not data:
            # Chromium omits the picture when it believes that nothing has changed. A second beginFrame damages the whole surface.
            data = self._begin_frame(self._ticks + _TICK, self._screenshot).get("screenshotData")
        if not data:
            raise RenderError(ErrorCode.CAPTURE_STALLED, f"Chromium drew the frame at {seconds:.3f} s but returned no picture")
        return base64.b64decode(data)

    def _begin_frame(self, ticks: int, screenshot: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self._ticks = ticks
        parameters: dict[str, Any] = {"frameTimeTicks": ticks / 1000, "interval": _INTERVAL_MS}
        if screenshot:
            parameters["screenshot"] = screenshot
        with self._watchdog.guard(SEEK_SECONDS):
            answer: dict[str, Any] = self._cdp.send("HeadlessExperimental.beginFrame", parameters)
        return answer


def _remote(report: PageReport) -> int:
    return len(report.remote_requests) + len(report.remote_faults)


@contextmanager
def _lost(watchdog: Watchdog, reporter: Reporter | None, what: str) -> Iterator[None]:
    """Turn Playwright's "target closed" into its cause: the watchdog ended a hanging call, or page or browser died."""
    try:
        yield
    except Error as error:
        if reporter and reporter.crashed:
            raise RenderError(ErrorCode.BROWSER_CRASHED, f"the page's process died during {what}") from error
        if watchdog.bitten:
            raise RenderError(
                ErrorCode.CAPTURE_STALLED,
                f"Chromium did not answer within {watchdog.patience:g} s during {what}",
                hint="If it happens again at the same frame, a script of the composition does not end there.",
            ) from error
        if "closed" in error.message or "crash" in error.message.lower():
            raise RenderError(ErrorCode.BROWSER_CRASHED, f"the browser ended during {what}: {error.message.splitlines()[0]}") from error
        text = reporter.local_names(error.message) if reporter else error.message
        raise RenderError(ErrorCode.COMPOSITION_ERROR, f"{what} failed: {text}") from error


def open_page(browser: Browser, browser_cdp: CDPSession, watchdog: Watchdog, spec: PageSpec) -> CompositionPage:
    """See `BrowserSession.open`."""
    with _lost(watchdog, None, "opening a page"), watchdog.guard(SEEK_SECONDS):
        context, page = _controlled_page(browser, browser_cdp, width=round(spec.width * spec.scale), height=round(spec.height * spec.scale))
        cdp = context.new_cdp_session(page)
        # `scale` enlarges the picture; `deviceScaleFactor` is what the page sees, to choose its images by. The window keeps the size of the
        # picture: Playwright's own emulation would give it the page's size in CSS pixels.
        metrics = {
            "width": spec.width,
            "height": spec.height,
            "deviceScaleFactor": spec.scale,
            "scale": spec.scale,
            "mobile": False,
            "dontSetVisibleSize": True,
        }
        cdp.send("Emulation.setDeviceMetricsOverride", metrics)
        cdp.send("Network.enable")
        cdp.send("Runtime.enable")
        if spec.transparent:
            cdp.send("Emulation.setDefaultBackgroundColorOverride", {"color": {"r": 0, "g": 0, "b": 0, "a": 0}})
        page.add_init_script(f"if (window === window.top) window.__hfVariables = {json.dumps(dict(spec.variables))};")
    reporter = Reporter(page, cdp, spec.base_url, watchdog.bite)
    composition = CompositionPage(context, page, cdp, watchdog, reporter, spec)
    try:
        if spec.remote is not None:
            Interception(page, cdp, reporter, spec.remote, spec.base_url)
        with composition._lost("the page's loading"), watchdog.guard(spec.ready_seconds + 15):
            page.goto(spec.url, wait_until="commit", timeout=spec.ready_seconds * 1000)
            composition.duration = wait_until_ready(composition, composition._reporter, spec.ready_seconds)
            composition.media = read_elements(composition.ask("window.__HF_ENGINE__.media()"))
        composition.warm_up()
    except BaseException:
        composition.close()
        raise
    return composition


def _controlled_page(browser: Browser, browser_cdp: CDPSession, *, width: int, height: int) -> tuple[BrowserContext, Page]:
    """Open a page under frame control, `width` by `height` pixels. Playwright does not request it, so the target is created here."""
    known = set(browser_cdp.send("Target.getBrowserContexts")["browserContextIds"])
    context = browser.new_context(
        no_viewport=True,
        locale="en-US",
        timezone_id="UTC",
        color_scheme="light",
        reduced_motion="no-preference",
        service_workers="block",
        # The page scripts must run under any policy that the author's page declares.
        bypass_csp=True,
    )
    context_id = (set(browser_cdp.send("Target.getBrowserContexts")["browserContextIds"]) - known).pop()
    with context.expect_page() as opened:
        browser_cdp.send(
            "Target.createTarget",
            {"url": "about:blank", "enableBeginFrameControl": True, "browserContextId": context_id, "width": width, "height": height},
        )
    return context, opened.value
