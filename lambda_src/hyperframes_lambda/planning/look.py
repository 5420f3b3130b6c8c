"""The look at the page: open the compiled project once, as a chunk would, and note what its chunks need to know."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from hyperframes_lambda.browser import launch
from hyperframes_lambda.composition import serve
from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.contract.chunks import frame_time, total_frames
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.media import AudioTrack, MediaSource, VideoClip
from hyperframes_lambda.contract.plan import Canvas, PlanFile, Sample
from hyperframes_lambda.contract.segments import Segment
from hyperframes_lambda.contract.sizing import FrameCost
from hyperframes_lambda.drawing.page import page_spec
from hyperframes_lambda.drawing.segments import SegmentFormat
from hyperframes_lambda.machine.plan_folder import verified_files
from hyperframes_lambda.machine.tools import Tools
from hyperframes_lambda.media.codecs import codec_of
from hyperframes_lambda.media.gate_record import samples_of
from hyperframes_lambda.media.png import require_size
from hyperframes_lambda.media.source_frames import SourceFrames
from hyperframes_lambda.planning.audio_inventory import audio_tracks
from hyperframes_lambda.planning.media_inventory import MediaSearch, require_settled, video_clips
from hyperframes_lambda.remote import Recorder

_SAMPLED_FRAMES = 9
_ENCODED_FRAMES = 4
"""About as many of the sampled frames are encoded to measure what that costs."""
_VISITED_FRAMES = 300
"""Frames to seek to without drawing: all of a short composition, evenly spread ones of a long one."""
_NETWORK_SECONDS = 180.0
"""Longest wait for a page that loads remote files."""


@dataclass(frozen=True)
class Subject:
    """The compiled project and the output planned for it."""

    config: RenderConfig
    files: dict[str, PlanFile]
    canvas: Canvas
    width: int
    height: int
    """Pixels of the output."""
    fps: Fraction


@dataclass(frozen=True)
class Seen:
    """The findings: length and media of the page, samples of its frames, and their cost."""

    total: int
    """Frames of the composition."""
    sources: dict[str, MediaSource]
    carried: dict[str, PlanFile]
    """Files that the page carries in data: URLs."""
    clips: list[VideoClip]
    audio: list[AudioTrack]
    samples: list[Sample]
    cost: FrameCost


def look(subject: Subject, plan_dir: Path, tools: Tools, scratch: Path | None, remote: Recorder) -> Seen:
    """Open the planned files as a chunk would, seek through the whole timeline and draw sampled frames.

    Visiting the timeline lets `remote` record every request of a chunk, however late. Drawing makes a script that throws late, or a
    missing file that is needed late, fail here once instead of in every chunk, and gives the verification gate frames to compare.
    """
    config, fps, ffmpeg = subject.config, subject.fps, tools.ffmpeg.path
    files = verified_files(plan_dir, subject.files)
    drawn: dict[int, bytes] = {}
    seconds: list[float] = []
    pictures: dict[str, bytes] = {}
    asked: set[str] = set()
    with (
        serve(files | font_files(tools.fonts), pictures, asked=asked) as base_url,
        launch(tools.browser, scratch=scratch, reach=base_url) as browser,
    ):
        media = MediaSearch(ffmpeg, base_url, files, remote, plan_dir)
        spec = replace(page_spec(base_url, config, subject.canvas, remote, media.look_up), ready_seconds=_NETWORK_SECONDS)
        with browser.open(spec) as page:
            total = total_frames(page.duration, fps)
            found = media.found(page.media, page.duration)
            clips = video_clips(found)
            volumes = page.volumes()
            for frame in _spread(total, _VISITED_FRAMES):
                page.visit(frame_time(frame, fps))
            audio = audio_tracks(found, volumes, page.volumes(), lambda seconds: page.volumes(float(seconds)), fps)
            frames = sampled_frames(total)
            with SourceFrames(ffmpeg, clips, media.sources, media.file, frames=frames, fps=fps, pictures=pictures) as video:
                for frame in frames:
                    started = time.perf_counter()
                    drawn[frame] = page.capture(frame_time(frame, fps), video.at(frame))
                    seconds.append(time.perf_counter() - started)
                    require_size(drawn[frame], frame, subject.width, subject.height)
            require_settled(page.stray_media())
    samples = samples_of(ffmpeg, drawn, plan_dir, alpha=config.format.spec.alpha, opaque_from=codec_of(config).opaque_from)
    read = asked | remote.asked()
    sources = {key: source.model_copy(update={"read_by_page": key in read}) for key, source in media.sources.items()}
    segments = SegmentFormat(ffmpeg, config, fps, subject.width, subject.height)
    cost = FrameCost.measured(seconds, _encoding_seconds(segments, list(drawn.values()), plan_dir))
    return Seen(total, sources, media.carried, clips, audio, samples, cost)


def sampled_frames(total: int) -> list[int]:
    """Return the frames to draw: the first, the last and some evenly between, in order, none twice."""
    return _spread(total, _SAMPLED_FRAMES)


def _spread(total: int, most: int) -> list[int]:
    count = min(total, most)
    return [0] if count == 1 else [round(number * (total - 1) / (count - 1)) for number in range(count)]


def _encoding_seconds(segments: SegmentFormat, drawn: Sequence[bytes], folder: Path) -> float:
    """Measure the processor time of encoding a frame, on some of the drawn ones, which have less in common than neighbours."""
    encoded = drawn[:: max(1, len(drawn) // _ENCODED_FRAMES)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (
        tempfile.TemporaryDirectory(prefix=".encode-", dir=folder) as scratch,
        segments.writer(Segment(0, 0, len(encoded) - 1), Path(scratch) / "segment") as writer,
    ):
        for png in encoded:
            writer.write(png)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(encoded)
