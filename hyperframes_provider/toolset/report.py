"""The progress that a setup reports; the command line decides how it looks."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from hyperframes_provider.toolset.part import Part


class Phase(Enum):
    """A step in the installation of a part."""

    FETCH = "fetching"
    CHECK = "checking"
    UNPACK = "unpacking"
    DONE = "ready"


class SetupReporter(Protocol):
    """Receives every step. Several threads call it, but only one of them for any given part."""

    def waiting(self) -> None:
        """Another setup holds the cache."""

    def phase(self, part: Part, phase: Phase) -> None:
        """A part enters a phase."""

    def fetched(self, part: Part, size: int) -> None:
        """`size` bytes of the part's archive have arrived so far."""


class Silent:
    """A reporter that reports nothing."""

    def waiting(self) -> None:
        """Do nothing."""

    def phase(self, part: Part, phase: Phase) -> None:
        """Do nothing."""

    def fetched(self, part: Part, size: int) -> None:
        """Do nothing."""
