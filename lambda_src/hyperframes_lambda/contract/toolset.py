"""`toolset.json`: where browser, ffmpeg and the HyperFrames runtime lie on this machine, and which versions they are.

Written by whoever brings the tools (`hyperframes-airflow setup`), read by the engine through `HYPERFRAMES_TOOLSET`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

TOOLSET_VARIABLE = "HYPERFRAMES_TOOLSET"
"""Environment variable with the path of `toolset.json`."""

CHROME_SOURCE_VARIABLE = "HYPERFRAMES_CHROME_SOURCE"
"""Environment variable with the `ChromeSource` of the stack; default `sparticuz`."""


def cache_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `$XDG_CACHE_HOME/hyperframes`, or `~/.cache/hyperframes`. The XDG specification has relative paths ignored."""
    chosen = environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if chosen.startswith("/") else Path.home() / ".cache") / "hyperframes"


def toolset_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return `$HYPERFRAMES_TOOLSET`, or `toolset.json` in the user cache, where `hyperframes-airflow setup` writes it."""
    chosen = environ.get(TOOLSET_VARIABLE)
    return Path(chosen) if chosen else cache_home(environ) / "toolset.json"


class ChromeSource(StrEnum):
    """Where the browser comes from; the values of the stack's parameter."""

    SPARTICUZ = "sparticuz"
    CHROME_HEADLESS_SHELL = "chrome-headless-shell"


class Browser(BaseModel):
    """A chrome-headless-shell binary and what it needs of its surroundings."""

    model_config = ConfigDict(frozen=True)
    path: Path
    version: str
    library_path: Path | None = None
    """Added to `LD_LIBRARY_PATH`."""
    fontconfig: Path | None = None
    """A `fonts.conf`, passed as `FONTCONFIG_FILE`. Without a usable one Chromium draws no text and reports no error."""
    driver_node: Path | None = None
    """The Node that runs Playwright's driver; None for the one that its Python package brings."""


class Tool(BaseModel):
    """One file and its version."""

    model_config = ConfigDict(frozen=True)
    path: Path
    version: str


class Npm(BaseModel):
    """The npm client that fetches what a content network out of reach would have served."""

    model_config = ConfigDict(frozen=True)
    node: Path
    cli: Path
    """`npm-cli.js`, run by `node`."""
    packages: Path
    """Folder in which fetched packages are kept, by name and exact version."""


class FontFace(BaseModel):
    """One file of a family as a page gets it; the fields are the descriptors of an `@font-face` rule."""

    model_config = ConfigDict(frozen=True)
    file: str
    """Path relative to the catalogue."""
    weight: str
    """One weight (`400`), or the first and the last of a variable font (`100 300`)."""
    style: str
    unicode_range: str


class FontCatalogue(BaseModel):
    """`fonts.json`: the families that every page may use without bringing them, by name as it is written (`EB Garamond`).

    Of two faces that fit alike the later one is drawn.
    """

    model_config = ConfigDict(frozen=True)
    families: dict[str, list[FontFace]]


class Toolset(BaseModel):
    """Everything that the engine runs and did not come from PyPI's Python packages."""

    model_config = ConfigDict(frozen=True)
    browsers: dict[ChromeSource, Browser]
    ffmpeg: Tool
    runtime: Tool
    """`hyperframe.runtime.iife.js`."""
    libraries: dict[str, Tool] = {}
    """Script libraries for authors, by name (`gsap`)."""
    fonts: Tool | None = None
    """A `FontCatalogue`, the files that it names beside it; `version` is the digest of all fonts, those of `fonts.conf` included.
    Without one a page has the fonts of `fonts.conf` and its own."""
    npm: Npm | None = None
    """None where there is no registry client, as on Lambda."""
