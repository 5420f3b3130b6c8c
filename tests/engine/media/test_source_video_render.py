"""Source videos in rendered frames: the right picture at the right moment, in the author's box, and the same in one chunk and in many."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.plan import plan
from tests.chunked import rendered_in
from tests.engine.media.numbered_video import H264, make_video, number_in
from tests.engine.remote.origin_server import Reply, Route, serve_origin

pytestmark = pytest.mark.usefixtures("one_browser")

Render = Callable[..., list[bytes]]


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[Path], tuple[Path, Manifest]]:
    """Plan a project as a png-sequence at 30 fps."""

    def make(folder: Path) -> tuple[Path, Manifest]:
        wanted = {"format": "png-sequence", "fps": 30, "chunkSize": 1000, "allowedHosts": ["127.0.0.1"]}
        config = RenderConfig.model_validate(wanted)
        return tmp_path / "plan", plan(folder, config, tmp_path / "plan")

    return make


@pytest.fixture
def rendered(tmp_path: Path, planned: Callable[[Path], tuple[Path, Manifest]]) -> Render:
    """The frames of a project, as PNGs, in so many chunks."""

    def make(folder: Path, *, chunks: int = 1) -> list[bytes]:
        plan_dir, manifest = planned(folder)
        return rendered_in(chunks, manifest, plan_dir, tmp_path)

    return make


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def page(body: str, *, seconds: float, script: str = "", head: str = "") -> str:
    return f"""<!doctype html><html><head><script src="gsap.min.js"></script><style>
    body {{ margin: 0; background: #224466 }} #root {{ position: relative; width: 320px; height: 180px; overflow: hidden }}
    video, canvas, iframe {{ position: absolute; border: 0 }} {head}</style></head><body>
    <div id="root" data-composition-id="root" data-width="320" data-height="180" data-duration="{seconds}">{body}</div>
    <script>window.__timelines = {{}}; const tl = gsap.timeline({{ paused: true }}); {script}
    tl.set({{}}, {{}}, {seconds}); window.__timelines.root = tl;</script></body></html>"""


BARS = "width:128px;height:40px;object-fit:fill"
"""Wide enough for eight bars, and flat enough for several clips above each other."""

CLIPS = {
    (0, 0): ("cfr.mp4", 'data-start="0" data-media-start="0.5"', lambda f: f + 15),
    (0, 40): ("cfr.mp4", 'data-start="0" data-playback-rate="2"', lambda f: 2 * f),
    (0, 80): ("cfr.mp4", 'data-start="0" data-playback-rate="0.5"', lambda f: f // 2),
    (0, 120): ("cfr.mp4", 'data-start="0" data-media-start="2.7" data-duration="1.5" loop', lambda f: 81 + f % 9),
    (160, 0): ("vfr.mp4", 'data-start="0"', lambda f: max(n for n in range(f + 1) if not (n % 3 and n % 4))),
    (160, 40): ("cfr.mp4", 'data-start="0" data-media-start="2.6" data-duration="1.5"', lambda f: min(78 + f, 89)),
    (160, 80): ("cfr.mp4", 'data-start="0.5" data-duration="0.5"', lambda f: f - 15 if 15 <= f < 30 else None),
    (160, 120): ("late.mp4", 'data-start="0.2"', lambda f: (f - 6) * 24 // 30 if f >= 6 else None),
}
"""Place → file, attributes, and the number that is to be seen in output frame `f`."""


def test_a_changing_speed_shows_what_its_integral_says_in_one_chunk_and_in_many(
    project: Callable[..., Path], rendered: Render, planned: Callable[[Path], tuple[Path, Manifest]], toolset: Toolset
) -> None:
    """From half to double speed within a second, bent by nothing: 0.5 · 4^t; from there on double speed."""
    lane = '{"version": 1, "lanes": [{"target": "rate", "points": [{"t": 0, "v": 0.5}, {"t": 1, "v": 2}]}]}'
    ends = '{"version": 1, "lanes": [{"target": "rate", "points": [{"t": 0, "v": 4}, {"t": 0.5, "v": 2}]}]}'
    videos = f"""<video src="cfr.mp4" data-start="0.2" data-playback-rate="7" data-automation='{lane}' muted style="{BARS}"></video>
        <video src="cfr.mp4" data-start="0" data-media-start="0.5" data-automation='{ends}' style="{BARS};top:40px"></video>
        <video src="cfr.mp4" data-start="0" data-duration="1.5" loop data-automation='{ends}' muted style="{BARS};top:80px"></video>"""
    folder = project({"index.html": page(videos, seconds=1.5)})
    make_video(toolset.ffmpeg.path, folder / "cfr.mp4", 90, *H264)

    def slow(moment: float) -> float:
        return 0.5 * (4 ** min(moment, 1) - 1) / math.log(4) + 2 * max(0, moment - 1)

    def fast(moment: float) -> float:
        return 4 * (1 - 0.25 ** min(moment, 0.5)) / math.log(4) + 2 * max(0, moment - 0.5)

    frames = rendered(folder)
    assert len(frames) == 45
    end = 0.5 + (2.5 - fast(0.5)) / 2
    for number, png in enumerate(frames):
        picture, moment = pixels(png), number / 30
        wanted = math.floor(30 * slow(moment - 0.2) + 1e-9) if number >= 6 else None
        seen = [number_in(picture, (0, top, 128, top + 40)) for top in (0, 40, 80)]
        assert number < 6 or seen[0] == wanted, f"frame {number}"
        assert moment >= end or seen[1] == math.floor(15 + 30 * fast(moment) + 1e-9), f"frame {number}"
        assert seen[2] == math.floor(30 * fast(moment) % 90 + 1e-9), f"frame {number}"
    assert rendered(folder, chunks=4) == frames
    _, manifest = planned(folder)
    assert [clip.end for clip in manifest.clips] == [1.5, pytest.approx(end, abs=1e-6), 1.5]


def test_a_numbered_video_shows_the_formulas_frame_in_one_chunk_and_in_many(
    project: Callable[..., Path], rendered: Render, toolset: Toolset
) -> None:
    videos = "".join(
        f'<video src="{file}" {attributes} muted style="{BARS};left:{left}px;top:{top}px"></video>'
        for (left, top), (file, attributes, _) in CLIPS.items()
    )
    folder = project({"index.html": page(videos, seconds=1.5)})
    ffmpeg = toolset.ffmpeg.path
    make_video(ffmpeg, folder / "cfr.mp4", 90, *H264)
    make_video(ffmpeg, folder / "late.mp4", 60, *H264, rate="24")
    make_video(ffmpeg, folder / "vfr.mp4", 90, "-vf", "select='not(mod(n,3)*mod(n,4))',settb=1/15360", "-fps_mode", "vfr", *H264)

    frames = rendered(folder)
    assert len(frames) == 45
    for number, png in enumerate(frames):
        picture = pixels(png)
        seen = {}
        for left, top in CLIPS:
            visible = tuple(picture[top + 20, left + 8]) != (0x22, 0x44, 0x66)
            seen[left, top] = number_in(picture, (left, top, left + 128, top + 40)) if visible else None
        assert seen == {place: formula(number) for place, (_, _, formula) in CLIPS.items()}, f"frame {number}"
    assert rendered(folder, chunks=7) == frames


def test_a_video_is_drawn_in_the_authors_box_and_from_wherever_it_stands(
    project: Callable[..., Path], rendered: Render, toolset: Toolset
) -> None:
    body = """
    <video id="cover" src="n.mp4" style="left:0;top:0;width:40px;height:40px;object-fit:cover;border-radius:20px"></video>
    <video id="auto" src="n.mp4" style="left:60px;top:0;width:100px;opacity:0.5"></video>
    <video id="turned" src="n.mp4" style="left:200px;top:0;width:72px;height:128px;object-fit:fill;transform:rotate(90deg)"></video>
    <video id="masked" src="n.mp4" style="left:0;top:80px;width:128px;height:40px;object-fit:fill;clip-path:inset(0 64px 0 0)"></video>
    <div data-composition-id="inner" data-composition-src="inner.html" data-start="0.2" data-duration="0.2"></div>
    <iframe src="child.html" style="left:0;top:130px;width:128px;height:40px"></iframe>
    """
    inner = """<template><div data-composition-id="inner" data-width="320" data-height="180">
    <video src="n.mp4" data-start="0.1" data-media-start="1"
           style="position:absolute;left:140px;top:130px;width:128px;height:40px;object-fit:fill"></video>
    <script>window.__timelines.inner = gsap.timeline({ paused: true });</script></div></template>"""
    child = f'<!doctype html><body style="margin:0"><video src="n.mp4" style="{BARS}"></video></body>'
    files = {"index.html": page(body, seconds=0.5), "inner.html": inner, "child.html": child}
    folder = project(files)
    make_video(toolset.ffmpeg.path, folder / "n.mp4", 60, *H264, "-qp", "1")
    frames = rendered(folder)
    for number, png in enumerate(frames):
        picture = pixels(png)
        assert tuple(picture[2, 2]) == (0x22, 0x44, 0x66), "the round corner"
        # 128 x 72 in 40 x 40: the middle 72 pixels of the source, in which bars 2 to 5 are whole.
        assert [picture[20, round((bar * 16 + 8 - 28) * 40 / 72)][0] > 128 for bar in (2, 3, 4, 5)] == bits(number)[2:6]
        assert number_in(half_bright(picture[0:56, 60:160])) == number
        assert number_in(np.rot90(picture[28:100, 172:300])) == number or number_in(picture[28:100, 172:300].transpose(1, 0, 2)) == number
        assert number_in(picture, (0, 80, 128, 120)) & 0x0F == number & 0x0F
        assert tuple(picture[100, 100]) == (0x22, 0x44, 0x66), "cut away"
        assert number_in(picture, (0, 130, 128, 170)) == number, "in a child frame"
        if 9 <= number < 12:
            assert number_in(picture, (140, 130, 268, 170)) == 30 + number - 9, "in a sub-composition with a late host"
        else:
            assert tuple(picture[150, 150]) == (0x22, 0x44, 0x66)
    assert len(frames) == 15


def test_scripts_see_and_draw_the_picture_of_the_moment(project: Callable[..., Path], rendered: Render, toolset: Toolset) -> None:
    body = """
    <video id="v" src="n.mp4" data-start="0" style="left:0;top:0;width:10px;height:10px"></video>
    <canvas id="flat" width="128" height="40" style="left:0;top:20px"></canvas>
    <canvas id="gl" width="128" height="40" style="left:140px;top:20px"></canvas>
    <canvas id="loose" width="128" height="40" style="left:0;top:80px"></canvas>
    <div id="facts" style="position:absolute;left:140px;top:80px;width:100px;height:40px"></div>"""
    script = """
    const v = document.getElementById("v"), flat = document.getElementById("flat").getContext("2d");
    const loose = document.createElement("video"); loose.src = "n.mp4"; loose.muted = true;
    const gl = document.getElementById("gl").getContext("webgl", { preserveDrawingBuffer: true });
    const compile = (type, source) => { const s = gl.createShader(type); gl.shaderSource(s, source); gl.compileShader(s); return s; };
    const program = gl.createProgram();
    const corner = "attribute vec2 p; varying vec2 u; void main() { u = p * .5 + .5; gl_Position = vec4(p, 0., 1.); }";
    const colour = "precision mediump float; varying vec2 u; uniform sampler2D t; void main() { gl_FragColor = texture2D(t, u); }";
    gl.attachShader(program, compile(gl.VERTEX_SHADER, corner));
    gl.attachShader(program, compile(gl.FRAGMENT_SHADER, colour));
    gl.linkProgram(program); gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T].forEach((wrap) => gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE));
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    const events = [];
    ["loadedmetadata", "canplaythrough", "error"].forEach((type) => v.addEventListener(type, () => events.push(type)));
    function draw() {
      requestAnimationFrame(draw);
      flat.clearRect(0, 0, 128, 40); flat.drawImage(v, 0, 0, 128, 40);
      document.getElementById("loose").getContext("2d").drawImage(loose, 0, 0, 128, 40);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, v); gl.drawArrays(gl.TRIANGLES, 0, 3);
      const right = v.videoWidth === 128 && v.videoHeight === 72 && v.readyState === 4 && Math.abs(v.duration - 2) < 1e-6 && !v.error
        && v.paused && Math.abs(v.currentTime - window.__player.getTime()) < 1e-3 && v.currentSrc.endsWith("/n.mp4")
        && events.join() === "loadedmetadata,canplaythrough";
      document.getElementById("facts").style.background = right ? "#00ff00" : "#ff0000";
    }
    requestAnimationFrame(draw);"""
    folder = project({"index.html": page(body, seconds=0.4, script=script)})
    make_video(toolset.ffmpeg.path, folder / "n.mp4", 60, *H264)
    frames = rendered(folder)
    assert len(frames) == 12
    for number, png in enumerate(frames):
        picture = pixels(png)
        assert tuple(picture[100, 150]) == (0, 255, 0), f"what scripts read, frame {number}"
        assert number_in(picture, (0, 20, 128, 60)) == number, "2D canvas"
        assert number_in(picture, (140, 20, 268, 60)) == number, "WebGL texture"
        assert number_in(picture, (0, 80, 128, 120)) == number, "a video outside of the page"
    assert rendered(folder, chunks=3) == frames


def test_a_video_may_come_from_the_network_or_stand_in_the_page(
    project: Callable[..., Path], rendered: Render, toolset: Toolset, tmp_path: Path
) -> None:
    content = make_video(toolset.ffmpeg.path, tmp_path / "n.mp4", 10, *H264).read_bytes()
    routes: dict[str, Route] = {
        "/latest.mp4": Reply(status=302, headers={"Location": "/v/1.mp4"}),
        "/v/1.mp4": Reply(content, "video/mp4"),
    }
    with serve_origin(routes) as origin:
        body = f"""<video src="{origin.url}/latest.mp4" style="left:0;top:0;{BARS}"></video>
        <video src="data:video/mp4;base64,{base64.b64encode(content).decode()}" style="left:0;top:60px;{BARS}"></video>"""
        frames = rendered(project({"index.html": page(body, seconds=0.2)}))
    for number, png in enumerate(frames):
        picture = pixels(png)
        assert number_in(picture, (0, 0, 128, 40)) == number_in(picture, (0, 60, 128, 100)) == number
    assert len(frames) == 6


def test_an_element_without_length_takes_that_of_its_file(
    project: Callable[..., Path], planned: Callable[[Path], tuple[Path, Manifest]], toolset: Toolset
) -> None:
    body = """<video id="one" src="n.mp4" data-media-start="0.5" data-playback-rate="2"></video>
    <video id="two" data-start="one + 0.25"><source src="n.mp4" type="video/mp4"></video>
    <video id="hidden" src="n.mp4" data-start="0" data-hidden></video>"""
    folder = project({"index.html": page(body, seconds=3)})
    make_video(toolset.ffmpeg.path, folder / "n.mp4", 60, *H264)
    _, manifest = planned(folder)
    one, two = manifest.clips
    assert (one.element, one.start, one.end) == ('<video id="one"> in index.html', 0, pytest.approx(0.75))
    assert (two.start, two.end) == (pytest.approx(1.0), 3)
    assert list(manifest.sources) == ["n.mp4"]
    assert manifest.sources["n.mp4"].duration == pytest.approx(2)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (
            '<video id="v" src="gone.mp4" data-start="0"></video>',
            ErrorCode.ASSET_UNAVAILABLE,
            'no gone.mp4 (wanted by <video id="v"> in index.html)',
        ),
        ('<video id="v" src="page.mp4" data-start="0"></video>', ErrorCode.NOT_MEDIA_PAYLOAD, '<video id="v"> in index.html: page.mp4'),
        ('<audio id="a" src="noise.mp4" data-start="0"></audio>', ErrorCode.MEDIA_UNREADABLE, '<audio id="a"> in index.html: noise.mp4'),
        ('<audio id="a" src="gone.mp3"></audio>', ErrorCode.ASSET_UNAVAILABLE, "gone.mp3"),
        ('<audio id="a" src="text.mp3"></audio>', ErrorCode.NOT_MEDIA_PAYLOAD, "text.mp3"),
        ('<video id="v" src="blob:nothing"></video>', ErrorCode.COMPOSITION_UNSUPPORTED, "blob:nothing"),
    ],
)
def test_media_that_cannot_be_had_fails_the_plan_with_element_and_file(
    project: Callable[..., Path], planned: Callable[[Path], tuple[Path, Manifest]], body: str, code: ErrorCode, words: str
) -> None:
    files = {
        "index.html": page(body, seconds=1),
        "page.mp4": "<!doctype html><p>404</p>",
        "noise.mp4": bytes(range(256)) * 16,
        "text.mp3": "no sound",
    }
    with pytest.raises(RenderError) as caught:
        planned(project(files))
    assert caught.value.code is code
    assert words in caught.value.message


def test_a_script_may_not_bring_in_a_video_later(
    project: Callable[..., Path], planned: Callable[[Path], tuple[Path, Manifest]], toolset: Toolset
) -> None:
    script = """tl.call(() => { const v = document.createElement("video"); v.id = "new"; v.src = "n.mp4";
    document.getElementById("root").append(v); }, null, 0.3);"""
    folder = project({"index.html": page('<video src="n.mp4" data-start="0"></video>', seconds=0.5, script=script)})
    make_video(toolset.ffmpeg.path, folder / "n.mp4", 30, *H264)
    with pytest.raises(RenderError) as caught:
        planned(folder)
    assert caught.value.code is ErrorCode.COMPOSITION_UNSUPPORTED
    assert '<video id="new"> in index.html' in caught.value.message


def bits(number: int) -> list[bool]:
    return [bool(number >> bit & 1) for bit in range(8)]


def half_bright(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half-transparent bars over the dark background, as if they were opaque."""
    return np.where(picture[..., :1] > 100, 255, 0).astype(np.uint8).repeat(3, axis=2)
