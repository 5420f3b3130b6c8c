"""The `<video>` and `<audio>` elements of an open composition, as scripts/bridge/media.js lists them: source, time and sound of each.

`media.probe` reads the files; `planning` draws the conclusions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hyperframes_lambda.browser.media_sounds import ElementSound, read_sound


@dataclass(frozen=True)
class MediaReference:
    """An element that plays a file."""

    url: str
    """Absolute."""
    tag: str
    id: str
    page: str

    @property
    def name(self) -> str:
        """Name for messages."""
        return _name(self.tag, self.id, self.page)


@dataclass(frozen=True)
class MediaFacts:
    """The facts of a file that the page needs: seconds, and the size of its picture in pixels (0 without one)."""

    duration: float
    width: int
    height: int


LookUp = Callable[[MediaReference], MediaFacts]
"""Look into the file that an element plays; raise `RenderError` when it is unavailable or unreadable."""


@dataclass(frozen=True)
class MediaElement:
    """One element, with its window resolved to seconds of the whole composition."""

    index: int
    """Position among all media elements of the page and its same-origin frames, in document order, frames after their page."""
    tag: Literal["video", "audio"]
    id: str
    src: str
    """Absolute URL of the chosen source; empty without one."""
    page: str
    """Path of its page below the served root."""
    start: float
    end: float | None
    """None when only the length of the file ends it; see `ends`."""
    held: bool
    """Whether it stays visible after its end: the runtime hides ended clips of the page, but not those of child frames."""
    limit: float | None
    """End of the clips around it; None when none ends before the composition."""
    media_start: float
    """Source seconds at which it begins, `head` seconds of playing before `start`."""
    rate: float
    loop: bool
    has_audio: bool | None
    """`data-has-audio`; None when absent."""
    hidden: bool
    """Whether it or a clip around it has `data-hidden`, and so is invisible and silent."""
    head: float = 0.0
    """Seconds of playing before `start` that the in-point of the composition around it cuts off."""
    sound: ElementSound = field(default_factory=ElementSound)

    @property
    def name(self) -> str:
        """Name for messages: `<video id="hero"> in index.html`."""
        return _name(self.tag, self.id, self.page)

    def ends(self, file_end: float, composition_seconds: float) -> float:
        """Return when it ends: at its own end, else at `file_end`, when its file has been played; never later than its clips.

        Without an end of its own it lasts to the end of the composition if it loops, begins after the end of its file, or is `held`.
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
    """Read the answer of `__HF_ENGINE__.media()`."""
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
