"""Compilation of a project into the files that are served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from importlib import resources
from pathlib import Path

from hyperframes_lambda.composition.files import ServedFile, content_type, is_html
from hyperframes_lambda.composition.flatten import flatten_project
from hyperframes_lambda.composition.fonts import CANVAS_SCRIPT, STYLESHEET, STYLESHEET_LINK, TEXT_RENDERING, FindFamily, ProjectFonts
from hyperframes_lambda.composition.html import tokenize
from hyperframes_lambda.composition.rewrite import insert_into_frames, insert_scripts, script_tag
from hyperframes_lambda.composition.source import SourcePage, files_of, read_page
from hyperframes_lambda.contract.toolset import Tool

OWN_PATHS = "__hyperframes/"
"""URL prefix of the page scripts. It hides a folder of that name in a project."""

_BRIDGE_PARTS = ("timing", "views", "animations", "layers", "player", "media", "engine")

_LARGEST_TEXT = 4 << 20


def compile_project(
    project_dir: Path,
    entry: str,
    *,
    runtime_js: bytes,
    fps: Fraction,
    fonts: Tool | None = None,
    find_family: FindFamily | None = None,
) -> dict[str, ServedFile]:
    """Return every file of `project_dir` by its URL path: pages with the page scripts, the entry page also with the HyperFrames runtime.

    Pages may use the families of `fonts` (without it: those of `fonts.conf` and their own) and those that `find_family` finds. The result
    depends on the arguments alone, down to the byte. Raise `INVALID_CONFIG` when there is no `entry` and for files that `files_of` refuses,
    `ASSET_UNAVAILABLE` for a missing sub-composition, and `FONT_UNAVAILABLE` for text without an available font.
    """
    files = files_of(project_dir)
    pages = {path: read_page(project_dir, path) for path in files if is_html(path)}
    pages[entry] = read_page(project_dir, entry)
    pages = flatten_project(pages, entry, exists=lambda path: (project_dir / path).is_file())
    served: dict[str, ServedFile] = {}
    for path, file in files.items():
        if path not in pages and not path.startswith(OWN_PATHS):
            served[path] = ServedFile(content_type(path), path=file)
    head = ""
    if fonts is not None:
        known = ProjectFonts(fonts, {path: page.text for path, page in pages.items()} | _texts(served))
        pages = {path: replace(page, text=known.page(page.text)) for path, page in pages.items()}
        served |= _changed_style_sheets(served, known)
        head = STYLESHEET_LINK
        script = known.canvas_script()
        if script is not None:
            head += script_tag(f"/{CANVAS_SCRIPT}")
            served[CANVAS_SCRIPT] = _script(script.encode())
        served[STYLESHEET] = ServedFile(content_type(STYLESHEET), content=known.stylesheet(find_family).encode())
    served |= {path: _page(page, is_entry=path == entry, fonts=head) for path, page in pages.items()}
    scripts = {name: _package_script(name) for name in ("virtual_time", "sound", "media", "scope")}
    scripts |= {"runtime": runtime_js, "bridge": _seek_config(fps) + _bridge()}
    served |= {f"{OWN_PATHS}{name}.js": _script(content) for name, content in scripts.items()}
    return dict(sorted(served.items()))


def _texts(served: Mapping[str, ServedFile]) -> dict[str, str]:
    """The files that may name a font: text, except files so large that they are data."""
    named = ("text/", "application/json", "image/svg+xml")
    return {
        path: file.read().decode(errors="replace")
        for path, file in served.items()
        if file.content_type.startswith(named) and file.path is not None and file.path.stat().st_size <= _LARGEST_TEXT
    }


def _changed_style_sheets(served: Mapping[str, ServedFile], fonts: ProjectFonts) -> dict[str, ServedFile]:
    """The style sheets that change. Bytes that are not UTF-8 are kept."""
    changed = {}
    for path, file in served.items():
        if file.content_type.startswith("text/css"):
            before = file.read().decode(errors="surrogateescape")
            after = fonts.css(before)
            if after != before:
                changed[path] = ServedFile(file.content_type, content=after.encode(errors="surrogateescape"))
    return changed


def _page(page: SourcePage, *, is_entry: bool, fonts: str) -> ServedFile:
    head = _own_tags("virtual_time", "sound", "media")
    framed = insert_into_frames(tokenize(page.text), head + fonts)
    if is_entry:
        head += _own_tags("scope", "runtime") + TEXT_RENDERING
    head += fonts
    text = insert_scripts(tokenize(framed), head=head, body=_own_tags("bridge") if is_entry else "")
    charset = "" if page.encoding == "latin-1" else "; charset=utf-8"
    return ServedFile(content_type(page.path) + charset, content=page.encode(text))


def _own_tags(*names: str) -> str:
    return "".join(script_tag(f"/{OWN_PATHS}{name}.js") for name in names)


def _package_script(name: str) -> bytes:
    return resources.files("hyperframes_lambda.composition").joinpath("scripts", f"{name}.js").read_bytes()


def _bridge() -> bytes:
    """The parts of the bridge in one function scope, where each is a constant that later parts use."""
    parts = (_package_script(f"bridge/{part}") for part in _BRIDGE_PARTS)
    return b"".join([b'(() => {\n"use strict";\n', *parts, b"})();\n"])


def _script(content: bytes) -> ServedFile:
    return ServedFile(content_type("x.js"), content=content)


def _seek_config(fps: Fraction) -> bytes:
    """Tell the runtime the frame rate: by default it quantises every seek to 30 frames a second."""
    config = {"mode": "preview-phase", "fps": float(fps), "fpsSource": "render-options", "owner": "runtime"}
    return f"window.__HF_EXPORT_RENDER_SEEK_CONFIG = {json.dumps(config)};\n".encode()
