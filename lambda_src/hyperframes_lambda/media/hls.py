"""HTTP live streaming: cut a finished MP4 into fragments without re-encoding, and list them in playlists.

A player opens the master playlist `recap.m3u8`. Beside it lie `recap-media.m3u8`, which lists the fragments, `recap-init.mp4` and
`recap-00000.m4s`, …: all are needed, begin with its name, and refer to each other by name alone.
"""

from __future__ import annotations

import re
import shutil
from fractions import Fraction
from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.media.process import compile_command, run
from hyperframes_lambda.media.verify import wrong

CONTENT_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment"}
"""Media types of the files, by suffix."""

_DEFAULT_SECONDS = 4
_LENGTH = re.compile(r"#EXTINF:([0-9.]+),\n(\S+)")


def fragment_frames(fps: Fraction, seconds: int | None) -> int:
    """Return the frames in a fragment of about `seconds` (default: four), the same throughout the render and independent of chunks."""
    return round(fps * (seconds or _DEFAULT_SECONDS))


def keyframes(first: int, every: int) -> str:
    """Return the ffmpeg expression that is true for each frame that starts a fragment, in a segment that starts at frame `first`."""
    return f"not(mod(n+{first},{every}))"


def package(ffmpeg_path: Path, video: Path, out: Path, *, fps: Fraction, frames: int, every: int, width: int, height: int) -> list[Path]:
    """Cut the H.264 file `video` into fragments of `every` frames beside the master playlist `out`.

    Return every file, the master playlist last: published in that order, the package is never seen incomplete. Raise `VERIFICATION_FAILED`
    when the number or the lengths of the fragments differ from the plan.
    """
    media, init = out.with_name(f"{out.stem}-media.m3u8"), out.with_name(f"{out.stem}-init.mp4")
    options = {
        "format": "hls",
        "c": "copy",
        "map": 0,
        # Sound starts before zero with priming that an edit list skips; otherwise everything would be delayed by it.
        "avoid_negative_ts": "disabled",
        "hls_time": float(every / fps),
        "hls_playlist_type": "vod",
        "hls_flags": "independent_segments",
        "hls_segment_type": "fmp4",
        "hls_fmp4_init_filename": init.name,
        "hls_segment_filename": str(out.with_name(f"{out.stem.replace('%', '%%')}-%05d.m4s")),
    }
    run(compile_command(ffmpeg.input(str(video)).output(str(media), **options), ffmpeg_path), purpose="cutting the fragments")
    # ffmpeg rounds the target to whole seconds, and a target of zero is invalid.
    text = media.read_text("utf-8").replace("#EXT-X-TARGETDURATION:0\n", "#EXT-X-TARGETDURATION:1\n")
    media.write_text(text, "utf-8")
    fragments = [(Fraction(seconds), out.with_name(name)) for seconds, name in _LENGTH.findall(text)]
    planned = [Fraction(min(every, frames - first)) / fps for first in range(0, frames, every)]
    lengths = [seconds for seconds, _ in fragments]
    if len(lengths) != len(planned) or any(abs(one - other) > Fraction(1, 1000) for one, other in zip(lengths, planned, strict=True)):
        found = [f"{float(seconds):.3f}" for seconds in lengths[:10]]
        raise wrong(media, f"its {len(lengths)} fragments last {', '.join(found)} s; planned: {len(planned)} of {every} frames")
    out.write_text(_master(media, init, fragments, fps, f"{width}x{height}"), "utf-8")
    return [init, *(path for _, path in fragments), media, out]


def joined_fragments(files: list[Path], out: Path) -> Path:
    """Write the fragments of a package to one file, as a player reads them, for verification like any video."""
    with out.open("wb") as whole:
        for file in files:
            if file.suffix in (".mp4", ".m4s"):
                with file.open("rb") as part:
                    shutil.copyfileobj(part, whole)
    return out


def is_fragment(name: str, stem: str) -> bool:
    """Whether `name` is a fragment of the package with the master playlist `stem`.m3u8."""
    return re.fullmatch(re.escape(stem) + r"-[0-9]{5,}\.m4s", name) is not None


def _master(media: Path, init: Path, fragments: list[tuple[Fraction, Path]], fps: Fraction, resolution: str) -> str:
    header = init.read_bytes()
    at = header.index(b"avcC") + len(b"avcC") + 1
    codecs = [f"avc1.{header[at : at + 3].hex()}"] + (["mp4a.40.2"] if b"mp4a" in header else [])
    bits = [(path.stat().st_size * 8, seconds) for seconds, path in fragments]
    peak, average = max(size / seconds for size, seconds in bits), sum(size for size, _ in bits) / sum(seconds for _, seconds in bits)
    stream = (
        f"BANDWIDTH={round(peak)},AVERAGE-BANDWIDTH={round(average)},RESOLUTION={resolution},"
        f'FRAME-RATE={float(fps):.3f},CODECS="{",".join(codecs)}"'
    )
    return f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:{stream}\n{media.name}\n"
