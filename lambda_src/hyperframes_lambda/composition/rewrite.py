"""Insertion of the page scripts into an author's HTML, at offsets that the tokenizer found.

Everything is inserted on the line where it goes, so a line number of the served page is a line number of the author's file.
"""

from __future__ import annotations

import html

from hyperframes_lambda.composition.html import EndTag, Page, replace


def insert_scripts(page: Page, *, head: str = "", body: str = "") -> str:
    """The page's text with `head` as the first thing in `<head>` and `body` as the last thing in `<body>`.

    Both tags are optional in HTML: without `<head>` the markup goes behind `<html>` or the doctype, where it opens the head by itself, and
    without `</body>` it goes to the end.
    """
    return replace(page.text, [(offset, offset, markup) for offset, markup in ((_head(page), head), (body_end(page), body)) if markup])


def _head(page: Page) -> int:
    for name in ("head", "html"):
        tag = next((tag for tag in page.starts(name) if not tag.in_template), None)
        if tag is not None:
            return tag.end
    return page.doctype_end


def body_end(page: Page) -> int:
    """Where the body's content ends: before `</body>`, else before `</html>`, else at the end of the text."""
    for name in ("body", "html"):
        ends = [tag for tag in page.tags if isinstance(tag, EndTag) and tag.name == name]
        if ends:
            return ends[-1].start
    return len(page.text)


def insert_into_frames(page: Page, head: str) -> str:
    """The page's text with `head` at the beginning of every child frame that is written as an attribute, `<iframe srcdoc="…">`.

    There it opens the head by itself, and a doctype behind it changes nothing: a document of that kind is in standards mode without one
    (HTML, 13.2.6.4.1). Left alone are frames in which no script may run, and frames that such a frame has itself.
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
    """A classic script, run where it stands."""
    return f'<script src="{url}"></script>'
