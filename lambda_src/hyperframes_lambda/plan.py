"""Plan: look at the project once in the browser and write down everything that its chunks need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hyperframes_lambda.composition import check_variables, compile_project, declared, requested_captions
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import Kind
from hyperframes_lambda.contract.plan import Manifest, PlannedChunk
from hyperframes_lambda.contract.sizing import FrameCost, Machine, Wishes, choose
from hyperframes_lambda.machine.plan_folder import write_blobs, write_manifest
from hyperframes_lambda.machine.tools import Tools, find_tools
from hyperframes_lambda.planning.look import Subject, look
from hyperframes_lambda.planning.reuse import project_digest, reusable
from hyperframes_lambda.planning.size import output_rate, output_size
from hyperframes_lambda.planning.sizing import here, planned_sizing
from hyperframes_lambda.remote import Recorder
from hyperframes_lambda.remote.families import FamilyFinder


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
    """Plan the render of `project_dir` into `plan_dir`, or return an existing plan for the same project, configuration and build.

    `project_sha256` is the digest of the project as it arrived (default: of its files); `scratch` holds the browser's profile. `machine`
    is the one that will render a chunk (default: this one), and `concurrency` how many of them may run at once, if known. `on_cost`
    receives the measured cost of a frame; it is not called for an existing plan.
    Raise `INVALID_CONFIG` for a configuration that contradicts the project, and the errors of compiling, launching, opening and drawing.
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
    fps = output_rate(config, declaration)
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
        files = write_blobs(plan_dir, served)
        seen = look(Subject(config, files, canvas, width, height, fps), plan_dir, tools, scratch, remote)
        on_cost(seen.cost)
        files |= write_blobs(plan_dir, remote.files()) | seen.carried
    if config.format.spec.kind is Kind.SOUND and not seen.audio:
        message = f"the composition has no sound for a {config.format.value}: none of its <audio> and <video> elements is audible"
        raise RenderError(ErrorCode.COMPOSITION_EMPTY, message, hint="Use a format with pictures, or check muted and data-volume.")
    wishes = Wishes(config.chunk_size, config.max_parallel_chunks, config.target_chunk_frames, concurrency)
    total, sizing = planned_sizing(
        config, seen.total, fps, lambda total: choose(total, width * height, seen.cost, machine or here(), wishes)
    )
    manifest = Manifest(
        project_sha256=project_sha256,
        config=config,
        build=tools.build(),
        entry=config.entry_file,
        files=files,
        canvas=canvas,
        fps=fps,
        format=config.format,
        width=width,
        height=height,
        total_frames=total,
        chunks=[PlannedChunk.of(chunk) for chunk in sizing.chunks],
        segment_frames=sizing.segment_frames,
        workers=sizing.workers,
        max_parallel_chunks=sizing.max_parallel,
        sizing=sizing.reason,
        estimated_seconds=sizing.seconds,
        remote=remote.responses(),
        sources=seen.sources,
        clips=seen.clips,
        audio=seen.audio if config.sound_codec else [],
        samples=seen.samples,
        captions=captions,
        substituted_fonts=families.missing,
        variables=config.variables,
    ).sealed()
    write_manifest(plan_dir, manifest)
    return manifest
