"""Replaying: a chunk's page gets what the plan recorded, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import RemoteResponse


class Replay:
    """Answers from the plan; `files` are the plan's, by the keys of `Manifest.files`."""

    def __init__(self, responses: Mapping[str, RemoteResponse], files: Mapping[str, tuple[Path, str]]) -> None:
        self._responses = responses
        self._files = files
        # Every request that is intercepted costs a round trip, and those of the served project are http too.
        plain = {urlsplit(url).netloc for url in responses if url.startswith("http:")}
        self.prefixes: Sequence[str] = ("https://", *(f"http://{host}/" for host in sorted(plain)))
        """What to intercept. An address that begins with none of them reaches nobody: the browser is offline."""

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:  # noqa: ARG002 - as the recorder's
        """What `url` answered at plan time; `ASSET_UNAVAILABLE` when nothing asked for it then."""
        response = self._responses.get(url)
        if response is None:
            raise RenderError(
                ErrorCode.ASSET_UNAVAILABLE,
                f"{url} was not asked for when the render was planned, and chunks do not reach the network",
                hint="Make the composition ask for the same files every time: an address must not depend on the clock or on chance.",
            )
        return response, self._files[response.file][0] if response.file is not None else None
