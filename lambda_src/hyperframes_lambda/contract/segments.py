"""Segments: what a chunk is encoded as. Their names say which frames they hold, so a listing tells how far a chunk is.

A segment is a closed group of pictures with its own record. The plan fixes the grid on which they lie; one that was closed early, because
its invocation ran out of time, ends off the grid, and the next begins behind it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"([0-9]{6,})-([0-9]+)-([0-9]+)(\.[a-z0-9]+)")


@dataclass(frozen=True, order=True)
class Segment:
    """Frames `first` to `last` of the plan, both included, which belong to the chunk `chunk`."""

    chunk: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.last - self.first + 1

    def name(self, suffix: str) -> str:
        """The file name, see `segment_name`."""
        return segment_name(self.chunk, self.first, self.last, suffix)


@dataclass(frozen=True)
class Coverage:
    """What there is of a chunk: segments one behind the other, and the runs of frames (first, last) between and behind them."""

    segments: list[Segment]
    missing: list[tuple[int, int]]

    @property
    def complete(self) -> bool:
        """Whether the segments tile the chunk."""
        return not self.missing

    @property
    def frames(self) -> int:
        """Number of frames that the segments hold."""
        return sum(segment.frames for segment in self.segments)


def segment_name(index: int, first: int, last: int, suffix: str) -> str:
    """Deterministic file name of a segment of chunk `index`: `NNNNNN-<first>-<last>.<ext>`."""
    return f"{index:06d}-{first}-{last}{suffix}"


def parse_segment(name: str, suffix: str) -> Segment | None:
    """The segment that is called `name`; None for the name of anything else, such as a segment's record or sidecar."""
    match = _NAME.fullmatch(name)
    if match is None or match[4] != suffix:
        return None
    segment = Segment(int(match[1]), int(match[2]), int(match[3]))
    return segment if segment.first <= segment.last and segment.name(suffix) == name else None


def coverage(segments: Iterable[Segment], first: int, last: int) -> Coverage:
    """Which of `segments` to take for the frames `first` to `last`, and what is missing then.

    Segments may overlap, as when a lost invocation came back while another did its work. Taken are those that leave the fewest frames
    missing; of several that start at the same frame and leave as few, the longest.
    """
    starting: dict[int, list[Segment]] = {}
    for segment in segments:
        if first <= segment.first and segment.last <= last:
            starting.setdefault(segment.first, []).append(segment)
    starts = sorted(starting)
    # For each start: how many frames are missing from there on at best, and the segment to take there, if any.
    best: dict[int, tuple[int, Segment | None]] = {}

    def missing_from(frame: int) -> int:
        at = bisect_left(starts, frame)
        return last + 1 - frame if at == len(starts) else starts[at] - frame + best[starts[at]][0]

    for start in reversed(starts):
        lost, _, segment = min((missing_from(segment.last + 1), -segment.frames, segment) for segment in starting[start])
        passed_over = 1 + missing_from(start + 1)
        best[start] = (passed_over, None) if passed_over < lost else (lost, segment)

    taken: list[Segment] = []
    missing: list[tuple[int, int]] = []
    frame = first
    for start in starts:
        chosen = best[start][1]
        if start < frame or chosen is None:
            continue
        if start > frame:
            missing.append((frame, start - 1))
        taken.append(chosen)
        frame = chosen.last + 1
    if frame <= last:
        missing.append((frame, last))
    return Coverage(taken, missing)


def on_grid(chunk: int, chunk_first: int, missing: Iterable[tuple[int, int]], segment_frames: int) -> list[Segment]:
    """The segments to render for `missing` runs of frames: cut where the grid, which starts at `chunk_first`, says."""
    segments: list[Segment] = []
    for first, last in missing:
        start = first
        while start <= last:
            end = start + segment_frames - (start - chunk_first) % segment_frames - 1
            segments.append(Segment(chunk, start, min(end, last)))
            start = min(end, last) + 1
    return segments


def runs(segments: Sequence[Segment], count: int) -> list[list[Segment]]:
    """`segments`, in order, dealt out as at most `count` runs of about as many frames, none of them empty.

    A run is drawn in one page, from its first frame to its last; what is missing between two of its segments is passed over.
    """
    total = sum(segment.frames for segment in segments)
    dealt: dict[int, list[Segment]] = {}
    done = 0
    for segment in segments:
        # By the middle of the segment, so that the runs come out as even as the segments allow.
        dealt.setdefault((2 * done + segment.frames) * count // (2 * total), []).append(segment)
        done += segment.frames
    return list(dealt.values())
