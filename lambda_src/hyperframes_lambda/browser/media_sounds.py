"""Sound attributes and volumes of the `<video>` and `<audio>` elements of an open composition, as sound.js reads them.

`planning` turns them into a mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AudioGroup:
    """An `<hf-audio-group>`: a fader that its members share."""

    id: str
    volume: float
    hidden: bool
    automation: str
    """`data-automation`, unparsed; empty when absent."""
    effects: bool


@dataclass(frozen=True)
class ElementSound:
    """The sound attributes of one element, in seconds and linear gain."""

    timed: bool = True
    """Whether it is attached and has a `data-start`. In the page every element has one, in frames and shadow trees those meant to play."""
    fade_in: float = 0.0
    fade_out: float = 0.0
    automation: str = ""
    """`data-automation`, unparsed; empty when absent."""
    effects: bool = False
    """Whether the element or the whole composition has a `data-fx-chain`."""
    group: AudioGroup | None = None


@dataclass(frozen=True)
class Volume:
    """The loudness of an element after a seek, as the author's scripts set it."""

    volume: float
    """Linear gain, 0 to 3.98: the last value that a script set, else `data-volume`."""
    muted: bool
    writes: int
    """How often scripts have set the volume or changed the mute state. A seek past a tween counts, even if the volume is the same."""


def read_sound(found: dict[str, Any]) -> ElementSound:
    """Read the `sound` of an element in the answer of `__HF_ENGINE__.media()`."""
    return ElementSound(
        timed=found["timed"],
        fade_in=float(found["fadeIn"]),
        fade_out=float(found["fadeOut"]),
        automation=found["automation"],
        effects=found["effects"],
        group=AudioGroup(**found["group"]) if found["group"] else None,
    )


def read_volumes(answer: list[dict[str, Any]]) -> dict[int, Volume]:
    """Read the answer of `__HF_ENGINE__.volumes()`: the volumes by the numbers of the elements."""
    return {index: Volume(float(found["volume"]), found["muted"], found["writes"]) for index, found in enumerate(answer)}
