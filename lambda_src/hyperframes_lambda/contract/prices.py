"""AWS prices, for the function's own metrics and the client's estimates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Prices:
    """List prices of one region on one day, in US dollars."""

    as_of: date
    region: str
    lambda_gb_second: float
    """Memory of an x86 function, in the first tier."""
    lambda_storage_gb_second: float
    """Scratch space beyond the 512 MB included."""
    lambda_request: float
    state_transition: float
    """Price of a state transition in a STANDARD workflow."""
    s3_put: float

    def invocation(self, seconds: float, memory_mb: int) -> float:
        """Price of one invocation. Lambda bills memory and scratch space by the millisecond, in GB of 1024 MB."""
        return seconds * self.lambda_second(memory_mb) + self.lambda_request

    def lambda_second(self, memory_mb: int) -> float:
        """Price of one second of a function with the template's scratch space."""
        storage_gb = (STORAGE_MB - _STORAGE_INCLUDED_MB) / 1024
        return memory_mb / 1024 * self.lambda_gb_second + storage_gb * self.lambda_storage_gb_second


STORAGE_MB = 10_240
"""Scratch space of the template's functions."""
_STORAGE_INCLUDED_MB = 512

PRICES = Prices(
    as_of=date(2025, 7, 1),
    region="us-east-1",
    lambda_gb_second=0.0000166667,
    lambda_storage_gb_second=0.0000000309,
    lambda_request=0.20 / 1_000_000,
    state_transition=0.025 / 1_000,
    s3_put=0.005 / 1_000,
)
"""Other regions differ by up to a third; estimates ignore that."""
