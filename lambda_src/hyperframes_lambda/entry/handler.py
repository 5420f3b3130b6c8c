"""The Lambda entry: event in, one of the three roles over local folders, result out, or one error whose class name is its code.

The roles know nothing of S3 and of events; this module knows nothing of encoders, and of browsers only that a driver may stay for them.
"""

from __future__ import annotations

import atexit
import itertools
import json
import math
import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.browser import kept_driver, release_driver
from hyperframes_lambda.contract.config import RenderConfig, fps_to_wire, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError, named_error
from hyperframes_lambda.contract.events import (
    CONCURRENCY_LIMIT,
    INLINE_CHUNKS,
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
from hyperframes_lambda.contract.plan import MANIFEST_NAME, Manifest, blob_path, parse_manifest
from hyperframes_lambda.contract.segments import Segment, parse_segment
from hyperframes_lambda.contract.sizing import Machine
from hyperframes_lambda.drawing.job import FinishedSegment
from hyperframes_lambda.entry import telemetry
from hyperframes_lambda.entry.storage import S3Location, Storage, Wanted
from hyperframes_lambda.machine import workspace
from hyperframes_lambda.machine.archive import unpack_project
from hyperframes_lambda.machine.plan_folder import file_sha256, read_manifest, require_build, write_atomically
from hyperframes_lambda.machine.redaction import redact_other_loggers, redacted_json, redactor
from hyperframes_lambda.machine.tools import discard_unpacked, find_tools
from hyperframes_lambda.media.gate_record import ChunkRecord, record_name
from hyperframes_lambda.media.hls import CONTENT_TYPES as HLS_CONTENT_TYPES
from hyperframes_lambda.media.sidecars import CONTENT_TYPES as SIDECAR_TYPES
from hyperframes_lambda.plan import plan
from hyperframes_lambda.planning.reuse import reusable
from hyperframes_lambda.planning.sizing import here
from hyperframes_lambda.render_chunk import ChunkOutcome, missing_of, render_chunk

logger = Logger(json_serializer=redacted_json)
redact_other_loggers()

_invocations = itertools.count()

CHUNK_MEMORY_VARIABLE = "HYPERFRAMES_CHUNK_MEMORY_MB"
CHUNK_TIMEOUT_VARIABLE = "HYPERFRAMES_CHUNK_TIMEOUT_SEC"
CHUNK_VCPUS_VARIABLE = "HYPERFRAMES_CHUNK_VCPUS"
"""What the function that renders the chunks has; Plan may run on a smaller one. Default: this function's memory, and Lambda's limit."""

_LONGEST_SECONDS = 900
"""Lambda's limit."""

_MANIFEST_KEY = f"plan/{MANIFEST_NAME}"
_CHUNKS_KEY = "plan/chunks.json"

_RESERVED_PART, _RESERVED_MOST = 0.1, 15.0
"""Of the time that an invocation has when a chunk begins, what is kept for uploading the last segment, and seconds of it at most."""

_UPLOADS = 2
"""Segments that are stored at the same time."""
_PENDING = _UPLOADS + 2
"""Segments that are stored or wait for it, at most: they lie in the scratch folder until then."""

_SIGNAL_SECONDS = 1.5
"""How often a chunk's progress is written and its cancel marker looked for."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do what `event` asks for; the result is the wire's JSON object.

    An error of the table is raised as a class named like its code, because that is the name that Lambda reports and Step Functions
    matches; its message begins with the role. Anything else keeps its class. No message carries a variable's value or a credential.
    """
    started = time.monotonic()
    redactor.forget()
    invocation = Invocation(cold=next(_invocations) == 0, ends=started + context.get_remaining_time_in_millis() / 1000)
    try:
        with workspace.workspace() as work:
            result = _run(parse_event(event), invocation, work)
    except RenderError as error:
        logger.error("failed", extra={"code": error.code, "cause": str(error)})
        telemetry.record_failure(invocation.role, error, time.monotonic() - started, render=invocation.render)
        if error.code in (ErrorCode.CHROME_UNAVAILABLE, ErrorCode.FFMPEG_UNAVAILABLE):
            _start_afresh()
        # The original is not kept as the cause: whoever prints it would print what is hidden.
        raise wire_error(error, invocation.label).with_traceback(error.__traceback__) from None
    except Exception as error:
        telemetry.record_failure(invocation.role, error, time.monotonic() - started, render=invocation.render)
        told = redactor.text(str(error))
        if told == str(error):
            raise
        raise named_error(type(error).__name__, told).with_traceback(error.__traceback__) from None
    result = result.model_copy(update={"duration_ms": _milliseconds_since(started), "cold_start": invocation.cold})
    telemetry.record(result, render=invocation.render)
    answer: dict[str, Any] = result.to_wire()
    logger.info("done", extra={"result": answer})
    return answer


def stay_ready() -> None:
    """Keep what takes time to start between the invocations of this process: for the one that Lambda runs, until it ends."""
    lasting = ExitStack()
    try:
        lasting.enter_context(kept_driver(lasting.enter_context(workspace.workspace())))
    except RenderError as error:
        # The invocation meets the same, and can say so.
        logger.warning("nothing is kept ready", extra={"cause": str(error)})
    atexit.register(lasting.close)


def wire_error(error: RenderError, label: str) -> Exception:
    """`error` as an exception whose class name is the code and whose text says which role failed at what."""
    return named_error(error.code.value, redactor.text(f"{label}: {error}"))


def _start_afresh() -> None:
    """Have the next invocation unpack the tools again. What goes wrong here is logged: the error that led to it is the one to tell."""
    try:
        discard_unpacked()
    except (RenderError, OSError) as error:
        logger.warning("the unpacked tools are not removed", extra={"cause": str(error)})


@dataclass
class Invocation:
    """What is known of one invocation."""

    cold: bool
    """It is the first of its sandbox."""
    ends: float
    """The moment (`time.monotonic`) at which Lambda ends it."""
    label: str = "Event"
    """What error messages call it; it grows more exact as more is known."""
    role: str = "event"
    render: str = ""
    """Of what metrics say it is; both are not known from the start."""


def _run(
    event: PlanEvent | RenderChunkEvent | AssembleEvent, invocation: Invocation, work: Path
) -> PlanResult | RenderChunkResult | AssembleResult:
    logger.append_keys(action=event.action, execution=event.execution_name)
    invocation.role = event.action
    storage = _storage()
    match event:
        case PlanEvent():
            invocation.label = "Plan"
            return _plan(event, storage, work, invocation)
        case RenderChunkEvent():
            invocation.label = f"RenderChunk {event.chunk_index}"
            return _render_chunk(event, storage, work, invocation)
        case AssembleEvent():
            invocation.label = "Assemble"
            return _assemble(event, storage, work, invocation)


@lru_cache(maxsize=1)
def _storage() -> Storage:
    """One client for all invocations of the sandbox."""
    return Storage.from_environment()


def _plan(event: PlanEvent, storage: Storage, work: Path, invocation: Invocation) -> PlanResult:
    prefix = storage.locate(event.plan_output_s3_prefix)
    project = storage.locate(event.project_s3_uri)
    if event.output_s3_uri is not None:
        # Not wanted before Assemble; but then all chunks would have been rendered for nothing.
        storage.locate(event.output_s3_uri)
    _begin(invocation, prefix)
    redactor.learn(event.config.get("variables"))
    given, concurrency = _without_concurrency(_with_variables(event.config, storage))
    redactor.learn(given.get("variables"))
    config = parse_config(given, where="Config")
    _require_not_cancelled(storage, prefix, event.execution_name)
    tools = find_tools(before_unpacking=release_driver)
    archive = work / "project.tar.gz"
    storage.download(project, archive)
    sha256 = file_sha256(archive)

    plan_dir = work / "plan"
    manifest = _planned_before(storage, prefix, plan_dir)
    if manifest is None or reusable(plan_dir, config, tools.build(), sha256) is None:
        root = unpack_project(archive, work / "project", entry=config.entry_file)
        # The scratch folder may not be large enough for a project with films three times over.
        archive.unlink()
        manifest = plan(
            root, config, plan_dir, tools=tools, project_sha256=sha256, scratch=work, machine=_machine(config), concurrency=concurrency
        )
        _upload_plan(manifest, storage, prefix, plan_dir)
        if manifest.substituted_fonts:
            logger.warning("fonts that cannot be had are substituted", extra={"families": manifest.substituted_fonts})
        reused = False
    else:
        reused = True
    count, planned = len(manifest.chunks), manifest.max_parallel_chunks
    parallel = min(planned, concurrency or planned)
    return PlanResult(
        ManifestS3Uri=str(prefix / _MANIFEST_KEY),
        plan_hash=manifest.plan_hash,
        chunk_count=count,
        chunks=list(range(count)) if count <= INLINE_CHUNKS else [],
        chunks_bucket=prefix.bucket,
        chunks_key=(prefix / _CHUNKS_KEY).key,
        max_parallel_chunks=parallel,
        workers=manifest.workers,
        segment_frames=manifest.segment_frames,
        sizing=manifest.sizing,
        # A plan that was there already was made for as many at once as could be then.
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


def _begin(invocation: Invocation, prefix: S3Location, **more: object) -> None:
    """Say in every line from now on which render it is about."""
    invocation.render = prefix.key
    logger.append_keys(render=prefix.key, **more)


def _machine(config: RenderConfig, environ: Mapping[str, str] = os.environ) -> Machine:
    """What renders a chunk of `config`."""
    memory = environ.get(CHUNK_MEMORY_VARIABLE) or environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    timeout = float(environ.get(CHUNK_TIMEOUT_VARIABLE) or _LONGEST_SECONDS) if config.runtime_cap == "lambda" else None
    machine = Machine.of_function(int(memory), timeout) if memory else replace(here(), timeout=timeout)
    vcpus = environ.get(CHUNK_VCPUS_VARIABLE)
    return replace(machine, vcpus=float(vcpus)) if vcpus else machine


def _without_concurrency(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], int | None]:
    """`config`, and how many invocations may run at once if that stood in it: nothing of the render's, but of the account's."""
    limit = config.get(CONCURRENCY_LIMIT)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        message = f"Config.{CONCURRENCY_LIMIT}: {limit!r} is not accepted; accepted: a whole number from 1"
        raise RenderError(ErrorCode.INVALID_CONFIG, message)
    return {name: value for name, value in config.items() if name != CONCURRENCY_LIMIT}, limit


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
    needed = {_CHUNKS_KEY.removeprefix("plan/"), *(blob_path(file.sha256) for file in manifest.files.values())}
    if not needed <= storage.keys(prefix / "plan/"):
        return None
    write_atomically(plan_dir / MANIFEST_NAME, text)
    return manifest


def _upload_plan(manifest: Manifest, storage: Storage, prefix: S3Location, plan_dir: Path) -> None:
    blobs = {blob_path(file.sha256): file.content_type for file in manifest.files.values()}
    storage.upload_all((plan_dir / path, prefix / f"plan/{path}", content_type) for path, content_type in blobs.items())
    storage.write(prefix / _CHUNKS_KEY, json.dumps([chunk.index for chunk in manifest.chunks]).encode())
    storage.upload(plan_dir / MANIFEST_NAME, prefix / _MANIFEST_KEY, content_type="application/json")


def _render_chunk(event: RenderChunkEvent, storage: Storage, work: Path, invocation: Invocation) -> RenderChunkResult:
    prefix = _render_prefix(storage, event.manifest_s3_uri)
    _begin(invocation, prefix, chunk=event.chunk_index)
    _require_not_cancelled(storage, prefix, event.execution_name)
    plan_dir = work / "plan"
    manifest = _fetch_manifest(storage, prefix, plan_dir, event.plan_hash)
    chunk = manifest.chunk(event.chunk_index)
    invocation.label = f"RenderChunk {chunk.index} (frames {chunk.first}\N{EN DASH}{chunk.last})"

    place = prefix / f"chunks/{manifest.plan_hash}/"
    present = _finished_segments(storage, place / f"{chunk.index:06d}-", manifest)
    before = missing_of(manifest, chunk.index, present)
    with ChunkSignals(storage, prefix, event, frames=chunk.frames, done=before.frames) as signals:
        if before.complete:
            signals.end(chunk.frames, reused=True)
            return _chunk_result(ChunkOutcome(chunk.index, [], chunk.frames, None, 0), place, reused=True)
        tools = find_tools(before_unpacking=release_driver)
        require_build(manifest, tools.build())
        _fetch_blobs(manifest, storage, prefix, plan_dir, manifest.files_shown(before.missing))
        with SegmentUpload(storage, place, manifest.format.spec.segment_suffix) as upload:
            outcome = render_chunk(
                plan_dir,
                chunk.index,
                work,
                present=present,
                workers=min(manifest.workers, len(os.sched_getaffinity(0))),
                deadline=_deadline(invocation) if manifest.config.runtime_cap == "lambda" else None,
                tools=tools,
                plan_hash=event.plan_hash,
                on_progress=signals.report,
                on_segment=upload.add,
                should_stop=signals.cancelled.is_set,
                scratch=work,
            )
        signals.end(outcome.frames)
    return _chunk_result(outcome, place, reused=False)


def _deadline(invocation: Invocation) -> float:
    """When the drawing must be done (`time.monotonic`), so that there is time left to upload."""
    left = invocation.ends - time.monotonic()
    return invocation.ends - min(_RESERVED_PART * left, _RESERVED_MOST)


def _chunk_result(outcome: ChunkOutcome, place: S3Location, *, reused: bool) -> RenderChunkResult:
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


def _finished_segments(storage: Storage, prefix: S3Location, manifest: Manifest) -> list[Segment]:
    """The segments below `prefix`, a whole folder or the beginning of names in it, that are there with record and sidecar.

    The sidecar is written last, so it vouches for the others.
    """
    folder = S3Location(prefix.bucket, prefix.key.removesuffix(prefix.name))
    names = {prefix.name + name for name in storage.keys(prefix)}
    suffix = manifest.format.spec.segment_suffix
    found = ((name, parse_segment(name, suffix)) for name in names)
    segments = [segment for name, segment in found if segment and {record_name(name), _sidecar_name(name)} <= names]
    if len(segments) < sum(name.endswith(suffix) for name in names):
        logger.warning("segments without a record or a sidecar are rendered again", extra={"folder": str(folder)})
    return segments


def _sidecar_name(segment: str) -> str:
    return f"{segment}.json"


class SegmentUpload:
    """Stores segments as they are finished, from threads, so that S3 holds up the drawing only when it is slower. Leaving waits for all.

    After what could not be stored nothing more is taken: `add`, or leaving, raises why.
    """

    def __init__(self, storage: Storage, place: S3Location, suffix: str) -> None:
        self._storage = storage
        self._place = place
        self._content_type = SEGMENT_CONTENT_TYPES[suffix]
        self._pool = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="upload")
        self._uploads: list[Future[None]] = []

    def __enter__(self) -> SegmentUpload:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Whatever ended the drawing: what is finished need not be drawn again.
        self._pool.shutdown()
        for upload in self._uploads:
            fault = upload.exception()
            if fault is not None and error is None:
                raise fault

    def add(self, finished: FinishedSegment) -> None:
        """Store one, and remove the local files. Waits while too many others are not stored yet."""
        pending = {upload for upload in self._uploads if not upload.done()}
        while len(pending) >= _PENDING:
            pending = wait(pending, return_when=FIRST_COMPLETED).not_done
        for upload in self._uploads:
            if upload.done():
                upload.result()
        self._uploads.append(self._pool.submit(self._store, finished))

    def _store(self, finished: FinishedSegment) -> None:
        name, segment = finished.path.name, finished.segment
        vouched = {"Chunk": segment.chunk, "First": segment.first, "Last": segment.last, "Sha256": finished.sha256}
        self._storage.upload(finished.record, self._place / finished.record.name, content_type="application/json")
        self._storage.upload(finished.path, self._place / name, content_type=self._content_type)
        self._storage.write(self._place / _sidecar_name(name), json.dumps(vouched).encode())
        finished.path.unlink()
        finished.record.unlink()


def _assemble(event: AssembleEvent, storage: Storage, work: Path, invocation: Invocation) -> AssembleResult:
    prefix = _render_prefix(storage, event.manifest_s3_uri)
    target = storage.locate(event.output_s3_uri)
    _begin(invocation, prefix)
    _require_not_cancelled(storage, prefix, event.execution_name)
    plan_dir = work / "plan"
    manifest = _fetch_manifest(storage, prefix, plan_dir, event.plan_hash)
    tools = find_tools(before_unpacking=release_driver)
    segments = _fetch_segments(manifest, storage, prefix / f"chunks/{manifest.plan_hash}/", work / "segments")
    _fetch_blobs(
        manifest, storage, prefix, plan_dir, {*(track.file for track in manifest.audio), *(captions.file for captions in manifest.captions)}
    )
    # The files of an HLS package refer to each other by names that begin with its own.
    local = work / "output" / (target.name if manifest.format is OutputFormat.HLS else f"output{manifest.format.spec.suffix}")
    outcome = assemble(plan_dir, segments, local, tools=tools, plan_hash=event.plan_hash)
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
        workers=manifest.workers,
        sizing=manifest.sizing,
        sidecars={name: str(location) for name, location in sidecars.items()},
        duration_ms=0,
    )


def _fetch_segments(manifest: Manifest, storage: Storage, place: S3Location, folder: Path) -> list[Path]:
    """Bring the segments that tile the plan, in order, with their records; `VERIFICATION_FAILED` when frames are missing."""
    found: dict[int, list[Segment]] = {}
    for segment in _finished_segments(storage, place, manifest):
        found.setdefault(segment.chunk, []).append(segment)
    names: list[str] = []
    for chunk in manifest.chunks:
        there = missing_of(manifest, chunk.index, found.get(chunk.index, ()))
        if there.missing:
            first, last = there.missing[0]
            message = f"frames {first} to {last} of chunk {chunk.index} are not in {place}"
            raise RenderError(ErrorCode.VERIFICATION_FAILED, message, hint="Start the render again: it keeps the finished segments.")
        names += [segment.name(manifest.format.spec.segment_suffix) for segment in there.segments]
    records = [record_name(name) for name in names]
    storage.download_all((place / record, folder / record) for record in records)
    wanted = (
        Wanted(place / name, folder / name, ChunkRecord.read(folder / record).sha256, ErrorCode.VERIFICATION_FAILED, _DAMAGED_SEGMENT)
        for name, record in zip(names, records, strict=True)
    )
    storage.download_verified(wanted)
    return [folder / name for name in names]


_DAMAGED_SEGMENT = "Delete this object and start the render again: it renders what is missing and keeps the rest."


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
    manifest = read_manifest(plan_dir, plan_hash)
    redactor.learn(manifest.variables)
    return manifest


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

    def __init__(self, storage: Storage, prefix: S3Location, event: RenderChunkEvent, *, frames: int, done: int = 0) -> None:
        self.cancelled = threading.Event()
        self._storage = storage
        self._prefix = prefix
        self._event = event
        self._frames = frames
        self._done = done
        self._drawing = False
        self._written = -1
        self._began = time.time()
        self._location = prefix / f"progress/{event.chunk_index:06d}.json"
        self._earlier: ChunkProgress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="chunk-signals", daemon=True)

    def __enter__(self) -> ChunkSignals:
        self._earlier = self._of_this_execution()
        self._write(complete=False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended.is_set():
            # It failed: what it has cost until now is known to nobody else.
            self._end()
            self._write(complete=False)

    def report(self, done: int) -> None:
        """Take note of the number of frames done. The moment of the invocation's first one is what a cold start is measured by."""
        if done > self._done and not self._drawing:
            self._drawing = True
            logger.info("first frame")
        self._done = done

    def end(self, done: int, *, reused: bool = False) -> None:
        """Write the last word of this invocation: so many frames are finished and in their place."""
        self._end()
        self._done = done
        self._write(complete=done == self._frames, reused=reused, checkpoint=done != self._frames)

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

    def _of_this_execution(self) -> ChunkProgress | None:
        """What the chunk's earlier invocations in the same execution have written; of another execution it does not count."""
        try:
            text = self._storage.read_if_exists(self._location)
            report = None if text is None else ChunkProgress.model_validate_json(text)
        except (RenderError, ValidationError) as error:
            logger.warning("the chunk's earlier progress is unreadable and is ignored", extra={"cause": str(error)})
            return None
        return report if report is not None and report.execution_name == self._event.execution_name else None

    def _write(self, *, complete: bool, reused: bool = False, checkpoint: bool = False) -> None:
        done, now, earlier = self._done, time.time(), self._earlier
        memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        progress = ChunkProgress(
            chunk_index=self._event.chunk_index,
            frames_done=done,
            frames_total=self._frames,
            started_at=earlier.started_at if earlier else self._began,
            updated_at=now,
            complete=complete,
            reused=reused,
            execution_name=self._event.execution_name,
            invocations=1 + (earlier.invocations if earlier else 0),
            checkpoints=checkpoint + (earlier.checkpoints if earlier else 0),
            billed_seconds=round(now - self._began + (earlier.billed_seconds if earlier else 0.0), 3),
            memory_mb=int(memory) if memory else None,
        )
        try:
            self._storage.write(self._location, progress.model_dump_json(by_alias=True).encode())
            self._written = done
        except RenderError as error:
            logger.warning("progress could not be written", extra={"cause": str(error)})


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


__all__ = ["handler"]
