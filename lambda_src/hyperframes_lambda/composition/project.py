"""`compile_project`: every file of a project as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from importlib import resources
from pathlib import Path, PurePosixPath

from hyperframes_lambda.composition.files import ServedFile, content_type, is_html
from hyperframes_lambda.composition.flatten import flatten_project
from hyperframes_lambda.composition.html import tokenize
from hyperframes_lambda.composition.rewrite import insert_scripts, script_tag
from hyperframes_lambda.composition.source import SourcePage, read_page

OWN_PATHS = "__hyperframes/"
"""URL prefix of the page scripts; a folder of that name in a project is hidden by it."""

_VIRTUAL_TIME, _RUNTIME, _SCOPE, _BRIDGE = (f"{OWN_PATHS}{name}.js" for name in ("virtual_time", "runtime", "scope", "bridge"))


def compile_project(project_dir: Path, entry: str, *, runtime_js: bytes, fps: Fraction) -> dict[str, ServedFile]:
    """Every file of `project_dir` by its URL path, pages with the page scripts, the entry page with the HyperFrames runtime as well.

    The result depends on the arguments alone, down to the byte. Hidden files are left out, and so is what a symbolic link would bring in
    from outside. `INVALID_CONFIG` when there is no `entry`, `ASSET_UNAVAILABLE` for a sub-composition that cannot be found.
    """
    pages = {path: read_page(project_dir, path) for path in _paths(project_dir) if is_html(path)}
    pages[entry] = read_page(project_dir, entry)
    pages = flatten_project(pages, entry, exists=lambda path: (project_dir / path).is_file())
    served = {path: _page(page, is_entry=path == entry) for path, page in pages.items()}
    for path in _paths(project_dir):
        if path not in served and not path.startswith(OWN_PATHS):
            served[path] = ServedFile(content_type(path), path=project_dir / path)
    served |= {
        _VIRTUAL_TIME: _script(_package_script("virtual_time.js")),
        _SCOPE: _script(_package_script("scope.js")),
        _RUNTIME: _script(runtime_js),
        _BRIDGE: _script(_seek_config(fps) + _package_script("bridge.js")),
    }
    return dict(sorted(served.items()))


def _paths(project_dir: Path) -> Iterator[str]:
    root = project_dir.resolve()
    for file in sorted(project_dir.rglob("*")):
        path = PurePosixPath(file.relative_to(project_dir))
        if file.is_file() and not any(part.startswith(".") for part in path.parts) and file.resolve().is_relative_to(root):
            yield str(path)


def _page(page: SourcePage, *, is_entry: bool) -> ServedFile:
    head = script_tag(f"/{_VIRTUAL_TIME}")
    if is_entry:
        head += script_tag(f"/{_SCOPE}") + script_tag(f"/{_RUNTIME}")
    text = insert_scripts(tokenize(page.text), head=head, body=script_tag(f"/{_BRIDGE}") if is_entry else "")
    charset = "" if page.encoding == "latin-1" else "; charset=utf-8"
    return ServedFile(content_type(page.path) + charset, content=page.encode(text))


def _package_script(name: str) -> bytes:
    return resources.files("hyperframes_lambda.composition").joinpath("scripts", name).read_bytes()


def _script(content: bytes) -> ServedFile:
    return ServedFile(content_type("x.js"), content=content)


def _seek_config(fps: Fraction) -> bytes:
    """Tells the runtime the real rate; without it every seek is quantised to 30 frames a second."""
    config = {"mode": "preview-phase", "fps": float(fps), "fpsSource": "render-options", "owner": "runtime"}
    return f"window.__HF_EXPORT_RENDER_SEEK_CONFIG = {json.dumps(config)};\n".encode()
