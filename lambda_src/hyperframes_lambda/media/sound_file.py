"""Write sound alone, as a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]  # ffmpeg-python ships no type information

from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_lambda.media.codecs import Sound, tagged
from hyperframes_lambda.media.process import compile_command, run

_CONTAINERS: dict[OutputFormat, dict[str, Any]] = {
    # Counts samples in place of the usual milliseconds, which would round the length.
    OutputFormat.M4A: {"format": "ipod", "movflags": "+faststart", "movie_timescale": 48_000},
    OutputFormat.WAV: {"format": "wav", "rf64": "auto"},
}


def encode_sound(ffmpeg_path: Path, mixed: Path, out: Path, *, kind: OutputFormat, sound: Sound, metadata: Mapping[str, str]) -> None:
    """Write the WAV `mixed` to `out` in the container `kind` with the encoding `sound` and tags."""
    encoded = ffmpeg.input(str(mixed))["a"].output(str(out), map_metadata=-1, **_CONTAINERS[kind], **sound.options)
    run(tagged(compile_command(encoded, ffmpeg_path), out, metadata), purpose=f"encoding {out.name}")
