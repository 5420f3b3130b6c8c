"""The private scratch folder of an invocation, and the symptoms of a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.media.process import DISK_FULL_HINT

_PREFIX = "hyperframes-work-"
_NEARLY_NOTHING = 16 << 20
"""Free bytes below which a full disk explains the death of a browser or encoder, whose own files are gone by then."""

_DIES_OF_A_FULL_DISK = {
    ErrorCode.BROWSER_CRASHED,
    ErrorCode.CAPTURE_STALLED,
    ErrorCode.CHROME_UNAVAILABLE,
    # Includes "ERR_INSUFFICIENT_RESOURCES" while a page loads.
    ErrorCode.COMPOSITION_ERROR,
    ErrorCode.COMPOSITION_NOT_READY,
    ErrorCode.ENCODER_CRASHED,
    ErrorCode.ENCODER_FAILED,
}


@contextmanager
def workspace() -> Iterator[Path]:
    """Provide a new folder below the temporary folder and remove it on leaving; first remove those of killed invocations.

    A folder is locked while in use, so that processes can share the temporary folder. An error that a full disk caused becomes `DISK_FULL`.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    with ExitStack() as stack:
        folder = parent
        try:
            folder = _locked_folder(stack)
            yield folder
        except Exception as error:
            full = as_disk_full(error, folder)
            if full is not None:
                raise full from error
            raise


def _locked_folder(stack: ExitStack) -> Path:
    while True:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True))
        # Another process may have found the folder before it was locked, and be removing it.
        with suppress(FileNotFoundError, BlockingIOError):
            stack.enter_context(_locked(Path(folder)))
            if Path(folder).is_dir():
                return Path(folder)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Skips another user's folder, and one that its owner is removing right now.
        with suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock `folder` itself, so that the system releases the lock with the process; `BlockingIOError` if it is taken."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def as_disk_full(error: BaseException, folder: Path) -> RenderError | None:
    """Return `DISK_FULL` with the free space of `folder`'s file system if a full disk caused `error`; else None.

    A browser without disk space hangs or dies without a word. Its errors count when almost nothing is free.
    """
    usage = shutil.disk_usage(folder)
    state = f"scratch folder {folder}: {usage.free >> 20} of {usage.total >> 20} MB free"
    if isinstance(error, RenderError):
        if error.code is ErrorCode.DISK_FULL:
            return RenderError(ErrorCode.DISK_FULL, f"{error.message}\n{state}", hint=error.hint)
        if error.code in _DIES_OF_A_FULL_DISK and usage.free < _NEARLY_NOTHING:
            return RenderError(ErrorCode.DISK_FULL, f"{state}; then {error.code}: {error.message}", hint=DISK_FULL_HINT)
        return None
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RenderError(
            ErrorCode.DISK_FULL, f"{os.strerror(error.errno)}: {error.filename or 'a temporary file'}\n{state}", hint=DISK_FULL_HINT
        )
    return None
