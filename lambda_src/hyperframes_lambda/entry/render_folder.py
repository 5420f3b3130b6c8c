"""The folder of one render in S3: every key below `renders/<renderId>/` is written and read here.

Below the prefix lie `plan/` (manifest, chunk list, blobs), `chunks/<planHash>/` (segments), `progress/` and `cancel`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import CancelMarker, ChunkProgress
from hyperframes_lambda.contract.formats import SEGMENT_CONTENT_TYPES
from hyperframes_lambda.contract.plan import MANIFEST_NAME, Manifest, blob_path, parse_manifest
from hyperframes_lambda.contract.segments import Segment, parse_segment
from hyperframes_lambda.drawing.job import FinishedSegment
from hyperframes_lambda.entry.invocation import logger
from hyperframes_lambda.entry.storage import S3Location, Storage, Wanted
from hyperframes_lambda.machine.plan_folder import read_manifest
from hyperframes_lambda.media.gate_record import ChunkRecord, record_name

_MANIFEST = f"plan/{MANIFEST_NAME}"
_CHUNKS = "plan/chunks.json"

_DAMAGED_SEGMENT = "Delete this object and start the render again: it renders what is missing and keeps the rest."


class RenderFolder:
    """The objects of one render. Methods raise what `Storage` raises."""

    def __init__(self, storage: Storage, prefix: S3Location) -> None:
        self.prefix = prefix
        self.manifest = prefix / _MANIFEST
        self.chunk_list = prefix / _CHUNKS
        self._storage = storage

    @classmethod
    def of_manifest(cls, storage: Storage, uri: str) -> RenderFolder:
        """The folder that holds the manifest `uri`; `INVALID_EVENT` for a URI that no manifest has."""
        location = storage.locate(uri)
        prefix = S3Location(location.bucket, location.key.removesuffix(_MANIFEST))
        if location.key == prefix.key or (prefix.key and not prefix.key.endswith("/")):
            message = f"ManifestS3Uri: {uri} does not end in /{_MANIFEST}"
            raise RenderError(ErrorCode.INVALID_EVENT, message, hint="Pass the URI that Plan returned.")
        return cls(storage, prefix)

    def earlier_plan(self) -> Manifest | None:
        """The manifest of a complete plan; None when there is none, it is damaged, or some of its blobs are gone."""
        text = self._storage.read_if_exists(self.manifest)
        if text is None:
            return None
        try:
            manifest = parse_manifest(text)
        except RenderError as error:
            logger.warning("ignoring the earlier plan", extra={"cause": str(error)})
            return None
        needed = {"chunks.json", *(blob_path(file.sha256) for file in manifest.files.values())}
        return manifest if needed <= self._storage.keys(self.prefix / "plan/") else None

    def upload_plan(self, manifest: Manifest, plan_dir: Path) -> None:
        """Store the plan in `plan_dir`, the manifest last: once it exists, the plan is complete."""
        blobs = {blob_path(file.sha256): file.content_type for file in manifest.files.values()}
        self._storage.upload_all((plan_dir / path, self.prefix / f"plan/{path}", content_type) for path, content_type in blobs.items())
        self._storage.write(self.chunk_list, json.dumps([chunk.index for chunk in manifest.chunks]).encode())
        self._storage.upload(plan_dir / MANIFEST_NAME, self.manifest, content_type="application/json")

    def fetch_manifest(self, plan_dir: Path, plan_hash: str) -> Manifest:
        """Download the manifest; `PLAN_HASH_MISMATCH` unless its plan is `plan_hash`."""
        self._storage.download(self.manifest, plan_dir / MANIFEST_NAME)
        return read_manifest(plan_dir, plan_hash)

    def fetch_files(self, manifest: Manifest, names: Iterable[str], plan_dir: Path) -> None:
        """Download the blobs of the plan's files `names`."""
        digests = {manifest.files[name].sha256 for name in names}
        paths = [(blob_path(sha256), sha256) for sha256 in sorted(digests)]
        self._storage.download_verified(Wanted(self.prefix / f"plan/{path}", plan_dir / path, sha256) for path, sha256 in paths)

    def segments(self, manifest: Manifest) -> S3Location:
        """The prefix of the plan's segments."""
        return self.prefix / f"chunks/{manifest.plan_hash}/"

    def finished_segments(self, manifest: Manifest, chunk: int | None = None) -> list[Segment]:
        """The segments (default: of all chunks) that have a record and a sidecar.

        The sidecar is written last, so it vouches for the other two.
        """
        start = "" if chunk is None else f"{chunk:06d}-"
        names = {start + name for name in self._storage.keys(self.segments(manifest) / start)}
        suffix = manifest.format.spec.segment_suffix
        found = ((name, parse_segment(name, suffix)) for name in names)
        segments = [segment for name, segment in found if segment and {record_name(name), _sidecar_name(name)} <= names]
        if len(segments) < sum(name.endswith(suffix) for name in names):
            logger.warning("rendering segments without a record or a sidecar again", extra={"folder": str(self.segments(manifest))})
        return segments

    def store_segment(self, manifest: Manifest, finished: FinishedSegment) -> None:
        """Store a segment with its record and sidecar, then remove the local files."""
        place, name, segment = self.segments(manifest), finished.path.name, finished.segment
        vouched = {"Chunk": segment.chunk, "First": segment.first, "Last": segment.last, "Sha256": finished.sha256}
        self._storage.upload(finished.record, place / finished.record.name, content_type="application/json")
        self._storage.upload(finished.path, place / name, content_type=SEGMENT_CONTENT_TYPES[finished.path.suffix])
        self._storage.write(place / _sidecar_name(name), json.dumps(vouched).encode())
        finished.path.unlink()
        finished.record.unlink()

    def fetch_segments(self, manifest: Manifest, folder: Path) -> list[Path]:
        """Download the segments that tile the plan, in order, with their records; `VERIFICATION_FAILED` when frames are missing."""
        place = self.segments(manifest)
        found: dict[int, list[Segment]] = {}
        for segment in self.finished_segments(manifest):
            found.setdefault(segment.chunk, []).append(segment)
        names: list[str] = []
        for chunk in manifest.chunks:
            coverage = manifest.coverage(chunk.index, found.get(chunk.index, ()))
            if coverage.missing:
                first, last = coverage.missing[0]
                message = f"frames {first} to {last} of chunk {chunk.index} are not in {place}"
                raise RenderError(ErrorCode.VERIFICATION_FAILED, message, hint="Start the render again: it keeps the finished segments.")
            names += [segment.name(manifest.format.spec.segment_suffix) for segment in coverage.segments]
        records = [record_name(name) for name in names]
        self._storage.download_all((place / record, folder / record) for record in records)
        self._storage.download_verified(
            Wanted(place / name, folder / name, ChunkRecord.read(folder / record).sha256, ErrorCode.VERIFICATION_FAILED, _DAMAGED_SEGMENT)
            for name, record in zip(names, records, strict=True)
        )
        return [folder / name for name in names]

    def progress(self, chunk: int) -> ChunkProgress | None:
        """The last progress report of a chunk; a `ValidationError` for one that is not readable."""
        text = self._storage.read_if_exists(self._progress(chunk))
        return None if text is None else ChunkProgress.model_validate_json(text)

    def write_progress(self, progress: ChunkProgress) -> None:
        """Replace the progress report of its chunk."""
        self._storage.write(self._progress(progress.chunk_index), progress.model_dump_json(by_alias=True).encode())

    def _progress(self, chunk: int) -> S3Location:
        return self.prefix / f"progress/{chunk:06d}.json"

    def cancel_marker(self, execution_name: str | None) -> CancelMarker | None:
        """The marker that cancels this execution. A marker for an earlier execution of the same render has no effect."""
        text = self._storage.read_if_exists(self.prefix / "cancel") if execution_name else None
        if text is None:
            return None
        try:
            marker = CancelMarker.model_validate_json(text)
        except ValidationError as error:
            logger.warning("ignoring an unreadable cancel marker", extra={"cause": str(error)})
            return None
        return marker if marker.execution_name == execution_name else None

    def require_not_cancelled(self, execution_name: str | None) -> None:
        """Raise `RENDER_CANCELLED` if a marker cancels this execution."""
        marker = self.cancel_marker(execution_name)
        if marker is not None:
            raise RenderError(ErrorCode.RENDER_CANCELLED, f"the render was cancelled: {marker.cause}")


def _sidecar_name(segment: str) -> str:
    return f"{segment}.json"
