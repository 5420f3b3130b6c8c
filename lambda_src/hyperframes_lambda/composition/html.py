"""The tags of an HTML text with their offsets: enough to edit an author's page without rewriting it.

The standard library's tokenizer finds the tags. Nothing is parsed into a tree and nothing is re-serialised.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

VOID_ELEMENTS = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"})


@dataclass(frozen=True)
class Attribute:
    """An attribute of a start tag. `start` and `end` span all of it, name and quotes included."""

    name: str
    value: str | None
    start: int
    end: int


@dataclass(frozen=True)
class StartTag:
    """`<name …>`. Offsets count characters; `line` counts from 1."""

    name: str
    attributes: tuple[Attribute, ...]
    start: int
    end: int
    line: int
    self_closing: bool
    in_template: bool

    def attribute(self, name: str) -> Attribute | None:
        """Return the first attribute of that name."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)

    def has(self, name: str) -> bool:
        """Whether the tag has the attribute, with or without a value."""
        return self.attribute(name) is not None

    def get(self, name: str) -> str | None:
        """Return the attribute's value, character references resolved; None when it is absent or has no value."""
        attribute = self.attribute(name)
        return attribute.value if attribute else None


@dataclass(frozen=True)
class EndTag:
    """`</name>`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Element:
    """A start tag, the end of its content and the end of its end tag; both equal `tag.end` for an element without content."""

    tag: StartTag
    content_end: int
    end: int


@dataclass(frozen=True)
class Page:
    """A tokenized text."""

    text: str
    tags: Sequence[StartTag | EndTag]
    doctype_end: int

    def starts(self, name: str | None = None) -> Iterator[StartTag]:
        """Return the start tags in order, all or those of one name."""
        return (tag for tag in self.tags if isinstance(tag, StartTag) and name in (None, tag.name))

    def element(self, tag: StartTag) -> Element:
        """Return the element that `tag` opens, up to its balancing end tag or else to the end of the text."""
        if tag.self_closing or tag.name in VOID_ELEMENTS:
            return Element(tag, tag.end, tag.end)
        depth = 0
        for other in self.tags:
            if other.start < tag.start or other.name != tag.name:
                continue
            if isinstance(other, StartTag):
                depth += 0 if other.self_closing else 1
            else:
                depth -= 1
                if depth == 0:
                    return Element(tag, other.start, other.end)
        return Element(tag, len(self.text), len(self.text))

    def content(self, element: Element) -> str:
        """Return the text between the start tag and the end tag."""
        return self.text[element.tag.end : element.content_end]


def tokenize(text: str) -> Page:
    """Find the tags of `text`. Scripts, styles and text areas contain none."""
    tokenizer = _Tokenizer(text)
    tokenizer.feed(text)
    tokenizer.close()
    return Page(text, tokenizer.tags, tokenizer.doctype_end)


Edit = tuple[int, int, str]
"""Start, end and replacement of a span of a text."""


def replace(text: str, edits: Sequence[Edit]) -> str:
    """Return `text` with `edits` applied. Spans must not overlap; insertions at one place keep their order."""
    pieces: list[str] = []
    position = 0
    for start, end, replacement in sorted(edits, key=lambda edit: (edit[0], edit[1])):
        pieces += [text[position:start], replacement]
        position = end
    return "".join([*pieces, text[position:]])


def attribute_text(name: str, value: str) -> str:
    """Return `name="value"`, escaped for a start tag."""
    return f'{name}="{html.escape(value)}"'


_TEXT_ONLY = frozenset({"textarea", "title", "xmp", "iframe", "noembed", "noframes"})
"""Elements that contain no tags, besides script and style, which `HTMLParser` knows."""


class _Tokenizer(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[StartTag | EndTag] = []
        self.doctype_end = 0
        self._text = text
        self._line_starts = [0]
        for index, character in enumerate(text):
            if character == "\n":
                self._line_starts.append(index + 1)
        self._templates = 0

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._line_starts[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - see _start_tag
        self._start_tag(tag, self_closing=False)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - see _start_tag
        self._start_tag(tag, self_closing=True)

    def _start_tag(self, tag: str, *, self_closing: bool) -> None:
        """Find the attributes again: `HTMLParser` gives no offsets for them."""
        start = self._offset()
        raw = self.get_starttag_text() or ""
        attributes = tuple(_attributes(raw, start))
        self.tags.append(StartTag(tag, attributes, start, start + len(raw), self.getpos()[0], self_closing, self._templates > 0))
        if tag == "template" and not self_closing:
            self._templates += 1
        if tag in _TEXT_ONLY and not self_closing:
            self.set_cdata_mode(tag)

    def handle_endtag(self, tag: str) -> None:
        start = self._offset()
        if tag == "template":
            self._templates = max(0, self._templates - 1)
        close = self._text.find(">", start)
        self.tags.append(EndTag(tag, start, close + 1 if close >= 0 else len(self._text)))

    def handle_decl(self, decl: str) -> None:
        if decl.lower().startswith("doctype"):
            self.doctype_end = self._offset() + len(decl) + len("<!>")


_SPACE = " \t\n\r\f"


def _attributes(raw: str, offset: int) -> Iterator[Attribute]:
    """Yield the attributes of a start tag with their spans, following the tokenizer states of the HTML standard."""
    position = 1
    while position < len(raw) and raw[position] not in _SPACE + "/>":
        position += 1
    while position < len(raw):
        if raw[position] in _SPACE + "/":
            position += 1
            continue
        if raw[position] == ">":
            return
        start = position
        position += 1
        while position < len(raw) and raw[position] not in _SPACE + "/>=":
            position += 1
        name = raw[start:position].lower()
        after_name = position
        while position < len(raw) and raw[position] in _SPACE:
            position += 1
        if position >= len(raw) or raw[position] != "=":
            yield Attribute(name, None, offset + start, offset + after_name)
            position = after_name
            continue
        position += 1
        while position < len(raw) and raw[position] in _SPACE:
            position += 1
        if position < len(raw) and raw[position] in "\"'":
            quote = raw[position]
            close = raw.find(quote, position + 1)
            close = len(raw) if close < 0 else close
            value, position = raw[position + 1 : close], close + 1
        else:
            value_start = position
            while position < len(raw) and raw[position] not in _SPACE + ">":
                position += 1
            value = raw[value_start:position]
        yield Attribute(name, html.unescape(value), offset + start, offset + min(position, len(raw)))
