"""`tarfile` with its data filter, which Python lacks before 3.11.4; some distributions still ship such a version."""

from __future__ import annotations

import tarfile

if not hasattr(tarfile, "data_filter"):
    from backports import tarfile  # type: ignore[no-redef]

__all__ = ["tarfile"]
