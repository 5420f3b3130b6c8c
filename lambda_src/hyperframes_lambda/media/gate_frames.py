"""Compare the captured frames with those of the finished output. Pure: thumbnails and checksums in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

from hyperframes_lambda.media.thumbnails import brightness, difference, distance, is_blank, runs

_LEAST_TOLERANCE, _MOST_TOLERANCE = 24, 96
"""Levels by which a cell may differ. Encoding changed cells of 10x10 pixels by up to 7 levels (draft); a difference of 24 is visible."""

_TOLERATED_NOISE = 4
"""Factor on the noise that a low bit rate or a palette adds to every frame; the product is tolerated up to `_MOST_TOLERANCE`. Noise on a
320x180 page: 3 to 6 levels at the quality draft, 10 to 50 at h264's worst factor (51), where no frame differed by over 2.6 times it."""

_VISIBLE_CHANGE = 12
"""Levels by which a cell must change between two captured frames before a repeated frame counts as a fault. An encoder may skip smaller
changes for some frames, which the eye does not see as frozen."""

_VISIBLE_NOISE = 3
"""Least change as a multiple of the noise: encoders short of bits repeat pictures."""

_BLACK = 10
"""Brightest level of a frame that counts as black, encoding noise included."""

_STILL = 2
"""Largest difference, in levels, between two finished frames that count as the same picture."""

_EXPLAINED = 20
"""Most runs of wrong frames to explain: each takes tens of milliseconds, and a message holds fewer."""

_SEARCHED = 300
"""Frames to either side in which to search for a misplaced frame."""


@dataclass(frozen=True)
class Finding:
    """A fault of frames `first` to `last`, in words for the person who has to fix it."""

    kind: str
    """`count`, `packets`, `misplaced`, `frozen`, `black`, `differs` or `blank`."""
    first: int
    last: int
    text: str


class FrameNames:
    """Names frames by number, time and, at a seam, chunk."""

    def __init__(self, fps: Fraction, starts: Sequence[int]) -> None:
        self._fps = fps
        self._chunk_at = {start: index for index, start in enumerate(starts)}

    def __call__(self, first: int, last: int | None = None) -> str:
        """Return `frame 40 (1.333 s, first of chunk 2)` or `frames 40-59 (1.333-1.967 s)`."""
        chunk = f", first of chunk {self._chunk_at[first]}" if self._chunk_at.get(first) else ""
        start = float(first / self._fps)
        if last is None or last == first:
            return f"frame {first} ({start:.3f} s{chunk})"
        return f"frames {first}-{last} ({start:.3f}-{float(last / self._fps):.3f} s{chunk})"


def compare_packets(recorded: Sequence[str], found: Sequence[str], name: FrameNames) -> list[Finding]:
    """Check that the packets of the output are those of the segments, bit for bit and in order."""
    wrong = next((number for number, (one, other) in enumerate(zip(recorded, found, strict=False)) if one != other), None)
    if wrong is None:
        if len(recorded) == len(found):
            return []
        wrong = min(len(recorded), len(found))
    if wrong >= len(found):
        what = f"the packet of {name(wrong)} and all after it are missing"
    elif wrong >= len(recorded):
        what = f"packets follow after {name(wrong - 1)}, the last"
    elif (home := _index(recorded, found[wrong])) is not None and home != wrong:
        what = f"the packet of {name(home)} is in the place of {name(wrong)}"
    else:
        what = f"the packet of {name(wrong)} is not the one that was encoded"
    return [Finding("packets", wrong, wrong, f"{what} ({len(found)} packets, {len(recorded)} were encoded)")]


def noise_of(captured: Sequence[bytes], shown: Sequence[bytes]) -> float:
    """Return the levels by which encoding changed most frames. A frame that is off by one is compared with the one that it shows."""

    def own(number: int) -> int:
        near = difference(captured[number], shown[number])
        around = (other for other in (number - 1, number + 1) if 0 <= other < len(captured))
        return near if near < _VISIBLE_CHANGE else min(near, *(difference(captured[other], shown[number]) for other in around))

    return median([own(number) for number in range(min(len(captured), len(shown)))] or [0])


def tolerance_of(noise: float) -> int:
    """Return the levels by which a cell may differ in an output with that noise."""
    return min(max(_LEAST_TOLERANCE, round(_TOLERATED_NOISE * noise)), _MOST_TOLERANCE)


def compare_frames(captured: Sequence[bytes], shown: Sequence[bytes], noise: float, name: FrameNames, *, alpha: bool) -> list[Finding]:
    """Check that every finished frame looks like the captured frame of its number, and no more like a neighbour."""
    findings = []
    if len(shown) != len(captured):
        findings.append(Finding("count", 0, len(captured) - 1, f"{len(shown)} frames decode, {len(captured)} were captured"))
    tolerance, visible = tolerance_of(noise), max(_VISIBLE_CHANGE, _VISIBLE_NOISE * noise)
    wrong = [
        number
        for number in range(min(len(captured), len(shown)))
        if difference(captured[number], shown[number]) > tolerance or _is_misplaced(number, captured, shown, visible)
    ]
    explain = _Explain(captured, shown, name, alpha=alpha, tolerance=tolerance)
    spans = list(runs(wrong))
    findings.extend(finding for first, last in spans[:_EXPLAINED] for finding in explain(first, last))
    if len(spans) > _EXPLAINED:
        findings.append(Finding("differs", *spans[_EXPLAINED], f"{len(wrong)} frames in all differ from the captured ones"))
    return findings


def _is_misplaced(number: int, captured: Sequence[bytes], shown: Sequence[bytes], visible: float) -> bool:
    own, picture = captured[number], shown[number]
    for other in (number - 1, number + 1):
        if 0 <= other < len(captured):
            neighbour = captured[other]
            if difference(own, neighbour) >= visible and distance(picture, neighbour) < distance(picture, own):
                return True
    return False


class _Explain:
    """Explains what wrong frames show: black, a frozen picture, other frames, or a picture that was never captured."""

    def __init__(self, captured: Sequence[bytes], shown: Sequence[bytes], name: FrameNames, *, alpha: bool, tolerance: int) -> None:
        self._captured, self._shown, self._name = captured, shown, name
        self._alpha, self._tolerance = alpha, tolerance

    def __call__(self, first: int, last: int) -> Iterator[Finding]:
        """Yield a finding for each part of the run `first` to `last` with an explanation of its own."""
        while first <= last:
            finding = self._part(first, last)
            yield finding
            first = finding.last + 1

    def _part(self, first: int, last: int) -> Finding:
        captured, shown = self._captured, self._shown
        black = self._while(first, last, lambda number: brightness(shown[number], alpha=self._alpha) <= _BLACK)
        if black >= first:
            level = max(brightness(captured[number], alpha=self._alpha) for number in range(first, black + 1))
            return self._found("black", first, black, f"black; the captured picture has levels up to {level}")
        still = self._while(first, last, lambda number: number > 0 and difference(shown[number], shown[number - 1]) <= _STILL)
        if still >= first:
            change = max(difference(captured[number], captured[first - 1]) for number in range(first, still + 1))
            return self._found(
                "frozen", first, still, f"frozen, the picture is that of frame {first - 1}; captured frames changed by {change} levels"
            )
        home = self._home(first)
        if home is not None and home != first:
            end = self._while(first, last, lambda number: self._alike(number, home + number - first))
            return self._found("misplaced", first, end, f"shows the picture captured for {self._name(home, home + end - first)}")
        worst = max(range(first, last + 1), key=lambda number: difference(captured[number], shown[number]))
        levels = difference(captured[worst], shown[worst])
        return self._found(
            "differs", first, last, f"differs from the captured picture by {levels} levels at frame {worst}; tolerated: {self._tolerance}"
        )

    def _found(self, kind: str, first: int, last: int, what: str) -> Finding:
        return Finding(kind, first, last, f"{self._name(first, last)}: {what}")

    def _while(self, first: int, last: int, holds: Callable[[int], bool]) -> int:
        """Return the last frame of the stretch from `first` on for which `holds` is true; `first - 1` when there is none."""
        return next((number for number in range(first, last + 1) if not holds(number)), last + 1) - 1

    def _alike(self, number: int, other: int) -> bool:
        return other < len(self._captured) and difference(self._shown[number], self._captured[other]) <= self._tolerance

    def _home(self, number: int) -> int | None:
        """Return the captured frame that the finished frame `number` looks like, the nearest of equally good ones; None without one."""
        near = range(max(0, number - _SEARCHED), min(len(self._captured), number + _SEARCHED + 1))
        best = min(near, key=lambda other: (distance(self._shown[number], self._captured[other]), abs(other - number)))
        return best if self._alike(number, best) else None


def compare_with_plan(planned: Mapping[int, bytes], captured: Sequence[bytes], name: FrameNames, *, alpha: bool) -> list[Finding]:
    """Check that chunks captured no blank or frozen picture where Plan saw one that was neither."""
    findings = []
    for number, seen in sorted(planned.items()):
        if is_blank(captured[number], alpha=alpha) and not is_blank(seen, alpha=alpha) and _far(seen, captured[number]):
            text = f"{name(number)}: the chunk captured one flat colour, Plan saw a picture"
            findings.append(Finding("blank", number, number, text))
    numbers = sorted(planned)
    for earlier, later in pairwise(numbers):
        if _far(planned[earlier], planned[later]) and all(captured[at] == captured[earlier] for at in range(earlier, later + 1)):
            text = f"{name(earlier, later)}: the chunks captured the same picture throughout, Plan saw it change"
            findings.append(Finding("frozen", earlier, later, text))
    return findings


def unlike_plan(planned: Mapping[int, bytes], captured: Sequence[bytes]) -> list[int]:
    """Return the frames that depend on the way to them: Plan jumps from frame to frame, chunks do not, and the pictures visibly differ."""
    return [number for number, seen in sorted(planned.items()) if _far(seen, captured[number])]


def _far(one: bytes, other: bytes) -> bool:
    return difference(one, other) > _LEAST_TOLERANCE


def _index(recorded: Sequence[str], packet: str) -> int | None:
    return recorded.index(packet) if packet in recorded else None
