"""Paths in sub-compositions: the project file that a reference means, and the same reference counted from the project's root."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from hyperframes_lambda.composition.css import rebase_css
from hyperframes_lambda.composition.html import Edit, StartTag, attribute_text
from hyperframes_lambda.composition.source import is_local, resolve

Rebase = Callable[[str], str]

_PATH_ATTRIBUTES = frozenset({"src", "href", "xlink:href", "poster", "data"})


@dataclass(frozen=True)
class References:
    """The references of sub-compositions that end up in the page `entry` of a project whose files `exists` knows."""

    entry: str
    exists: Callable[[str], bool]

    def path(self, reference: str | None, path: str, *, beside_first: bool = False) -> str | None:
        """Return the project file that `reference` means in the sub-composition `path`; None when it means none.

        The markup of a sub-composition ends up in the entry page, so a bare path counts from there; one that starts with a dot counts from
        its own file. When that finds nothing, the other reading is tried.
        """
        if not reference or not is_local(reference):
            return None
        bases = [posixpath.dirname(self.entry), posixpath.dirname(path)]
        if beside_first or reference.strip().startswith("."):
            bases.reverse()
        candidates = [resolved for base in bases if (resolved := resolve(reference, base))]
        return next((candidate for candidate in candidates if self.exists(candidate)), None)

    def rebase(self, path: str, *, beside_first: bool = False) -> Rebase:
        """Return a function that makes references of `path` count from the project's root, except those that name no file."""

        def rebase(reference: str) -> str:
            found = self.path(reference, path, beside_first=beside_first)
            if found is None:
                return reference
            return "/" + quote(found) + reference.strip()[len(reference.strip().split("?")[0].split("#")[0]) :]

        return rebase

    def rebased(self, path: str, tags: Iterable[StartTag]) -> list[Edit]:
        """Edits that count every path attribute, `srcset` and style attribute of `tags` from the root."""
        edits: list[Edit] = []
        for tag in tags:
            rebase = self.rebase(path, beside_first=tag.name == "link")
            for attribute in tag.attributes:
                text = rebased_value(attribute.name, attribute.value or "", rebase)
                if text != (attribute.value or ""):
                    edits.append((attribute.start, attribute.end, attribute_text(attribute.name, text)))
        return edits


def rebased_value(name: str, value: str, rebase: Rebase) -> str:
    """Return the value of the attribute `name` with its references rebased."""
    if name in _PATH_ATTRIBUTES:
        return rebase(value)
    if name == "style":
        return rebase_css(value, rebase) if "url(" in value.lower() else value
    if name in ("srcset", "imagesrcset"):
        candidates = [candidate.strip().split(None, 1) for candidate in value.split(",") if candidate.strip()]
        return ", ".join(" ".join([rebase(candidate[0]), *candidate[1:]]) for candidate in candidates)
    return value
