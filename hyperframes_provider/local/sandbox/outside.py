"""Changes that a function in a jail made outside /tmp, found by comparing two snapshots of its files.

None should be possible; the snapshots prove it. This machine's programs and libraries are too many to compare: for them, the check is that
the jail mounts them read-only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

_ITS_OWN = ("tmp", "proc")
"""Folders that belong to the function and to the kernel."""

_THE_MACHINES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")

Stamp = tuple[int, ...]


class Outside:
    """A snapshot of the jail behind the descriptor `root`. The descriptor is copied, since the jail may end before the comparison."""

    def __init__(self, root: int) -> None:
        self._root = os.dup(root)
        self._before = dict(_look(self._root))

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    @property
    def count(self) -> int:
        """Number of files and folders in the snapshot."""
        return len(self._before)

    def changed(self) -> list[str]:
        """Return paths that were added, removed or changed since the snapshot, and this machine's folders if they are writable."""
        now = dict(_look(self._root))
        changed = {path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path)}
        return sorted(changed | set(_writable(self._root)))


def _look(root: int) -> Iterator[tuple[str, Stamp]]:
    for folder, folders, names, descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        if folder == ".":
            folders[:] = [name for name in folders if name not in _ITS_OWN and name not in _THE_MACHINES]
        for name in (*folders, *names):
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISCHR(found.st_mode):  # writing to /dev/null is no change
                yield f"{folder[1:]}/{name}", (found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)


def _writable(root: int) -> Iterator[str]:
    for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", *_THE_MACHINES):
        with contextlib.suppress(FileNotFoundError):  # on this machine
            if not os.statvfs(f"/proc/self/fd/{root}/{name}").f_flag & os.ST_RDONLY:
                yield f"/{name}"
