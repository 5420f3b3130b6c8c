"""The RenderChunk invocation: download what the missing frames need, draw them, upload each segment as it is finished."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from hyperframes_lambda.browser import release_driver
from hyperframes_lambda.contract.events import RenderChunkEvent, RenderChunkResult
from hyperframes_lambda.entry.invocation import Invocation
from hyperframes_lambda.entry.render_folder import RenderFolder
from hyperframes_lambda.entry.segment_upload import SegmentUpload, drawing_deadline
from hyperframes_lambda.entry.signals import ChunkSignals
from hyperframes_lambda.entry.storage import S3Location, Storage
from hyperframes_lambda.machine.plan_folder import require_build
from hyperframes_lambda.machine.redaction import redactor
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.render_chunk import ChunkOutcome, render_chunk


def run_render_chunk(event: RenderChunkEvent, storage: Storage, work: Path, invocation: Invocation) -> RenderChunkResult:
    """Render the missing frames of one chunk, with `work` as scratch folder."""
    invocation.label = f"RenderChunk {event.chunk_index}"
    folder = RenderFolder.of_manifest(storage, event.manifest_s3_uri)
    invocation.concerns(folder.prefix, chunk=event.chunk_index)
    folder.require_not_cancelled(event.execution_name)
    plan_dir = work / "plan"
    manifest = folder.fetch_manifest(plan_dir, event.plan_hash)
    redactor.learn(manifest.variables)
    chunk = manifest.chunk(event.chunk_index)
    invocation.label = f"RenderChunk {chunk.index} (frames {chunk.first}\N{EN DASH}{chunk.last})"

    place = folder.segments(manifest)
    present = manifest.coverage(chunk.index, folder.finished_segments(manifest, chunk.index))
    with ChunkSignals(folder, event, frames=chunk.frames, done=present.frames) as signals:
        if present.complete:
            signals.end(chunk.frames, reused=True)
            return _result(ChunkOutcome(chunk.index, [], chunk.frames, None, 0), place, reused=True)
        tools = find_tools(before_unpacking=release_driver)
        # Before the download, which may be large.
        require_build(manifest, tools.build())
        folder.fetch_files(manifest, manifest.files_shown(present.missing), plan_dir)
        with SegmentUpload(partial(folder.store_segment, manifest)) as upload:
            outcome = render_chunk(
                plan_dir,
                chunk.index,
                work,
                manifest=manifest,
                present=present,
                workers=min(manifest.workers, len(os.sched_getaffinity(0))),
                deadline=drawing_deadline(invocation.ends) if manifest.config.runtime_cap == "lambda" else None,
                tools=tools,
                on_progress=signals.report,
                on_segment=upload.add,
                should_stop=signals.cancelled.is_set,
                scratch=work,
            )
        signals.end(outcome.frames)
    return _result(outcome, place, reused=False)


def _result(outcome: ChunkOutcome, place: S3Location, *, reused: bool) -> RenderChunkResult:
    return RenderChunkResult(
        chunk_index=outcome.index,
        complete=outcome.complete,
        next_frame=outcome.next_frame,
        frames_encoded=outcome.frames,
        frames_rendered=sum(finished.segment.frames for finished in outcome.finished),
        SegmentS3Uris=[str(place / finished.path.name) for finished in outcome.finished],
        reused=reused,
        workers=outcome.workers,
        capture_ms=round(outcome.effort.capture * 1000),
        encode_ms=round(outcome.effort.encode * 1000),
        cold_start=False,
        duration_ms=0,
    )
