"""Sub-compositions: found, checked, and nested ones flattened into the file that the HyperFrames runtime mounts.

The runtime mounts the hosts that stand in the entry page, in one pass; a host inside a mounted sub-composition would stay empty. So every
sub-composition file is served with its own hosts already filled, from the inside out, in the shape that the runtime gives a mounted one:
the host keeps its timing and gets the root as its child, rules are confined to the host, scripts run in a scope of their own (scope.js).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.composition.css import Scope, rebase_css, scope_css, string
from hyperframes_lambda.composition.declared import read_variables
from hyperframes_lambda.composition.html import Element, Page, StartTag, attribute_text, tokenize
from hyperframes_lambda.composition.html import replace as edited
from hyperframes_lambda.composition.rewrite import body_end, insert_scripts
from hyperframes_lambda.composition.source import SourcePage, is_local, resolve
from hyperframes_lambda.contract.errors import ErrorCode, RenderError

_HOST = "data-composition-src"
_ID = "data-composition-id"
_MOUNTED_ROOT_LOSES = frozenset(
    {_ID, _HOST, "id", "style", "data-composition-file", "data-start", "data-duration", "data-end", "data-track-index", "data-track"}
)
"""Attributes of a sub-composition's root that its host has in its stead."""

_PATH_ATTRIBUTES = frozenset({"src", "href", "xlink:href", "poster", "data"})
_ARIA_ATTRIBUTES = frozenset(f"aria-{name}" for name in ("labelledby", "describedby", "controls", "owns", "details", "flowto"))
_ID_ATTRIBUTES = frozenset({"for", "form", "list", "headers", "data-audio-group"}) | _ARIA_ATTRIBUTES
_CLASSIC = frozenset({"", "text/javascript", "application/javascript"})

Edit = tuple[int, int, str]


def flatten_project(pages: Mapping[str, SourcePage], entry: str, *, exists: Callable[[str], bool]) -> dict[str, SourcePage]:
    """The pages as they are to be served, and further ones where a file with nested sub-compositions is mounted more than once.

    `ASSET_UNAVAILABLE` for a sub-composition that is missing or outside the project, `COMPOSITION_ERROR` for files that include each other;
    both name file and line.
    """
    return _Flattener(pages, entry, exists).run()


@dataclass(frozen=True)
class _Hoisted:
    """What a mounted sub-composition hands up to the file that is served: markup for the head and for the end of the content."""

    links: str = ""
    styles: str = ""
    scripts: str = ""

    def __add__(self, other: _Hoisted) -> _Hoisted:
        return _Hoisted(self.links + other.links, self.styles + other.styles, self.scripts + other.scripts)

    @property
    def tail(self) -> str:
        return self.styles + self.scripts


@dataclass
class _Flattener:
    pages: Mapping[str, SourcePage]
    entry: str
    exists: Callable[[str], bool]
    served: dict[str, SourcePage] = field(default_factory=dict)
    composition_ids: set[str] = field(default_factory=set)
    element_ids: set[str] = field(default_factory=set)
    loaded_scripts: set[str] = field(default_factory=set)

    def run(self) -> dict[str, SourcePage]:
        entry = self.pages[self.entry]
        page = tokenize(entry.text)
        self.served = dict(self.pages)
        hosts = [tag for tag in page.starts() if tag.has(_HOST)]
        self._reserve_ids(page, [host for host in hosts if not host.in_template])
        edits: list[Edit] = []
        mounted: set[str] = set()
        for host in hosts:
            if host.in_template:
                edits += self._fill_in_place(page, host)
            elif not self._has_inline_template(page, host):
                edits += self._serve(host, mounted)
        self.served[self.entry] = replace(entry, text=edited(page.text, edits))
        return self.served

    def _reserve_ids(self, entry: Page, hosts: Iterable[StartTag]) -> None:
        """Ids that the runtime's own mounts bring into the document: nested instances must not take them."""
        for page in (entry, *(tokenize(self.pages[path].text) for path in {self._target(host, self.entry) for host in hosts} if path)):
            for tag in page.starts():
                if not tag.has(_HOST) or page is entry:
                    self.composition_ids |= {value for value in [tag.get(_ID)] if value}
                self.element_ids |= {value for value in [tag.get("id")] if value}
        self.loaded_scripts = {
            path for tag in entry.starts("script") if not tag.in_template and (path := self._path(tag.get("src"), self.entry))
        }

    @staticmethod
    def _has_inline_template(page: Page, host: StartTag) -> bool:
        """Whether the entry page brings the composition itself, which the runtime prefers to the file."""
        return any(template.get("id") == f"{host.get(_ID)}-template" for template in page.starts("template"))

    def _serve(self, host: StartTag, mounted: set[str]) -> list[Edit]:
        """Have the file of a host in the entry page served with its nested hosts filled; the edits that this needs in the entry page."""
        path = self._target(host, self.entry)
        text, nested = self._filled_file(path, (self.entry, path))
        if not (nested and path in mounted):
            mounted.add(path)
            self.served[path] = replace(self.pages[path], text=text, encoding="utf-8")
            return []
        # A second instance needs ids of its own, and so a file of its own, in the same folder.
        stem, suffix = posixpath.splitext(path)
        number = next(n for n in range(2, len(self.served) + 3) if f"{stem}.{n}{suffix}" not in self.served)
        copy = f"{stem}.{number}{suffix}"
        self.served[copy] = SourcePage(copy, text, "utf-8")
        source = host.attribute(_HOST)
        return [(source.start, source.end, attribute_text(_HOST, f"/{quote(copy)}"))] if source else []

    def _filled_file(self, path: str, chain: tuple[str, ...]) -> tuple[str, bool]:
        """A sub-composition file with rebased paths and filled hosts, and whether it had any."""
        page = tokenize(self.pages[path].text)
        edits = self._rebased(path, page.starts())
        styles = [page.element(tag) for tag in page.starts("style")]
        edits += [(style.tag.end, style.content_end, rebase_css(page.content(style), self._rebase(path))) for style in styles]
        hosts = [tag for tag in page.starts() if tag.has(_HOST)]
        if not hosts:
            return edited(page.text, edits), False
        own_scripts = {target for tag in page.starts("script") if (target := self._path(tag.get("src"), path))}
        self.loaded_scripts, before = self.loaded_scripts | own_scripts, self.loaded_scripts
        names, hoisted = self._fill(page, path, hosts, chain, edits)
        self.loaded_scripts = before
        edits += self._renamed_starts(page, names)
        end = _content_end(page)
        text = edited(page.text, [*edits, (end, end, hoisted.tail)])
        return insert_scripts(tokenize(text), head=hoisted.links) if hoisted.links else text, True

    def _fill_in_place(self, page: Page, host: StartTag) -> list[Edit]:
        """A host inside a template of the entry page."""
        edits: list[Edit] = []
        _, hoisted = self._fill(page, self.entry, [host], (self.entry,), edits)
        template = next(
            element
            for element in (page.element(tag) for tag in reversed(list(page.starts("template"))))
            if element.tag.end <= host.start < element.content_end
        )
        return [*edits, (template.content_end, template.content_end, hoisted.links + hoisted.tail)]

    def _fill(
        self, page: Page, path: str, hosts: Sequence[StartTag], chain: tuple[str, ...], edits: list[Edit]
    ) -> tuple[dict[str, str], _Hoisted]:
        """Fill `hosts` of `page`: adds the edits, returns composition ids that were changed and what is to be hoisted."""
        names: dict[str, str] = {}
        hoisted = _Hoisted()
        for host in hosts:
            target = self._target(host, path)
            if target in chain:
                raise RenderError(
                    ErrorCode.COMPOSITION_ERROR,
                    f"{path} line {host.line}: sub-compositions include each other: {' → '.join([*chain[1:], target])}",
                )
            mount = _Mount(self, host, target, (*chain, target))
            element = page.element(host)
            edits[:] = [edit for edit in edits if not (host.start <= edit[0] < element.end)]
            edits += [(host.start, host.end, mount.host_tag(page)), (host.end, element.content_end, mount.markup)]
            hoisted += mount.hoisted
            authored = host.get(_ID)
            if authored and authored != mount.id:
                names[authored] = mount.id
        return names, hoisted

    def _renamed_starts(self, page: Page, names: Mapping[str, str]) -> list[Edit]:
        """`data-start` expressions that count from a composition whose id was changed."""
        edits = []
        for tag in page.starts():
            start = tag.attribute("data-start")
            if start and not tag.has(_HOST) and (text := _renamed_start(start.value or "", names)) != start.value:
                edits.append((start.start, start.end, attribute_text("data-start", text)))
        return edits

    def unique_composition_id(self, authored: str) -> str:
        """`authored`, or a numbered form of it where another instance has it already."""
        name, number = authored, 1
        while name in self.composition_ids:
            number += 1
            name = f"{authored}--{number}"
        self.composition_ids.add(name)
        return name

    def _target(self, host: StartTag, path: str) -> str:
        source = host.get(_HOST) or ""
        found = self._path(source, path)
        if found is None or found not in self.pages:
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"{path} line {host.line}: the sub-composition {source!r} "
                + ("is not a file of the project" if is_local(source) else "is not a path inside the project"),
                hint=f"Correct {_HOST}, or add the file to the project.",
            )
        return found

    def _path(self, reference: str | None, path: str, *, beside_first: bool = False) -> str | None:
        """The project file that `reference` means in the sub-composition `path`; None when it means none.

        A sub-composition's markup ends up in the entry page, so a bare path counts from there; one that starts with a dot counts from its
        own file. Where that finds nothing, the other reading is tried.
        """
        if not reference or not is_local(reference):
            return None
        bases = [posixpath.dirname(self.entry), posixpath.dirname(path)]
        if beside_first or reference.strip().startswith("."):
            bases.reverse()
        candidates = [resolved for base in bases if (resolved := resolve(reference, base))]
        return next((candidate for candidate in candidates if self.exists(candidate)), None)

    def _rebase(self, path: str, *, beside_first: bool = False) -> Callable[[str], str]:
        """References of `path` as paths from the project's root, where they name a file; others are left alone."""

        def rebase(reference: str) -> str:
            found = self._path(reference, path, beside_first=beside_first)
            if found is None:
                return reference
            return "/" + quote(found) + reference.strip()[len(reference.strip().split("?")[0].split("#")[0]) :]

        return rebase

    def _rebased(self, path: str, tags: Iterable[StartTag]) -> list[Edit]:
        """Edits that give every path attribute, `srcset` and style attribute of `tags` in terms of the root."""
        edits: list[Edit] = []
        for tag in tags:
            rebase = self._rebase(path, beside_first=tag.name == "link")
            for attribute in tag.attributes:
                text = _rebased_value(attribute.name, attribute.value or "", rebase)
                if text != (attribute.value or ""):
                    edits.append((attribute.start, attribute.end, attribute_text(attribute.name, text)))
        return edits


def _rebased_value(name: str, value: str, rebase: Callable[[str], str]) -> str:
    if name in _PATH_ATTRIBUTES:
        return rebase(value)
    if name == "style":
        return rebase_css(value, rebase) if "url(" in value.lower() else value
    if name in ("srcset", "imagesrcset"):
        candidates = [candidate.strip().split(None, 1) for candidate in value.split(",") if candidate.strip()]
        return ", ".join(" ".join([rebase(candidate[0]), *candidate[1:]]) for candidate in candidates)
    return value


def _renamed_start(text: str, names: Mapping[str, str]) -> str:
    first, space, rest = text.strip().partition(" ")
    return f"{names[first]}{space}{rest}" if first in names else text


def _content_end(page: Page) -> int:
    """Where the content that the runtime mounts ends: that of the file's template, or else of its body."""
    template = next(page.starts("template"), None)
    return page.element(template).content_end if template else body_end(page)


class _Mount:
    """One nested instance: its id in the document, the markup that fills its host, and what it hoists."""

    def __init__(self, flattener: _Flattener, host: StartTag, path: str, chain: tuple[str, ...]) -> None:
        self._flattener = flattener
        self._host = host
        self._path = path
        self._page = tokenize(flattener.pages[path].text)
        self._template = self._find_template()
        self._tags = self._content_tags()
        self._root = self._find_root()
        authored_root = self._root.get(_ID) if self._root else None
        self._authored_id = authored_root or host.get(_ID) or ""
        self.id = flattener.unique_composition_id(host.get(_ID) or self._authored_id or posixpath.basename(path))
        self._ids = self._colliding_ids()
        self._hidden: list[Element] = []
        self.hoisted = _Hoisted()
        self.markup = self._build(chain)

    def host_tag(self, page: Page) -> str:
        """The host's start tag as it stands when its composition is mounted."""
        changes = {_ID: self.id, "data-composition-file": self._path}
        style = self._host.get("style") or ""
        for side in ("width", "height"):
            size = self._root.get(f"data-{side}") if self._root else None
            if size:
                changes[f"data-{side}"] = size
                style += f";{side}:{_pixels(size)}"
        if style:
            changes["style"] = style.lstrip(";")
        return _changed_tag(page, self._host, changes, {_HOST})

    def _find_template(self) -> Element | None:
        templates = [tag for tag in self._page.starts("template") if not tag.in_template]
        named = [tag for tag in templates if tag.get("id") == f"{self._host.get(_ID)}-template"]
        return self._page.element((named or templates)[0]) if templates else None

    def _content_tags(self) -> list[StartTag]:
        if self._template:
            first, last = self._template.tag.end, self._template.content_end
            return [tag for tag in self._page.starts() if first <= tag.start < last]
        return [tag for tag in self._page.starts() if tag.start >= self._body_start and tag.start < body_end(self._page)]

    @property
    def _body_start(self) -> int:
        body = next(self._page.starts("body"), None)
        if body:
            return body.end
        head = next(self._page.starts("head"), None)
        return self._page.element(head).end if head else self._page.doctype_end

    def _find_root(self) -> StartTag | None:
        compositions = [tag for tag in self._tags if tag.has(_ID) and not tag.has(_HOST)]
        wanted = self._host.get(_ID)
        return next((tag for tag in compositions if tag.get(_ID) == wanted), next(iter(compositions), None))

    def _colliding_ids(self) -> dict[str, str]:
        ids = {}
        for tag in self._tags:
            name = tag.get("id")
            if not name or tag is self._root:
                continue
            if name in self._flattener.element_ids:
                ids[name] = f"{self.id}--{name}"
            self._flattener.element_ids.add(ids.get(name, name))
        return ids

    def _build(self, chain: tuple[str, ...]) -> str:
        page, flattener = self._page, self._flattener
        span = page.element(self._root) if self._root else None
        first, last = (span.tag.start, span.end) if span else self._whole_content()
        inside = [tag for tag in self._tags if first <= tag.start < last]
        edits = [*self._moved_out(inside)]
        removed = [(start, end) for start, end, _ in edits]
        kept = [tag for tag in inside if not any(start <= tag.start < end for start, end in removed)]
        edits += [edit for tag in kept if tag is not self._root for edit in self._tag_edits(tag)]
        own = self._own()
        hosts = [tag for tag in kept if tag.has(_HOST)]
        names, nested = flattener._fill(page, self._path, hosts, chain, edits)
        edits += flattener._renamed_starts(page, names) if names else []
        if self._root:
            edits.append((self._root.start, self._root.end, self._root_tag()))
        self.hoisted = own + nested
        return edited(page.text[first:last], [(start - first, end - first, text) for start, end, text in edits])

    def _whole_content(self) -> tuple[int, int]:
        if self._template:
            return self._template.tag.end, self._template.content_end
        return self._body_start, body_end(self._page)

    def _moved_out(self, tags: Iterable[StartTag]) -> list[Edit]:
        elements = [self._page.element(tag) for tag in tags if tag.name in ("style", "script") or _is_style_link(tag)]
        return [(element.tag.start, element.end, "") for element in elements]

    def _tag_edits(self, tag: StartTag) -> list[Edit]:
        """Paths and ids of one element in terms of the document."""
        rebase = self._flattener._rebase(self._path)
        edits = []
        for attribute in tag.attributes:
            before = attribute.value or ""
            after = self._renamed_ids(attribute.name, _rebased_value(attribute.name, before, rebase))
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
            return _renamed_start(value, self._ids)
        if "url(" in value.lower():
            return rebase_css(value, lambda url: f"#{self._ids.get(url[1:], url[1:])}" if url.startswith("#") else url)
        return value

    def _root_tag(self) -> str:
        root = self._root
        if root is None:
            raise ValueError("a composition without a root has no root tag")
        changes = {"data-hf-inner-root": "true"}
        if root.get("id"):
            changes["data-hf-authored-id"] = root.get("id") or ""
        style = rebase_css(root.get("style") or "", self._flattener._rebase(self._path))
        for side in ("width", "height"):
            style += f";{side}:{_pixels(root.get(f'data-{side}') or '') or '100%'}"
        changes["style"] = style.lstrip(";")
        return _changed_tag(self._page, root, changes, _MOUNTED_ROOT_LOSES)

    def _own(self) -> _Hoisted:
        """The composition's own links, styles and scripts, confined to it."""
        page = self._page
        head = next(page.starts("head"), None)
        in_head = [tag for tag in page.starts() if head and head.end <= tag.start < page.element(head).content_end]
        sources = self._tags if self._template else [*in_head, *self._tags]
        links = [tag for tag in [*in_head, *self._tags] if _is_style_link(tag)]
        return _Hoisted(
            links="".join(self._link(tag) for tag in dict.fromkeys(links)),
            styles="".join(self._style(page.element(tag)) for tag in sources if tag.name == "style"),
            scripts=self._variables() + "".join(self._script(page.element(tag)) for tag in sources if tag.name == "script"),
        )

    def _link(self, tag: StartTag) -> str:
        href = self._flattener._rebase(self._path, beside_first=True)(tag.get("href") or "")
        return _changed_tag(self._page, tag, {"href": href}, frozenset())

    def _style(self, style: Element) -> str:
        selector = f"[{_ID}={string(self.id)}]"
        scope = Scope(
            selector=selector,
            box=f"{selector} > [data-hf-inner-root]" if self._root else selector,
            authored_id=self._authored_id or None,
            root_id=self._root.get("id") if self._root else None,
            ids=self._ids,
        )
        css = scope_css(self._page.content(style), scope, self._flattener._rebase(self._path))
        return f"{self._page.text[style.tag.start : style.tag.end]}{css}</style>"

    def _script(self, script: Element) -> str:
        tag = script.tag
        source = tag.get("src")
        if source:
            found = self._flattener._path(source, self._path)
            if found in self._flattener.loaded_scripts:
                return ""
            if found:
                self._flattener.loaded_scripts.add(found)
            return _changed_tag(self._page, tag, {"src": f"/{quote(found)}" if found else source}, frozenset()) + "</script>"
        code = self._page.content(script)
        if (tag.get("type") or "").strip().lower() not in _CLASSIC:
            return self._page.text[tag.start : script.end]
        scope = {
            "id": self.id,
            "authoredId": self._authored_id or self.id,
            "rootId": self._root.get("id") if self._root else None,
            "ids": self._ids,
            "variables": self._values(),
        }
        parameters = "document, window, gsap, __hyperframes"
        return f"<script>window.__HF_SCOPE__({_script_json(scope)}, function ({parameters}) {{\n{code}\n}});</script>"

    def _variables(self) -> str:
        values = self._values()
        if not values:
            return ""
        return f"<script>window.__HF_SCOPE__.variables({_script_json({self.id: values})});</script>"

    def _values(self) -> dict[str, Any]:
        """Declared defaults under the host's values, as the runtime layers them."""
        declarers = [tag for tag in [next(self._page.starts("html"), None), self._root] if tag]
        values = {variable.id: variable.default for tag in declarers for variable in read_variables(tag, self._path)}
        try:
            given = json.loads(self._host.get("data-variable-values") or "{}")
        except ValueError:
            given = {}  # as the runtime does for a host that it mounts
        return {**values, **(given if isinstance(given, dict) else {})}


def _is_style_link(tag: StartTag) -> bool:
    return tag.name == "link" and (tag.get("rel") or "").strip().lower() in ("stylesheet", "preconnect")


def _pixels(size: str) -> str:
    number = size.strip().removesuffix("px")
    return f"{number}px" if number.replace(".", "", 1).isdigit() else ""


def _changed_tag(page: Page, tag: StartTag, changes: Mapping[str, str], dropped: Iterable[str]) -> str:
    """The start tag's text without `dropped`, and with `changes` set; attributes that are not touched keep their text."""
    gone = {*dropped, *changes}
    kept = [page.text[attribute.start : attribute.end] for attribute in tag.attributes if attribute.name not in gone]
    name = page.text[tag.start : tag.start + 1 + len(tag.name)]
    return " ".join([name, *kept, *(attribute_text(*change) for change in changes.items())]) + (" />" if tag.self_closing else ">")


def _script_json(value: object) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
