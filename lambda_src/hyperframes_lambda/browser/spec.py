"""The description of a page to open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hyperframes_lambda.browser.interception import RemoteFiles
from hyperframes_lambda.browser.media_elements import LookUp


@dataclass(frozen=True)
class PageSpec:
    """A composition's page: its address, its size and what answers for it."""

    url: str
    width: int
    height: int
    """CSS pixels."""
    scale: float = 1.0
    """Device scale factor: the picture has `width * scale` by `height * scale` pixels."""
    transparent: bool = False
    """Keep the alpha channel instead of drawing on white."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Value of `window.__hfVariables`."""
    remote: RemoteFiles | None = None
    """Answers requests to the network. Without it every remote request is an `ASSET_UNAVAILABLE`."""
    media: LookUp | None = None
    """Looks into the files of `<video>` and `<audio>`. Without it a composition that has any is `COMPOSITION_UNSUPPORTED`."""
    ready_seconds: float = 45.0
    """Longest wait until the page is ready. A page that has nothing more to wait for is judged at once."""

    @property
    def base_url(self) -> str:
        """Root of the server that serves the page."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/"
