"""`tarfile` with its data filter, also for Python before 3.11.4, which lacks it and is still in some distributions."""

from __future__ import annotations

import tarfile

if not hasattr(tarfile, "data_filter"):
    from backports import tarfile  # type: ignore[no-redef]

__all__ = ["tarfile"]
