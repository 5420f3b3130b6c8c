"""Google Fonts style sheets written from `@fontsource` packages, for machines that cannot reach fonts.googleapis.com.

Families, subsets and Unicode ranges are Google's, taken from the packages. A sheet depends only on its address and the packages. A font
file is requested only when a page sets text in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.remote.cdn import PackageFile
from hyperframes_lambda.remote.packages import Package, Registry

SHEETS = "fonts.googleapis.com"
FILES = "https://fonts.gstatic.com/s/fontsource/"
"""Prefix of the font files' addresses in a sheet written here; Google serves nothing below it."""

_ICON_CLASS = """.{name} {{
  font-family: '{family}';
  font-weight: normal;
  font-style: normal;
  font-size: 24px;
  line-height: 1;
  letter-spacing: normal;
  text-transform: none;
  display: inline-block;
  white-space: nowrap;
  word-wrap: normal;
  direction: ltr;
}}
"""


@dataclass(frozen=True)
class Face:
    """A face of a family. `weight` is a range, or the same number twice; `axes` are the other variable axes by name, as written."""

    italic: bool = False
    weight: tuple[int, int] = (400, 400)
    axes: dict[str, str] = field(default_factory=dict)

    @property
    def variable(self) -> bool:
        """Whether only a variable font has this face."""
        return self.weight[0] != self.weight[1] or bool(self.axes)


@dataclass(frozen=True)
class Family:
    """A family and its requested faces."""

    name: str
    faces: tuple[Face, ...]

    @property
    def id(self) -> str:
        """Name of the family's package, without the scope."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Sheet:
    """The content requested by an address of fonts.googleapis.com."""

    families: tuple[Family, ...]
    display: str
    icons: bool


def sheet_of(url: str) -> Sheet | None:
    """Return the request in a style sheet's address; None for any other address, and for one that cannot be parsed."""
    parts = urlsplit(url)
    if parts.hostname != SHEETS or parts.path not in ("/css", "/css2", "/icon"):
        return None
    read = _css2 if parts.path == "/css2" else _css
    families = tuple(read(parts))
    display = dict(parse_qsl(parts.query)).get("display", "auto")
    icons = parts.path == "/icon" or all(family.name.startswith("Material ") for family in families)
    return Sheet(families, display if display.isalpha() else "auto", icons) if families else None


def write_sheet(sheet: Sheet, packages: Registry) -> str:
    """Return the CSS of the sheet; `FONT_UNAVAILABLE` names a family or face without a package."""
    pieces = [rule for family in sheet.families for face in family.faces for rule in _rules(family, face, sheet.display, packages)]
    if sheet.icons:
        pieces += [_ICON_CLASS.format(name=family.id, family=family.name) for family in sheet.families]
    return "".join(pieces)


def font_file(url: str) -> PackageFile | None:
    """Return the font file behind an address in a sheet written here; None for any other address."""
    if not url.startswith(FILES):
        return None
    scope, package, *path = url.removeprefix(FILES).split("/")
    name, _, version = package.partition("@")
    return PackageFile(f"@{scope}/{name}", version, "/".join(path))


def _rules(family: Family, face: Face, display: str, packages: Registry) -> Iterator[str]:
    package = _package(family, face, packages)
    metadata = package.json("metadata.json")
    style = "italic" if face.italic else "normal"
    kind = _variant(family, face, package, metadata) if face.variable else str(face.weight[0])
    ranges = package.json("unicode.json")
    found = False
    for subset in ranges or metadata.get("subsets", []):
        path = f"files/{family.id}-{subset.strip('[]')}-{kind}-{style}.woff2"
        if path in package:
            found = True
            yield _rule(family, face, display, f"{FILES}{package.spec.removeprefix('@')}/{quote(path)}", subset, ranges.get(subset))
    if not found:
        weights = ", ".join(str(weight) for weight in metadata.get("weights", []))
        raise RenderError(
            ErrorCode.FONT_UNAVAILABLE,
            f"{family.name}: {package.spec} has no {style} face of weight {_span(face.weight, '..')}",
            hint=f"It has {', '.join(metadata.get('styles', []))} in {weights}." if weights else None,
        )


def _package(family: Family, face: Face, packages: Registry) -> Package:
    scope = "@fontsource-variable" if face.variable else "@fontsource"
    try:
        return packages.package(f"{scope}/{family.id}", "latest")
    except RenderError as error:
        if error.code is not ErrorCode.ASSET_UNAVAILABLE or "cannot be reached" in error.message:
            raise
        kind = "variable font" if face.variable else "font"
        raise RenderError(
            ErrorCode.FONT_UNAVAILABLE,
            f"the {kind} family {family.name!r} is available neither from {SHEETS} nor from the package {scope}/{family.id}",
            hint="Check the family's name, or put its font files into the project and declare them with @font-face.",
        ) from error


def _variant(family: Family, face: Face, package: Package, metadata: dict[str, Any]) -> str:
    """Return the kind of files that has the face's axes: a single axis beside the weight, the standard axes, or all of them."""
    axes = sorted(face.axes)
    known = metadata.get("variable")
    missing = [axis for axis in axes if axis not in known] if isinstance(known, dict) else []
    if missing:
        raise RenderError(
            ErrorCode.FONT_UNAVAILABLE, f"{family.name} has no axis {missing[0]}; {package.spec} has {', '.join(known or {})}"
        )
    candidates = ["wght"] if not axes else [*(axis.lower() for axis in axes[:1] if len(axes) == 1), "standard", "full"]
    if any(axis.isupper() for axis in axes) and len(axes) > 1:
        candidates = ["full"]
    style = "italic" if face.italic else "normal"
    subset = metadata.get("defSubset", "latin")
    return next((kind for kind in candidates if f"files/{family.id}-{subset}-{kind}-{style}.woff2" in package), "wght")


def _rule(family: Family, face: Face, display: str, url: str, subset: str, unicode_range: str | None) -> str:
    lines = [
        f"font-family: '{family.name}'",
        f"font-style: {_style(face)}",
        f"font-weight: {_span(face.weight, ' ')}",
        *([f"font-stretch: {_span_text(face.axes['wdth'], '%')}"] if "wdth" in face.axes else []),
        f"font-display: {display}",
        f"src: url({url}) format('woff2')",
        *([f"unicode-range: {unicode_range}"] if unicode_range else []),
    ]
    body = "".join(f"  {line};\n" for line in lines)
    return f"/* {subset} */\n@font-face {{\n{body}}}\n"


def _style(face: Face) -> str:
    if "slnt" not in face.axes:
        return "italic" if face.italic else "normal"
    # The axis counts angles to the left, CSS to the right.
    angles = sorted(-float(angle) for angle in face.axes["slnt"].split(".."))
    return "oblique " + " ".join(f"{angle or 0.0:g}deg" for angle in angles)


def _span(weight: tuple[int, int], between: str) -> str:
    return str(weight[0]) if weight[0] == weight[1] else f"{weight[0]}{between}{weight[1]}"


def _span_text(text: str, unit: str) -> str:
    return " ".join(f"{number}{unit}" for number in text.split(".."))


def _css2(parts: SplitResult) -> Iterator[Family]:
    """Parse `family=Name:ital,wght@0,400;1,700`: axes, then a tuple of values for each face. A value may be a range, `100..900`."""
    for key, value in parse_qsl(parts.query):
        if key != "family":
            continue
        name, _, wanted = value.partition(":")
        axes, _, tuples = wanted.partition("@")
        if not tuples:
            # `:ital` alone stands for the default value of each axis.
            yield Family(name, (Face(italic="ital" in axes.split(",")),))
            continue
        yield Family(name, tuple(_faces(axes.split(","), tuples)))


def _css(parts: SplitResult) -> Iterator[Family]:
    """Parse `family=Name:400,700italic|Other`: weights, each with a style; the short forms `b`, `i` and `bi` are accepted."""
    for key, value in parse_qsl(parts.query):
        if key == "family":
            for one in value.split("|"):
                name, _, styles = one.partition(":")
                if name:
                    yield Family(name, tuple(_css_face(style) for style in styles.split(":")[0].split(",")) if styles else (Face(),))


def _css_face(text: str) -> Face:
    text = text.strip().lower()
    italic = text.endswith(("italic", "i")) and text != "light"
    weight = text.removesuffix("italic").removesuffix("i").strip()
    number = {"": 400, "regular": 400, "normal": 400, "b": 700, "bold": 700, "light": 300}.get(weight)
    if number is None:
        number = int(weight) if weight.isdigit() else 400
    return Face(italic, (number, number))


def _faces(axes: Sequence[str], tuples: str) -> Iterator[Face]:
    for values in tuples.split(";"):
        given = dict(zip(axes, values.split(","), strict=False))
        low, _, high = given.pop("wght", "400").partition("..")
        if not low.isdigit() or not (high or low).isdigit():
            continue
        italic = given.pop("ital", "0") == "1"
        yield Face(italic, (int(low), int(high or low)), {axis: value for axis, value in given.items() if axis})
