"""Where the tools lie: the user's cache, unless the environment names another `toolset.json`."""

from __future__ import annotations

import os
from pathlib import Path

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE

TOOLSET_NAME = "toolset.json"


def cache_home() -> Path:
    """`$XDG_CACHE_HOME/hyperframes`, else `~/.cache/hyperframes`. A relative `XDG_CACHE_HOME` is ignored, as its specification says."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(chosen) if chosen.startswith("/") else Path.home() / ".cache"
    return base / "hyperframes"


def toolset_path() -> Path:
    """`$HYPERFRAMES_TOOLSET`, else `toolset.json` in the user cache. The file need not exist: `hyperframes-airflow setup` writes it."""
    chosen = os.environ.get(TOOLSET_VARIABLE)
    return Path(chosen) if chosen else cache_home() / TOOLSET_NAME
