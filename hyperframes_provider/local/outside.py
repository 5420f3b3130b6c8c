"""What a function in a jail has changed outside its /tmp: two looks at every file that it can see, compared.

Nothing should be possible there. This is how it is shown, instead of being concluded from how the jail is made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

_ITS_OWN = ("tmp", "proc")
"""What is the function's to write, and the kernel's to make up."""

Stamp = tuple[int, ...]


class Outside:
    """A look at the jail behind the descriptor `root`, which is copied: the jail may be over when the second look is taken."""

    def __init__(self, root: int) -> None:
        self._root = os.dup(root)
        self._before = dict(_look(self._root))

    def __enter__(self) -> Outside:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    @property
    def count(self) -> int:
        """How many files and folders there were."""
        return len(self._before)

    def changed(self) -> list[str]:
        """What is new, gone or different now."""
        now = dict(_look(self._root))
        return sorted(path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path))


def _look(root: int) -> Iterator[tuple[str, Stamp]]:
    for folder, folders, names, descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        if folder == ".":
            folders[:] = [name for name in folders if name not in _ITS_OWN]
        for name in (*folders, *names):
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISCHR(found.st_mode):  # writing to /dev/null is no change
                yield f"{folder[1:]}/{name}", (found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)
