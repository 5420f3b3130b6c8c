"""Insertion of the page scripts into an author's HTML, at offsets that the tokenizer found.

No insertion adds a line, so line numbers of the served page are those of the author's file.
"""

from __future__ import annotations

import html

from hyperframes_lambda.composition.html import EndTag, Page, replace


def insert_scripts(page: Page, *, head: str = "", body: str = "") -> str:
    """Return the page's text with `head` at the start of `<head>` and `body` at the end of `<body>`.

    Both tags are optional in HTML. Without `<head>` the markup follows `<html>` or the doctype, where it opens the head implicitly; without
    `</body>` it goes to the end.
    """
    return replace(page.text, [(offset, offset, markup) for offset, markup in ((_head(page), head), (body_end(page), body)) if markup])


def _head(page: Page) -> int:
    for name in ("head", "html"):
        tag = next((tag for tag in page.starts(name) if not tag.in_template), None)
        if tag is not None:
            return tag.end
    return page.doctype_end


def body_end(page: Page) -> int:
    """Return the offset of `</body>`, else of `</html>`, else of the end of the text."""
    for name in ("body", "html"):
        ends = [tag for tag in page.tags if isinstance(tag, EndTag) and tag.name == name]
        if ends:
            return ends[-1].start
    return len(page.text)


def insert_into_frames(page: Page, head: str) -> str:
    """Return the page's text with `head` at the start of every inline child frame, `<iframe srcdoc="…">`.

    It opens the head implicitly there. A doctype after it is ignored: such a document is in standards mode without one (HTML, 13.2.6.4.1).
    Frames in which no script may run, and inline frames nested in another, stay as they are.
    """
    edits = []
    for tag in page.starts("iframe"):
        attribute = tag.attribute("srcdoc")
        if attribute is not None and (not tag.has("sandbox") or "allow-scripts" in (tag.get("sandbox") or "").lower()):
            value = page.text[attribute.start : attribute.end].partition("=")[2].lstrip()
            if value.startswith(('"', "'")):  # without quotes it holds no markup
                start = attribute.end - len(value) + 1
                edits.append((start, start, html.escape(head)))
    return replace(page.text, edits)


def script_tag(url: str) -> str:
    """Return the tag of a classic, blocking script."""
    return f'<script src="{url}"></script>'
