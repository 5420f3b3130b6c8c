"""Font families in a style sheet, and the one change made to them.

Works on the tokens of tinycss2 and edits the text at their offsets, so that lines and everything else stay the author's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import tinycss2  # type: ignore[import-untyped]

from hyperframes_lambda.composition.html import replace
from hyperframes_lambda.contract.fonts import GENERIC, PRIMARY

_LINE_END = re.compile("\r\n|\r|\n|\f")
"""A line end of CSS."""

GOOGLE_FONTS = "fonts.googleapis.com"


@dataclass(frozen=True)
class StyleFonts:
    """The font declarations of one style sheet or style attribute.

    `lists` are the values of `font-family`, in order, without those that contain a function; `declared` the families, in lower case, of its
    `@font-face` rules; `faces` pairs of such a family and its other descriptors as CSS; `imports` the URLs of its `@import` rules;
    `properties` the custom properties that it sets.
    """

    lists: tuple[tuple[str, ...], ...]
    declared: frozenset[str]
    faces: tuple[tuple[str, str], ...]
    imports: tuple[str, ...]
    properties: frozenset[str]


def read_style(css: str) -> StyleFonts:
    """Find the font families that `css` uses and declares."""
    nodes = tinycss2.parse_component_value_list(css, skip_comments=True)
    lists: list[tuple[str, ...]] = []
    declared: set[str] = set()
    properties: set[str] = set()
    for declaration in _declarations(nodes):
        if declaration.name.startswith("--"):
            if any(node.type != "whitespace" for node in declaration.value):
                properties.add(declaration.name)
            continue
        pieces = _pieces(declaration.value)
        if declaration.in_font_face:
            declared.update(name.lower() for name in map(_family, pieces[:1]) if name)
        elif not any(node.type == "function" for node in declaration.value):
            lists.append(tuple(name for name in map(_family, pieces) if name))
    return StyleFonts(
        lists=tuple(families for families in lists if families),
        declared=frozenset(declared),
        faces=tuple(_faces(css)) if declared else (),
        imports=tuple(_imports(nodes)),
        properties=frozenset(properties),
    )


def prefer_bundled(css: str, properties: Set[str]) -> str:
    """Return `css` with `PRIMARY` before every family list, custom properties included, that begins with a generic family.

    In `var(--name, fallback)` the fallback counts unless some style sheet sets the property; `properties` are those that one sets.
    """
    if not any(name in css.lower() for name in GENERIC):
        return css
    nodes = tinycss2.parse_component_value_list(css, skip_comments=True)
    starts = [0, *(match.end() for match in _LINE_END.finditer(css))]
    edits = []
    for declaration in _declarations(nodes):
        if not declaration.in_font_face and (place := _generic_first(declaration.value, properties)) is not None:
            offset = starts[place.source_line - 1] + place.source_column - 1
            edits.append((offset, offset, f"{PRIMARY}, "))
    return replace(css, edits)


def google_families(url: str) -> tuple[str, ...]:
    """Return the families, in lower case, that a Google Fonts style sheet declares; none for another URL."""
    parts = urlsplit(url.strip())
    if parts.hostname != GOOGLE_FONTS:
        return ()
    entries = (entry for value in parse_qs(parts.query).get("family", []) for entry in value.split("|"))
    return tuple(name for name in (entry.partition(":")[0].strip().lower() for entry in entries) if name)


@dataclass(frozen=True)
class _Declaration:
    name: str
    value: Sequence[Any]
    in_font_face: bool


def _declarations(nodes: Sequence[Any], *, in_font_face: bool = False) -> Iterator[_Declaration]:
    """Yield every declaration of `font-family` or of a custom property, at any depth."""
    at_start = True
    keyword = ""
    index = 0
    while index < len(nodes):
        node = nodes[index]
        index += 1
        if node.type == "whitespace":
            continue
        if node.type == "{} block":
            yield from _declarations(node.content, in_font_face=keyword == "font-face")
            at_start, keyword = True, ""
        elif node.type == "literal" and node.value == ";":
            at_start, keyword = True, ""
        elif node.type == "at-keyword":
            at_start, keyword = False, node.lower_value
        elif at_start and node.type == "ident" and (name := _property(node)):
            colon = next((place for place in range(index, len(nodes)) if nodes[place].type != "whitespace"), len(nodes))
            at_start = False
            if colon < len(nodes) and nodes[colon].type == "literal" and nodes[colon].value == ":":
                index = next((place for place in range(colon + 1, len(nodes)) if _ends(nodes[place])), len(nodes))
                yield _Declaration(name, nodes[colon + 1 : index], in_font_face)
        else:
            at_start = False


def _property(node: Any) -> str:
    """The name of a relevant property, else empty. Names of custom properties are case-sensitive."""
    if node.value.startswith("--"):
        return str(node.value)
    return "font-family" if node.lower_value == "font-family" else ""


def _ends(node: Any) -> bool:
    return bool(node.type == "literal" and node.value == ";")


def _pieces(value: Iterable[Any]) -> list[list[Any]]:
    """The comma-separated parts of a value, up to `!important`, without whitespace."""
    pieces: list[list[Any]] = [[]]
    for node in value:
        if node.type == "literal" and node.value == "!":
            break
        if node.type == "literal" and node.value == ",":
            pieces.append([])
        elif node.type != "whitespace":
            pieces[-1].append(node)
    return pieces


def _family(piece: Sequence[Any]) -> str:
    """The family's name: a string or a sequence of identifiers; empty for anything else."""
    if len(piece) == 1 and piece[0].type == "string":
        return str(piece[0].value).strip()
    return " ".join(node.value for node in piece) if all(node.type == "ident" for node in piece) else ""


def _generic_first(value: Sequence[Any], properties: Set[str]) -> Any:
    """The first token of a family list that begins with a generic family, else None."""
    first = _pieces(value)[0]
    if len(first) == 1 and first[0].type == "function" and first[0].lower_name == "var":
        arguments = first[0].arguments
        comma = next((place for place, node in enumerate(arguments) if node.type == "literal" and node.value == ","), None)
        name = next((node.value for node in arguments if node.type == "ident"), "")
        return None if comma is None or name in properties else _generic_first(arguments[comma + 1 :], properties)
    name = _family(first) if first else ""
    return first[0] if name.lower() in GENERIC else None


def _imports(nodes: Sequence[Any]) -> Iterator[str]:
    for index, node in enumerate(nodes):
        if node.type != "at-keyword" or node.lower_value != "import":
            continue
        target = next((other for other in nodes[index + 1 :] if other.type != "whitespace"), None)
        if target is None:
            continue
        if target.type in ("string", "url"):
            yield str(target.value)
        elif target.type == "function" and target.lower_name == "url":
            yield from (str(other.value) for other in target.arguments if other.type == "string")


def _faces(css: str) -> Iterator[tuple[str, str]]:
    """Yield the family, in lower case, and the other descriptors of every unconditional `@font-face` rule."""
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "at-rule" and rule.lower_at_keyword == "font-face" and rule.content is not None:
            descriptors = [item for item in tinycss2.parse_declaration_list(rule.content) if item.type == "declaration"]
            family = next((_family(_pieces(item.value)[0]) for item in descriptors if item.lower_name == "font-family"), "")
            others = (
                f"{item.lower_name}:{tinycss2.serialize(item.value).strip()}" for item in descriptors if item.lower_name != "font-family"
            )
            if family:
                yield family.lower(), ";".join(others)
