"""A planned project, opened as a chunk opens it, as often as somebody wants to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.browser import BrowserSession, CompositionPage, PageReport, launch
from hyperframes_lambda.composition import serve
from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.composition.probe import with_probe
from hyperframes_lambda.contract.chunks import frame_time
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.media.source_frames import SourceFrames
from hyperframes_lambda.media_inventory import PlannedMedia, planned_frames
from hyperframes_lambda.plan import page_options
from hyperframes_lambda.plan_folder import verified_files
from hyperframes_lambda.remote import Replay
from hyperframes_lambda.tools import Tools

_USES = "[window, ...Array.from(window.frames)].flatMap(view => Object.values(view.__HF_PROBE__ || {}))"


class PlannedPage:
    """A composition's page that is asked for frames by their number."""

    def __init__(self, page: CompositionPage, manifest: Manifest, video: SourceFrames) -> None:
        self._page = page
        self._manifest = manifest
        self._video = video

    def capture(self, frame: int) -> bytes:
        """The PNG of one frame."""
        return self._page.capture(frame_time(frame, self._manifest.fps), self._video.at(frame))

    def uses(self) -> list[dict[str, Any]]:
        """What the probe noted: `what` is used at which `place`, how often (`count`)."""
        return list(self._page.ask(_USES))

    @property
    def report(self) -> PageReport:
        """What the page said and asked for."""
        return self._page.report


@dataclass(frozen=True)
class PlannedBrowser:
    """A browser beside the server of a planned project."""

    session: BrowserSession
    base_url: str
    manifest: Manifest
    remote: Replay
    video: SourceFrames

    @contextmanager
    def open(self) -> Iterator[PlannedPage]:
        """A fresh page."""
        answers: dict[str, Any] = {"remote": self.remote, "media": PlannedMedia(self.manifest, self.base_url).look_up}
        with self.session.open(self.base_url + quote(self.manifest.entry), **page_options(self.manifest), **answers) as page:
            yield PlannedPage(page, self.manifest, self.video)


@contextmanager
def planned_browser(
    plan_dir: Path, manifest: Manifest, tools: Tools, work: Path, *, frames: Sequence[int], probe: bool = False
) -> Iterator[PlannedBrowser]:
    """Serve the plan and launch a browser; its pages may be asked for `frames`, in any order. `probe` notes what `check` wants to know."""
    files = verified_files(plan_dir, manifest)
    pictures: dict[str, bytes] = {}
    with (
        serve((with_probe(files, work) if probe else files) | font_files(tools.fonts), pictures) as base_url,
        launch(tools.browser, scratch=work, reach=base_url) as session,
        planned_frames(tools.ffmpeg.path, manifest, files, frames, pictures) as video,
    ):
        yield PlannedBrowser(session, base_url, manifest, Replay(manifest.remote, files), video)
