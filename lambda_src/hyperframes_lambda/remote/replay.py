"""Replaying: answer a chunk's page from the plan's recording, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import RemoteResponse


class Replay:
    """Answers from the plan. `files` are the plan's, by their keys in `Manifest.files`."""

    def __init__(self, responses: Mapping[str, RemoteResponse], files: Mapping[str, tuple[Path, str]]) -> None:
        self._responses = responses
        self._files = files
        # Each intercepted request costs a round trip, and requests for the served project are http as well.
        plain = {urlsplit(url).netloc for url in responses if url.startswith("http:")}
        self.prefixes: Sequence[str] = ("https://", *(f"http://{host}/" for host in sorted(plain)))
        """URL prefixes to intercept. Requests to other addresses fail, because the browser is offline."""

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:  # noqa: ARG002 - same signature as the recorder's
        """Return the answer recorded for `url`; `ASSET_UNAVAILABLE` when the plan recorded none."""
        response = self._responses.get(url)
        if response is None:
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"{url} was not requested when the render was planned, and chunks have no network access",
                hint="Make the composition request the same files every time: an address must not depend on the clock or on chance.",
            )
        return response, self._files[response.file][0] if response.file is not None else None
