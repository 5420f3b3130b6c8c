"""Compare what was captured with what the finished output shows, frame by frame. Pure: thumbnails and checksums in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

from hyperframes_lambda.media.thumbnails import brightness, difference, distance, is_blank, runs

_LEAST_TOLERANCE, _MOST_TOLERANCE = 24, 96
"""Levels by which any cell may differ. Encoding moved cells of 10x10 pixels by up to 7 levels (draft); 24 is still a difference to see."""

_TOLERATED_NOISE = 4
"""A low bit rate or a palette disturbs every frame: the noise, times this, is tolerated up to `_MOST_TOLERANCE`. Noise on a 320x180 page:
3 to 6 levels at the quality draft, 10 to 50 at h264's worst factor (51), where no single frame differed by more than 2.6 times as much."""

_VISIBLE_CHANGE = 12
"""Levels by which some cell must change from one captured frame to the next before a repeated frame counts as a fault. An encoder may
leave out smaller changes for some frames; it is not what the eye would call frozen."""

_VISIBLE_NOISE = 3
"""And as many times the noise: encoders that must save bits repeat pictures."""

_BLACK = 10
"""Brightest level of a frame that counts as black, encoding noise included."""

_STILL = 2
"""Levels between two finished frames that count as the same picture."""

_EXPLAINED = 20
"""Runs of wrong frames that are looked into: explaining one takes some tens of milliseconds, and a message holds fewer."""

_SEARCHED = 300
"""How far to either side a misplaced frame is looked for."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with frames `first` to `last`, in words for the person who has to do something about it."""

    kind: str
    """`count`, `packets`, `misplaced`, `frozen`, `black`, `differs` or `blank`."""
    first: int
    last: int
    text: str


class FrameNames:
    """Calls frames by number, time and, at a seam, by chunk."""

    def __init__(self, fps: Fraction, starts: Sequence[int]) -> None:
        self._fps = fps
        self._chunk_at = {start: index for index, start in enumerate(starts)}

    def __call__(self, first: int, last: int | None = None) -> str:
        """`frame 40 (1.333 s, first of chunk 2)` or `frames 40-59 (1.333-1.967 s)`."""
        chunk = f", first of chunk {self._chunk_at[first]}" if self._chunk_at.get(first) else ""
        start = float(first / self._fps)
        if last is None or last == first:
            return f"frame {first} ({start:.3f} s{chunk})"
        return f"frames {first}-{last} ({start:.3f}-{float(last / self._fps):.3f} s{chunk})"


def compare_packets(recorded: Sequence[str], found: Sequence[str], name: FrameNames) -> list[Finding]:
    """The packets of the output must be those of the segments, bit for bit and in order: no loss, no repetition, no exchange."""
    wrong = next((number for number, (one, other) in enumerate(zip(recorded, found, strict=False)) if one != other), None)
    if wrong is None:
        if len(recorded) == len(found):
            return []
        wrong = min(len(recorded), len(found))
    if wrong >= len(found):
        what = f"the packet of {name(wrong)} and all after it are missing"
    elif wrong >= len(recorded):
        what = f"after {name(wrong - 1)}, the last, more follows"
    elif (home := _index(recorded, found[wrong])) is not None and home != wrong:
        what = f"where {name(wrong)} belongs stands the packet of {name(home)}"
    else:
        what = f"the packet of {name(wrong)} is none that was encoded for it"
    return [Finding("packets", wrong, wrong, f"{what} ({len(found)} packets, {len(recorded)} were encoded)")]


def noise_of(captured: Sequence[bytes], shown: Sequence[bytes]) -> float:
    """Levels by which encoding disturbed most frames. A frame that is out by one is compared with the one that it shows."""

    def own(number: int) -> int:
        near = difference(captured[number], shown[number])
        around = (other for other in (number - 1, number + 1) if 0 <= other < len(captured))
        return near if near < _VISIBLE_CHANGE else min(near, *(difference(captured[other], shown[number]) for other in around))

    return median([own(number) for number in range(min(len(captured), len(shown)))] or [0])


def tolerance_of(noise: float) -> int:
    """Levels by which a cell may differ in an output with that noise."""
    return min(max(_LEAST_TOLERANCE, round(_TOLERATED_NOISE * noise)), _MOST_TOLERANCE)


def compare_frames(captured: Sequence[bytes], shown: Sequence[bytes], noise: float, name: FrameNames, *, alpha: bool) -> list[Finding]:
    """Every finished frame must look like the captured frame of its number, and not more like the one before or after it."""
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
        findings.append(Finding("differs", *spans[_EXPLAINED], f"{len(wrong)} frames in all differ from what was captured"))
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
    """Says what wrong frames show instead: nothing, always the same, other frames, or something that was never captured."""

    def __init__(self, captured: Sequence[bytes], shown: Sequence[bytes], name: FrameNames, *, alpha: bool, tolerance: int) -> None:
        self._captured, self._shown, self._name = captured, shown, name
        self._alpha, self._tolerance = alpha, tolerance

    def __call__(self, first: int, last: int) -> Iterator[Finding]:
        """One finding for each part of the run `first` to `last` that has one explanation."""
        while first <= last:
            finding = self._part(first, last)
            yield finding
            first = finding.last + 1

    def _part(self, first: int, last: int) -> Finding:
        captured, shown = self._captured, self._shown
        black = self._while(first, last, lambda number: brightness(shown[number], alpha=self._alpha) <= _BLACK)
        if black >= first:
            level = max(brightness(captured[number], alpha=self._alpha) for number in range(first, black + 1))
            return self._found("black", first, black, f"black; captured was a picture with levels up to {level}")
        still = self._while(first, last, lambda number: number > 0 and difference(shown[number], shown[number - 1]) <= _STILL)
        if still >= first:
            change = max(difference(captured[number], captured[first - 1]) for number in range(first, still + 1))
            return self._found(
                "frozen", first, still, f"frozen, the picture is that of frame {first - 1}; captured frames changed by {change} levels"
            )
        home = self._home(first)
        if home is not None and home != first:
            end = self._while(first, last, lambda number: self._alike(number, home + number - first))
            return self._found("misplaced", first, end, f"shows what was captured for {self._name(home, home + end - first)}")
        worst = max(range(first, last + 1), key=lambda number: difference(captured[number], shown[number]))
        levels = difference(captured[worst], shown[worst])
        return self._found(
            "differs", first, last, f"differs from what was captured, by {levels} levels at frame {worst}; tolerated are {self._tolerance}"
        )

    def _found(self, kind: str, first: int, last: int, what: str) -> Finding:
        return Finding(kind, first, last, f"{self._name(first, last)}: {what}")

    def _while(self, first: int, last: int, holds: Callable[[int], bool]) -> int:
        """The last frame from `first` up to which `holds`; `first - 1` when it does not even there."""
        return next((number for number in range(first, last + 1) if not holds(number)), last + 1) - 1

    def _alike(self, number: int, other: int) -> bool:
        return other < len(self._captured) and difference(self._shown[number], self._captured[other]) <= self._tolerance

    def _home(self, number: int) -> int | None:
        """The captured frame that the finished frame `number` looks like; of equally good ones the nearest."""
        near = range(max(0, number - _SEARCHED), min(len(self._captured), number + _SEARCHED + 1))
        best = min(near, key=lambda other: (distance(self._shown[number], self._captured[other]), abs(other - number)))
        return best if self._alike(number, best) else None


def compare_with_plan(planned: Mapping[int, bytes], captured: Sequence[bytes], name: FrameNames, *, alpha: bool) -> list[Finding]:
    """What chunks captured must not be blank, nor stand still, where Plan saw a picture that was neither."""
    findings = []
    for number, seen in sorted(planned.items()):
        if is_blank(captured[number], alpha=alpha) and not is_blank(seen, alpha=alpha) and _far(seen, captured[number]):
            text = f"{name(number)}: the chunk captured one flat colour, Plan saw a picture"
            findings.append(Finding("blank", number, number, text))
    numbers = sorted(planned)
    for earlier, later in pairwise(numbers):
        if _far(planned[earlier], planned[later]) and all(captured[at] == captured[earlier] for at in range(earlier, later + 1)):
            text = f"{name(earlier, later)}: the chunks captured one and the same picture, Plan saw it change"
            findings.append(Finding("frozen", earlier, later, text))
    return findings


def unlike_plan(planned: Mapping[int, bytes], captured: Sequence[bytes]) -> list[int]:
    """Frames whose picture depends on the way to them: Plan, which jumps, saw something visibly else than the chunk, which walks."""
    return [number for number, seen in sorted(planned.items()) if _far(seen, captured[number])]


def _far(one: bytes, other: bytes) -> bool:
    return difference(one, other) > _LEAST_TOLERANCE


def _index(recorded: Sequence[str], packet: str) -> int | None:
    return recorded.index(packet) if packet in recorded else None
