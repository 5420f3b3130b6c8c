"""`tarfile` with its data filter, also on the Pythons before 3.11.4, which some distributions still ship and which lack it."""

from __future__ import annotations

import tarfile

if not hasattr(tarfile, "data_filter"):
    from backports import tarfile  # type: ignore[no-redef]

__all__ = ["tarfile"]
