from __future__ import annotations

import html

import pytest

from hyperframes_lambda.composition.html import replace, tokenize
from hyperframes_lambda.composition.rewrite import insert_into_frames, insert_scripts, script_tag


def test_attributes_are_found_with_their_spans_and_their_values() -> None:
    text = "<p\n a=1 B='two & three' c=\"&lt;4&gt;\" d  e = five/>x</p>"
    tag = next(tokenize(text).starts("p"))

    assert [(a.name, a.value) for a in tag.attributes] == [("a", "1"), ("b", "two & three"), ("c", "<4>"), ("d", None), ("e", "five/")]
    assert [text[a.start : a.end] for a in tag.attributes] == ["a=1", "B='two & three'", 'c="&lt;4&gt;"', "d", "e = five/"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>if (a </body> b) '<div>'</script>",
        "<style>a::before { content: '<div>' }</style>",
        "<textarea><div></textarea>",
        "<title><div></title>",
        "<!-- <div> -->",
        "<p title='<div>'>",
    ],
)
def test_what_looks_like_a_tag_in_text_is_none(text: str) -> None:
    assert not list(tokenize(text).starts("div"))


def test_an_element_ends_where_its_own_end_tag_stands() -> None:
    page = tokenize("<div id=a><div><br></div><div/></div></div>tail")
    outer = next(page.starts("div"))

    # `<div/>` has no content here, as authors intend.
    assert page.content(page.element(outer)) == "<div><br></div><div/>"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "<!doctype html><html><head><title>t</title></head><body>x</body></html>",
            "<!doctype html><html><head>H<title>t</title></head><body>xB</body></html>",
        ),
        ("<html><body>x</html>", "<html>H<body>xB</html>"),
        ("<!DOCTYPE html>\n<p>x", "<!DOCTYPE html>H\n<p>xB"),
        ("x", "HxB"),
        ("<head></head><body><script>'</body>'</script></body>", "<head>H</head><body><script>'</body>'</script>B</body>"),
        ("<template><head></head></template><body>x</body>", "H<template><head></head></template><body>xB</body>"),
    ],
)
def test_scripts_go_first_into_the_head_and_last_into_the_body(page: str, expected: str) -> None:
    assert insert_scripts(tokenize(page), head="H", body="B") == expected


def test_lines_keep_their_numbers() -> None:
    page = "<html>\n<head>\n<title>\nx</title></head>\n<body>\n</body>\n</html>\n"

    served = insert_scripts(tokenize(page), head="<script></script>", body="<script></script>")

    assert served.count("\n") == page.count("\n")


def test_edits_are_applied_by_offset_whatever_their_order() -> None:
    assert replace("abcdef", [(4, 5, "E"), (1, 2, ""), (0, 0, ">")]) == ">acdEf"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('<iframe srcdoc="<p>1</p>"></iframe>', '<iframe srcdoc="&lt;script src=&quot;/x.js&quot;&gt;&lt;/script&gt;<p>1</p>"></iframe>'),
        ("<iframe SRCDOC = '\n<p>'>", "<iframe SRCDOC = '&lt;script src=&quot;/x.js&quot;&gt;&lt;/script&gt;\n<p>'>"),
        (
            "<iframe sandbox='allow-scripts' srcdoc=''>",
            "<iframe sandbox='allow-scripts' srcdoc='" + html.escape(script_tag("/x.js")) + "'>",
        ),
        ("<iframe sandbox srcdoc='<p>'>", None),
        ("<iframe srcdoc=text>", None),
        ("<iframe srcdoc>", None),
        ("<p srcdoc='<p>'>", None),
    ],
)
def test_scripts_go_first_into_frames_that_are_attributes(frame: str, expected: str | None) -> None:
    assert insert_into_frames(tokenize(f"<b>{frame}</b>"), script_tag("/x.js")) == f"<b>{expected or frame}</b>"
