"""Launch of a chrome-headless-shell for capturing, and removal of everything it leaves behind."""

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
"""Draw only on a beginFrame, and then completely."""

_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing")
"""Composite in software, much cheaper than by a software GPU. WebGL still has one."""

_SAME_PIXELS = (
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    # Subpixel antialiasing of text depends on its layer, and so on earlier frames.
    "--disable-lcd-text",
    "--disable-partial-raster",
    "--hide-scrollbars",
)

_SANDBOX = ("--no-proxy-server", "--disable-dev-shm-usage", "--no-sandbox")
"""A Lambda sandbox has hardly any /dev/shm, and no namespaces for Chromium's own sandbox."""

_ONE_PROCESS = ("--disable-site-isolation-trials",)
"""Keep frames of other origins in the page's process, so that one DevTools session sees their requests."""

CHROMIUM_FLAGS = (*_FRAME_CONTROL, *_SOFTWARE, *_SAME_PIXELS, *_SANDBOX, *_ONE_PROCESS)


class BrowserSession:
    """A running browser, whose main process is `pid`. It has one page at a time."""

    def __init__(self, browser: PlaywrightBrowser, cdp: CDPSession) -> None:
        self.pid = _browser_pid(cdp)
        self._browser = browser
        self._cdp = cdp
        self._watchdog = Watchdog(self._kill)

    def open(self, spec: PageSpec) -> CompositionPage:
        """Open a composition and return when it can be seeked. Raise one of the codes that the package's docstring lists."""
        return open_page(self._browser, self._cdp, self._watchdog, spec)

    def close(self) -> None:
        """End the browser. It may already be gone."""
        with suppress(Error), self._watchdog.guard(10.0):
            self._browser.close()
        self._watchdog.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@contextmanager
def launch(browser: Browser, *, scratch: Path | None = None, reach: str | None = None) -> Iterator[BrowserSession]:
    """Run `browser` with its home in a temporary folder below `scratch` (default: the system's), and remove the folder at the end.

    Its profile lies there too, or in the folder of a kept driver, and is removed as well. `reach` is the URL of the only server that pages,
    with their workers and sockets, can connect to; without it, every server on 127.0.0.1. The rest of the machine and its network is out of
    reach either way.

    Raise `CHROME_UNAVAILABLE`, with the browser's last lines of output, when it does not start, and `BROWSER_GPU_NOT_SOFTWARE` when it does
    not composite in software.
    """
    if not browser.path.is_file():
        raise RenderError(
            ErrorCode.CHROME_UNAVAILABLE,
            f"no browser at {browser.path}",
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
            # The role handles signals, and closes the browser by leaving the context.
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
            hint="Run `hyperframes-airflow doctor`. To unpack the browser again, run `hyperframes-airflow setup`.",
        ) from error


def _offline_but_for(reach: str | None) -> str:
    """The switch that resolves no name or address except the one server's, or loopback's."""
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
            f"Chromium composites with {status!r} instead of in software, so pixels would differ between machines",
            hint="Use the browser that `hyperframes-airflow setup` installs.",
        )


def _browser_pid(cdp: CDPSession) -> int:
    processes = cdp.send("SystemInfo.getProcessInfo")["processInfo"]
    return next(int(process["id"]) for process in processes if process["type"] == "browser")


def _last_lines(text: str, count: int = 12) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not set(line.strip()) <= set("=- ")]
    return "\n".join(lines[-count:])
