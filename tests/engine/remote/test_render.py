"""Remote files in a render: recorded when it is planned, replayed to every chunk, and a clear word about what cannot be had."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hyperframes_lambda.contract.config import parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.toolset import Npm
from hyperframes_lambda.machine.tools import Tools, find_tools
from hyperframes_lambda.plan import plan
from hyperframes_lambda.remote import Recorder, addresses
from hyperframes_lambda.render_chunk import render_chunk
from tests.engine.remote.origin_server import Origin, Reply, Route, serve_origin

Project = Callable[[Mapping[str, str | bytes]], Path]

GREEN = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><rect width="20" height="20" fill="#00ff00"/></svg>'


def page(body: str, *, head: str = "", script: str = "", duration: float = 0.5) -> str:
    """A composition of 160 by 90 whose script may register steps: what is done from a moment on."""
    return f"""<!doctype html><html><head>
<style>body {{ margin: 0 }} .box {{ position: absolute; width: 20px; height: 20px; background: #400 }}</style>
{head}
</head><body><div data-composition-id="main" data-width="160" data-height="90" data-start="0" data-duration="{duration}" data-no-timeline>
{body}
</div>
<script>{script}</script></body></html>"""


def box(name: str, number: int) -> str:
    """A dark box that turns green when something worked."""
    return f'<div class="box" id="{name}" style="left:{number % 7 * 22}px;top:{number // 7 * 22}px"></div>'


TURN = """
  const seen = new Set();
  function turn(name) {
    seen.add(name);
    document.getElementById(name).style.background = '#0f0';
    if (EARLY.every(name => seen.has(name))) window.__timelines = { main: gsap.timeline({ paused: true }).to({}, { duration: 0.5 }) };
  }"""
"""The composition is ready when everything that comes at its own pace has come."""


def test_everything_a_page_may_ask_for_is_recorded_and_replayed(project: Project, tmp_path: Path) -> None:
    names = ["script", "redirect", "module", "style", "image", "data", "asked", "worker", "imported", "own", "frame", "late", "missing"]
    early = [name for name in names if name not in ("style", "image", "late")]
    js, css = "text/javascript", "text/css"
    routes: dict[str, Route] = {
        "/lib.js": Reply(b"turn('script')", js),
        "/old/lib.js": Reply(status=302, headers={"Location": "../new/lib.js"}),
        "/new/lib.js": Reply(b"turn('redirect')", js),
        "/modules/latest.js": Reply(status=301, headers={"Location": "/modules/v2/index.js"}),
        "/modules/v2/index.js": Reply(b"import { name } from './part.js'; turn(name);", js),
        "/modules/v2/part.js": Reply(b"export const name = 'module';", js),
        "/style/main.css": Reply(b"@import 'more.css';", css),
        "/style/more.css": Reply(b"#style { background: url(green.svg) !important }", css),
        "/style/green.svg": Reply(GREEN, "image/svg+xml"),
        "/green.svg": Reply(GREEN, "image/svg+xml"),
        "/data.json": Reply(b'{"name": "data"}', "application/json"),
        "/asked.json": Reply(b'{"name": "asked"}', "application/json"),
        "/work.js": Reply(b"self.name_ = 'worker'", js),
        "/imported.js": Reply(b"export default 'imported'", js),
        "/own.json": Reply(b"own", "text/plain"),
        "/frame.html": Reply(b"<body style='margin:0;background:#0f0'><script src=frame.js></script>", "text/html"),
        "/frame.js": Reply(b"parent.postMessage('frame', '*')", js),
        "/late.svg": Reply(GREEN, "image/svg+xml"),
        "/data2.json": Reply(b"{}", "application/json"),
    }
    with serve_origin(routes) as origin:
        url = origin.url
        script = f"""
          fetch('{url}/data.json').then(r => r.json()).then(d => turn(d.name));
          fetch('{url}/asked.json', {{ headers: {{ 'x-key': '1' }}, credentials: 'include' }}).then(r => r.json()).then(d => turn(d.name));
          fetch('{url}/missing.json').then(r => r.status === 404 && turn('missing'));
          new Worker('worker.js').onmessage = e => turn(e.data);
          new Worker('module.js', {{ type: 'module' }}).onmessage = e => turn(e.data);
          new Worker(URL.createObjectURL(new Blob([`fetch('{url}/own.json').then(r => r.text()).then(postMessage)`]))).onmessage =
            e => turn(e.data);
          addEventListener('message', e => e.data === 'frame' && turn('frame'));
          requestAnimationFrame(function step(now) {{
            if (now >= 400) document.getElementById('late').style.background = 'url({url}/late.svg)';
            requestAnimationFrame(step);
          }});"""
        files = {
            "index.html": page(
                "".join(box(name, number) for number, name in enumerate(names))
                + f'<img src="{url}/green.svg" style="position:absolute;left:{4 * 22}px;top:0">'
                + f'<script src="{url}/lib.js"></script><script src="{url}/old/lib.js"></script>'
                + f'<iframe src="{url}/frame.html" style="position:absolute;left:140px;top:70px;width:20px;height:20px;border:0"></iframe>',
                head=f'<script src="gsap.min.js"></script><script>const EARLY = {early};{TURN}</script>'
                f'<link rel="stylesheet" href="{url}/style/main.css">'
                f'<script type="module">import "{url}/modules/latest.js";</script>',
                script=script,
            ).replace(" data-no-timeline", ""),
            "worker.js": f"importScripts('{url}/work.js'); postMessage(self.name_)",
            "module.js": f"import name from '{url}/imported.js'; postMessage(name)",
        }
        manifest = planned(project(files), tmp_path, origin)
        recorded = {path for path in routes if path != "/data2.json"} | {"/missing.json"}
        assert {address.removeprefix(url) for address in manifest.remote} == recorded
        assert manifest.remote[f"{url}/old/lib.js"].headers["location"] == f"{url}/new/lib.js"
        assert manifest.remote[f"{url}/missing.json"].status == 404

    whole = frames(tmp_path, manifest)

    # The server has gone: whatever is green now came from the plan.
    last = whole[-1]
    dark = [name for number, name in enumerate(names) if not is_green(last, number % 7 * 22 + 10, number // 7 * 22 + 10)]
    assert dark == []
    assert is_green(last, 150, 80), "the frame's own picture"
    assert not is_green(whole[0], 5 * 22 + 10 - 22, 22 + 10), "the late picture, at the beginning"

    split = planned_again(manifest, tmp_path, chunk_size=5)
    assert len(split.chunks) > 1
    assert all((mine == theirs).all() for mine, theirs in zip(frames(tmp_path, split), whole, strict=True))


UNAVAILABLE: dict[str, tuple[str, dict[str, Route], ErrorCode, list[str]]] = {
    "script": (
        "<script src={url}/gone.js></script>",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/gone.js", "404", "script", "index.html line 5"],
    ),
    "image": ("<img src={url}/gone.png>", {}, ErrorCode.ASSET_UNAVAILABLE, ["{url}/gone.png", "404", "image", "index.html line 5"]),
    "behind a redirect": (
        "<img src={url}/moved.png>",
        {"/moved.png": Reply(status=302, headers={"Location": "/gone.png"})},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/gone.png", "404"],
    ),
    "a redirect to what is private": (
        "<img src={url}/moved.png>",
        {"/moved.png": Reply(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})},
        ErrorCode.ASSET_UNAVAILABLE,
        ["http://169.254.169.254/latest/meta-data/", "metadata"],
    ),
    "server error": (
        "<img src={url}/broken.png>",
        {"/broken.png": Reply(status=500)},
        ErrorCode.ASSET_FETCH_FAILED,
        ["{url}/broken.png", "500", "index.html line 5"],
    ),
    "font": (
        "<style>@font-face {{ font-family: F; src: url({url}/gone.woff2) }} p {{ font-family: F }}</style><p>text",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/gone.woff2", "font"],
    ),
    "private": ("<img src=http://10.1.2.3/x.png>", {}, ErrorCode.ASSET_UNAVAILABLE, ["http://10.1.2.3/x.png", "private", "allowedHosts"]),
    "posted": (
        "<script>fetch('{url}/count', {{ method: 'POST', body: 'x' }})</script>",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/count", "POST"],
    ),
    "socket": (
        "<script>new WebSocket('ws://feed.test/live')</script>",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["ws://feed.test/live", "WebSocket"],
    ),
    "stream": ("<script>new EventSource('{url}/events')</script>", {}, ErrorCode.ASSET_UNAVAILABLE, ["{url}/events", "stream"]),
    "frame": ("<iframe src={url}/gone.html></iframe>", {}, ErrorCode.ASSET_UNAVAILABLE, ["{url}/gone.html", "404"]),
    "in a worker": (
        "<script>new Worker(URL.createObjectURL(new Blob(['importScripts(\"{url}/gone.js\")'])))</script>",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/gone.js", "404"],
    ),
    "late": (
        "<script>requestAnimationFrame(function step(t) {{\n"
        "if (t > 300) new Image().src = '{url}/gone.png'; else requestAnimationFrame(step) }})</script>",
        {},
        ErrorCode.ASSET_UNAVAILABLE,
        ["{url}/gone.png", "404"],
    ),
}


@pytest.mark.parametrize("case", UNAVAILABLE)
def test_what_cannot_be_had_fails_in_plan_and_says_who_wants_it(project: Project, tmp_path: Path, case: str) -> None:
    body, routes, code, words = UNAVAILABLE[case]
    with serve_origin(routes) as origin:
        folder = project({"index.html": page(body.format(url=origin.url))})
        with pytest.raises(RenderError) as failure:
            planned(folder, tmp_path, origin)

    assert failure.value.code is code
    assert [word for word in words if word.format(url=origin.url) not in str(failure.value)] == [], str(failure.value)


def test_a_chunk_that_asks_for_something_else_is_refused(project: Project, tmp_path: Path) -> None:
    with serve_origin({"/a.svg": Reply(GREEN, "image/svg+xml")}) as origin:
        body = f"<img src={origin.url}/a.svg>"
        manifest = planned(project({"index.html": page(body)}), tmp_path, origin)
        poorer = manifest.model_copy(update={"remote": {}}).sealed()
        for recorded, asked in ((poorer, 1), (manifest, 1)):
            (tmp_path / "plan" / "manifest.json").write_text(recorded.to_json())
            if recorded is poorer:
                with pytest.raises(RenderError) as failure:
                    frames(tmp_path, recorded)
                assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
                assert f"{origin.url}/a.svg" in str(failure.value)
            else:
                frames(tmp_path, recorded)
            assert origin.count("/a.svg") == asked


LIBRARIES = """<script src="https://cdn.jsdelivr.net/npm/gsap@3.12.5/dist/gsap.min.js"></script>"""


def test_a_library_of_a_content_network_renders_where_only_the_registry_can_be_reached(project: Project, tmp_path: Path) -> None:
    script = "window.__timelines = { main: gsap.timeline({ paused: true }).to('#b', { x: 130, duration: 0.5, ease: 'none' }) };"
    body = '<div class="box" id="b" style="background:#0f0"></div>'
    files = {"index.html": page(body, head=LIBRARIES, script=script).replace(" data-no-timeline", "")}

    manifest = planned(project(files), tmp_path)
    last = frames(tmp_path, manifest)[-1]

    (recorded,) = manifest.remote.values()
    assert recorded.file is not None
    assert b"GSAP 3.12.5" in (tmp_path / "plan" / "blobs" / "sha256" / blob(manifest, recorded.file)).read_bytes()[:100]
    # The last of twelve frames: eleven twelfths of the way.
    assert is_green(last, round(130 * 11 / 12) + 10, 10)
    assert not is_green(last, 10, 10)


def test_without_any_network_the_plan_fails_in_under_ten_seconds(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_npm: Npm
) -> None:
    silence = threading.Event()

    def say_nothing(*_arguments: object, **_options: object) -> list[object]:
        silence.wait()
        return []

    monkeypatch.setattr(addresses.socket, "getaddrinfo", say_nothing)
    tools = Tools(**{**find_tools().__dict__, "npm": silent_npm})
    body = "<img src=https://pictures.example/a.png><script src=https://unpkg.com/three@0.160/build/three.js></script>"
    folder = project({"index.html": page(body, head=LIBRARIES)})
    started = time.monotonic()

    with pytest.raises(RenderError) as failure:
        planned(folder, tmp_path, tools=tools)
    silence.set()

    assert time.monotonic() - started < 10
    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert any(
        url in str(failure.value) for url in ("https://pictures.example/a.png", "https://cdn.jsdelivr.net/npm/gsap@3.12.5/dist/gsap.min.js")
    )


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(status=404), ErrorCode.ASSET_UNAVAILABLE, ["404"]),
        (Reply(b"<!doctype html>", "text/html; charset=utf-8"), ErrorCode.NOT_MEDIA_PAYLOAD, ["text/html"]),
        (Reply(status=503), ErrorCode.ASSET_FETCH_FAILED, ["503"]),
        (Reply(status=302, headers={"Location": "/clip.mp4"}), ErrorCode.ASSET_UNAVAILABLE, ["redirects"]),
    ],
)
def test_a_remote_video_that_is_none_is_named_with_its_element(reply: Reply, code: ErrorCode, words: list[str]) -> None:
    with (
        serve_origin({"/clip.mp4": reply}) as origin,
        Recorder(allowed_hosts=[origin.host]) as recorder,
        pytest.raises(RenderError) as failure,
    ):
        recorder.fetch_media(f"{origin.url}/clip.mp4", '<video id="hero"> in index.html')

    assert failure.value.code is code
    wanted = [f"{origin.url}/clip.mp4", '<video id="hero"> in index.html', *words]
    assert [word for word in wanted if word not in str(failure.value)] == []


def test_a_remote_video_is_fetched_through_its_redirects(tmp_path: Path) -> None:
    routes = {"/latest.mp4": Reply(status=302, headers={"Location": "/v/1.mp4"}), "/v/1.mp4": Reply(b"moving pictures", "video/mp4")}
    with serve_origin(routes) as origin, Recorder(tmp_path, allowed_hosts=[origin.host]) as recorder:
        key = recorder.fetch_media(f"{origin.url}/latest.mp4", "<video>")

        assert key.startswith("__hyperframes/remote/")
        assert key.endswith(".mp4")
        assert recorder.files()[key].read() == b"moving pictures"
        assert recorder.files()[key].content_type == "video/mp4"
        assert {address.removeprefix(origin.url) for address in recorder.responses()} == {"/latest.mp4", "/v/1.mp4"}


def planned(folder: Path, tmp_path: Path, origin: Origin | None = None, *, tools: Tools | None = None) -> Manifest:
    config = {"fps": 24, "format": "png-sequence", "allowedHosts": [origin.host] if origin else [], "chunkSize": 100}
    return plan(folder, parse_config(config), tmp_path / "plan", tools=tools, scratch=tmp_path)


def planned_again(manifest: Manifest, tmp_path: Path, *, chunk_size: int) -> Manifest:
    """The same plan in other chunks, without looking at the page again."""
    chunks = [
        {"index": index, "first": first, "last": min(first + chunk_size, manifest.total_frames) - 1}
        for index, first in enumerate(range(0, manifest.total_frames, chunk_size))
    ]
    again = Manifest.model_validate({**manifest.model_dump(), "chunks": chunks}).sealed()
    (tmp_path / "plan" / "manifest.json").write_text(again.to_json())
    return again


def frames(tmp_path: Path, manifest: Manifest) -> list[NDArray[np.uint8]]:
    """Every frame of every chunk, as it is captured."""
    found: list[NDArray[np.uint8]] = []
    (tmp_path / "segments").mkdir(exist_ok=True)
    for chunk in manifest.chunks:
        for finished in render_chunk(tmp_path / "plan", chunk.index, tmp_path / "segments", scratch=tmp_path).finished:
            with tarfile.open(finished.path) as tar:
                pictures = sorted((member for member in tar if member.name.endswith(".png")), key=lambda member: member.name)
                found += [np.asarray(Image.open(io.BytesIO(tar.extractfile(picture).read())).convert("RGB")) for picture in pictures]  # type: ignore[union-attr]
    return found


def is_green(frame: NDArray[np.uint8], x: int, y: int) -> bool:
    return bool((frame[y, x] == (0, 255, 0)).all())


def blob(manifest: Manifest, key: str) -> str:
    sha256 = manifest.files[key].sha256
    return f"{sha256[:2]}/{sha256}"


@pytest.fixture
def silent_npm(tmp_path: Path) -> Iterator[Npm]:
    """An npm whose registry never answers."""
    script = tmp_path / "silent.sh"
    script.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    script.chmod(0o755)
    yield Npm(node=script, cli=script, packages=tmp_path / "packages")
