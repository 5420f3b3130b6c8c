"""Chromium under frame control: launch it, open a composition, take its pixels.

    with launch(tools.browser, scratch=Path) as session:                      # CHROME_UNAVAILABLE, BROWSER_GPU_NOT_SOFTWARE
        with session.open(PageSpec(base_url + "index.html", width=1920, height=1080)) as page:
            page.duration                                                       # seconds, > 0
            page.report                                                         # PageReport: console_errors, failed_requests, …
            page.media                                                          # its <video> and <audio> elements, MediaElement
            png = page.capture(frame_time(7, fps))                              # bytes of one PNG, width·scale by height·scale pixels

A composition with `<video>` or `<audio>` needs a `PageSpec` with `media`, which looks into the files. A capture gets the pictures of its
moment: `page.capture(seconds, [(element, path, source seconds), …])`. The browser itself loads no media file.

`open` returns when the composition can be seeked. It raises COMPOSITION_NOT_READY, COMPOSITION_ERROR, COMPOSITION_EMPTY,
COMPOSITION_UNSUPPORTED, DURATION_OUT_OF_RANGE or ASSET_UNAVAILABLE; `capture` raises COMPOSITION_ERROR, ASSET_UNAVAILABLE, BROWSER_CRASHED
or CAPTURE_STALLED. Frames may be captured in any order: the same moment always gives the same bytes. A session belongs to one thread
(Playwright's synchronous interface). `kept_driver` makes repeated launches much faster.
"""

from __future__ import annotations

from hyperframes_lambda.browser.driver import kept_driver, release_driver
from hyperframes_lambda.browser.launch import BrowserSession, launch
from hyperframes_lambda.browser.page import CompositionPage
from hyperframes_lambda.browser.report import PageReport
from hyperframes_lambda.browser.spec import PageSpec

__all__ = ["BrowserSession", "CompositionPage", "PageReport", "PageSpec", "kept_driver", "launch", "release_driver"]
