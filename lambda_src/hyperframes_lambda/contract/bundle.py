"""`bundle/bundle.json` of the Lambda ZIP: which tools it brings, how they are packed, and where they lie once they are unpacked.

Written by the provider's `bundle/`, read by the engine's `bundled_tools`. Paths of the toolset begin with one of two roots, which only
the function knows.
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
"""In the ZIP with the roots still in it, beside the unpacked tools with the paths that they stand for."""

IN_PLACE = "@BUNDLE@"
"""Stands for the ZIP's folder: what is used as it lies there."""

UNPACKED = "@TOOLS@"
"""Stands for the folder below the temporary one that receives what is packed."""


class Packing(StrEnum):
    """How a payload is packed."""

    XZ = "xz"
    """Independent xz streams one after the other: together one ordinary `.xz` file, each unpacked by a thread of its own."""
    BROTLI = "brotli"
    BROTLI_TAR = "brotli-tar"


class Block(BaseModel):
    """One xz stream of a payload. `packed` and `size` are its bytes in the payload and in the file that it is a part of."""

    model_config = ConfigDict(frozen=True)
    packed: int
    size: int


class Payload(BaseModel):
    """One file below `bundle/`, and what comes out of it."""

    model_config = ConfigDict(frozen=True)
    file: str
    """Relative to the ZIP's folder."""
    packing: Packing
    target: str
    """Relative to the unpacked tools: the file, or for a tar the folder."""
    size: int
    """Bytes that come out: of the file, or of the tar."""
    sha256: str
    """Of these bytes."""
    executable: bool = False
    blocks: tuple[Block, ...] = ()
    files: dict[str, int]
    """What lies there afterwards: path relative to the unpacked tools, and size."""


class Bundle(BaseModel):
    """`bundle.json`."""

    model_config = ConfigDict(frozen=True)
    digest: str
    """Of everything that is unpacked; names the folder that receives it."""
    payloads: tuple[Payload, ...]
    toolset: Toolset

    @property
    def unpacked_bytes(self) -> int:
        """Room that the tools take once they are unpacked."""
        return sum(size for payload in self.payloads for size in payload.files.values())

    def tools(self, in_place: Path, unpacked: Path) -> Toolset:
        """The toolset with the paths that the roots stand for."""
        return Toolset.model_validate_json(with_roots(self.toolset.model_dump_json(), _json_text(in_place), _json_text(unpacked)))


def with_roots(text: str, in_place: str, unpacked: str) -> str:
    """`text` with what the roots stand for."""
    return text.replace(IN_PLACE, in_place).replace(UNPACKED, unpacked)


def _json_text(path: Path) -> str:
    return json.dumps(str(path))[1:-1]
