"""The Plan invocation: download the project, plan it unless a plan of it exists, upload the plan."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

from hyperframes_lambda.browser import release_driver
from hyperframes_lambda.contract.config import RenderConfig, fps_to_wire, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import INLINE_CHUNKS, PlanEvent, PlanResult
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.sizing import Machine
from hyperframes_lambda.entry.invocation import Invocation, logger
from hyperframes_lambda.entry.render_folder import RenderFolder
from hyperframes_lambda.entry.storage import Storage
from hyperframes_lambda.machine.archive import unpack_project
from hyperframes_lambda.machine.plan_folder import file_sha256
from hyperframes_lambda.machine.redaction import redactor
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.plan import plan
from hyperframes_lambda.planning.sizing import here

CHUNK_MEMORY_VARIABLE = "HYPERFRAMES_CHUNK_MEMORY_MB"
CHUNK_TIMEOUT_VARIABLE = "HYPERFRAMES_CHUNK_TIMEOUT_SEC"
CHUNK_VCPUS_VARIABLE = "HYPERFRAMES_CHUNK_VCPUS"
"""Resources of the function that renders the chunks, because Plan may run on a smaller one. Defaults: this function's memory, Lambda's
longest time limit, the processors that go with the memory."""

_LONGEST_SECONDS = 900
"""Lambda's longest time limit."""


def run_plan(event: PlanEvent, storage: Storage, work: Path, invocation: Invocation) -> PlanResult:
    """Plan the project of `event` below its prefix, with `work` as scratch folder."""
    invocation.label = "Plan"
    folder = RenderFolder(storage, storage.locate(event.plan_output_s3_prefix))
    project = storage.locate(event.project_s3_uri)
    if event.output_s3_uri is not None:
        # Assemble needs it, but would refuse it only after all chunks had been rendered.
        storage.locate(event.output_s3_uri)
    invocation.concerns(folder.prefix)
    config = _config(event, storage)
    folder.require_not_cancelled(event.execution_name)
    tools = find_tools(before_unpacking=release_driver)
    archive = work / "project.tar.gz"
    storage.download(project, archive)
    sha256 = file_sha256(archive)
    earlier = folder.earlier_plan()
    if earlier is not None and earlier.is_plan_of(sha256, config, tools.build()):
        return _result(earlier, folder, event.concurrency_limit, reused=True)

    root = unpack_project(archive, work / "project", entry=config.entry_file)
    # The scratch folder may be too small to hold a project with large videos three times.
    archive.unlink()
    plan_dir = work / "plan"
    manifest = plan(
        root,
        config,
        plan_dir,
        tools=tools,
        project_sha256=sha256,
        scratch=work,
        machine=_chunk_machine(config),
        concurrency=event.concurrency_limit,
    )
    folder.upload_plan(manifest, plan_dir)
    if manifest.substituted_fonts:
        logger.warning("substituting unavailable fonts", extra={"families": manifest.substituted_fonts})
    return _result(manifest, folder, event.concurrency_limit, reused=False)


def _config(event: PlanEvent, storage: Storage) -> RenderConfig:
    """Validate the configuration, with the variables from S3 if the event refers to them."""
    given = event.config
    redactor.learn(given.get("variables"))
    uri = event.variables_s3_uri
    if uri is not None:
        try:
            given = {**given, "variables": json.loads(storage.read(storage.locate(uri)))}
        except ValueError as error:
            raise RenderError(ErrorCode.INVALID_CONFIG, f"VariablesS3Uri: {uri} is not JSON: {error}") from error
        redactor.learn(given["variables"])
    return parse_config(given, where="Config")


def _chunk_machine(config: RenderConfig) -> Machine:
    """The machine that will render a chunk of `config`."""
    memory = os.environ.get(CHUNK_MEMORY_VARIABLE) or os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    timeout = float(os.environ.get(CHUNK_TIMEOUT_VARIABLE) or _LONGEST_SECONDS) if config.runtime_cap == "lambda" else None
    machine = Machine.of_function(int(memory), timeout) if memory else replace(here(), timeout=timeout)
    vcpus = os.environ.get(CHUNK_VCPUS_VARIABLE)
    return replace(machine, vcpus=float(vcpus)) if vcpus else machine


def _result(manifest: Manifest, folder: RenderFolder, concurrency: int | None, *, reused: bool) -> PlanResult:
    count, planned = len(manifest.chunks), manifest.max_parallel_chunks
    parallel = min(planned, concurrency or planned)
    return PlanResult(
        ManifestS3Uri=str(folder.manifest),
        plan_hash=manifest.plan_hash,
        chunk_count=count,
        chunks=list(range(count)) if count <= INLINE_CHUNKS else [],
        chunks_bucket=folder.chunk_list.bucket,
        chunks_key=folder.chunk_list.key,
        max_parallel_chunks=parallel,
        workers=manifest.workers,
        segment_frames=manifest.segment_frames,
        sizing=manifest.sizing,
        # A reused plan was made for the concurrency of its own time.
        estimated_seconds=manifest.estimated_seconds * math.ceil(count / parallel) / max(1, math.ceil(count / planned)),
        total_frames=manifest.total_frames,
        fps=fps_to_wire(manifest.fps),
        duration=float(manifest.total_frames / manifest.fps),
        width=manifest.width,
        height=manifest.height,
        format=manifest.format.value,
        has_audio=manifest.has_audio,
        renderer_version=manifest.build.renderer,
        browser_version=manifest.build.browser,
        ffmpeg_version=manifest.build.ffmpeg,
        runtime_version=manifest.build.runtime,
        reused=reused,
        duration_ms=0,
    )
