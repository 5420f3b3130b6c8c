"""Playwright's driver, the Node process between us and a browser: started for one launch, or kept for many.

To start it takes most of a launch's time. A browser is never kept: each launch has a fresh one.
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
    """Until it is left, the launches of this thread share one driver, which has its temporary files in the folder `home`.

    It is started by the first launch. One that is gone is replaced, and so is one in whose hands anything failed. While it is there, the
    thread cannot run an event loop of its own (Playwright's synchronous interface).
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
    """End the driver that is kept for this thread, with the files that it holds open. The next launch starts another."""
    kept = _kept_here()
    if kept is not None:
        kept.stop()


@contextmanager
def driver(home: Path, node: Path | None) -> Iterator[Playwright]:
    """The kept driver, or one of its own with its temporary files (the browser's profile among them) in `home`, run by `node`.

    `CHROME_UNAVAILABLE` when it does not start.
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
                # A question that only a driver that is there answers.
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
    """A driver takes both from its environment and offers no other way to name them."""
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
