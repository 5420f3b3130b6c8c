"""A chunk's live signals: the progress that it reports and the cancel marker that it watches for."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

from pydantic import ValidationError

from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.contract.events import ChunkProgress, RenderChunkEvent
from hyperframes_lambda.entry.invocation import logger
from hyperframes_lambda.entry.render_folder import RenderFolder

_INTERVAL_SECONDS = 1.5


class ChunkSignals:
    """Write progress and watch for the cancel marker on a thread, so that S3 never holds up a frame.

    A failure to write or read is logged and retried at the next beat; it never fails the render.
    """

    def __init__(self, folder: RenderFolder, event: RenderChunkEvent, *, frames: int, done: int = 0) -> None:
        self.cancelled = threading.Event()
        self._folder = folder
        self._event = event
        self._frames = frames
        self._done = done
        self._drawing = False
        self._written = -1
        self._began = time.time()
        self._earlier: ChunkProgress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="chunk-signals", daemon=True)

    def __enter__(self) -> ChunkSignals:
        self._earlier = self._earlier_progress()
        self._write(complete=False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended.is_set():
            # The invocation failed: nothing else records what it has cost.
            self._end()
            self._write(complete=False)

    def report(self, done: int) -> None:
        """Set the number of finished frames. The log line about an invocation's first frame marks the end of a cold start."""
        if done > self._done and not self._drawing:
            self._drawing = True
            logger.info("first frame")
        self._done = done

    def end(self, done: int, *, reused: bool = False) -> None:
        """Write the invocation's final report: `done` frames are finished and uploaded."""
        self._end()
        self._done = done
        self._write(complete=done == self._frames, reused=reused, checkpoint=done != self._frames)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            if self._done != self._written:
                self._write(complete=False)
            try:
                if self._folder.cancel_marker(self._event.execution_name) is not None:
                    self.cancelled.set()
            except RenderError as error:
                logger.warning("cannot look for the cancel marker", extra={"cause": str(error)})

    def _earlier_progress(self) -> ChunkProgress | None:
        """The report of the chunk's earlier invocations, if they belong to the same execution."""
        try:
            report = self._folder.progress(self._event.chunk_index)
        except (RenderError, ValidationError) as error:
            logger.warning("ignoring the chunk's unreadable progress", extra={"cause": str(error)})
            return None
        return report if report is not None and report.execution_name == self._event.execution_name else None

    def _write(self, *, complete: bool, reused: bool = False, checkpoint: bool = False) -> None:
        done, now, earlier = self._done, time.time(), self._earlier
        memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        progress = ChunkProgress(
            chunk_index=self._event.chunk_index,
            frames_done=done,
            frames_total=self._frames,
            started_at=earlier.started_at if earlier else self._began,
            updated_at=now,
            complete=complete,
            reused=reused,
            execution_name=self._event.execution_name,
            invocations=1 + (earlier.invocations if earlier else 0),
            checkpoints=checkpoint + (earlier.checkpoints if earlier else 0),
            billed_seconds=round(now - self._began + (earlier.billed_seconds if earlier else 0.0), 3),
            memory_mb=int(memory) if memory else None,
        )
        try:
            self._folder.write_progress(progress)
            self._written = done
        except RenderError as error:
            logger.warning("cannot write the progress", extra={"cause": str(error)})
