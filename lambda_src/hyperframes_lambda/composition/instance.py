"""One nested sub-composition as it is mounted: its ids in the document, its markup, and its styles and scripts confined to it."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.composition.css import Scope, rebase_css, scope_css, string
from hyperframes_lambda.composition.declared import read_variables
from hyperframes_lambda.composition.html import Edit, Element, Page, StartTag, attribute_text, replace
from hyperframes_lambda.composition.references import References, rebased_value
from hyperframes_lambda.composition.rewrite import body_end

HOST = "data-composition-src"
COMPOSITION_ID = "data-composition-id"

_MOUNTED_ROOT_LOSES = frozenset(
    {COMPOSITION_ID, HOST, "id", "style", "data-composition-file", "data-start", "data-duration", "data-end"}
    | {"data-track-index", "data-track"}
)
"""Attributes of a sub-composition's root that its host carries instead."""

_ARIA_ATTRIBUTES = frozenset(f"aria-{name}" for name in ("labelledby", "describedby", "controls", "owns", "details", "flowto"))
_ID_ATTRIBUTES = frozenset({"for", "form", "list", "headers", "data-audio-group"}) | _ARIA_ATTRIBUTES
_CLASSIC = frozenset({"", "text/javascript", "application/javascript"})


@dataclass
class Taken:
    """Ids that the document already uses, and scripts that it already loads."""

    composition_ids: set[str] = field(default_factory=set)
    element_ids: set[str] = field(default_factory=set)
    scripts: set[str] = field(default_factory=set)

    def unique_composition_id(self, authored: str) -> str:
        """Return `authored`, numbered when another instance has it already, and take it."""
        name, number = authored, 1
        while name in self.composition_ids:
            number += 1
            name = f"{authored}--{number}"
        self.composition_ids.add(name)
        return name


@dataclass(frozen=True)
class Hoisted:
    """Markup that a mounted sub-composition adds to the served file: links for its head, styles and scripts for the end of its content."""

    links: str = ""
    styles: str = ""
    scripts: str = ""

    def __add__(self, other: Hoisted) -> Hoisted:
        return Hoisted(self.links + other.links, self.styles + other.styles, self.scripts + other.scripts)

    @property
    def tail(self) -> str:
        """Markup for the end of the content."""
        return self.styles + self.scripts


class Instance:
    """The sub-composition `page`, the file `path`, in `host`. Creating it takes its ids in the document."""

    def __init__(self, host: StartTag, page: Page, path: str, taken: Taken, references: References) -> None:
        self.page = page
        self.path = path
        self._host = host
        self._taken = taken
        self._references = references
        self._rebase = references.rebase(path)
        self._template = self._find_template()
        self._first, self._last = self._content()
        self._tags = [tag for tag in page.starts() if self._first <= tag.start < self._last]
        self._root = self._find_root()
        authored_root = self._root.get(COMPOSITION_ID) if self._root else None
        self._authored_id = authored_root or host.get(COMPOSITION_ID) or ""
        self.id = taken.unique_composition_id(host.get(COMPOSITION_ID) or self._authored_id or posixpath.basename(path))
        self._ids = self._renamed_element_ids()
        if self._root:
            element = page.element(self._root)
            self._first, self._last = element.tag.start, element.end
        inside = [tag for tag in self._tags if self._first <= tag.start < self._last]
        self._moved = [page.element(tag) for tag in inside if tag.name in ("style", "script") or _is_style_link(tag)]
        self._kept = [tag for tag in inside if not any(moved.tag.start <= tag.start < moved.end for moved in self._moved)]
        self.hosts = [tag for tag in self._kept if tag.has(HOST)]

    def host_tag(self, page: Page) -> str:
        """The start tag of the host, in its page, once the composition is mounted."""
        changes = {COMPOSITION_ID: self.id, "data-composition-file": self.path}
        style = self._host.get("style") or ""
        for side in ("width", "height"):
            size = self._root.get(f"data-{side}") if self._root else None
            if size:
                changes[f"data-{side}"] = size
                style += f";{side}:{_pixels(size)}"
        if style:
            changes["style"] = style.lstrip(";")
        return _changed_tag(page, self._host, changes, {HOST})

    def edits(self) -> list[Edit]:
        """Edits that express the content's paths and ids in terms of the document and take out everything that is hoisted."""
        moved = [(element.tag.start, element.end, "") for element in self._moved]
        return moved + [edit for tag in self._kept if tag is not self._root for edit in self._tag_edits(tag)]

    def markup(self, edits: Sequence[Edit]) -> str:
        """The content of the host, with `edits` of the page applied."""
        root = [(self._root.start, self._root.end, self._root_tag(self._root))] if self._root else []
        shifted = [(start - self._first, end - self._first, text) for start, end, text in [*edits, *root]]
        return replace(self.page.text[self._first : self._last], shifted)

    def hoisted(self) -> Hoisted:
        """The composition's own links, styles and scripts, confined to it. Takes the scripts that it loads."""
        page = self.page
        head = next(page.starts("head"), None)
        in_head = [tag for tag in page.starts() if head and head.end <= tag.start < page.element(head).content_end]
        sources = self._tags if self._template else [*in_head, *self._tags]
        links = [tag for tag in [*in_head, *self._tags] if _is_style_link(tag)]
        return Hoisted(
            links="".join(self._link(tag) for tag in dict.fromkeys(links)),
            styles="".join(self._style(page.element(tag)) for tag in sources if tag.name == "style"),
            scripts=self._variables() + "".join(self._script(page.element(tag)) for tag in sources if tag.name == "script"),
        )

    def _find_template(self) -> Element | None:
        templates = [tag for tag in self.page.starts("template") if not tag.in_template]
        named = [tag for tag in templates if tag.get("id") == f"{self._host.get(COMPOSITION_ID)}-template"]
        return self.page.element((named or templates)[0]) if templates else None

    def _content(self) -> tuple[int, int]:
        """The span of the content: that of the template, or else of the body."""
        if self._template:
            return self._template.tag.end, self._template.content_end
        body, head = next(self.page.starts("body"), None), next(self.page.starts("head"), None)
        start = body.end if body else self.page.element(head).end if head else self.page.doctype_end
        return start, body_end(self.page)

    def _find_root(self) -> StartTag | None:
        compositions = [tag for tag in self._tags if tag.has(COMPOSITION_ID) and not tag.has(HOST)]
        wanted = self._host.get(COMPOSITION_ID)
        return next((tag for tag in compositions if tag.get(COMPOSITION_ID) == wanted), next(iter(compositions), None))

    def _renamed_element_ids(self) -> dict[str, str]:
        ids = {}
        for tag in self._tags:
            name = tag.get("id")
            if not name or tag is self._root:
                continue
            if name in self._taken.element_ids:
                ids[name] = f"{self.id}--{name}"
            self._taken.element_ids.add(ids.get(name, name))
        return ids

    def _tag_edits(self, tag: StartTag) -> list[Edit]:
        edits = []
        for attribute in tag.attributes:
            before = attribute.value or ""
            after = self._renamed_ids(attribute.name, rebased_value(attribute.name, before, self._rebase))
            if after != before:
                edits.append((attribute.start, attribute.end, attribute_text(attribute.name, after)))
        return edits

    def _renamed_ids(self, name: str, value: str) -> str:
        if not self._ids or not value:
            return value
        if name == "id":
            return self._ids.get(value, value)
        if name in _ID_ATTRIBUTES:
            return " ".join(self._ids.get(word, word) for word in value.split())
        if name in ("href", "xlink:href", "usemap") and value.startswith("#"):
            return f"#{self._ids.get(value[1:], value[1:])}"
        if name == "data-start":
            return renamed_start(value, self._ids)
        if "url(" in value.lower():
            return rebase_css(value, lambda url: f"#{self._ids.get(url[1:], url[1:])}" if url.startswith("#") else url)
        return value

    def _root_tag(self, root: StartTag) -> str:
        changes = {"data-hf-inner-root": "true"}
        if root.get("id"):
            changes["data-hf-authored-id"] = root.get("id") or ""
        style = rebase_css(root.get("style") or "", self._rebase)
        for side in ("width", "height"):
            style += f";{side}:{_pixels(root.get(f'data-{side}') or '') or '100%'}"
        changes["style"] = style.lstrip(";")
        return _changed_tag(self.page, root, changes, _MOUNTED_ROOT_LOSES)

    def _link(self, tag: StartTag) -> str:
        href = self._references.rebase(self.path, beside_first=True)(tag.get("href") or "")
        return _changed_tag(self.page, tag, {"href": href}, frozenset())

    def _style(self, style: Element) -> str:
        selector = f"[{COMPOSITION_ID}={string(self.id)}]"
        scope = Scope(
            selector=selector,
            box=f"{selector} > [data-hf-inner-root]" if self._root else selector,
            authored_id=self._authored_id or None,
            root_id=self._root.get("id") if self._root else None,
            ids=self._ids,
        )
        css = scope_css(self.page.content(style), scope, self._rebase)
        return f"{self.page.text[style.tag.start : style.tag.end]}{css}</style>"

    def _script(self, script: Element) -> str:
        tag = script.tag
        source = tag.get("src")
        if source:
            found = self._references.path(source, self.path)
            if found in self._taken.scripts:
                return ""
            if found:
                self._taken.scripts.add(found)
            return _changed_tag(self.page, tag, {"src": f"/{quote(found)}" if found else source}, frozenset()) + "</script>"
        if (tag.get("type") or "").strip().lower() not in _CLASSIC:
            return self.page.text[tag.start : script.end]
        scope = {
            "id": self.id,
            "authoredId": self._authored_id or self.id,
            "rootId": self._root.get("id") if self._root else None,
            "ids": self._ids,
            "variables": self._values(),
        }
        parameters = "document, window, gsap, __hyperframes"
        code = self.page.content(script)
        return f"<script>window.__HF_SCOPE__({_script_json(scope)}, function ({parameters}) {{\n{code}\n}});</script>"

    def _variables(self) -> str:
        values = self._values()
        if not values:
            return ""
        return f"<script>window.__HF_SCOPE__.variables({_script_json({self.id: values})});</script>"

    def _values(self) -> dict[str, Any]:
        """Declared defaults, overridden by the host's values, as the runtime layers them."""
        declarers = [tag for tag in [next(self.page.starts("html"), None), self._root] if tag]
        values = {variable.id: variable.default for tag in declarers for variable in read_variables(tag, self.path)}
        try:
            given = json.loads(self._host.get("data-variable-values") or "{}")
        except ValueError:
            given = {}  # as the runtime does for a host that it mounts
        return {**values, **(given if isinstance(given, dict) else {})}


def renamed_start(text: str, names: Mapping[str, str]) -> str:
    """Return a `data-start` expression whose reference follows `names`, authored id to id in the document."""
    first, space, rest = text.strip().partition(" ")
    return f"{names[first]}{space}{rest}" if first in names else text


def _is_style_link(tag: StartTag) -> bool:
    return tag.name == "link" and (tag.get("rel") or "").strip().lower() in ("stylesheet", "preconnect")


def _pixels(size: str) -> str:
    number = size.strip().removesuffix("px")
    return f"{number}px" if number.replace(".", "", 1).isdigit() else ""


def _changed_tag(page: Page, tag: StartTag, changes: Mapping[str, str], dropped: Iterable[str]) -> str:
    """Return the start tag without the attributes `dropped`, and with `changes` set. Untouched attributes keep their text."""
    gone = {*dropped, *changes}
    kept = [page.text[attribute.start : attribute.end] for attribute in tag.attributes if attribute.name not in gone]
    name = page.text[tag.start : tag.start + 1 + len(tag.name)]
    return " ".join([name, *kept, *(attribute_text(*change) for change in changes.items())]) + (" />" if tag.self_closing else ">")


def _script_json(value: object) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
