"""Font families in style sheets, and the bundled family before a generic one. Without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hyperframes_lambda.composition.fonts import ProjectFonts
from hyperframes_lambda.composition.fonts_css import google_families, prefer_bundled, read_style
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import FontCatalogue, FontFace, Tool

_CATALOGUE = FontCatalogue(
    families={
        family: [FontFace(file=f"{family}.woff2", weight="400", style="normal", unicode_range="U+0000-00FF")]
        for family in ("Inter", "EB Garamond", "Roboto")
    }
)


@pytest.fixture
def fonts(tmp_path: Path) -> Callable[..., ProjectFonts]:
    """Build a project of pages and style sheets. The underscore of a keyword stands for the dot of the file name."""
    catalogue = tmp_path / "fonts.json"
    catalogue.write_text(_CATALOGUE.model_dump_json())
    (tmp_path / "Inter.woff2").write_bytes(b"inter")

    def project(**texts: str) -> ProjectFonts:
        return ProjectFonts(Tool(path=catalogue, version="1"), {name.replace("_", "."): text for name, text in texts.items()})

    return project


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a{font-family:sans-serif}", "a{font-family:Inter, sans-serif}"),
        ("a { color: red; font-family : system-ui , X !important }", "a { color: red; font-family : Inter, system-ui , X !important }"),
        ("font-family: -apple-system, BlinkMacSystemFont", "font-family: Inter, -apple-system, BlinkMacSystemFont"),
        ("@media print{a{b{font-family:monospace}}}", "@media print{a{b{font-family:Inter, monospace}}}"),
        ("a{\r\n/* font-family: */\r\nfont-family:\r\n serif;}", "a{\r\n/* font-family: */\r\nfont-family:\r\n Inter, serif;}"),
        (":root{--body: ui-sans-serif, Foo}", ":root{--body: Inter, ui-sans-serif, Foo}"),
        ("a{font-family:var(--unset, serif)}", "a{font-family:var(--unset, Inter, serif)}"),
    ],
)
def test_the_bundled_family_goes_in_front_of_a_generic_one(before: str, after: str) -> None:
    assert prefer_bundled(before, {"--set"}) == after


@pytest.mark.parametrize(
    "css",
    [
        "a{font-family:Georgia, serif}",
        "@font-face{font-family:serif;src:url(a)}",
        "a{font-family:var(--set, serif)}",
        "a{font-family:var(--unset)}",
        "a{font:12px serif}",
        "a:hover{content:'font-family:serif'}",
        "a{font-family:",
        "}{;font-family",
    ],
)
def test_nothing_else_is_touched(css: str) -> None:
    assert prefer_bundled(css, {"--set"}) == css


def test_a_style_sheet_is_read() -> None:
    style = read_style(
        "@import 'a.css'; @import url(https://fonts.googleapis.com/css2?family=Lobster);"
        "@font-face{font-family:'My Own';src:url(x)} :root{--f:Foo;--empty:}"
        'a{font-family:Helvetica Neue,"Foo Bar",serif} b{font-family:var(--f)}'
    )

    assert style.lists == (("Helvetica Neue", "Foo Bar", "serif"),)
    assert style.declared == {"my own"}
    assert style.imports == ("a.css", "https://fonts.googleapis.com/css2?family=Lobster")
    assert style.properties == {"--f"}


def test_the_families_of_a_google_fonts_address() -> None:
    assert google_families("https://fonts.googleapis.com/css2?family=Open+Sans:wght@400;700&family=Lobster") == ("open sans", "lobster")
    assert google_families("https://fonts.googleapis.com/css?family=A:400|B+C") == ("a", "b c")
    assert google_families("https://example.com/css2?family=Lobster") == ()


def test_rules_are_made_for_the_names_that_a_project_mentions_anywhere(fonts: Callable[..., ProjectFonts]) -> None:
    css = fonts(index_html="<style>a{font-family:Helvetica}</style>", app_js='x.style.fontFamily = "Segoe UI"').stylesheet()

    assert 'font-family:"helvetica";src:url("/__hyperframes/fonts/Inter.woff2")' in css
    assert 'font-family:"segoe ui";src:url("/__hyperframes/fonts/Roboto.woff2")' in css
    assert "garamond" not in css.lower()


def test_only_a_project_that_writes_on_a_canvas_gets_the_script_for_it(fonts: Callable[..., ProjectFonts]) -> None:
    script = fonts(index_html="<canvas>", app_js='context.font = "12px Inter"; context.fillText("x", 0, 0)').canvas_script()

    assert script is not None
    assert '"Inter.woff2": "aW50ZXI="' in script
    assert fonts(index_html="<canvas>", app_js='"Inter"').canvas_script() is None


def test_a_family_of_the_authors_own_is_left_to_the_author(fonts: Callable[..., ProjectFonts]) -> None:
    css = fonts(index_html="<p style='font-family:Helvetica'>", own_css="@font-face{font-family:HELVETICA;src:url(x)}").stylesheet()

    assert "helvetica" not in css


def test_styles_and_attributes_of_a_page_are_rewritten_in_place(fonts: Callable[..., ProjectFonts]) -> None:
    page = "<style>\na{font-family:serif}</style>\n<p data-font-family='system-ui' style=font-family:serif;color:red title='serif'>"

    assert fonts(index_html=page).page(page) == (
        "<style>\na{font-family:Inter, serif}</style>\n"
        '<p data-font-family="Inter, system-ui" style="font-family:Inter, serif;color:red" title=\'serif\'>'
    )


@pytest.mark.parametrize(
    "page",
    [
        "<style>a{font-family:'Nowhere Sans'}</style>",
        "<p style=\"font-family:Nowhere Sans, 'Elsewhere'\">",
        "<p data-font-family='Nowhere Sans'>",
    ],
)
def test_a_list_of_families_that_are_nowhere_is_an_error(page: str, fonts: Callable[..., ProjectFonts]) -> None:
    with pytest.raises(RenderError, match=r"index\.html: font-family: Nowhere Sans") as caught:
        fonts(index_html=page).stylesheet()

    assert caught.value.code is ErrorCode.FONT_UNAVAILABLE
    assert "@font-face" in (caught.value.hint or "")


@pytest.mark.parametrize(("name", "nearest"), [("Robotto", "Roboto"), ("MyBrands", "my brand")])
def test_the_error_names_the_nearest_family(name: str, nearest: str, fonts: Callable[..., ProjectFonts]) -> None:
    with pytest.raises(RenderError) as caught:
        fonts(index_html=f"<p style='font-family:{name}'>", a_css="@font-face{font-family:'My Brand';src:url(x)}").stylesheet()

    assert (caught.value.hint or "").endswith(f"or use an available one: {nearest}")


@pytest.mark.parametrize(
    "texts",
    [
        {"index_html": "<p style='font-family:Foo, sans-serif'>"},
        {"index_html": "<p style='font-family:Foo, Arial'>"},
        {"index_html": "<p style='font-family:inherit'>"},
        {"index_html": "<p style='font-family:PingFang SC'>"},
        {"index_html": "<p style='font-family:Foo'>", "a_css": "@font-face{font-family:foo;src:url(x)}"},
        {"index_html": "<link rel=stylesheet href='https://fonts.googleapis.com/css2?family=Foo'><p style='font-family:Foo'>"},
        {"index_html": "<link rel=stylesheet href='https://example.com/fonts.css'><p style='font-family:Foo'>"},
        {"index_html": "<p style='font-family:Foo'>", "a_js": "document.fonts.add(new FontFace('Foo', 'url(x)'))"},
    ],
)
def test_what_has_a_font_to_be_drawn_in_is_not_refused(texts: dict[str, str], fonts: Callable[..., ProjectFonts]) -> None:
    fonts(**texts).stylesheet()


def test_another_spelling_of_the_authors_own_family_is_found(fonts: Callable[..., ProjectFonts]) -> None:
    texts = {"css/own.css": "@font-face{font-family:'My Brand';src:url(../b.woff2) format('woff2');font-weight:700}"}
    css = fonts(index_html="<p style='font-family:MyBrand'>", **texts).stylesheet()

    assert css.endswith('@font-face{font-family:"MyBrand";src:url("/b.woff2") format("woff2");font-weight:700}')


def test_an_unknown_family_is_looked_for_once_and_only_if_nothing_before_it_is_there(fonts: Callable[..., ProjectFonts]) -> None:
    asked: list[str] = []

    def find(family: str) -> str | None:
        asked.append(family)
        return "@font-face{/* lobster */}" if family == "Lobster" else None

    css = fonts(
        index_html="<p style='font-family:Lobster, cursive'><p style='font-family:lobster'>"
        "<p style='font-family:Arial, Never'><p style='font-family:Foo, Lobster, Never'>"
    ).stylesheet(find)

    assert asked == ["Lobster", "Foo"]
    assert css.count("/* lobster */") == 1
