"""The tools of the bundle: their parts, the files to pack, and the toolset with which the function finds them.

Folders have the same names in the ZIP, after unpacking and in the user cache. The font catalogue is therefore the same text, and a bundle
has the same identity as a local toolset with the same pins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hyperframes_lambda.contract.bundle import FONTS_CONF, IN_PLACE, UNPACKED, Bundle, Packing
from hyperframes_lambda.contract.toolset import Browser, ChromeSource, Tool, Toolset
from hyperframes_provider.bundle.payloads import PackedPayload, Source
from hyperframes_provider.client.aws.zips import Entry
from hyperframes_provider.toolset.fonts import font_catalogue, fonts_conf, fonts_version
from hyperframes_provider.toolset.installed import InstalledPart
from hyperframes_provider.toolset.part import Part, Role
from hyperframes_provider.toolset.pins import CHROMIUM, CHROMIUM_PACKED, CHROMIUM_VERSION, NODE, PARTS

BUNDLED_PARTS: tuple[Part, ...] = (CHROMIUM_PACKED, NODE, *(part for part in PARTS if part.role not in (Role.BROWSER, Role.LIBRARY)))
"""The parts to fetch. Libraries are for authors only; a project brings its own."""

FONTS = "fonts.json"

_PACKED_FONTS = ("font-cjk", "font-emoji")
"""Fonts that xz makes a third smaller than a ZIP can. Web fonts are already packed."""
_DESCRIPTION = ("LICENSE", "README.md", "package.json", "metadata.json", "unicode.json")


@dataclass(frozen=True)
class BundledTools:
    """The parts in the user cache."""

    parts: Sequence[InstalledPart]

    @cached_property
    def _origins(self) -> dict[str, InstalledPart]:
        return {place: found for found in self.parts for place in _places(found.part)}

    def part(self, part: Part) -> InstalledPart:
        """Return the installed part."""
        return next(found for found in self.parts if found.part == part)

    def sources(self) -> list[Source]:
        """Return the files to pack, in the order of unpacking: the slowest and the first needed ones first."""
        browser, node = self.part(CHROMIUM_PACKED), self.part(NODE)
        ffmpeg = next(found for found in self.parts if found.part.role is Role.FFMPEG)
        fonts = [found for found in self.parts if found.part.name in _PACKED_FONTS]
        home = _folder(CHROMIUM)
        return [
            Source(browser, home, "chromium.br", "chromium", Packing.BROTLI, executable=True),
            # Chromium looks for the GL libraries beside itself.
            Source(browser, home, "swiftshader.tar.br", ".", Packing.BROTLI_TAR),
            Source(browser, home, "al2023.tar.br", "libraries", Packing.BROTLI_TAR),
            Source(node, _folder(NODE), "node", "node", Packing.XZ, executable=True),
            *(Source(font, _folder(font.part), font.part.main, font.part.main, Packing.XZ) for font in fonts),
            Source(ffmpeg, _folder(ffmpeg.part), "ffmpeg", "ffmpeg", Packing.XZ, executable=True),
        ]

    def bundle(self, packed: Sequence[PackedPayload]) -> Bundle:
        """Return the content of `bundle.json`."""
        digest = hashlib.sha256("".join(described.model_dump_json() for described in packed).encode()).hexdigest()
        return Bundle(digest=digest, payloads=tuple(described.payload for described in packed), toolset=self._toolset())

    def entries(self) -> Iterator[Entry]:
        """Yield the files that are used in place, below the bundle's folder, and the two font descriptions."""
        for found in self.parts:
            if found.part.role in (Role.FONT, Role.RUNTIME) and found.part.name not in _PACKED_FONTS:
                yield from _in_place(found, found.part.folder)
        browser = self.part(CHROMIUM_PACKED)
        yield from (entry for entry in _in_place(browser, CHROMIUM.folder) if entry.name.endswith(".ttf"))
        yield Entry(FONTS, font_catalogue(self._as_set_up(), self._cache()).model_dump_json(indent=1).encode(), deflate=True)
        yield Entry(FONTS_CONF, fonts_conf(self._as_unpacked(), Path(UNPACKED, "fontconfig")).encode(), deflate=True)

    def licences(self) -> Iterator[Entry]:
        """Yield the licence files of the parts."""
        for found in self.parts:
            for name in ("LICENSE", "README.md", "package.json"):
                if name in found.record.files:
                    yield Entry(f"{found.part.name}-{found.part.version}/{name}", found.folder / name, deflate=True)

    def origin(self, name: str) -> InstalledPart | None:
        """Return the part that an entry below the bundle's folder comes from, or None if the build generates it."""
        return self._origins.get("/".join(name.split("/")[:2]))

    def _as_set_up(self) -> list[InstalledPart]:
        """Return the parts as in a setup, in its order."""
        found = {found.part: found for found in self.parts}
        found[CHROMIUM] = replace(self.part(CHROMIUM_PACKED), part=CHROMIUM)
        return [found[part] for part in PARTS if part in found]

    def _cache(self) -> Path:
        return self.part(NODE).folder.parent.parent

    def _as_unpacked(self) -> list[InstalledPart]:
        """Return the parts at their places in the function."""
        return [replace(found, folder=Path(_root(found.part), "parts", found.part.folder)) for found in self._as_set_up()]

    def _toolset(self) -> Toolset:
        unpacked = {found.part.role: found for found in self._as_unpacked()}
        ffmpeg, runtime = unpacked[Role.FFMPEG], unpacked[Role.RUNTIME]
        home = Path(UNPACKED, _folder(CHROMIUM))
        browser = Browser(
            path=home / "chromium",
            version=CHROMIUM_VERSION,
            library_path=home / "libraries" / "lib",
            fontconfig=Path(UNPACKED, FONTS_CONF),
            driver_node=Path(UNPACKED, _folder(NODE), "node"),
        )
        return Toolset(
            browsers={ChromeSource.SPARTICUZ: browser},
            ffmpeg=Tool(path=ffmpeg.main, version=ffmpeg.record.version),
            runtime=Tool(path=runtime.main, version=runtime.record.version),
            fonts=Tool(path=Path(IN_PLACE, FONTS), version=fonts_version(self._as_set_up(), self._cache())),
        )


def _folder(part: Part) -> str:
    """Return the part's folder, relative to either root."""
    return f"parts/{part.folder}"


def _places(part: Part) -> tuple[str, str]:
    return _folder(CHROMIUM if part == CHROMIUM_PACKED else part), f"licenses/{part.name}-{part.version}"


def _root(part: Part) -> str:
    packed = part.role is Role.FFMPEG or part.name in _PACKED_FONTS
    return UNPACKED if packed else IN_PLACE


def _in_place(found: InstalledPart, folder: str) -> Iterator[Entry]:
    for name in found.record.files:
        if name not in _DESCRIPTION:
            # Web fonts are packed already.
            yield Entry(f"parts/{folder}/{name}", found.folder / name, deflate=not name.endswith(".woff2"))
