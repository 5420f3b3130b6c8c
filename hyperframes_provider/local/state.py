"""The state folder: which endpoint runs, if any. The process itself confirms what the file records."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hyperframes_provider.local.processes import start_ticks

STATE_DIR_VARIABLE = "HYPERFRAMES_STATE_DIR"
HEALTH_PATH = "/_hyperframes/health"
"""Answered by the endpoint with its pid."""


@dataclass(frozen=True)
class EndpointInfo:
    """A running endpoint."""

    url: str
    pid: int
    port: int
    outputs: Path
    """Folder that receives a copy of every object under `outputs/`."""
    started_ticks: int
    """Together with `pid`, identifies the process: pids are reused."""
    already_running: bool = False

    def process_lives(self) -> bool:
        """Whether this very process runs."""
        return start_ticks(self.pid) == self.started_ticks


def default_state_dir() -> Path:
    """Return `$HYPERFRAMES_STATE_DIR`, or `~/.local/state/hyperframes` if it is not set."""
    chosen = os.environ.get(STATE_DIR_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".local" / "state" / "hyperframes"


class StateFolder:
    """The files of one endpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "endpoint.log"
        self.scratch = self.folder / "tmp"
        self._file = self.folder / "endpoint.json"

    def read(self) -> EndpointInfo | None:
        """Return the recorded endpoint, or None if the file is missing or unreadable."""
        try:
            fields = json.loads(self._file.read_text())
            return EndpointInfo(**{**fields, "outputs": Path(fields["outputs"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, info: EndpointInfo) -> None:
        """Record the endpoint atomically."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({**asdict(info), "outputs": str(info.outputs)}))
        partial.replace(self._file)

    def remove(self, info: EndpointInfo | None = None) -> None:
        """Remove the record; with `info`, only if it is still that endpoint's."""
        if info is None or self.read() == info:
            self._file.unlink(missing_ok=True)

    def empty_scratch(self) -> None:
        """Remove the temporary files of the endpoint and its environments."""
        # A browser that is just exiting may delete its own files meanwhile; the next start removes any remains.
        remove_tree(self.scratch)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Allow one `up` or `down` at a time; the lock is released when its holder dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "endpoint.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def remove_tree(folder: Path) -> None:
    """Delete `folder`, which may hold unpacked ZIPs: their folders are read-only, so only root could delete their content at once."""
    for root, _, _ in os.walk(folder):
        Path(root).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
