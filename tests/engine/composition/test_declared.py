from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda.composition import Variable, check_variables, declared
from hyperframes_lambda.contract.errors import ErrorCode, RenderError


def page(root: str, html: str = "") -> dict[str, str]:
    return {"index.html": f"<html {html}><body>\n<div data-composition-id=main {root}></div></body></html>"}


def test_the_root_declares_canvas_rate_duration_and_variables(project: Callable[..., Path]) -> None:
    variables = (
        """data-composition-variables='[{"id":"n","type":"number","default":2},{"id":"e","type":"enum","options":[{"value":"a"},"b"]}]'"""
    )

    found = declared(project(page('data-width=640 data-height="360px" data-fps=60 data-duration=2.5', variables)), "index.html")

    assert (found.composition_id, found.width, found.height, found.fps, found.duration) == ("main", 640, 360, Fraction(60), 2.5)
    assert found.variables == (Variable("n", "number", 2), Variable("e", "enum", None, ("a", "b")))


def test_what_is_not_declared_is_none(project: Callable[..., Path]) -> None:
    found = declared(project(page("")), "index.html")

    assert (found.width, found.height, found.fps, found.duration, found.variables) == (None, None, None, None, ())


@pytest.mark.parametrize(
    ("root", "html", "named"),
    [
        ("data-width=wide", "", "data-width='wide'"),
        ("data-height=-2", "", "data-height='-2'"),
        ("data-fps=31", "", "data-fps='31'"),
        ("", "data-composition-variables='nope'", "data-composition-variables is not JSON"),
        ("", "data-composition-variables='[1]'", "list of objects with an id"),
    ],
)
def test_a_wrong_declaration_is_named_with_file_and_line(project: Callable[..., Path], root: str, html: str, named: str) -> None:
    with pytest.raises(RenderError, match=r"index\.html line") as caught:
        declared(project(page(root, html)), "index.html")

    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert named in caught.value.message


def test_a_missing_entry_names_the_pages_that_there_are(project: Callable[..., Path]) -> None:
    with pytest.raises(RenderError, match=r"(?s)config\.entryFile.*'main\.html'.*index\.html") as caught:
        declared(project(page("")), "main.html")

    assert caught.value.code is ErrorCode.INVALID_CONFIG


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "a", 1),
        ("color", "#fff", None),
        ("number", 1.5, "1"),
        ("number", 3, True),
        ("number", 0, float("nan")),
        ("boolean", False, 0),
        ("enum", "a", "c"),
        ("font", {"name": "Inter", "source": "x"}, {"name": "Inter"}),
        ("image", {"url": "a.png"}, 3),
    ],
)
def test_a_value_must_have_the_declared_type(kind: str, good: Any, bad: Any) -> None:
    declarations = [Variable("v", kind, options=("a", "b") if kind == "enum" else ())]

    check_variables(declarations, {"v": good})
    with pytest.raises(RenderError, match=r"config\.variables\.v: ") as caught:
        check_variables(declarations, {"v": bad})

    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_an_undeclared_variable_is_named_with_those_that_are_declared() -> None:
    with pytest.raises(RenderError, match=r"config\.variables\.titel: not declared by the composition; declared: title"):
        check_variables([Variable("title", "string")], {"titel": "x"})
