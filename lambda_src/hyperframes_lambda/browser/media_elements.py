"""The `<video>` and `<audio>` elements of an open composition, as media.js finds them: what each plays, and when.

What the files hold is `media.probe`'s business, what follows for the plan is `media_inventory`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hyperframes_lambda.browser.media_sounds import ElementSound, read_sound


@dataclass(frozen=True)
class MediaReference:
    """An element that wants a file."""

    url: str
    """Absolute."""
    tag: str
    id: str
    page: str

    @property
    def name(self) -> str:
        """How messages call it."""
        return _name(self.tag, self.id, self.page)


@dataclass(frozen=True)
class MediaFacts:
    """What the page needs to know of a file: seconds, and the size of its picture in pixels (0 without one)."""

    duration: float
    width: int
    height: int


LookUp = Callable[[MediaReference], MediaFacts]
"""Looks into the file that an element wants; raises `RenderError` when it cannot be had or read."""


@dataclass(frozen=True)
class MediaElement:
    """One element, with its window resolved to seconds of the whole composition."""

    index: int
    """Its place among all media elements of the page and its same-origin frames, in document order, frames after their page."""
    tag: Literal["video", "audio"]
    id: str
    src: str
    """Absolute URL of the chosen source; empty when it has none."""
    page: str
    """Path of the page that holds it, below the served root."""
    start: float
    end: float | None
    """None when only the file's own length ends it: `ends` then says when."""
    held: bool
    """Whether it stays visible behind its end: the runtime hides an ended clip of the page, nobody hides one of a child frame."""
    limit: float | None
    """When the clips around it end; None when none of them does before the composition."""
    media_start: float
    """Source seconds at which it begins; `head` seconds of playing later it is `start`."""
    rate: float
    loop: bool
    has_audio: bool | None
    """`data-has-audio`; None when it is not there."""
    hidden: bool
    """Whether it or a clip around it has `data-hidden`: not displayed, and silent."""
    head: float = 0.0
    """Seconds that it would have played before `start`, had the composition around it not begun inside itself."""
    sound: ElementSound = field(default_factory=ElementSound)

    @property
    def name(self) -> str:
        """How messages call it: `<video id="hero"> in index.html`."""
        return _name(self.tag, self.id, self.page)

    def ends(self, file_end: float, composition_seconds: float) -> float:
        """When it ends, for a file that has been played at `file_end`: at its own end, else then, never later than its clips.

        One without an end of its own goes on to the end of the composition when it loops, begins behind the end of its file, or is `held`.
        """
        if self.end is not None:
            end = self.end
        elif self.loop or self.held or file_end <= self.start:
            end = composition_seconds
        else:
            end = file_end
        return min(end, composition_seconds if self.limit is None else min(self.limit, composition_seconds))


def _name(tag: str, element_id: str, page: str) -> str:
    return f'<{tag} id="{element_id}"> in {page}' if element_id else f"<{tag}> in {page}"


def read_elements(answer: list[dict[str, Any]]) -> list[MediaElement]:
    """From what `__HF_ENGINE__.media()` returns."""
    return [
        MediaElement(
            index=found["index"],
            tag=found["tag"],
            id=found["id"],
            src=found["src"],
            page=found["page"],
            start=float(found["start"]),
            end=None if found["end"] is None else float(found["end"]),
            held=found["held"],
            limit=None if found["limit"] is None else float(found["limit"]),
            media_start=float(found["mediaStart"]),
            head=float(found["head"]),
            rate=float(found["rate"]),
            loop=found["loop"],
            has_audio=None if found["hasAudio"] is None else found["hasAudio"] == "true",
            hidden=found["hidden"],
            sound=read_sound(found["sound"]),
        )
        for found in answer
    ]
