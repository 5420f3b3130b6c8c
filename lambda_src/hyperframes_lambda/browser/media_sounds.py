"""What the `<video>` and `<audio>` elements of an open composition say about their sound, as sound.js reads it.

What it means for the mix is `audio_inventory`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AudioGroup:
    """`<hf-audio-group>`: a fader that its members share."""

    id: str
    volume: float
    hidden: bool
    automation: str
    """`data-automation` as it stands there; empty without."""
    effects: bool


@dataclass(frozen=True)
class ElementSound:
    """Attributes of one element, in seconds and linear gain."""

    timed: bool = True
    """Whether it stands in a page with a `data-start`. In the page all have one, in frames and shadow trees what is meant to play."""
    fade_in: float = 0.0
    fade_out: float = 0.0
    automation: str = ""
    """`data-automation` as it stands there; empty without."""
    effects: bool = False
    """Whether the element or the whole composition has a `data-fx-chain`."""
    group: AudioGroup | None = None


@dataclass(frozen=True)
class Volume:
    """What the author wants an element's loudness to be after a seek."""

    volume: float
    """Linear, from `data-volume` or as a script set it last, 0 to 3.98."""
    muted: bool
    writes: int
    """How often scripts have set the volume or changed the muteness. A seek past a tween counts, whatever volume it leaves behind."""


def read_sound(found: dict[str, Any]) -> ElementSound:
    """From the `sound` of what `__HF_ENGINE__.media()` returns."""
    return ElementSound(
        timed=found["timed"],
        fade_in=float(found["fadeIn"]),
        fade_out=float(found["fadeOut"]),
        automation=found["automation"],
        effects=found["effects"],
        group=AudioGroup(**found["group"]) if found["group"] else None,
    )


def read_volumes(answer: list[dict[str, Any]]) -> dict[int, Volume]:
    """From what `__HF_ENGINE__.volumes()` returns: the volumes by the elements' numbers, which are their places."""
    return {index: Volume(float(found["volume"]), found["muted"], found["writes"]) for index, found in enumerate(answer)}
