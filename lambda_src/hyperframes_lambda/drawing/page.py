"""A planned composition, opened from its plan alone and drawn by frame numbers, for chunks and for authoring help."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyperframes_lambda.browser import BrowserSession, CompositionPage, PageReport, PageSpec, launch
from hyperframes_lambda.browser.interception import RemoteFiles
from hyperframes_lambda.browser.media_elements import LookUp
from hyperframes_lambda.composition import serve
from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.composition.probe import with_probe
from hyperframes_lambda.contract.chunks import frame_time
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.plan import Canvas, Manifest
from hyperframes_lambda.drawing.planned_media import PlannedMedia, planned_frames
from hyperframes_lambda.machine.plan_folder import verified_files
from hyperframes_lambda.machine.tools import Tools
from hyperframes_lambda.media.source_frames import SourceFrames
from hyperframes_lambda.remote import Replay

_USES = "[window, ...Array.from(window.frames)].flatMap(view => Object.values(view.__HF_PROBE__ || {}))"


class PlannedPage:
    """A composition's page that captures frames by their numbers."""

    def __init__(self, page: CompositionPage, manifest: Manifest, video: SourceFrames) -> None:
        self._page = page
        self._manifest = manifest
        self._video = video

    def capture(self, frame: int) -> bytes:
        """Return the PNG of a frame."""
        return self._page.capture(frame_time(frame, self._manifest.fps), self._video.at(frame))

    def uses(self) -> list[dict[str, Any]]:
        """Return the uses that the probe noted: `what` is used, at which `place`, and how often (`count`)."""
        return list(self._page.ask(_USES))

    @property
    def report(self) -> PageReport:
        """Console messages, errors and requests of the page."""
        return self._page.report


@dataclass(frozen=True)
class PlannedBrowser:
    """A browser and the server of a planned composition."""

    session: BrowserSession
    base_url: str
    manifest: Manifest
    ffmpeg: Path
    files: dict[str, tuple[Path, str]]
    pictures: dict[str, bytes]
    """Pictures of source videos that the server has at the moment."""

    @contextmanager
    def open(self, frames: Sequence[int]) -> Iterator[PlannedPage]:
        """Open a new page for capturing `frames` in this order."""
        manifest = self.manifest
        replay = Replay(manifest.remote, self.files)
        spec = page_spec(self.base_url, manifest.config, manifest.canvas, replay, PlannedMedia(manifest, self.base_url).look_up)
        with (
            self.session.open(spec) as page,
            planned_frames(self.ffmpeg, manifest, self.files, frames, self.pictures) as video,
        ):
            yield PlannedPage(page, manifest, video)


def page_spec(base_url: str, config: RenderConfig, canvas: Canvas, remote: RemoteFiles, media: LookUp) -> PageSpec:
    """Describe a page of a render, the same in Plan and in RenderChunk but for what answers its requests."""
    return PageSpec(
        base_url + quote(config.entry_file),
        canvas.width,
        canvas.height,
        canvas.scale,
        transparent=config.format.spec.alpha,
        variables=config.variables,
        remote=remote,
        media=media,
    )


@contextmanager
def planned_browser(
    plan_dir: Path,
    manifest: Manifest,
    tools: Tools,
    scratch: Path | None,
    *,
    needed: Collection[str] | None = None,
    probe_in: Path | None = None,
) -> Iterator[PlannedBrowser]:
    """Serve the plan and launch a browser. Only the blobs of `needed` files (default: all) must be present.

    With a scratch folder `probe_in`, the pages note what `check` reports. Raise `PLAN_ARTIFACT_DIGEST_MISMATCH` or an error of launching.
    """
    files = verified_files(plan_dir, manifest.files, needed)
    served = with_probe(files, probe_in) if probe_in else files
    pictures: dict[str, bytes] = {}
    with (
        serve(served | font_files(tools.fonts), pictures) as base_url,
        launch(tools.browser, scratch=scratch, reach=base_url) as session,
    ):
        yield PlannedBrowser(session, base_url, manifest, tools.ffmpeg.path, files, pictures)
