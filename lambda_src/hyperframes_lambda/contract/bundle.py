"""`bundle/bundle.json` of the Lambda ZIP: its tools, how they are packed, and their paths after unpacking.

The provider's `bundle/` writes it, the engine's `bundled_tools` reads it. Paths of the toolset begin with one of two placeholders, because
only the function knows the folders they stand for.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hyperframes_lambda.contract.toolset import Toolset

BUNDLE_FOLDER = "bundle"
"""The folder at the top of the ZIP."""

BUNDLE_NAME = "bundle.json"

FONTS_CONF = "fonts.conf"
"""Contains the placeholders in the ZIP, and the real paths beside the unpacked tools."""

IN_PLACE = "@BUNDLE@"
"""Placeholder for the ZIP's folder, for files that are used in place."""

UNPACKED = "@TOOLS@"
"""Placeholder for the folder of the unpacked files."""


class Packing(StrEnum):
    """Compression of a payload."""

    XZ = "xz"
    """Concatenated xz streams, which form one ordinary `.xz` file; a thread of its own unpacks each."""
    BROTLI = "brotli"
    BROTLI_TAR = "brotli-tar"


class Block(BaseModel):
    """One xz stream of a payload: its bytes in the payload (`packed`) and in the unpacked file (`size`)."""

    model_config = ConfigDict(frozen=True)
    packed: int
    size: int


class Payload(BaseModel):
    """One packed file below `bundle/`."""

    model_config = ConfigDict(frozen=True)
    file: str
    """Path in the ZIP."""
    packing: Packing
    target: str
    """Path of the unpacked file, or for a tar of the folder, below the unpacked tools."""
    size: int
    """Bytes of the unpacked file or tar."""
    sha256: str
    """Digest of these bytes."""
    executable: bool = False
    blocks: tuple[Block, ...] = ()
    files: dict[str, int]
    """Sizes of the unpacked files, by path below the unpacked tools."""


class Bundle(BaseModel):
    """`bundle.json`."""

    model_config = ConfigDict(frozen=True)
    digest: str
    """Digest of all payloads; the name of the folder that receives them."""
    payloads: tuple[Payload, ...]
    toolset: Toolset

    @property
    def unpacked_bytes(self) -> int:
        """Disk space of the unpacked tools."""
        return sum(size for payload in self.payloads for size in payload.files.values())

    def tools(self, in_place: Path, unpacked: Path) -> Toolset:
        """Return the toolset with real paths in place of the placeholders."""
        return Toolset.model_validate_json(with_roots(self.toolset.model_dump_json(), _json_text(in_place), _json_text(unpacked)))


def with_roots(text: str, in_place: str, unpacked: str) -> str:
    """Replace the placeholders in `text`."""
    return text.replace(IN_PLACE, in_place).replace(UNPACKED, unpacked)


def _json_text(path: Path) -> str:
    return json.dumps(str(path))[1:-1]
