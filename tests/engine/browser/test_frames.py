"""A frame depends on its moment alone."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from hyperframes_lambda.browser import CompositionPage, PageSpec, launch
from hyperframes_lambda.contract.toolset import Browser

Project = Callable[..., Path]
Site = Callable[..., AbstractContextManager[str]]

FRAMES = 24
FPS = 12

EVERYTHING = """<!doctype html><html><head><meta charset="utf-8"><script src="gsap.min.js"></script><style>
body { margin: 0; background: #fff; font: 12px sans-serif }
#root { position: relative; width: 320px; height: 180px; overflow: hidden }
@keyframes move { to { transform: translateX(301px) } }
@keyframes turn { from { transform: scale(1) } to { transform: translateX(90px) scale(2.7) rotate(80deg) } }
@keyframes spatial { to { transform: translate3d(250.5px, 0, 0) } }
.b { position: absolute; left: 0; width: 21px; height: 14px; background: #357; color: #fff }
#gsap { background: #753 } #turn { background: #aa7; z-index: -1 } #late { display: none } #late.on { display: block }
#slow { transition: left 1s } #slow.on { left: 200px }
#pseudo::after { content: ""; position: absolute; width: 9px; height: 9px; background: #c30; animation: move 2s linear both }
</style></head><body><div id="root" data-composition-id="all" data-width="320" data-height="180" data-duration="2">
<div class="b" id="gsap" style="top: 0; z-index: -1">gs</div>
<div class="b" id="css" style="top: 15px; animation: move 2s linear both">cs</div>
<div class="b" id="turn" style="top: 30px; left: 150px; animation: turn 2s linear both">tu</div>
<div class="b" id="three" style="top: 45px; animation: spatial 2s linear both">3d</div>
<div class="b" id="waapi" style="top: 60px">wa</div>
<div class="b" id="will" style="top: 75px; will-change: transform">wi</div>
<div class="b" id="inline" style="top: 90px">in</div>
<div class="b" id="late" style="top: 105px; animation: move 2s linear both">la</div>
<div class="b" id="slow" style="top: 120px">tr</div>
<div class="b" id="pseudo" style="top: 135px"></div>
<div class="b" id="clip" data-start="0.5" data-duration="1" style="top: 150px">cl</div>
<div style="position: absolute; left: 240px; top: 60px; perspective: 200px">
<p id="space" style="width: 40px; background: #183; color: #fff">sp</p></div>
<canvas id="canvas" width="200" height="16" style="position: absolute; left: 40px; top: 150px"></canvas>
<iframe src="frame.html" style="position: absolute; left: 0; top: 164px; width: 320px; height: 16px; border: 0"></iframe>
<svg width="320" height="10" style="position: absolute; left: 0; top: 140px"><rect width="10" height="10" fill="#a0a">
<animate attributeName="x" from="0" to="300" dur="2s"/></rect></svg>
</div><script>
const timeline = gsap.timeline({ paused: true });
timeline.to("#gsap", { x: 280.3, rotation: 45, duration: 2, ease: "none" });
timeline.fromTo("#space", { rotationY: 0 }, { rotationY: 170, duration: 2, ease: "none" }, 0);
window.__timelines = { all: timeline };
waapi.animate([{ transform: "none" }, { transform: "translateX(301px)" }], { duration: 2000, fill: "both" });
const context = canvas.getContext("2d");
requestAnimationFrame(function draw(time) {
  will.style.transform = `translateX(${time / 9.7}px) scale(${1 - time / 4000})`;
  inline.style.transform = `translate3d(${time / 9.7}px, 0, 0)`;
  late.classList.toggle("on", time >= 600);
  slow.classList.toggle("on", time >= 1000);
  context.clearRect(0, 0, 200, 16);
  const clocks = [time, performance.now(), Date.now(), new Date().getTime()];
  context.fillText([...clocks, Math.random(), crypto.randomUUID().slice(0, 4)].join(" "), 0, 12);
  requestAnimationFrame(draw);
});
</script></body></html>"""

FRAME = """<!doctype html><style>@keyframes move { to { transform: translateX(301px) } } body { margin: 0 }
div { width: 14px; height: 8px; background: #222; animation: move 2s linear both }
p { margin: 0; width: 40px; font: 7px/8px sans-serif; background: #999 }
</style><div></div><p></p><script>
const p = document.querySelector("p");
p.animate([{ marginLeft: 0 }, { marginLeft: "200.5px" }], { duration: 2000, fill: "both" });
requestAnimationFrame(function draw(time) { p.textContent = time.toFixed(3); requestAnimationFrame(draw); });
</script>"""


def captured(chromium: Browser, url: str, frames: Iterable[int]) -> dict[int, bytes]:
    """Capture the frames in that order, in a new browser."""
    with launch(chromium) as session, session.open(PageSpec(url, width=320, height=180)) as page:
        return {frame: page.capture(frame / FPS) for frame in frames}


def test_a_frame_is_the_same_bytes_wherever_a_chunk_begins_and_in_whatever_order(chromium: Browser, project: Project, site: Site) -> None:
    shuffled = list(range(FRAMES))
    random.Random(7).shuffle(shuffled)
    with site(project({"index.html": EVERYTHING, "frame.html": FRAME}), fps=Fraction(FPS)) as url:
        reference = captured(chromium, url, range(FRAMES))
        others = [
            captured(chromium, url, order) for order in (range(FRAMES), range(FRAMES // 3, FRAMES), range(FRAMES - 5, FRAMES), shuffled)
        ]

    assert len(set(reference.values())) == FRAMES
    for other in others:
        assert [frame for frame, png in other.items() if png != reference[frame]] == []


def left_edge(picture: Image.Image, row: int, colour: tuple[int, int, int]) -> int | None:
    return next(
        (x for x in range(picture.width) if all(abs(a - b) < 8 for a, b in zip(picture.getpixel((x, row)), colour, strict=True))), None
    )


def test_every_kind_of_animation_stands_where_its_formula_says(chromium: Browser, project: Project, site: Site) -> None:
    with site(project({"index.html": EVERYTHING, "frame.html": FRAME}), fps=Fraction(FPS)) as url:
        frames = captured(chromium, url, [3, 6, 9, 15, 18])

    blue, black, purple, red = (0x33, 0x55, 0x77), (0x22, 0x22, 0x22), (0xAA, 0x00, 0xAA), (0xCC, 0x33, 0x00)
    for number, png in frames.items():
        seconds = number / FPS
        picture = Image.open(io.BytesIO(png)).convert("RGB")
        for row, formula, colour in [
            (15, seconds / 2 * 301, blue),
            (45, seconds / 2 * 250.5, blue),
            (60, seconds / 2 * 301, blue),
            (136, seconds / 2 * 301, red),
            (148, seconds / 2 * 300, purple),
            (168, seconds / 2 * 301, black),
            *([(105, seconds / 2 * 301, blue)] if seconds >= 0.6 else []),
            (121, 200 if seconds >= 1 else 0, blue),
        ]:
            found = left_edge(picture, row, colour)
            assert found is not None, (number, row)
            assert abs(found - formula) <= 1, (number, row, found, formula)
        assert (left_edge(picture.crop((0, 0, 21, 180)), 152, blue) is not None) == (0.5 <= seconds < 1.5)


SIMPLE = """<body style="margin:0;background:{background}">
<div id=root data-composition-id=c data-no-timeline data-width=320 data-height=180 data-duration=1>
<p data-var-text=title style="margin:0;position:absolute;left:10px;top:10px;
width:100px;height:50px;background:rgba(255,0,0,.5)">x</p></div>"""


@pytest.mark.parametrize("scale", [1.0, 2.0, 0.5])
def test_another_size_is_rendered_by_scale(
    opened: Callable[..., AbstractContextManager[CompositionPage]], project: Project, scale: float
) -> None:
    with opened(project({"index.html": SIMPLE.format(background="#fff")}), scale=scale) as page:
        picture = Image.open(io.BytesIO(page.capture(0.5))).convert("RGB")

    assert picture.size == (320 * scale, 180 * scale)
    assert picture.getpixel((int(100 * scale), int(50 * scale))) == (255, 127, 127)


def test_a_transparent_page_keeps_its_alpha(opened: Callable[..., AbstractContextManager[CompositionPage]], project: Project) -> None:
    with opened(project({"index.html": SIMPLE.format(background="transparent")}), transparent=True) as page:
        picture = Image.open(io.BytesIO(page.capture(0.5)))

    assert picture.mode == "RGBA"
    assert picture.getpixel((300, 170)) == (0, 0, 0, 0)
    assert picture.getpixel((100, 50)) == (255, 0, 0, 128)


def test_variables_reach_the_page_but_not_its_frames(
    opened: Callable[..., AbstractContextManager[CompositionPage]], project: Project
) -> None:
    page_text = SIMPLE.format(background="#fff") + "<iframe src=child.html></iframe>"
    with opened(
        project({"index.html": page_text, "child.html": "<script>window.seen = typeof window.__hfVariables</script>"}),
        variables={"title": "given"},
    ) as page:
        assert page._page.evaluate("document.querySelector('p').textContent") == "given"
        assert page._page.evaluate("frames[0].seen") == "undefined"


def test_a_page_with_its_own_protocol_is_driven_through_it(
    opened: Callable[..., AbstractContextManager[CompositionPage]], project: Project
) -> None:
    own = """<body style="margin:0"><script>
    const paint = t => { document.body.style.background = `rgb(${t * 100}, 0, 0)` };
    window.__hf = { duration: 3, seek: t => new Promise(done => setTimeout(done, 20)).then(() => paint(t)) };
    </script>"""
    with opened(project({"index.html": own})) as page:
        assert page.duration == 3
        picture = Image.open(io.BytesIO(page.capture(1.5))).convert("RGB")

    assert picture.getpixel((5, 5)) == (150, 0, 0)


def test_a_frame_waits_for_the_images_it_needs(opened: Callable[..., AbstractContextManager[CompositionPage]], project: Project) -> None:
    pictures = {}
    for number in range(4):
        data = io.BytesIO()
        Image.new("RGB", (40, 40), (60 * number, 200, 0)).save(data, "PNG")
        pictures[f"{number}.png"] = data.getvalue()
    page_text = """<body style="margin:0"><div data-composition-id=c data-no-timeline data-width=320 data-height=180 data-duration=4>
    <img id=i src=0.png><div id=d style="width:40px;height:40px"></div></div><script>
    requestAnimationFrame(function draw(t) {
      i.src = t / 1000 + ".png"; d.style.background = `url(${t / 1000}.png?again)`; requestAnimationFrame(draw);
    });
    </script>"""
    with opened(project({"index.html": page_text, **pictures})) as page:
        for number in (2, 1, 3):
            picture = Image.open(io.BytesIO(page.capture(number))).convert("RGB")
            assert picture.getpixel((20, 20)) == picture.getpixel((20, 64)) == (60 * number, 200, 0)
