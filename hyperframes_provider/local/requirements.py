"""What the embedded endpoint stands on, checked before anything is started."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

MOTO_VERSION = "5.2.5"
"""The one version whose internals the corrections in this package were written for."""


class EndpointError(RuntimeError):
    """The embedded endpoint cannot be started or stopped; the message says why and what to do."""


def require_moto() -> None:
    """Raise `EndpointError` unless exactly `MOTO_VERSION` of moto is installed."""
    advice = 'Install the pinned one: pip install "hyperframes-provider[local]"'
    try:
        found = version("moto")
    except PackageNotFoundError:
        raise EndpointError(f"The embedded endpoint needs moto {MOTO_VERSION}, which is not installed. {advice}") from None
    if found != MOTO_VERSION:
        raise EndpointError(f"The embedded endpoint corrects moto {MOTO_VERSION} and no other version; {found} is installed. {advice}")


require_moto()
