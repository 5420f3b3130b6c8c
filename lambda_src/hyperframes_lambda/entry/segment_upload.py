"""Upload of finished segments beside the drawing, and the time that a chunk reserves for the last one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType

from hyperframes_lambda.drawing.job import FinishedSegment

_RESERVED_SHARE, _RESERVED_SECONDS = 0.1, 15.0
"""Share of the remaining time to reserve for the last upload, and its maximum in seconds."""

_PARALLEL = 2
"""Segments to upload at the same time."""
_PENDING = _PARALLEL + 2
"""Maximum number of segments that are being uploaded or wait for it: they fill the scratch folder until then."""


def drawing_deadline(ends: float) -> float:
    """The moment by which drawing must stop to leave time for the upload, in an invocation that ends at `ends` (`time.monotonic`)."""
    return ends - min(_RESERVED_SHARE * (ends - time.monotonic()), _RESERVED_SECONDS)


class SegmentUpload:
    """Pass segments to `store` on threads, so that S3 holds up the drawing only when it is slower. Leaving waits for all of them.

    After a failed upload no more segments are accepted: `add`, or leaving, raises its error.
    """

    def __init__(self, store: Callable[[FinishedSegment], None]) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="upload")
        self._uploads: list[Future[None]] = []

    def __enter__(self) -> SegmentUpload:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Even after an error: a stored segment need not be drawn again.
        self._pool.shutdown()
        for upload in self._uploads:
            fault = upload.exception()
            if fault is not None and error is None:
                raise fault

    def add(self, finished: FinishedSegment) -> None:
        """Upload one segment; blocks while too many are pending."""
        pending = {upload for upload in self._uploads if not upload.done()}
        while len(pending) >= _PENDING:
            pending = wait(pending, return_when=FIRST_COMPLETED).not_done
        for upload in self._uploads:
            if upload.done():
                upload.result()
        self._uploads.append(self._pool.submit(self._store, finished))
