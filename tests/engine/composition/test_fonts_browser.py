"""The face that the browser draws text with, recognised by widths and pixels."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.browser import CompositionPage
from hyperframes_lambda.composition.fonts import font_files, read_catalogue
from hyperframes_lambda.contract.toolset import FontFace, Toolset

Open = Callable[..., AbstractContextManager[CompositionPage]]
Project = Callable[..., Path]

PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>{css}</style></head>
<body style="margin:0;background:#fff">
<div data-composition-id="main" data-no-timeline data-start="0" data-duration="1" data-width="320" data-height="180">{body}</div>
<script>{script}</script></body></html>"""

HELPERS = """
async function width(style, text) {
  const span = document.createElement("span");
  span.style.cssText = "position:absolute;white-space:pre;font-size:100px;" + style;
  span.textContent = text;
  document.body.append(span);
  span.getBoundingClientRect();
  await document.fonts.ready;
  const found = span.getBoundingClientRect().width;
  span.remove();
  return found;
}
async function drawn(font, text) {
  await document.fonts.load(font, text);
  const canvas = document.createElement("canvas");
  canvas.width = 300; canvas.height = 60;
  const context = canvas.getContext("2d");
  context.font = font;
  context.fillText(text, 5, 45);
  return Array.from(context.getImageData(0, 0, 300, 60).data);
}
async function only(url) {
  document.fonts.add(await new FontFace("Only", "url(" + url + ")").load());
}
"""

PLAIN = PAGE.format(css="", body="", script=HELPERS + "/* Helvetica, Georgia, Menlo, Montserrat, Times New Roman */")


@pytest.fixture(scope="module")
def face(toolset: Toolset) -> Callable[..., str]:
    """Return the URL path of a bundled face for Latin text."""
    assert toolset.fonts is not None
    families = read_catalogue(toolset.fonts).families

    def find(family: str, weight: str = "400", style: str = "normal") -> str:
        def fits(face: FontFace) -> bool:
            return (face.weight, face.style) == (weight, style) and face.unicode_range.startswith("U+0000-00FF")

        return next(f"/__hyperframes/fonts/{face.file}" for face in families[family] if fits(face))

    return find


def width(page: CompositionPage, style: str, text: str = "Hamburgefonstiv 0123") -> float:
    return float(page.ask(f"width({json.dumps(style)}, {json.dumps(text)})"))


def drawn(page: CompositionPage, font: str, text: str = "Hamburg") -> NDArray[np.uint8]:
    return np.array(page.ask(f"drawn({json.dumps(font)}, {json.dumps(text)})"), dtype=np.uint8).reshape(60, 300, 4)


def picture(png: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int16)


def loaded_fonts(page: CompositionPage) -> set[str]:
    names: list[str] = page.ask("performance.getEntriesByType('resource').map(entry => entry.name).filter(name => /woff2/.test(name))")
    return {name.rpartition("/")[2] for name in names}


@pytest.fixture
def plain(opened: Open, project: Project) -> Iterator[CompositionPage]:
    with opened(project({"index.html": PLAIN})) as page:
        yield page


@pytest.mark.parametrize(
    ("name", "family", "weight"),
    [("Helvetica", "Inter", "400"), ("Helvetica", "Inter", "700"), ("Georgia", "EB Garamond", "400"), ("Menlo", "JetBrains Mono", "700")],
)
def test_a_system_name_is_drawn_with_the_embedded_face(
    plain: CompositionPage, face: Callable[..., str], name: str, family: str, weight: str
) -> None:
    plain.ask(f"only({json.dumps(face(family, weight))})")

    assert np.array_equal(drawn(plain, f"{weight} 40px {name}"), drawn(plain, "40px Only"))


def test_generic_families_are_drawn_with_bundled_ones(plain: CompositionPage) -> None:
    bundled = {family: width(plain, f"font-family:'{family}'") for family in ("Inter", "EB Garamond", "JetBrains Mono")}
    found = {name: width(plain, f"font-family:{name}") for name in ("sans-serif", "system-ui", "-apple-system", "serif", "monospace")}

    assert len(set(bundled.values())) == 3
    assert found == {
        "sans-serif": bundled["Inter"],
        "system-ui": bundled["Inter"],
        "-apple-system": bundled["Inter"],
        "serif": bundled["EB Garamond"],
        "monospace": bundled["JetBrains Mono"],
    }
    assert width(plain, "") == bundled["EB Garamond"], "text without any family is in the browser's Times New Roman"


def test_weights_between_the_embedded_ones_come_from_the_variable_font(plain: CompositionPage) -> None:
    widths = [width(plain, f"font-family:Montserrat;font-weight:{weight}") for weight in (100, 300, 400, 500, 600, 700, 800, 900)]

    assert widths == sorted(widths)
    assert len(set(widths)) == 8


def test_italics_are_drawn_and_not_slanted(plain: CompositionPage) -> None:
    assert width(plain, "font-family:Georgia;font-style:italic") != width(plain, "font-family:Georgia")


def test_a_variable_axis_of_the_authors_font(plain: CompositionPage, toolset: Toolset) -> None:
    assert toolset.fonts is not None
    variable = next(path for path in font_files(toolset.fonts) if path.endswith("/montserrat-latin-wght-normal.woff2"))
    plain.ask(f"new FontFace('Axis', 'url(/{variable})', {{weight: '100 900'}}).load().then(face => document.fonts.add(face))")

    light, heavy = (width(plain, f"font-family:Axis;font-variation-settings:'wght' {weight}") for weight in (100, 900))
    assert heavy > 1.1 * light
    assert width(plain, "font-family:Axis;font-weight:450") == width(plain, "font-family:Axis;font-variation-settings:'wght' 450")


def test_only_the_subsets_that_text_needs_are_loaded(opened: Open, project: Project) -> None:
    def page(text: str) -> dict[str, str]:
        return {"index.html": PAGE.format(css="body{font-family:Poppins, Roboto, Lato}", body=text, script="")}

    with opened(project(page("Hello"))) as opened_page:
        assert loaded_fonts(opened_page) == {"poppins-latin-400-normal.woff2"}
    with opened(project(page("Hello \N{LATIN SMALL LETTER L WITH STROKE}<b>b</b>"))) as opened_page:
        assert loaded_fonts(opened_page) == {f"poppins-{rest}-normal.woff2" for rest in ("latin-400", "latin-ext-400", "latin-700")}


def test_emoji_are_in_colour_and_chinese_japanese_and_korean_have_glyphs(plain: CompositionPage) -> None:
    emoji = drawn(plain, "40px Helvetica", "\N{GRINNING FACE}").astype(np.int16)
    assert np.ptp(emoji[..., :3], axis=2).max() > 100

    missing = drawn(plain, "40px Helvetica", "\U000fffff")
    glyphs = [drawn(plain, "40px Helvetica", character) for character in "日本语语한글カ"]
    assert all(np.count_nonzero(glyph[..., 3]) > 100 for glyph in glyphs)
    assert not any(np.array_equal(glyph, missing) for glyph in glyphs)
    assert not np.array_equal(glyphs[0], glyphs[1])


def test_the_authors_own_face_wins(opened: Open, project: Project, toolset: Toolset, face: Callable[..., str]) -> None:
    own = font_files(toolset.fonts)[face("Space Mono")[1:]][0].read_bytes()
    css = "@font-face{font-family:Helvetica;src:url(own.woff2)} p{font-family:Helvetica}"
    with opened(project({"index.html": PAGE.format(css=css, body="<p>x", script=HELPERS + "/* Space Mono */"), "own.woff2": own})) as page:
        assert width(page, "font-family:Helvetica") == width(page, "font-family:Space Mono")


def test_a_generic_family_in_front_of_a_list_is_drawn_with_inter(opened: Open, project: Project) -> None:
    files = {
        "index.html": PAGE.format(css="@import 'a.css';", body="<p class=a>x", script=HELPERS),
        "a.css": ".a{font-family:monospace}",
    }
    with opened(project(files)) as page:
        assert page.ask("getComputedStyle(document.querySelector('.a')).fontFamily") == "Inter, monospace"
        assert page.ask("getComputedStyle(document.querySelector('.a')).textRendering") == "geometricprecision"


def test_a_canvas_that_is_drawn_once_has_its_font(opened: Open, project: Project) -> None:
    script = """
    const context = document.getElementById("c").getContext("2d");
    context.font = "600 40px Helvetica";
    context.fillText("Hamburg", 5, 45);
    const once = Array.from(context.getImageData(0, 0, 300, 60).data);"""
    page = PAGE.format(css="", body="<canvas id=c width=300 height=60></canvas>", script=script + HELPERS)
    with opened(project({"index.html": page})) as opened_page:
        assert opened_page.ask("drawn('600 40px Helvetica', 'Hamburg').then(data => data.join() === once.join())")


def test_text_that_appears_late_is_in_its_font_on_its_first_frame(opened: Open, project: Project) -> None:
    body = "<p id=late style='display:none;font:60px Oswald;margin:0'>Late</p><canvas id=c width=320 height=80></canvas>"
    script = """
    const late = document.getElementById("late"), context = document.getElementById("c").getContext("2d");
    window.__hf = {duration: 1, seek(t) {
      late.style.display = t < 0.5 ? "none" : "block";
      if (t >= 0.5) { context.clearRect(0, 0, 320, 80); context.font = "60px League Gothic"; context.fillText("Canvas", 0, 70); }
    }};"""
    with opened(project({"index.html": PAGE.format(css="", body=body, script=script)})) as page:
        page.capture(0.1)
        first = picture(page.capture(0.5))
        page.capture(0.6)
        again = picture(page.capture(0.5))

    assert np.array_equal(first, again)
    assert all((255 - half).sum() > 10_000 for half in (first[:88], first[92:]))


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("Noto Sans Arabic", "\N{ARABIC LETTER AIN}\N{ARABIC LETTER REH}\N{ARABIC LETTER BEH}"),
        ("Open Sans", "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}"),
        ("Noto Sans Devanagari", "\N{DEVANAGARI LETTER KA}\N{DEVANAGARI SIGN VIRAMA}\N{DEVANAGARI LETTER SSA}"),
        ("Noto Sans Thai", "\N{THAI CHARACTER KO KAI}\N{THAI CHARACTER SARA AA}"),
        ("Noto Sans Math", "\N{MATHEMATICAL ITALIC SMALL X}\N{N-ARY SUMMATION}"),
    ],
)
def test_a_script_that_the_chosen_font_lacks_is_drawn_with_the_one_that_has_it(plain: CompositionPage, family: str, text: str) -> None:
    assert width(plain, "font-family:sans-serif", text) == width(plain, f"font-family:'{family}'", text)
    boxes = drawn(plain, "40px sans-serif", "\ufff0" * len(text))
    assert not np.array_equal(drawn(plain, "40px sans-serif", text), boxes), "not the boxes of unknown characters"
