"""Segments, the encoded parts of a chunk. A segment's name contains its frames, so a listing shows the progress of a chunk.

A segment is a closed group of pictures with a record of its own. Segments lie on a grid that the plan fixes; one that was closed early,
because its invocation ran out of time, ends off the grid, and the next one begins behind it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NAME = re.compile(r"([0-9]{6,})-([0-9]+)-([0-9]+)(\.[a-z0-9]+)")


@dataclass(frozen=True, order=True)
class Segment:
    """Frames `first` to `last` of the chunk `chunk`, both included and numbered as in the plan."""

    chunk: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.last - self.first + 1

    def name(self, suffix: str) -> str:
        """Return the deterministic file name: `NNNNNN-<first>-<last>.<ext>`."""
        return f"{self.chunk:06d}-{self.first}-{self.last}{suffix}"


@dataclass(frozen=True)
class Coverage:
    """The finished part of a chunk, as segments in order, and the missing part, as runs of frames (first, last)."""

    segments: list[Segment]
    missing: list[tuple[int, int]]

    @property
    def complete(self) -> bool:
        """Whether the segments tile the chunk."""
        return not self.missing

    @property
    def frames(self) -> int:
        """Number of frames in the segments."""
        return sum(segment.frames for segment in self.segments)


def parse_segment(name: str, suffix: str) -> Segment | None:
    """Return the segment called `name`; None for any other name, such as that of a segment's record or sidecar."""
    match = _NAME.fullmatch(name)
    if match is None or match[4] != suffix:
        return None
    segment = Segment(int(match[1]), int(match[2]), int(match[3]))
    return segment if segment.first <= segment.last and segment.name(suffix) == name else None


def coverage(segments: Iterable[Segment], first: int, last: int) -> Coverage:
    """Choose from `segments` those that cover the frames `first` to `last`.

    Segments may overlap, for example when an invocation that counted as lost continued beside its replacement. The chosen ones leave the
    fewest frames missing; of those that start at the same frame and leave as few, the longest is chosen.
    """
    starting: dict[int, list[Segment]] = {}
    for segment in segments:
        if first <= segment.first and segment.last <= last:
            starting.setdefault(segment.first, []).append(segment)
    starts = sorted(starting)
    # For each start: the fewest frames that can be missing from there on, and the segment to choose there, if any.
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
    """Return the segments to render for the `missing` runs of frames, cut on the grid that starts at `chunk_first`."""
    segments: list[Segment] = []
    for first, last in missing:
        start = first
        while start <= last:
            end = start + segment_frames - (start - chunk_first) % segment_frames - 1
            segments.append(Segment(chunk, start, min(end, last)))
            start = min(end, last) + 1
    return segments


def runs(segments: Sequence[Segment], count: int) -> list[list[Segment]]:
    """Divide `segments`, in order, into at most `count` runs with about the same number of frames, none of them empty.

    A run is drawn in one page, from its first frame to its last; frames between two of its segments are skipped.
    """
    total = sum(segment.frames for segment in segments)
    dealt: dict[int, list[Segment]] = {}
    done = 0
    for segment in segments:
        # By the segment's middle, so that the runs are as even as the segments allow.
        dealt.setdefault((2 * done + segment.frames) * count // (2 * total), []).append(segment)
        done += segment.frames
    return list(dealt.values())
