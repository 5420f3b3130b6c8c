"""The Assemble invocation: download segments and sound, make the output, upload its sidecars and then its files."""

from __future__ import annotations

from pathlib import Path

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.browser import release_driver
from hyperframes_lambda.contract.events import AssembleEvent, AssembleResult
from hyperframes_lambda.contract.formats import OutputFormat, base_name
from hyperframes_lambda.entry.invocation import Invocation
from hyperframes_lambda.entry.render_folder import RenderFolder
from hyperframes_lambda.entry.storage import Storage
from hyperframes_lambda.machine.redaction import redactor
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.media.hls import CONTENT_TYPES as HLS_CONTENT_TYPES
from hyperframes_lambda.media.sidecars import CONTENT_TYPES as SIDECAR_TYPES


def run_assemble(event: AssembleEvent, storage: Storage, work: Path, invocation: Invocation) -> AssembleResult:
    """Make the output of a plan's segments, with `work` as scratch folder."""
    invocation.label = "Assemble"
    folder = RenderFolder.of_manifest(storage, event.manifest_s3_uri)
    target = storage.locate(event.output_s3_uri)
    invocation.concerns(folder.prefix)
    folder.require_not_cancelled(event.execution_name)
    plan_dir = work / "plan"
    manifest = folder.fetch_manifest(plan_dir, event.plan_hash)
    redactor.learn(manifest.variables)
    tools = find_tools(before_unpacking=release_driver)
    segments = folder.fetch_segments(manifest, work / "segments")
    folder.fetch_files(manifest, [*(track.file for track in manifest.audio), *(captions.file for captions in manifest.captions)], plan_dir)
    # The files of an HLS package refer to each other by names that begin with the output's own.
    streaming = manifest.format is OutputFormat.HLS
    local = work / "output" / (target.name if streaming else f"output{manifest.format.spec.suffix}")
    outcome = assemble(plan_dir, segments, local, manifest=manifest, tools=tools)

    # Sidecars go first: they exist once the output does.
    start = base_name(local.name)
    sidecars = {name: target.beside(base_name(target.name) + path.name.removeprefix(start)) for name, path in outcome.sidecars.items()}
    storage.upload_all((path, sidecars[name], SIDECAR_TYPES[path.suffix]) for name, path in outcome.sidecars.items())
    media_types = HLS_CONTENT_TYPES if streaming else {}
    for file in outcome.files:
        location = target if file == outcome.output else target.beside(file.name)
        storage.upload(file, location, content_type=media_types.get(file.suffix, manifest.format.spec.content_type))
    return AssembleResult(
        OutputS3Uri=str(target),
        frames_encoded=outcome.frames,
        file_size=outcome.size,
        duration=outcome.duration,
        width=manifest.width,
        height=manifest.height,
        format=manifest.format.value,
        has_audio=manifest.has_audio,
        chunk_count=len(manifest.chunks),
        plan_hash=manifest.plan_hash,
        renderer_version=manifest.build.renderer,
        verification=outcome.verification,
        workers=manifest.workers,
        sizing=manifest.sizing,
        sidecars={name: str(location) for name, location in sidecars.items()},
        duration_ms=0,
    )
