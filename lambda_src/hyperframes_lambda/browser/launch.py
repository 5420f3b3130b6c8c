"""Start a chrome-headless-shell for capturing, and end it with everything it left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import CDPSession, Error, Playwright

from hyperframes_lambda.browser.driver import driver
from hyperframes_lambda.browser.page import CompositionPage, open_page
from hyperframes_lambda.browser.spec import PageSpec
from hyperframes_lambda.browser.watchdog import Watchdog
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Browser

LAUNCH_SECONDS = 60.0

_FRAME_CONTROL = (
    "--enable-begin-frame-control",
    "--deterministic-mode",
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
)
"""Nothing is drawn but for a beginFrame, and then all of it."""

_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing")
"""Software compositing, at a fraction of the cost of a software GPU, which stays available to WebGL."""

_SAME_PIXELS = (
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    # Whether a text gets subpixel antialiasing depends on the layer it is in, and so on what was drawn before.
    "--disable-lcd-text",
    "--disable-partial-raster",
    "--hide-scrollbars",
)

_SANDBOX = ("--no-proxy-server", "--disable-dev-shm-usage", "--no-sandbox")
"""A Lambda sandbox has hardly any /dev/shm, and no namespaces for Chromium's own."""

_ONE_PROCESS = ("--disable-site-isolation-trials",)
"""Frames of other origins stay in the page's process: one DevTools session sees what they ask for."""

CHROMIUM_FLAGS = (*_FRAME_CONTROL, *_SOFTWARE, *_SAME_PIXELS, *_SANDBOX, *_ONE_PROCESS)


class BrowserSession:
    """A running browser. `pid` is the process to watch; pages are opened one after the other."""

    def __init__(self, browser: PlaywrightBrowser, cdp: CDPSession) -> None:
        self.pid = _browser_pid(cdp)
        self._browser = browser
        self._cdp = cdp
        self._watchdog = Watchdog(self._kill)

    def open(self, spec: PageSpec) -> CompositionPage:
        """Open a composition and return when it can be seeked; raises one of the codes that the package's docstring lists."""
        return open_page(self._browser, self._cdp, self._watchdog, spec)

    def close(self) -> None:
        """End the browser; one that is already gone is fine."""
        with suppress(Error), self._watchdog.guard(10.0):
            self._browser.close()
        self._watchdog.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@contextmanager
def launch(browser: Browser, *, scratch: Path | None = None, reach: str | None = None) -> Iterator[BrowserSession]:
    """Run `browser` with its home in a temporary folder below `scratch` (default: the system's), which goes when it ends.

    Its profile lies there too, or in the folder of the kept driver when there is one, and goes as well.
    `reach` is the URL of the one server that pages can connect to, themselves and with their workers and sockets; without it they can to
    every server on 127.0.0.1. What else this machine and its network offer is out of reach of a composition either way.
    Raises `CHROME_UNAVAILABLE` with the last lines that the browser wrote when it does not start, and `BROWSER_GPU_NOT_SOFTWARE` when it
    composites by other means than software.
    """
    if not browser.path.is_file():
        raise RenderError(
            ErrorCode.CHROME_UNAVAILABLE,
            f"there is no browser at {browser.path}",
            hint="Run `hyperframes-airflow setup`, then `hyperframes-airflow doctor`.",
        )
    home = Path(tempfile.mkdtemp(prefix="hyperframes-browser-", dir=scratch))
    try:
        with driver(home, browser.driver_node) as playwright:
            session = _start(playwright, browser, home, reach)
            try:
                yield session
            finally:
                session.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _start(playwright: Playwright, browser: Browser, home: Path, reach: str | None) -> BrowserSession:
    try:
        running = playwright.chromium.launch(
            executable_path=browser.path,
            args=[*CHROMIUM_FLAGS, _offline_but_for(reach)],
            env=_browser_environment(browser, home),
            timeout=LAUNCH_SECONDS * 1000,
            # The role decides what a signal means; it closes the browser by leaving the context.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        cdp = running.new_browser_cdp_session()
        _require_software(cdp)
        return BrowserSession(running, cdp)
    except Error as error:
        raise RenderError(
            ErrorCode.CHROME_UNAVAILABLE,
            f"{browser.path.name} {browser.version} did not start: {_last_lines(error.message)}",
            hint="Run `hyperframes-airflow doctor`; `hyperframes-airflow setup` unpacks the browser anew.",
        ) from error


def _offline_but_for(reach: str | None) -> str:
    """No name and no address is found but the one server's, or loopback's."""
    if reach is None:
        return "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    server = urlsplit(reach).netloc
    return f"--host-resolver-rules=MAP {server} {server} , MAP * ~NOTFOUND"


def _browser_environment(browser: Browser, home: Path) -> dict[str, str | float | bool]:
    environment: dict[str, str | float | bool] = {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    libraries = [str(browser.library_path)] if browser.library_path else []
    libraries += [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    if libraries:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    if browser.fontconfig:
        environment["FONTCONFIG_FILE"] = str(browser.fontconfig)
    return environment


def _require_software(cdp: CDPSession) -> None:
    status = cdp.send("SystemInfo.getInfo")["gpu"].get("featureStatus", {}).get("gpu_compositing", "unknown")
    if not str(status).startswith("disabled"):
        raise RenderError(
            ErrorCode.BROWSER_GPU_NOT_SOFTWARE,
            f"Chromium composites with {status!r} instead of software, so two machines would not draw the same pixels",
            hint="Use the browser that `hyperframes-airflow setup` brings.",
        )


def _browser_pid(cdp: CDPSession) -> int:
    processes = cdp.send("SystemInfo.getProcessInfo")["processInfo"]
    return next(int(process["id"]) for process in processes if process["type"] == "browser")


def _last_lines(text: str, count: int = 12) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not set(line.strip()) <= set("=- ")]
    return "\n".join(lines[-count:])
