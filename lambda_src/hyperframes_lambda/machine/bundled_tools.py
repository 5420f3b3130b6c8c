"""The tools in the Lambda ZIP, unpacked below the temporary folder on first use and shared by all invocations of the sandbox.

The first invocation unpacks them, not the initialisation of the function, which is billed alike, must end within ten seconds, and cannot
report DISK_FULL.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import lzma
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pydantic import ValidationError

from hyperframes_lambda.contract.bundle import BUNDLE_FOLDER, BUNDLE_NAME, FONTS_CONF, Bundle, Packing, Payload, with_roots
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Toolset

if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4, in a sandbox without the runtime's
    from backports import tarfile  # type: ignore[no-redef]

_PREFIX = "hyperframes-tools-"
_READ = 1 << 20
_SPARE = 8 << 20
"""Free bytes to leave after unpacking."""
_REBUILD = "Build the ZIP again and deploy it: hyperframes-airflow build -o handler.zip, hyperframes-airflow deploy --code handler.zip"
_ROOM = "Give the function more ephemeral storage; the tools need half a gigabyte."


class BundledTools:
    """The bundle of a task root and its copy in the temporary folder."""

    def __init__(self, task_root: Path, scratch: Path | None = None) -> None:
        self._folder = task_root / BUNDLE_FOLDER
        self._scratch = scratch or Path(tempfile.gettempdir())
        self._bundle = _read(self._folder / BUNDLE_NAME)
        self.unpacked = self._scratch / f"{_PREFIX}{self._bundle.digest[:16]}"

    def toolset(self, before_unpacking: Callable[[], None] = lambda: None) -> Toolset:
        """Return the tools, unpacking them if needed after `before_unpacking` has ended the programs of an earlier copy.

        One process of the sandbox unpacks while the others wait. The folder appears by a rename, so it is complete or missing. Raise
        `DISK_FULL` or `CHROME_UNAVAILABLE`.
        """
        if not self._is_sound():
            with self._locked():
                if not self._is_sound():
                    before_unpacking()
                    self._unpack()
        return self._bundle.tools(self._folder, self.unpacked)

    def discard(self) -> None:
        """Remove the unpacked copy; the next use unpacks the tools again."""
        with self._locked():
            _remove(self.unpacked)

    def _is_sound(self) -> bool:
        """Whether the copy is complete, judged by sizes: hashing half a gigabyte would cost every invocation a second."""
        try:
            return (self.unpacked / FONTS_CONF).read_bytes() == self._fonts_conf() and all(
                (self.unpacked / name).stat().st_size == size for payload in self._bundle.payloads for name, size in payload.files.items()
            )
        except OSError:
            return False

    def _unpack(self) -> None:
        staged = self.unpacked.with_suffix(".partial")
        try:
            for leftover in (self.unpacked, staged, *self._scratch.glob(f"{self.unpacked.name}-*")):
                _remove(leftover)
            self._require_room()
            staged.mkdir()
            _unpack_all(self._bundle, self._folder, staged)
            (staged / FONTS_CONF).write_bytes(self._fonts_conf())
            staged.rename(self.unpacked)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full() from error
            raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"the tools cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _fonts_conf(self) -> bytes:
        text = (self._folder / FONTS_CONF).read_text(encoding="utf-8")
        return with_roots(text, escape(str(self._folder)), escape(str(self.unpacked))).encode()

    def _require_room(self) -> None:
        if shutil.disk_usage(self._scratch).free < self._bundle.unpacked_bytes + _SPARE:
            raise self._full()

    def _full(self) -> RenderError:
        usage = shutil.disk_usage(self._scratch)
        message = (
            f"the tools need {self._bundle.unpacked_bytes >> 20} MB below {self._scratch}, "
            f"where {usage.free >> 20} of {usage.total >> 20} MB are free"
        )
        return RenderError(ErrorCode.DISK_FULL, message, hint=_ROOM)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the copy, which the system releases with the process."""
        try:
            lock = self.unpacked.with_suffix(".lock").open("w")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full() from error
            raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{self._scratch} is not writable: {error}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def has_bundle(task_root: Path) -> bool:
    """Whether the code at `task_root` has tools of its own."""
    return (task_root / BUNDLE_FOLDER / BUNDLE_NAME).is_file()


def _read(path: Path) -> Bundle:
    try:
        return Bundle.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{path} cannot be read: {error}", hint=_REBUILD) from error


def _remove(folder: Path) -> None:
    """Remove a folder after renaming it: running programs keep their files, and nobody finds a partial folder."""
    if folder.exists():
        doomed = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        folder.rename(doomed / folder.name)
        shutil.rmtree(doomed, ignore_errors=True)


def _unpack_all(bundle: Bundle, folder: Path, staged: Path) -> None:
    """Unpack every block in a thread, in the order of the payloads; the decompressors release the interpreter lock."""
    with ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0)))) as pool:
        started = [pool.submit(step) for payload in bundle.payloads for step in _steps(payload, folder / payload.file, staged)]
        try:
            for step in started:
                step.result()
        except BaseException:
            for step in started:
                step.cancel()
            raise
    for payload in bundle.payloads:
        _check_files(payload, staged)


def _steps(payload: Payload, source: Path, staged: Path) -> Iterator[Callable[[], None]]:
    target = staged / payload.target
    if payload.packing is Packing.BROTLI_TAR:
        yield lambda: _unpack_tar(payload, source, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.truncate(payload.size)
    target.chmod(0o755 if payload.executable else 0o644)
    if payload.packing is Packing.BROTLI:
        yield lambda: _unpack_brotli(payload, source, target)
        return
    at, out = 0, 0
    for block in payload.blocks:
        yield _block(payload, source, target, at, block.packed, out, block.size)
        at, out = at + block.packed, out + block.size


def _block(payload: Payload, source: Path, target: Path, at: int, packed: int, out: int, size: int) -> Callable[[], None]:
    def unpack() -> None:
        decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
        written, left = 0, packed
        with source.open("rb", buffering=0) as reader, target.open("r+b", buffering=0) as writer:
            reader.seek(at)
            writer.seek(out)
            try:
                while left and not decompressor.eof:
                    data = reader.read(min(_READ, left))
                    left -= len(data)
                    if not data:
                        break
                    written += _write(writer, decompressor.decompress(data))
            except lzma.LZMAError as error:
                raise _damaged(payload, str(error)) from error
        # The stream's own checksum was verified at its end.
        if not decompressor.eof or left or written != size:
            raise _damaged(payload, f"a block unpacks to {written} instead of {size} bytes")

    return unpack


def _unpack_brotli(payload: Payload, source: Path, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("r+b", buffering=0) as writer:
        written = sum(_write(writer, data, digest) for data in _brotli(payload, source))
    _require(payload, written, digest.hexdigest())


def _unpack_tar(payload: Payload, source: Path, target: Path) -> None:
    content = b"".join(_brotli(payload, source))
    _require(payload, len(content), hashlib.sha256(content).hexdigest())
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        tar.extractall(target, filter="data")


def _brotli(payload: Payload, source: Path) -> Iterator[bytes]:
    import brotli

    decompressor = brotli.Decompressor()
    try:
        with source.open("rb") as file:
            while data := file.read(_READ):
                yield decompressor.process(data)
    except brotli.error as error:
        raise _damaged(payload, str(error)) from error
    if not decompressor.is_finished():
        raise _damaged(payload, "it ends early")


def _write(writer: Any, data: bytes, digest: Any = None) -> int:
    """Write all of `data`, which an unbuffered file may accept in parts, and return its length."""
    if digest is not None:
        digest.update(data)
    view = memoryview(data)
    while view:
        view = view[writer.write(view) :]
    return len(data)


def _require(payload: Payload, size: int, sha256: str) -> None:
    if size != payload.size or sha256 != payload.sha256:
        raise _damaged(payload, f"it unpacks to {size} bytes with SHA-256 {sha256} instead of {payload.size} with {payload.sha256}")


def _check_files(payload: Payload, staged: Path) -> None:
    for name, size in payload.files.items():
        if (staged / name).stat().st_size != size:
            raise _damaged(payload, f"{name} does not have {size} bytes")


def _damaged(payload: Payload, what: str) -> RenderError:
    return RenderError(ErrorCode.CHROME_UNAVAILABLE, f"{payload.file} in the code ZIP is damaged: {what}", hint=_REBUILD)
