from __future__ import annotations

import pytest

from hyperframes_lambda.composition.css import Scope, rebase_css, scope_css

SCOPE = Scope(selector="[s]", box="[s] > [b]", authored_id="intro", root_id="root", ids={"dot": "intro--dot"})


def same(url: str) -> str:
    return url


@pytest.mark.parametrize(
    ("css", "expected"),
    [
        (".a, .b > i{x:y}", "[s] .a, [s] .b > i {x:y;}"),
        (":is(.a, #dot) b{}", '[s] :is(.a, [id="intro--dot"]) b {}'),
        ("body{}", "[s] > [b] {}"),
        (":root .a{}", "[s] .a {}"),
        ("html body .a{}", "[s] .a {}"),
        ('[data-composition-id="intro"]{}', "[s] > [b] {}"),
        ("[data-composition-id=intro] .a{}", "[s] .a {}"),
        ("#root .a{}", '[s] [data-hf-authored-id="root"] .a {}'),
        ("#dot{color:#dot}", '[s] [id="intro--dot"] {color:#dot;}'),
        ("a{fill:url(#dot)}", 'a{fill:url("#intro--dot");}'.replace("a{", "[s] a {")),
        ("@media (min-width:1px){.a{}}", "@media (min-width:1px){[s] .a {}}"),
        ("@keyframes k{from{top:0}to{top:1px}}", "@keyframes k{from{top:0}to{top:1px}}"),
        ("@font-face{src:url(f.woff2)}", '@font-face{src:url("f.woff2")}'),
        ("a[title='x,y']{}", '[s] a[title="x,y"] {}'),
    ],
)
def test_rules_are_confined_to_the_composition(css: str, expected: str) -> None:
    assert scope_css(css, SCOPE, same) == expected


def test_every_url_is_rebased_and_nothing_else_changes() -> None:
    css = """@import "a.css"; @import url(b.css); .x{background:url( 'c d.png' ) , url(e.png) ;content:"url(no)"}/* url(no) */"""

    assert rebase_css(css, lambda url: f"/{url}") == (
        """@import "/a.css"; @import url("/b.css"); .x{background:url("/c d.png") , url("/e.png") ;content:"url(no)"}/* url(no) */"""
    )
