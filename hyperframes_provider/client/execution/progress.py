"""Progress of a render, from the reports that its chunks keep writing to S3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from botocore.exceptions import ClientError
from pydantic import ValidationError

from hyperframes_lambda.contract.events import ChunkProgress, PlanResult
from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.s3 import S3Location, list_objects

_CLOCK_SLACK = 1.0
"""Seconds by which the clocks of Lambda and Step Functions may differ."""
MOST_REPORTS = 250
"""Reports fetched in one poll, at the cost of a quarter of a second and a hundredth of a cent on AWS."""
_SHORTEST_MEASURE = 0.5
"""Seconds of rendering before a rate is meaningful."""


@dataclass(frozen=True)
class Progress:
    """Progress of a render. Totals, rate and remaining time are None while unknown."""

    chunks_done: int = 0
    chunks_total: int | None = None
    chunks_reused: int = 0
    frames_done: int = 0
    frames_total: int | None = None
    rate: float | None = None
    """Frames per second of all chunks together."""
    eta: float | None = None
    """Seconds until the last frame at this rate."""


def reports_of(chunks: Iterable[ChunkProgress], plan: PlanResult | None, *, since: float) -> list[ChunkProgress]:
    """Return the reports of an execution that started at `since` (Unix seconds), without those of earlier executions of the render."""
    return [
        chunk for chunk in chunks if chunk.updated_at >= since - _CLOCK_SLACK and (plan is None or chunk.chunk_index < plan.chunk_count)
    ]


def progress_of(chunks: Iterable[ChunkProgress], plan: PlanResult | None, *, since: float, completed: int = 0) -> Progress:
    """Sum up the reports of the chunks.

    :param since: Unix seconds at which the execution started
    :param completed: chunks known to be complete, possibly more than have been read
    """
    current = reports_of(chunks, plan, since=since)
    done = sum(chunk.frames_done for chunk in current)
    rendered = [chunk for chunk in current if not chunk.reused]
    rate = _rate(rendered)
    left = None if plan is None else max(0, plan.total_frames - done)
    return Progress(
        chunks_done=max(completed, sum(chunk.complete for chunk in current)),
        chunks_total=None if plan is None else plan.chunk_count,
        chunks_reused=sum(chunk.reused and chunk.complete for chunk in current),
        frames_done=done,
        frames_total=None if plan is None else plan.total_frames,
        rate=rate,
        eta=None if rate is None or left is None else left / rate,
    )


def _rate(rendered: list[ChunkProgress]) -> float | None:
    if not rendered:
        return None
    elapsed = max(chunk.updated_at for chunk in rendered) - min(chunk.started_at for chunk in rendered)
    frames = sum(chunk.frames_done for chunk in rendered)
    return frames / elapsed if frames and elapsed >= _SHORTEST_MEASURE else None


@dataclass
class ProgressReader:
    """Reader of one render's reports; an unchanged object is not fetched again."""

    _etags: dict[str, str] = field(default_factory=dict)
    _chunks: dict[str, ChunkProgress] = field(default_factory=dict)
    _fetched: dict[str, int] = field(default_factory=dict)
    """Number of the read that last fetched each report."""
    _reads: int = 0

    def read(self, prefix: S3Location, *, most: int | None = MOST_REPORTS) -> Steps[list[ChunkProgress]]:
        """Return the reports of the chunks; fetch up to `most` that have changed.

        Reports that were fetched longest ago come first, so that a few polls cover thousands of chunks.
        """
        self._reads += 1
        listed = {item["Key"]: item["ETag"] for item in (yield from list_objects(prefix / "progress/"))}
        changed = [key for key, etag in listed.items() if self._etags.get(key) != etag]
        changed = sorted(changed, key=lambda key: self._fetched.get(key, 0))[:most]
        self._fetched |= dict.fromkeys(changed, self._reads)
        answers = yield [Call("s3", "get_object", {"Bucket": prefix.bucket, "Key": key}) for key in changed]
        for key, answer in zip(changed, answers, strict=True):
            if isinstance(answer, ClientError):
                continue
            try:
                self._chunks[key] = ChunkProgress.model_validate_json(answer["Body"])
            except ValidationError:
                continue
            self._etags[key] = listed[key]
        return [chunk for key, chunk in self._chunks.items() if key in listed]
