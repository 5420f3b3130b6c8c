"""The private scratch folder of one invocation, and what a full disk does to it."""

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
"""Free bytes below which a browser or an encoder that died is taken to have died of it: its own files are gone by the time of the look."""

_DIES_OF_A_FULL_DISK = {
    ErrorCode.BROWSER_CRASHED,
    ErrorCode.CAPTURE_STALLED,
    ErrorCode.CHROME_UNAVAILABLE,
    # "ERR_INSUFFICIENT_RESOURCES" of a page that is loaded, among them.
    ErrorCode.COMPOSITION_ERROR,
    ErrorCode.COMPOSITION_NOT_READY,
    ErrorCode.ENCODER_CRASHED,
    ErrorCode.ENCODER_FAILED,
}


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder below the temporary folder, removed on leaving. What an invocation that was killed left there is removed first.

    Each folder is locked while it is used, so that processes that share a temporary folder leave each other alone.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    with ExitStack() as stack:
        try:
            folder = _locked_folder(stack)
        except OSError as error:
            full = as_disk_full(error, parent)
            if full is not None:
                raise full from error
            raise
        yield folder


def _locked_folder(stack: ExitStack) -> Path:
    while True:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True))
        # Another process may have found it before the lock was on it; then it is gone, or about to go.
        with suppress(FileNotFoundError, BlockingIOError):
            stack.enter_context(_locked(Path(folder)))
            if Path(folder).is_dir():
                return Path(folder)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        # Another user's folder, or one that its owner is removing right now, is none of ours.
        with suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock of `folder`, on the folder itself: it lasts as long as the holder, however that ends. `BlockingIOError` if it is taken."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def as_disk_full(error: BaseException, folder: Path) -> RenderError | None:
    """`DISK_FULL`, saying how full `folder`'s file system is, when that is what `error` comes from; else None.

    A browser without disk space does not say so: it hangs or dies. That counts when next to nothing is free.
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
