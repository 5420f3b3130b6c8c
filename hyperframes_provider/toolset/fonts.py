"""The catalogue of font families for pages, and `fonts.conf` for the browser's own search."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

from hyperframes_lambda.contract.fonts import ALIASES, BUNDLED, CJK_BY_LANGUAGE, INSTALLED, MATH, slug
from hyperframes_lambda.contract.toolset import FontCatalogue, FontFace
from hyperframes_provider.toolset.installed import InstalledPart
from hyperframes_provider.toolset.part import Role

_LATIN = (
    "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+0304,U+0308,U+0329,U+2000-206F,U+2074,U+20AC,U+2122,U+2191,U+2193,"
    "U+2212,U+2215,U+FEFF,U+FFFD"
)
"""The characters that the reference draws with its embedded weights."""


def font_catalogue(installed: Sequence[InstalledPart], base: Path) -> FontCatalogue:
    """Return every bundled family with its faces, files relative to `base`.

    As in the reference, embedded weights draw Latin text. A variable font fills the gaps between them, in hundreds, and serves the other
    scripts.
    """
    families: dict[str, list[FontFace]] = {}
    for family in BUNDLED:
        embedded = [face for part in installed if part.part.role is not Role.FONT for face in _embedded(part, family, base)]
        covered = {int(face.weight) for face in embedded}
        others = [face for part in installed if part.part.role is Role.FONT for face in _packaged(part, family, base, covered)]
        if embedded or others:
            families[family] = [*others, *embedded]
    return FontCatalogue(families=families)


def fonts_version(installed: Sequence[InstalledPart], base: Path) -> str:
    """Return a digest of everything that decides how text looks: the font files, and the rules for finding them."""
    digest = hashlib.sha256(font_catalogue(installed, base).model_dump_json().encode())
    for part in sorted(installed, key=lambda found: found.part.folder):
        for name, file in sorted(part.record.files.items()):
            if any(folder is not None and name.startswith(f"{folder}/") for folder in (part.part.fonts, part.part.web_fonts)):
                digest.update(f"{part.part.folder}/{name} {file.sha256}\n".encode())
    digest.update(_rules().encode())
    return digest.hexdigest()[:16]


def fonts_conf(installed: Sequence[InstalledPart], cache: Path) -> str:
    """Return a `fonts.conf` that names the folders of the pinned fonts only.

    Other installed fonts would make the same composition look different from machine to machine.
    """
    folders = [found.folder / found.part.fonts for found in installed if found.part.fonts is not None]
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">',
        "<fontconfig>",
        *(f"  <dir>{escape(str(folder))}</dir>" for folder in folders),
        f"  <cachedir>{escape(str(cache))}</cachedir>",
        _rules(),
        "</fontconfig>",
    ]
    return "\n".join(lines) + "\n"


def _rules() -> str:
    """Return the rules for further names of the installed families, and for the family that draws a language's characters."""
    names = {name: family for family, others in INSTALLED.items() for name in others}
    names |= {name: family for name, family in ALIASES.items() if family in INSTALLED and name != family.lower()}
    return "\n".join(
        [
            *(_rule("family", "any", name, "assign", family) for name, family in names.items()),
            *(_rule("lang", "any", language, "append", family) for language, family in CJK_BY_LANGUAGE.items()),
            _WITHOUT_ARABIC,
        ]
    )


_WITHOUT_ARABIC = (
    f'  <match target="scan"><test name="family"><string>{MATH}</string></test><edit name="charset" mode="assign">'
    "<minus><name>charset</name><charset><range><int>0x0600</int><int>0x06FF</int></range></charset></minus></edit></match>"
)
"""Hides the Arabic symbols of the formula font from text, because they do not join."""


def _rule(test: str, qualifier: str, value: str, mode: str, family: str) -> str:
    return (
        f'  <match target="pattern"><test name="{test}" qual="{qualifier}"><string>{escape(value)}</string></test>'
        f'<edit name="family" mode="{mode}" binding="same"><string>{escape(family)}</string></edit></match>'
    )


def _embedded(part: InstalledPart, family: str, base: Path) -> Iterator[FontFace]:
    for path, script, weight, style in _files(part, family):
        if script == "latin":
            yield FontFace(file=_relative(part, path, base), weight=weight, style=style, unicode_range=_LATIN)


def _packaged(part: InstalledPart, family: str, base: Path, covered: set[int]) -> Iterator[FontFace]:
    files = list(_files(part, family))
    if not files:
        return
    ranges = json.loads((part.folder / "unicode.json").read_bytes())
    variable = json.loads((part.folder / "metadata.json").read_bytes())["variable"]
    for path, script, weight, style in files:
        upright = covered if style == "normal" else set()
        weights = [weight] if weight != "wght" else _spans(int(variable["wght"]["min"]), int(variable["wght"]["max"]), upright)
        for span in weights:
            if not (script == "latin" and span.isdigit() and int(span) in upright):
                yield FontFace(file=_relative(part, path, base), weight=span, style=style, unicode_range=ranges[script])


def _spans(least: int, most: int, alone: set[int]) -> list[str]:
    """Return the hundreds from `least` to `most` in runs, with each weight in `alone` by itself: `100 300`, `400`, `500 600`.

    The browser first picks a weight, then a script among the faces of exactly that weight or run. If Latin has a face for 400 alone, the
    other scripts need one too.
    """
    if not alone:
        return [f"{least} {most}"]
    runs: list[list[int]] = []
    for weight in range(least, most + 1, 100):
        if runs and weight not in alone and runs[-1][-1] not in alone:
            runs[-1].append(weight)
        else:
            runs.append([weight])
    return [f"{run[0]} {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]


def _files(part: InstalledPart, family: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield path, script, weight and style of a family's files, which are named `<family>-<script>-<weight>-<style>.woff2`."""
    if part.part.web_fonts is None:
        return
    prefix = f"{part.part.web_fonts}/{slug(family)}-"
    for path in sorted(part.record.files):
        rest = PurePosixPath(path).stem.removeprefix(f"{slug(family)}-").rsplit("-", 2)
        if path.startswith(prefix) and path.endswith(".woff2") and len(rest) == 3:
            yield path, rest[0], rest[1], rest[2]


def _relative(part: InstalledPart, path: str, base: Path) -> str:
    return (part.folder / path).relative_to(base).as_posix()
