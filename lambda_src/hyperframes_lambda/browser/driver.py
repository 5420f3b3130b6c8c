"""Playwright's driver, the Node process that controls a browser: started for one launch, or kept for many.

Starting it takes most of a launch's time. Every launch has a fresh browser.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Error, Playwright, sync_playwright

from hyperframes_lambda.contract.errors import ErrorCode, RenderError


@contextmanager
def kept_driver(home: Path) -> Iterator[None]:
    """Share one driver, with its temporary files in `home`, between the launches of this thread.

    The first launch starts it. It is replaced when it is gone or when a launch failed. While it runs, the thread cannot run an event loop
    of its own (Playwright's synchronous interface).
    """
    if _kept_here() is not None:
        yield
        return
    _local.kept = kept = _Kept(home)
    try:
        yield
    finally:
        _local.kept = None
        kept.stop()


def release_driver() -> None:
    """Stop the driver kept for this thread, and so close its files. The next launch starts another."""
    kept = _kept_here()
    if kept is not None:
        kept.stop()


@contextmanager
def driver(home: Path, node: Path | None) -> Iterator[Playwright]:
    """Yield the kept driver, or else a new one, run by `node` with its temporary files (including the browser's profile) in `home`.

    Raise `CHROME_UNAVAILABLE` when it does not start.
    """
    kept = _kept_here()
    if kept is None:
        playwright = _started(home, node)
        try:
            yield playwright
        finally:
            playwright.stop()
        return
    try:
        yield kept.running(node)
    except BaseException:
        kept.stop()
        raise


class _Kept:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._playwright: Playwright | None = None

    def running(self, node: Path | None) -> Playwright:
        if self._playwright is not None:
            try:
                # Fails if the driver is gone.
                self._playwright.request.new_context().dispose()
            except Error:
                self.stop()
        if self._playwright is None:
            self._playwright = _started(self._home, node)
        return self._playwright

    def stop(self) -> None:
        playwright, self._playwright = self._playwright, None
        if playwright is not None:
            with suppress(Error):
                playwright.stop()


_local = threading.local()


def _kept_here() -> _Kept | None:
    found: _Kept | None = getattr(_local, "kept", None)
    return found


def _started(home: Path, node: Path | None) -> Playwright:
    """Start a driver, which takes both settings only from its environment."""
    with _environment(TMPDIR=str(home), **({} if node is None else {"PLAYWRIGHT_NODEJS_PATH": str(node)})):
        try:
            return sync_playwright().start()
        except (Error, OSError) as error:
            raise RenderError(
                ErrorCode.CHROME_UNAVAILABLE, f"Playwright's driver did not start: {error}", hint="Run `hyperframes-airflow doctor`."
            ) from error


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
