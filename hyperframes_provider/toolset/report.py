"""What a set-up tells while it works. How that looks is the command line's business."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from hyperframes_provider.toolset.pins import Part


class Phase(Enum):
    """What is being done to a part."""

    FETCH = "fetching"
    CHECK = "checking"
    UNPACK = "unpacking"
    DONE = "ready"


class SetupReporter(Protocol):
    """Told of every step; called from several threads, one part always from the same one."""

    def waiting(self) -> None:
        """Another set-up holds the cache."""

    def phase(self, part: Part, phase: Phase) -> None:
        """A part enters a phase."""

    def fetched(self, part: Part, size: int) -> None:
        """So many bytes of the part's archive have arrived."""


class Silent:
    """A reporter that says nothing."""

    def waiting(self) -> None:
        """Say nothing."""

    def phase(self, part: Part, phase: Phase) -> None:
        """Say nothing."""

    def fetched(self, part: Part, size: int) -> None:
        """Say nothing."""
