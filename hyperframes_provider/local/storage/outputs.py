"""The outputs folder: a copy of every finished object, since the endpoint forgets everything when it ends."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path, PurePosixPath

PREFIX = "outputs/"

_log = logging.getLogger(__name__)


class OutputsFolder:
    """A mirror of the objects under `outputs/` of all buckets in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Read once, before there are threads: reading the umask means setting it.
        self._mode = 0o666 & ~_umask()

    def path_of(self, key: str) -> Path | None:
        """Return the file that mirrors object `key`, or None if the key is not under `outputs/` or would leave the folder."""
        if not key.startswith(PREFIX) or key.endswith("/"):
            return None
        relative = PurePosixPath(key.removeprefix(PREFIX))
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            _log.warning("%r is not mirrored: its path leads out of %s", key, self.folder)
            return None
        return self.folder.joinpath(*relative.parts)

    def write(self, key: str, content: bytes) -> None:
        """Mirror one object; the file appears complete or not at all. Raise `OSError` if it cannot be written."""
        path = self.path_of(key)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
            try:
                part.write(content)
                part.flush()
                # The mode of an ordinary new file, instead of a temporary file's 0600.
                Path(part.name).chmod(self._mode)
                Path(part.name).replace(path)
            except OSError:
                Path(part.name).unlink(missing_ok=True)
                raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
