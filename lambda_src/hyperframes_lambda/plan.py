"""Plan: look at the project once in the browser and write down everything that its chunks need."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.browser import launch
from hyperframes_lambda.composition import Declaration, check_variables, compile_project, declared, serve
from hyperframes_lambda.contract.chunks import frame_time, plan_chunks, total_frames
from hyperframes_lambda.contract.config import OutputFormat, RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import PROTOCOL, Build, Canvas, Manifest, PlannedChunk
from hyperframes_lambda.media.png import require_size
from hyperframes_lambda.plan_folder import read_manifest, verified_files, write_blobs, write_manifest
from hyperframes_lambda.tools import Tools, find_tools

DEFAULT_FPS = Fraction(30)
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1080, 1920
"""Of a page that declares no size, when the configuration names none either: portrait, as with the reference."""

_SMALLEST, _LARGEST = 16, 7680
_SAMPLED_FRAMES = 9


def plan(
    project_dir: Path,
    config: RenderConfig,
    plan_dir: Path,
    *,
    tools: Tools | None = None,
    project_sha256: str | None = None,
    scratch: Path | None = None,
) -> Manifest:
    """Plan the render of `project_dir` into `plan_dir`; a plan for the same project, configuration and build that is there is returned.

    `project_sha256` is the digest of the project as it arrived (default: of its files); `scratch` is where the browser keeps its profile.
    Raises `INVALID_CONFIG` for what contradicts the project, and whatever compiling, launching, opening and drawing raise.
    """
    tools = tools or find_tools()
    project_sha256 = project_sha256 or project_digest(project_dir)
    found = reusable(plan_dir, config, tools.build(), project_sha256)
    if found is not None:
        return found

    declaration = declared(project_dir, config.entry_file)
    if config.strict_variables:
        check_variables(declaration.variables, config.variables)
    canvas, width, height = output_size(config, declaration)
    fps = config.fps or declaration.fps or DEFAULT_FPS
    served = compile_project(project_dir, config.entry_file, runtime_js=tools.runtime.path.read_bytes(), fps=fps)
    draft = Manifest(
        project_sha256=project_sha256,
        config=config,
        build=tools.build(),
        entry=config.entry_file,
        files=write_blobs(plan_dir, served),
        canvas=canvas,
        fps=fps,
        format=config.format,
        width=width,
        height=height,
        total_frames=1,
        chunks=[],
        variables=config.variables,
    )
    total = _look(draft, plan_dir, tools, scratch)
    chunks = [PlannedChunk.of(chunk) for chunk in plan_chunks(total, config.chunk_size, config.max_parallel_chunks)]
    manifest = draft.model_copy(update={"total_frames": total, "chunks": chunks}).sealed()
    write_manifest(plan_dir, manifest)
    return manifest


def reusable(plan_dir: Path, config: RenderConfig, build: Build, project_sha256: str) -> Manifest | None:
    """The plan in `plan_dir` if it is for exactly this project, configuration and build; a damaged or foreign one counts as none."""
    try:
        manifest = read_manifest(plan_dir)
    except RenderError:
        return None
    same = (manifest.protocol, manifest.project_sha256, manifest.config, manifest.build) == (PROTOCOL, project_sha256, config, build)
    return manifest if same else None


def project_digest(project_dir: Path) -> str:
    """SHA-256 over names and contents of a project's files, hidden ones aside."""
    digest = hashlib.sha256()
    for path in sorted(project_dir.rglob("*")):
        name = path.relative_to(project_dir)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            content = path.read_bytes()
            digest.update(f"{name.as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def output_size(config: RenderConfig, declaration: Declaration) -> tuple[Canvas, int, int]:
    """The composition's canvas with its scale, and the output's width and height in pixels.

    The output has the composition's own size unless the configuration names another of the same shape; one of `width` and `height` is
    enough. `INVALID_CONFIG` for another shape, and for a size that the format cannot hold.
    """
    own_width = declaration.width or config.width or DEFAULT_WIDTH
    own_height = declaration.height or config.height or DEFAULT_HEIGHT
    shape = Fraction(own_width, own_height)
    exact_width = config.width or (config.height * shape if config.height else Fraction(own_width))
    exact_height = config.height or (config.width / shape if config.width else Fraction(own_height))
    width, height = round(exact_width), round(exact_height)
    if (width, height) != (exact_width, exact_height) or Fraction(width, height) != shape:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.width, config.height: {float(exact_width):g}x{float(exact_height):g} has another shape than the composition, "
            f"which is {own_width}x{own_height}",
            hint="Name a multiple of the composition's size, or change data-width and data-height on its root.",
        )
    odd = config.format is OutputFormat.MP4 and (width % 2 or height % 2)
    if odd or min(width, height) < _SMALLEST or max(width, height) > _LARGEST:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.width, config.height: {config.format} cannot be {width}x{height}; "
            f"accepted: even numbers from {_SMALLEST} to {_LARGEST}",
            hint="Change data-width and data-height on the composition's root, or name another size of the same shape.",
        )
    return Canvas(width=own_width, height=own_height, scale=width / own_width), width, height


def _look(draft: Manifest, plan_dir: Path, tools: Tools, scratch: Path | None) -> int:
    """Open the planned files as a chunk would and return the number of frames.

    Frames spread over the whole timeline are drawn and thrown away, so that a script that throws late, or a file that is wanted late and
    not there, fails here, once, and not in a chunk.
    """
    with (
        serve(verified_files(plan_dir, draft)) as base_url,
        launch(tools.browser, scratch=scratch) as browser,
        browser.open(base_url + quote(draft.entry), **page_options(draft)) as page,
    ):
        total = total_frames(page.duration, draft.fps)
        for frame in sampled_frames(total):
            require_size(page.capture(frame_time(frame, draft.fps)), frame, draft.width, draft.height)
        return total


def page_options(manifest: Manifest) -> dict[str, Any]:
    """How every page of a plan is opened, in Plan as in RenderChunk."""
    return {
        "variables": manifest.variables,
        "width": manifest.canvas.width,
        "height": manifest.canvas.height,
        "scale": manifest.canvas.scale,
        "transparent": manifest.format is OutputFormat.PNG_SEQUENCE,
    }


def sampled_frames(total: int) -> list[int]:
    """Frames to look at: the first, the last and some evenly between, in order, none twice."""
    count = min(total, _SAMPLED_FRAMES)
    return [0] if count == 1 else [round(number * (total - 1) / (count - 1)) for number in range(count)]
