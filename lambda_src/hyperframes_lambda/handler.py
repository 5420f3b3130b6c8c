"""The Lambda entry: event in, one of the three roles over local folders, result out, or one error whose class name is its code.

The roles know nothing of S3 and of events; this module knows nothing of browsers and encoders.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from hyperframes_lambda import workspace
from hyperframes_lambda.archive import unpack_project
from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import fps_to_wire, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import (
    VARIABLES_REFERENCE,
    AssembleEvent,
    AssembleResult,
    CancelMarker,
    ChunkProgress,
    PlanEvent,
    PlanResult,
    RenderChunkEvent,
    RenderChunkResult,
    parse_event,
)
from hyperframes_lambda.contract.formats import SEGMENT_CONTENT_TYPES, OutputFormat, base_name
from hyperframes_lambda.contract.plan import MANIFEST_NAME, Manifest, blob_path, parse_manifest, segment_name
from hyperframes_lambda.media.gate_record import record_name
from hyperframes_lambda.media.hls import CONTENT_TYPES as HLS_CONTENT_TYPES
from hyperframes_lambda.media.sidecars import CONTENT_TYPES as SIDECAR_TYPES
from hyperframes_lambda.plan import plan, reusable
from hyperframes_lambda.plan_folder import file_sha256, read_manifest, require_build, write_atomically
from hyperframes_lambda.render_chunk import render_chunk
from hyperframes_lambda.storage import S3Location, Storage, Wanted
from hyperframes_lambda.tools import discard_unpacked, find_tools

logger = Logger()

_MANIFEST_KEY = f"plan/{MANIFEST_NAME}"

_SIGNAL_SECONDS = 1.5
"""How often a chunk's progress is written and its cancel marker looked for."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - the logger takes the request's id from it
    """Do what `event` asks for; the result is the wire's JSON object.

    An error of the table is raised as a class named like its code, because that is the name that Lambda reports and Step Functions
    matches; its message begins with the role. Anything else passes through as it is.
    """
    started = time.monotonic()
    invocation = Invocation()
    try:
        with workspace.workspace() as work:
            try:
                result = _run(parse_event(event), invocation, work)
            except Exception as error:
                full = workspace.as_disk_full(error, work)
                if full is not None:
                    raise full from error
                raise
    except RenderError as error:
        logger.error("failed", extra={"code": error.code, "cause": str(error)})
        if error.code in (ErrorCode.CHROME_UNAVAILABLE, ErrorCode.FFMPEG_UNAVAILABLE):
            discard_unpacked()
        raise wire_error(error, invocation.label) from error
    answer: dict[str, Any] = result.model_copy(update={"duration_ms": _milliseconds_since(started)}).to_wire()
    logger.info("done", extra={"result": answer})
    return answer


def wire_error(error: RenderError, label: str) -> Exception:
    """`error` as an exception whose class name is the code and whose text says which role failed at what."""
    name = error.code.value
    return type(name, (Exception,), {"__module__": __name__})(f"{label}: {error}")  # type: ignore[no-any-return]  # type() gives Any


@dataclass
class Invocation:
    """What the error message calls this invocation; it grows more exact as more is known."""

    label: str = "Event"


def _run(
    event: PlanEvent | RenderChunkEvent | AssembleEvent, invocation: Invocation, work: Path
) -> PlanResult | RenderChunkResult | AssembleResult:
    logger.append_keys(action=event.action, execution=event.execution_name)
    storage = _storage()
    match event:
        case PlanEvent():
            invocation.label = "Plan"
            return _plan(event, storage, work)
        case RenderChunkEvent():
            invocation.label = f"RenderChunk {event.chunk_index}"
            return _render_chunk(event, storage, work, invocation)
        case AssembleEvent():
            invocation.label = "Assemble"
            return _assemble(event, storage, work)


@lru_cache(maxsize=1)
def _storage() -> Storage:
    """One client for all invocations of the sandbox."""
    return Storage.from_environment()


def _plan(event: PlanEvent, storage: Storage, work: Path) -> PlanResult:
    prefix = storage.locate(event.plan_output_s3_prefix)
    project = storage.locate(event.project_s3_uri)
    logger.append_keys(render=prefix.key)
    config = parse_config(_with_variables(event.config, storage), where="Config")
    _require_not_cancelled(storage, prefix, event.execution_name)
    tools = find_tools()
    archive = work / "project.tar.gz"
    storage.download(project, archive)
    sha256 = file_sha256(archive)

    plan_dir = work / "plan"
    manifest = _planned_before(storage, prefix, plan_dir)
    if manifest is None or reusable(plan_dir, config, tools.build(), sha256) is None:
        root = unpack_project(archive, work / "project", entry=config.entry_file)
        # The scratch folder may not be large enough for a project with films three times over.
        archive.unlink()
        manifest = plan(root, config, plan_dir, tools=tools, project_sha256=sha256, scratch=work)
        _upload_plan(manifest, storage, prefix, plan_dir)
        if manifest.substituted_fonts:
            logger.warning("fonts that cannot be had are substituted", extra={"families": manifest.substituted_fonts})
        reused = False
    else:
        reused = True
    return PlanResult(
        ManifestS3Uri=str(prefix / _MANIFEST_KEY),
        plan_hash=manifest.plan_hash,
        chunk_count=len(manifest.chunks),
        chunks=[chunk.index for chunk in manifest.chunks],
        max_parallel_chunks=config.max_parallel_chunks,
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


def _with_variables(config: Mapping[str, Any], storage: Storage) -> Mapping[str, Any]:
    """`config` with the variables that it refers to because they outgrew the execution's input."""
    if VARIABLES_REFERENCE not in config:
        return config
    reference = config[VARIABLES_REFERENCE]
    if not isinstance(reference, str) or "variables" in config:
        message = f"Config.{VARIABLES_REFERENCE}: {reference!r} is not accepted; accepted is one S3 URI, in the place of variables"
        raise RenderError(ErrorCode.INVALID_CONFIG, message)
    try:
        variables = json.loads(storage.read(storage.locate(reference)))
    except ValueError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"Config.{VARIABLES_REFERENCE}: {reference} holds no JSON: {error}") from error
    rest = {name: value for name, value in config.items() if name != VARIABLES_REFERENCE}
    return {**rest, "variables": variables}


def _planned_before(storage: Storage, prefix: S3Location, plan_dir: Path) -> Manifest | None:
    """The complete plan below `prefix`, put into `plan_dir`; None when there is none, a damaged one, or one whose blobs are gone."""
    text = storage.read_if_exists(prefix / _MANIFEST_KEY)
    if text is None:
        return None
    try:
        manifest = parse_manifest(text)
    except RenderError as error:
        logger.warning("the earlier plan is not used", extra={"cause": str(error)})
        return None
    if not {blob_path(file.sha256) for file in manifest.files.values()} <= storage.keys(prefix / "plan/"):
        return None
    write_atomically(plan_dir / MANIFEST_NAME, text)
    return manifest


def _upload_plan(manifest: Manifest, storage: Storage, prefix: S3Location, plan_dir: Path) -> None:
    blobs = {blob_path(file.sha256): file.content_type for file in manifest.files.values()}
    storage.upload_all((plan_dir / path, prefix / f"plan/{path}", content_type) for path, content_type in blobs.items())
    storage.upload(plan_dir / MANIFEST_NAME, prefix / _MANIFEST_KEY, content_type="application/json")


def _render_chunk(event: RenderChunkEvent, storage: Storage, work: Path, invocation: Invocation) -> RenderChunkResult:
    prefix = _render_prefix(storage, event.manifest_s3_uri)
    logger.append_keys(render=prefix.key, chunk=event.chunk_index)
    _require_not_cancelled(storage, prefix, event.execution_name)
    plan_dir = work / "plan"
    manifest = _fetch_manifest(storage, prefix, plan_dir, event.plan_hash)
    chunk = manifest.chunk(event.chunk_index)
    invocation.label = f"RenderChunk {chunk.index} (frames {chunk.first}\N{EN DASH}{chunk.last})"

    name = segment_name(manifest, chunk.index)
    target = prefix / f"chunks/{manifest.plan_hash}/{name}"
    record = prefix / f"chunks/{manifest.plan_hash}/{record_name(name)}"
    sidecar = prefix / f"chunks/{manifest.plan_hash}/{name}.json"
    with ChunkSignals(storage, prefix, event, frames=chunk.frames) as signals:
        finished = _finished_before(storage, [target, record], sidecar)
        if finished is not None:
            signals.complete(reused=True)
            return finished.model_copy(update={"reused": True})
        tools = find_tools()
        require_build(manifest, tools.build())
        _fetch_blobs(manifest, storage, prefix, plan_dir, manifest.files_of(chunk.index))
        outcome = render_chunk(
            plan_dir,
            chunk.index,
            work,
            tools=tools,
            plan_hash=event.plan_hash,
            on_progress=signals.report,
            should_stop=signals.cancelled.is_set,
            scratch=work,
        )
        result = RenderChunkResult(
            chunk_index=chunk.index,
            SegmentS3Uri=str(target),
            sha256=outcome.sha256,
            frames_encoded=outcome.frames,
            reused=False,
            capture_ms=outcome.capture_ms,
            duration_ms=0,
        )
        storage.upload(outcome.record, record, content_type="application/json")
        storage.upload(outcome.segment, target, content_type=SEGMENT_CONTENT_TYPES[manifest.format.spec.segment_suffix])
        storage.write(sidecar, result.model_dump_json(by_alias=True).encode())
        signals.complete()
    return result


def _finished_before(storage: Storage, objects: Sequence[S3Location], sidecar: S3Location) -> RenderChunkResult | None:
    """What an earlier invocation wrote about a segment of this plan. The sidecar is written last, so it vouches for the segment."""
    text = storage.read_if_exists(sidecar)
    if text is None or not all(map(storage.exists, objects)):
        return None
    try:
        return RenderChunkResult.model_validate_json(text)
    except ValidationError:
        logger.warning("the segment's sidecar is damaged; the chunk is rendered again", extra={"sidecar": str(sidecar)})
        return None


def _assemble(event: AssembleEvent, storage: Storage, work: Path) -> AssembleResult:
    prefix = _render_prefix(storage, event.manifest_s3_uri)
    target = storage.locate(event.output_s3_uri)
    logger.append_keys(render=prefix.key)
    _require_not_cancelled(storage, prefix, event.execution_name)
    plan_dir = work / "plan"
    manifest = _fetch_manifest(storage, prefix, plan_dir, event.plan_hash)
    tools = find_tools()
    names = [segment_name(manifest, chunk.index) for chunk in manifest.chunks]
    fetched = [*names, *map(record_name, names)]
    storage.download_all((prefix / f"chunks/{manifest.plan_hash}/{name}", work / "segments" / name) for name in fetched)
    _fetch_blobs(
        manifest, storage, prefix, plan_dir, {*(track.file for track in manifest.audio), *(captions.file for captions in manifest.captions)}
    )
    # The files of an HLS package refer to each other by names that begin with its own.
    local = work / "output" / (target.name if manifest.format is OutputFormat.HLS else f"output{manifest.format.spec.suffix}")
    outcome = assemble(plan_dir, [work / "segments" / name for name in names], local, tools=tools, plan_hash=event.plan_hash)
    # Before the output: who waits for that one finds them there.
    sidecars = _upload_sidecars(outcome.sidecars, storage, target, base_name(local.name))
    for file in outcome.files:
        beside = target if file == outcome.output else target.beside(file.name)
        storage.upload(file, beside, content_type=_content_type(file, manifest))
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
        sidecars={name: str(location) for name, location in sidecars.items()},
        duration_ms=0,
    )


def _upload_sidecars(made: Mapping[str, Path], storage: Storage, target: S3Location, local: str) -> dict[str, S3Location]:
    """Store what was made beside the output, called like the output in S3 where it is called `local` here, and say where it is."""
    places = {name: target.beside(base_name(target.name) + path.name.removeprefix(local)) for name, path in made.items()}
    storage.upload_all((path, places[name], SIDECAR_TYPES[path.suffix]) for name, path in made.items())
    return places


def _content_type(file: Path, manifest: Manifest) -> str:
    if manifest.format is OutputFormat.HLS:
        return HLS_CONTENT_TYPES.get(file.suffix, manifest.format.spec.content_type)
    return manifest.format.spec.content_type


def _render_prefix(storage: Storage, manifest_uri: str) -> S3Location:
    """Where plan, chunks, progress and the cancel marker of a render lie, from its manifest's URI."""
    location = storage.locate(manifest_uri)
    if not location.key.endswith(f"/{_MANIFEST_KEY}") and location.key != _MANIFEST_KEY:
        message = f"ManifestS3Uri: {manifest_uri} does not end in /{_MANIFEST_KEY}"
        raise RenderError(ErrorCode.INVALID_EVENT, message, hint="Pass on what Plan returned.")
    return S3Location(location.bucket, location.key.removesuffix(_MANIFEST_KEY))


def _fetch_manifest(storage: Storage, prefix: S3Location, plan_dir: Path, plan_hash: str) -> Manifest:
    storage.download(prefix / _MANIFEST_KEY, plan_dir / MANIFEST_NAME)
    return read_manifest(plan_dir, plan_hash)


def _fetch_blobs(manifest: Manifest, storage: Storage, prefix: S3Location, plan_dir: Path, names: Iterable[str]) -> None:
    """Bring the blobs of the files `names` of the plan."""
    digests = {manifest.files[name].sha256 for name in names}
    paths = [(blob_path(sha256), sha256) for sha256 in sorted(digests)]
    storage.download_verified(Wanted(prefix / f"plan/{path}", plan_dir / path, sha256) for path, sha256 in paths)


def _require_not_cancelled(storage: Storage, prefix: S3Location, execution_name: str | None) -> None:
    marker = _cancel_marker(storage, prefix, execution_name)
    if marker is not None:
        raise RenderError(ErrorCode.RENDER_CANCELLED, f"the render was cancelled: {marker.cause}")


def _cancel_marker(storage: Storage, prefix: S3Location, execution_name: str | None) -> CancelMarker | None:
    """The marker that cancels this execution. One left by an earlier execution of the same render means nothing."""
    text = storage.read_if_exists(prefix / "cancel") if execution_name else None
    if text is None:
        return None
    try:
        marker = CancelMarker.model_validate_json(text)
    except ValidationError as error:
        logger.warning("the cancel marker is unreadable and is ignored", extra={"cause": str(error)})
        return None
    return marker if marker.execution_name == execution_name else None


class ChunkSignals:
    """Writes a chunk's progress and watches for its cancel marker, from a thread, so that S3 never holds up a frame.

    A signal that cannot be written or read is logged and tried again at the next beat: no render fails for it.
    """

    def __init__(self, storage: Storage, prefix: S3Location, event: RenderChunkEvent, *, frames: int) -> None:
        self.cancelled = threading.Event()
        self._storage = storage
        self._prefix = prefix
        self._event = event
        self._frames = frames
        self._done = 0
        self._written = -1
        self._started = time.time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="chunk-signals", daemon=True)

    def __enter__(self) -> ChunkSignals:
        self._write(complete=False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def report(self, done: int) -> None:
        """Take note of the number of frames done."""
        self._done = done

    def complete(self, *, reused: bool = False) -> None:
        """Write the last word: every frame is done and the segment is in its place."""
        self._end()
        self._done = self._frames
        self._write(complete=True, reused=reused)

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(_SIGNAL_SECONDS):
            if self._done != self._written:
                self._write(complete=False)
            try:
                if _cancel_marker(self._storage, self._prefix, self._event.execution_name) is not None:
                    self.cancelled.set()
            except RenderError as error:
                logger.warning("the cancel marker could not be looked for", extra={"cause": str(error)})

    def _write(self, *, complete: bool, reused: bool = False) -> None:
        done = self._done
        progress = ChunkProgress(
            chunk_index=self._event.chunk_index,
            frames_done=done,
            frames_total=self._frames,
            started_at=self._started,
            updated_at=time.time(),
            complete=complete,
            reused=reused,
        )
        location = self._prefix / f"progress/{self._event.chunk_index:06d}.json"
        try:
            self._storage.write(location, progress.model_dump_json(by_alias=True).encode())
            self._written = done
        except RenderError as error:
            logger.warning("progress could not be written", extra={"cause": str(error)})


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


__all__ = ["handler"]
