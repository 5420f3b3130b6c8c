"""Plan: look at the project once in the browser and write down everything that its chunks need."""

from __future__ import annotations

import hashlib
import math
import os
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.browser import launch
from hyperframes_lambda.composition import Declaration, check_variables, compile_project, declared, requested_captions, serve
from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.contract.chunks import ChunkRange, frame_time, total_frames
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind, VideoCodec, rate_fault, rate_name
from hyperframes_lambda.contract.media import AudioTrack, MediaSource, VideoClip
from hyperframes_lambda.contract.plan import Build, Canvas, Manifest, PlanFile, PlannedChunk, Sample
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.contract.sizing import FrameCost, Machine, Sizing, Wishes, choose
from hyperframes_lambda.drawing.segments import segment_writer
from hyperframes_lambda.machine.plan_folder import read_manifest, verified_files, write_blobs, write_manifest
from hyperframes_lambda.machine.tools import Tools, find_tools
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.gate_record import samples_of
from hyperframes_lambda.media.png import require_size
from hyperframes_lambda.media.source_frames import SourceFrames
from hyperframes_lambda.planning.audio_inventory import audio_tracks
from hyperframes_lambda.planning.media_inventory import MediaSearch, require_settled, video_clips
from hyperframes_lambda.remote import Recorder
from hyperframes_lambda.remote.families import FamilyFinder

DEFAULT_FPS = Fraction(30)
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1080, 1920
"""Of a page that declares no size, when the configuration names none either: portrait, as with the reference."""

_SMALLEST, _LARGEST = 16, 7680
_LOW, _LONG = 32, 4216
"""H.265 has no level for a picture under 32 samples in one direction and, in whole coding blocks of 8, over 4222 in the other: from level 5
on it wants coding tree blocks of 32 (ITU-T H.265, A.4.1 and A.4.2)."""
_EPSILON = 1e-9
"""A moment that is a frame's own time must not fall to the frame before it by a rounding."""

_SAMPLED_FRAMES = 9
_ENCODED_FRAMES = 4
"""Of the sampled frames, about how many are encoded to see what that costs."""
_VISITED_FRAMES = 300
"""Frames that are seeked to without being drawn: every one of a short composition, evenly spread ones of a long one."""
_NETWORK_SECONDS = 180.0
"""For a page that waits for remote files to become ready."""


def plan(
    project_dir: Path,
    config: RenderConfig,
    plan_dir: Path,
    *,
    tools: Tools | None = None,
    project_sha256: str | None = None,
    scratch: Path | None = None,
    machine: Machine | None = None,
    concurrency: int | None = None,
    on_cost: Callable[[FrameCost], None] = lambda _: None,
) -> Manifest:
    """Plan the render of `project_dir` into `plan_dir`; a plan for the same project, configuration and build that is there is returned.

    `project_sha256` is the digest of the project as it arrived (default: of its files); `scratch` is where the browser keeps its profile.
    `machine` is what will render a chunk (default: this one), `concurrency` how many of them at once, if that is known. `on_cost` is told
    what a frame was found to take here, unless a plan that is there is returned.
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
    _require_rate(config, fps)
    with Recorder(scratch, allowed_hosts=config.allowed_hosts, npm=tools.npm) as remote:
        families = FamilyFinder(remote)
        served = compile_project(
            project_dir,
            config.entry_file,
            runtime_js=tools.runtime.path.read_bytes(),
            fps=fps,
            fonts=tools.fonts,
            find_family=families,
        )
        captions = requested_captions(served, config)
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
            segment_frames=1,
            captions=captions,
            substituted_fonts=families.missing,
            variables=config.variables,
        )
        seen = _look(draft, plan_dir, tools, scratch, remote)
        on_cost(seen.cost)
        files = draft.files | write_blobs(plan_dir, remote.files()) | seen.carried
    if config.format.spec.kind is Kind.SOUND and not seen.audio:
        message = f"there is no sound to make a {config.format.value} of: no <audio> and no <video> of the composition is heard"
        raise RenderError(ErrorCode.COMPOSITION_EMPTY, message, hint="Ask for a format with pictures, or look at muted and data-volume.")
    wishes = Wishes(config.chunk_size, config.max_parallel_chunks, config.target_chunk_frames, concurrency)
    total, sizing = planned_sizing(
        config, seen.total, fps, lambda total: choose(total, width * height, seen.cost, machine or here(), wishes)
    )
    manifest = draft.model_copy(
        update={
            "files": files,
            "remote": remote.responses(),
            "total_frames": total,
            "chunks": [PlannedChunk.of(chunk) for chunk in sizing.chunks],
            "segment_frames": sizing.segment_frames,
            "workers": sizing.workers,
            "max_parallel_chunks": sizing.max_parallel,
            "sizing": sizing.reason,
            "estimated_seconds": sizing.seconds,
            "sources": seen.sources,
            "clips": seen.clips,
            "audio": seen.audio if config.sound_codec else [],
            "samples": seen.samples,
        }
    ).sealed()
    write_manifest(plan_dir, manifest)
    return manifest


def reusable(plan_dir: Path, config: RenderConfig, build: Build, project_sha256: str) -> Manifest | None:
    """The plan in `plan_dir` if it is for exactly this project, configuration and build; a damaged or foreign one counts as none."""
    try:
        manifest = read_manifest(plan_dir)
    except RenderError:
        return None
    return manifest if manifest.is_plan_of(project_sha256, config, build) else None


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
    odd = config.format.spec.even and (width % 2 or height % 2)
    if odd or min(width, height) < _SMALLEST or max(width, height) > _LARGEST:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.width, config.height: {config.format} cannot be {width}x{height}; "
            f"accepted: even numbers from {_SMALLEST} to {_LARGEST}",
            hint="Change data-width and data-height on the composition's root, or name another size of the same shape.",
        )
    if config.codec is VideoCodec.H265 and min(width, height) < _LOW and max(width, height) > _LONG:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.codec: h265 cannot be {width}x{height}; accepted: at most {_LONG} in one direction, or at least {_LOW} in the other",
            hint="Use h264, or another size.",
        )
    return Canvas(width=own_width, height=own_height, scale=width / own_width), width, height


def planned_sizing(config: RenderConfig, total: int, fps: Fraction, cut: Callable[[int], Sizing]) -> tuple[int, Sizing]:
    """Frames of the output, and how they are divided, for a composition of `total` frames that `cut` divides.

    A still is one chunk of one frame, numbered as in the composition; sound alone is as long as the composition and has no chunks.
    `INVALID_CONFIG` when the composition does not have the frame that a still is to show.
    """
    match config.format.spec.kind:
        case Kind.SOUND:
            return total, Sizing([], 1, 0, 1, 0.0, "no chunks: sound has no pictures to draw")
        case Kind.STILL:
            frame = config.frame or 0 if config.at is None else math.floor(config.at * fps + _EPSILON)
            if frame >= total:
                asked = f"config.frame: {config.frame}" if config.at is None else f"config.at: {config.at:g}"
                accepted = f"0 to {total - 1}" if config.at is None else f"seconds from 0 to below {float(total / fps):.6g}"
                raise RenderError(ErrorCode.INVALID_CONFIG, f"{asked} is not accepted; accepted for this composition: {accepted}")
            return 1, replace(cut(1), chunks=[ChunkRange(0, frame, frame)], reason="1 chunk of 1 frame: a still is one picture")
        case _:
            return total, cut(total)


def here() -> Machine:
    """The present machine, whose invocations take as long as they take."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return Machine(memory, len(os.sched_getaffinity(0)))


def _require_rate(config: RenderConfig, fps: Fraction) -> None:
    """`INVALID_CONFIG` when the format cannot have the rate, which may be the composition's own."""
    fault = rate_fault(config.format, fps, constant=config.cfr)
    if fault:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.fps: {rate_name(fps)} frames per second is not accepted; {fault}",
            hint="Say fps in the configuration, or change data-fps on the composition's root.",
        )


@dataclass(frozen=True)
class _Seen:
    """What a look at the page tells: how long it is, what it plays, and what some of its frames look like."""

    total: int
    sources: dict[str, MediaSource]
    carried: dict[str, PlanFile]
    clips: list[VideoClip]
    audio: list[AudioTrack]
    samples: list[Sample]
    cost: FrameCost


def _look(draft: Manifest, plan_dir: Path, tools: Tools, scratch: Path | None, remote: Recorder) -> _Seen:
    """Open the planned files as a chunk would.

    The whole timeline is visited, so that `remote` has answered whatever a chunk will ask for, however late. Frames spread over it are
    drawn, so that a script that throws late, or a file that is wanted late and not there, fails here, once, and not in a chunk; and so that
    the verification gate can tell whether the chunks drew the same.
    """
    files = verified_files(plan_dir, draft)
    drawn: dict[int, bytes] = {}
    seconds: list[float] = []
    pictures: dict[str, bytes] = {}
    asked: set[str] = set()
    with (
        serve(files | font_files(tools.fonts), pictures, asked=asked) as base_url,
        launch(tools.browser, scratch=scratch, reach=base_url) as browser,
    ):
        media = MediaSearch(tools.ffmpeg.path, base_url, files, remote, plan_dir)
        options = {**page_options(draft), "remote": remote, "media": media.look_up, "ready_seconds": _NETWORK_SECONDS}
        with browser.open(base_url + quote(draft.entry), **options) as page:
            total = total_frames(page.duration, draft.fps)
            found = media.found(page.media, page.duration)
            clips = video_clips(found)
            volumes = page.volumes()
            for frame in _spread(total, _VISITED_FRAMES):
                page.visit(frame_time(frame, draft.fps))
            audio = audio_tracks(found, volumes, page.volumes(), lambda seconds: page.volumes(float(seconds)), draft.fps)
            frames = sampled_frames(total)
            video = SourceFrames(tools.ffmpeg.path, clips, media.sources, media.file, frames=frames, fps=draft.fps, pictures=pictures)
            with video:
                for frame in frames:
                    started = time.perf_counter()
                    drawn[frame] = page.capture(frame_time(frame, draft.fps), video.at(frame))
                    seconds.append(time.perf_counter() - started)
                    require_size(drawn[frame], frame, draft.width, draft.height)
            require_settled(page.stray_media())
    codec = codec_of(draft.config)
    samples = samples_of(tools.ffmpeg.path, drawn, plan_dir, alpha=draft.format.spec.alpha, opaque_from=codec.opaque_from)
    read = asked | remote.asked()
    sources = {key: source.model_copy(update={"read_by_page": key in read}) for key, source in media.sources.items()}
    cost = FrameCost.measured(seconds, _encoding_seconds(draft, drawn, plan_dir, tools))
    return _Seen(total, sources, media.carried, clips, audio, samples, cost)


def _encoding_seconds(draft: Manifest, drawn: Mapping[int, bytes], folder: Path, tools: Tools) -> float:
    """What encoding a frame takes of a processor: measured on some of those that were drawn, which have less in common than neighbours."""
    encoded = list(drawn.values())[:: max(1, len(drawn) // _ENCODED_FRAMES)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix=".encode-", dir=folder) as scratch:
        segment = Segment(0, 0, len(encoded) - 1)
        with segment_writer(draft, segment, Path(scratch) / "segment", tools) as writer:
            for png in encoded:
                writer.write(png)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(encoded)


def page_options(manifest: Manifest) -> dict[str, Any]:
    """How every page of a plan is opened, in Plan as in RenderChunk."""
    return {
        "variables": manifest.variables,
        "width": manifest.canvas.width,
        "height": manifest.canvas.height,
        "scale": manifest.canvas.scale,
        "transparent": manifest.format.spec.alpha,
    }


def sampled_frames(total: int) -> list[int]:
    """Frames to look at: the first, the last and some evenly between, in order, none twice."""
    return _spread(total, _SAMPLED_FRAMES)


def _spread(total: int, most: int) -> list[int]:
    count = min(total, most)
    return [0] if count == 1 else [round(number * (total - 1) / (count - 1)) for number in range(count)]
