"""Flattening of nested sub-compositions into the file that the HyperFrames runtime mounts.

The runtime mounts the hosts of the entry page in one pass; a host inside a mounted sub-composition would stay empty. So every
sub-composition file is served with its own hosts already filled, from the inside out, in the shape of a mounted one: the host keeps its
timing and gets the root as its child, rules are confined to the host, and scripts run in a scope of their own (scope.js).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from hyperframes_lambda.composition.css import rebase_css
from hyperframes_lambda.composition.html import Edit, Page, StartTag, attribute_text, tokenize
from hyperframes_lambda.composition.html import replace as edited
from hyperframes_lambda.composition.instance import COMPOSITION_ID, HOST, Hoisted, Instance, Taken, renamed_start
from hyperframes_lambda.composition.references import References
from hyperframes_lambda.composition.rewrite import body_end, insert_scripts
from hyperframes_lambda.composition.source import SourcePage, is_local
from hyperframes_lambda.contract.errors import ErrorCode, RenderError


def flatten_project(pages: Mapping[str, SourcePage], entry: str, *, exists: Callable[[str], bool]) -> dict[str, SourcePage]:
    """Return the pages to serve, with a further copy for each repeated mount of a file with nested sub-compositions.

    Raise `ASSET_UNAVAILABLE` for a sub-composition that is missing or outside the project, and `COMPOSITION_ERROR` for files that include
    each other. Both name file and line.
    """
    return _Flattener(pages, entry, exists).run()


class _Flattener:
    def __init__(self, pages: Mapping[str, SourcePage], entry: str, exists: Callable[[str], bool]) -> None:
        self._pages = pages
        self._entry = entry
        self._served = dict(pages)
        self._references = References(entry, exists)
        self._taken = Taken()

    def run(self) -> dict[str, SourcePage]:
        entry = self._pages[self._entry]
        page = tokenize(entry.text)
        hosts = [tag for tag in page.starts() if tag.has(HOST)]
        self._take_ids(page, [host for host in hosts if not host.in_template])
        edits: list[Edit] = []
        mounted: set[str] = set()
        for host in hosts:
            if host.in_template:
                edits += self._fill_in_place(page, host)
            elif not _has_inline_template(page, host):
                edits += self._serve(host, mounted)
        self._served[self._entry] = replace(entry, text=edited(page.text, edits))
        return self._served

    def _take_ids(self, entry: Page, hosts: Iterable[StartTag]) -> None:
        """Take the ids that the runtime's own mounts bring into the document: nested instances must not reuse them."""
        for page in (entry, *(tokenize(self._pages[path].text) for path in {self._target(host, self._entry) for host in hosts})):
            for tag in page.starts():
                if not tag.has(HOST) or page is entry:
                    self._taken.composition_ids |= {value for value in [tag.get(COMPOSITION_ID)] if value}
                self._taken.element_ids |= {value for value in [tag.get("id")] if value}
        self._taken.scripts = self._loaded_scripts(tag for tag in entry.starts("script") if not tag.in_template)

    def _loaded_scripts(self, tags: Iterable[StartTag], path: str | None = None) -> set[str]:
        return {found for tag in tags if (found := self._references.path(tag.get("src"), path or self._entry))}

    def _serve(self, host: StartTag, mounted: set[str]) -> list[Edit]:
        """Serve the file of a host in the entry page with its nested hosts filled; return the edits that the entry page needs for it."""
        path = self._target(host, self._entry)
        text, nested = self._filled_file(path, (self._entry, path))
        if not (nested and path in mounted):
            mounted.add(path)
            self._served[path] = replace(self._pages[path], text=text, encoding="utf-8")
            return []
        # A second instance needs ids of its own, and so a file of its own, in the same folder.
        stem, suffix = posixpath.splitext(path)
        number = next(n for n in range(2, len(self._served) + 3) if f"{stem}.{n}{suffix}" not in self._served)
        copy = f"{stem}.{number}{suffix}"
        self._served[copy] = SourcePage(copy, text, "utf-8")
        source = host.attribute(HOST)
        return [(source.start, source.end, attribute_text(HOST, f"/{quote(copy)}"))] if source else []

    def _filled_file(self, path: str, chain: tuple[str, ...]) -> tuple[str, bool]:
        """Return a sub-composition file with rebased paths and filled hosts, and whether it had hosts."""
        page = tokenize(self._pages[path].text)
        edits = self._references.rebased(path, page.starts())
        styles = [page.element(tag) for tag in page.starts("style")]
        edits += [(style.tag.end, style.content_end, rebase_css(page.content(style), self._references.rebase(path))) for style in styles]
        hosts = [tag for tag in page.starts() if tag.has(HOST)]
        if not hosts:
            return edited(page.text, edits), False
        before = self._taken.scripts
        self._taken.scripts = before | self._loaded_scripts(page.starts("script"), path)
        names, hoisted = self._fill(page, path, hosts, chain, edits)
        self._taken.scripts = before
        template = next(page.starts("template"), None)
        end = page.element(template).content_end if template else body_end(page)
        text = edited(page.text, [*edits, *_renamed_starts(page, names), (end, end, hoisted.tail)])
        return insert_scripts(tokenize(text), head=hoisted.links) if hoisted.links else text, True

    def _fill_in_place(self, page: Page, host: StartTag) -> list[Edit]:
        """Fill a host inside a template of the entry page."""
        edits: list[Edit] = []
        _, hoisted = self._fill(page, self._entry, [host], (self._entry,), edits)
        template = next(
            element
            for element in (page.element(tag) for tag in reversed(list(page.starts("template"))))
            if element.tag.end <= host.start < element.content_end
        )
        return [*edits, (template.content_end, template.content_end, hoisted.links + hoisted.tail)]

    def _fill(
        self, page: Page, path: str, hosts: Sequence[StartTag], chain: tuple[str, ...], edits: list[Edit]
    ) -> tuple[dict[str, str], Hoisted]:
        """Fill `hosts` of `page`: add to `edits`; return the composition ids that changed, by the authored ones, and the hoisted markup."""
        names: dict[str, str] = {}
        hoisted = Hoisted()
        for host in hosts:
            target = self._target(host, path)
            if target in chain:
                raise RenderError(
                    ErrorCode.COMPOSITION_ERROR,
                    f"{path} line {host.line}: sub-compositions include each other: {' → '.join([*chain[1:], target])}",
                )
            instance = Instance(host, tokenize(self._pages[target].text), target, self._taken, self._references)
            markup, own = self._mount(instance, (*chain, target))
            element = page.element(host)
            edits[:] = [edit for edit in edits if not (host.start <= edit[0] < element.end)]
            edits += [(host.start, host.end, instance.host_tag(page)), (host.end, element.content_end, markup)]
            hoisted += own
            authored = host.get(COMPOSITION_ID)
            if authored and authored != instance.id:
                names[authored] = instance.id
        return names, hoisted

    def _mount(self, instance: Instance, chain: tuple[str, ...]) -> tuple[str, Hoisted]:
        edits = instance.edits()
        own = instance.hoisted()
        names, nested = self._fill(instance.page, instance.path, instance.hosts, chain, edits)
        if names:
            edits += _renamed_starts(instance.page, names)
        return instance.markup(edits), own + nested

    def _target(self, host: StartTag, path: str) -> str:
        source = host.get(HOST) or ""
        found = self._references.path(source, path)
        if found is None or found not in self._pages:
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"{path} line {host.line}: the sub-composition {source!r} "
                + ("is not a file of the project" if is_local(source) else "is not a path inside the project"),
                hint=f"Correct {HOST}, or add the file to the project.",
            )
        return found


def _has_inline_template(page: Page, host: StartTag) -> bool:
    """Whether the entry page contains the composition itself, which the runtime prefers to the file."""
    return any(template.get("id") == f"{host.get(COMPOSITION_ID)}-template" for template in page.starts("template"))


def _renamed_starts(page: Page, names: Mapping[str, str]) -> list[Edit]:
    """Edits of `data-start` expressions that count from a composition whose id changed."""
    edits = []
    for tag in page.starts():
        start = tag.attribute("data-start")
        if start and not tag.has(HOST) and (text := renamed_start(start.value or "", names)) != start.value:
            edits.append((start.start, start.end, attribute_text("data-start", text)))
    return edits
