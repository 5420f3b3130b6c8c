"""The fonts of a composition: bundled families behind the names that authors write, and an error for text without a chosen font.

Every bundled family, and every alias of one (`Helvetica`), gets an `@font-face` rule if the project's text mentions its name anywhere, so
that style sheets, scripts and canvases all find it. The browser loads a face when text needs it. `fonts.conf`, which the set-up writes from
the same table, resolves the other names and the generic families.
"""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import quote, urljoin

from hyperframes_lambda.composition.css import rebase_css
from hyperframes_lambda.composition.files import content_type
from hyperframes_lambda.composition.fonts_css import GOOGLE_FONTS, StyleFonts, google_families, prefer_bundled, read_style
from hyperframes_lambda.composition.html import Attribute, Page, StartTag, attribute_text, replace, tokenize
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.fonts import ALIASES, BUNDLED, CSS_WIDE, PRIMARY, system_names
from hyperframes_lambda.contract.toolset import FontCatalogue, FontFace, Tool

FindFamily = Callable[[str], str | None]
"""Return a style sheet with the `@font-face` rules of a family that is not bundled; None when it is unavailable."""

TEXT_RENDERING = "<style>html,body,*{text-rendering:geometricPrecision}</style>"
"""The reference's default for text of the entry page; the author's own rules override it."""

STYLESHEET = "__hyperframes/fonts.css"
"""URL path of `ProjectFonts.stylesheet`."""

STYLESHEET_LINK = f'<link rel="stylesheet fonts" href="/{STYLESHEET}">'
"""The browser ignores the second keyword. It keeps the runtime, which copies every `link[rel="stylesheet"]` of a sub-composition, from
loading the same rules again for each."""

CANVAS_SCRIPT = "__hyperframes/fonts.js"
"""URL path of `ProjectFonts.canvas_script`."""

_CANVAS_SCRIPT = """((files, faces) => {
  if (window.__HF_FONTS__) return;
  window.__HF_FONTS__ = true;
  for (const file in files) files[file] = Uint8Array.from(atob(files[file]), (character) => character.charCodeAt(0));
  for (const [family, file, weight, unicodeRange] of faces) {
    document.fonts.add(new FontFace(family, files[file], { weight, unicodeRange, display: "block" }));
  }
})(%s, %s);
"""
"""Runs once: mounting a sub-composition would run it again."""

_FOLDER = "__hyperframes/fonts/"
_FAMILY = "data-font-family"
_LATIN = "U+0000-00FF"


def read_catalogue(fonts: Tool) -> FontCatalogue:
    """Return the families of a toolset."""
    return _read_catalogue(fonts.path, fonts.version)


@lru_cache(maxsize=4)
def _read_catalogue(path: Path, version: str) -> FontCatalogue:  # noqa: ARG001 - part of the cache key
    return FontCatalogue.model_validate_json(path.read_bytes())


def font_files(fonts: Tool | None) -> dict[str, tuple[Path, str]]:
    """Return every bundled font file by its URL path, for `serve`. They are part of the build, not of the plan."""
    if fonts is None:
        return {}
    folder = fonts.path.parent
    files = {face.file for faces in read_catalogue(fonts).families.values() for face in faces}
    return {_FOLDER + file: (folder / file, content_type(file)) for file in sorted(files)}


class ProjectFonts:
    """The fonts that the pages and style sheets of one project name, and the rules that provide them.

    `texts` holds every text file of the project by its path. HTML and CSS are parsed; the rest is searched for names.
    """

    def __init__(self, fonts: Tool, texts: Mapping[str, str]) -> None:
        self._families = read_catalogue(fonts).families
        self._folder = fonts.path.parent
        self._styles: list[tuple[str, StyleFonts]] = []
        self._linked: list[str] = []
        self._read(texts)
        self._properties = frozenset(name for _, style in self._styles for name in style.properties)
        self._declared = frozenset(name for _, style in self._styles for name in style.declared)
        self._linked += [url for _, style in self._styles for url in style.imports]
        self._google = frozenset(name for url in self._linked for name in google_families(url))
        self._elsewhere = _brought_by_scripts(texts) or any(_is_remote(url) and not google_families(url) for url in self._linked)
        mentioned = "\n".join(texts.values()).lower()
        wanted = (name for name in ALIASES if name in mentioned or name == PRIMARY.lower())
        self._names = [name for name in wanted if name not in self._declared]
        self._has_canvas_text = "filltext(" in mentioned or "stroketext(" in mentioned

    def stylesheet(self, find_family: FindFamily | None = None) -> str:
        """Return the rules of every mentioned bundled family and alias, and those that `find_family` finds for the others.

        Raise `FONT_UNAVAILABLE` for a list of families that are all unavailable and that names no generic family. An unavailable family
        with an alternative in its list is drawn in that, as in any browser. Families of the author's own `@font-face` rules are left to
        them, also under another spelling of the name (`OpenSans` for `Open Sans`), as in the reference.
        """
        found: dict[str, str | None] = {}
        for path, families in self._lists():
            wanted = list(self._unknown_in_front(families))
            for family in wanted:
                key = family.lower()
                if key not in found:
                    found[key] = self._misspelt(family) or (find_family(family) if find_family else None)
                if found[key] is not None:
                    break
            else:
                if len(wanted) == len(families) and not self._elsewhere:
                    raise self._unavailable(path, families)
        bundled = (_rule(name, face) for name in self._names for face in self._families.get(ALIASES[name], []))
        return "\n".join([*bundled, *(css for css in found.values() if css is not None)])

    def canvas_script(self) -> str | None:
        """Return a script that adds the faces for upright Latin text immediately; None for a project without text on a canvas.

        A canvas does not redraw its text when a font has loaded, and only a font made from bytes is available without waiting.
        """
        if not self._has_canvas_text:
            return None
        files: dict[str, str] = {}
        faces = []
        for name in self._names:
            for face in self._families.get(ALIASES[name], []):
                if face.style == "normal" and face.unicode_range.startswith(_LATIN):
                    files.setdefault(face.file, base64.b64encode((self._folder / face.file).read_bytes()).decode())
                    faces.append((name, face.file, face.weight, face.unicode_range))
        return _CANVAS_SCRIPT % (json.dumps(files), json.dumps(faces))

    def css(self, text: str) -> str:
        """Return the served form of a style sheet."""
        return prefer_bundled(text, self._properties)

    def page(self, text: str) -> str:
        """Return the served form of a page."""
        page = tokenize(text)
        edits = [(sheet.start, sheet.end, self.css(sheet.text)) for sheet in _style_sheets(page)]
        for attribute in (*_attributes(page, "style"), *_attributes(page, _FAMILY)):
            before = attribute.value or ""
            # A style attribute holds declarations, the other attribute the value of one.
            after = self.css(before) if attribute.name == "style" else self.css(f"font-family:{before}").partition(":")[2]
            if after != before:
                edits.append((attribute.start, attribute.end, attribute_text(attribute.name, after)))
        return replace(text, edits)

    def _misspelt(self, family: str) -> str | None:
        """The author's own rules under this spelling of the name, if exactly one of the author's families matches."""
        meant = {name for name in self._declared if _letters(name) == _letters(family)}
        if len(meant) != 1:
            return None
        rules = (
            f'@font-face{{font-family:"{family}";{rebase_css(descriptors, partial(_absolute, path))}}}'
            for path, style in self._styles
            for name, descriptors in style.faces
            if name in meant
        )
        return "\n".join(rules) or None

    def _unavailable(self, path: str, families: tuple[str, ...]) -> RenderError:
        own = {name: name for name in self._declared | self._google}
        close = difflib.get_close_matches(families[0].lower(), [*own, *ALIASES], n=1, cutoff=0.6)
        nearest = (own | ALIASES)[close[0]] if close else ", ".join(BUNDLED)
        return RenderError(
            ErrorCode.FONT_UNAVAILABLE,
            f"{path}: font-family: {', '.join(families)}: no such font in the project, in the bundle or at Google Fonts, and no fallback",
            hint=f"Add an @font-face rule with a font file of the project, name a generic family last, or use an available one: {nearest}",
        )

    def _read(self, texts: Mapping[str, str]) -> None:
        for path, text in texts.items():
            kind = content_type(path)
            if kind.startswith("text/css"):
                self._styles.append((path, read_style(text)))
            elif kind.startswith("text/html"):
                page = tokenize(text)
                sheets = [read_style(sheet.text) for sheet in _style_sheets(page)]
                inline = [read_style(attribute.value or "") for attribute in _attributes(page, "style")]
                named = [read_style(f"font-family:{attribute.value}") for attribute in _attributes(page, _FAMILY)]
                self._styles += [(path, style) for style in (*sheets, *inline, *named)]
                self._linked += [tag.get("href") or "" for tag in page.starts("link") if _is_style_link(tag)]

    def _lists(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        return ((path, families) for path, style in self._styles for families in style.lists if families)

    def _unknown_in_front(self, families: Iterable[str]) -> Iterator[str]:
        """Yield the families of a list up to the first one that is certainly available."""
        for family in families:
            name = family.lower()
            if name in CSS_WIDE or name in self._declared or name in self._google or name in system_names():
                return
            yield family


@dataclass(frozen=True)
class _Sheet:
    text: str
    start: int = field(repr=False)
    end: int = field(repr=False)


def _style_sheets(page: Page) -> Iterator[_Sheet]:
    for tag in page.starts("style"):
        element = page.element(tag)
        yield _Sheet(page.content(element), tag.end, element.content_end)


def _attributes(page: Page, name: str) -> Iterator[Attribute]:
    found = (tag.attribute(name) for tag in page.starts())
    return (attribute for attribute in found if attribute is not None and attribute.value)


def _is_style_link(tag: StartTag) -> bool:
    return "stylesheet" in (tag.get("rel") or "").lower().split()


def _is_remote(url: str) -> bool:
    return url.strip().lower().startswith(("http:", "https:", "//"))


def _brought_by_scripts(texts: Mapping[str, str]) -> bool:
    """Whether a script may add a font, directly or by a style sheet of its own. Only running it would tell."""
    return any(
        "FontFace(" in text or (content_type(path).startswith("text/javascript") and ("@font-face" in text or GOOGLE_FONTS in text))
        for path, text in texts.items()
    )


def _rule(family: str, face: FontFace) -> str:
    return (
        f'@font-face{{font-family:"{family}";src:url("/{_FOLDER}{face.file}") format("woff2");font-style:{face.style};'
        f"font-weight:{face.weight};font-display:block;unicode-range:{face.unicode_range}}}"
    )


def _letters(family: str) -> str:
    return re.sub(r"[\s_+-]+", "", family.lower())


def _absolute(path: str, url: str) -> str:
    """Return `url` of the file at `path` in a form that is valid in a style sheet elsewhere."""
    return url if url.startswith("data:") else urljoin(f"/{quote(path)}", url)
