"""A finished render without a browser: drawn pictures go the way of captured ones, through encoder, records and joining."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from hyperframes_lambda.contract.chunks import plan_chunks
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.formats import Kind
from hyperframes_lambda.contract.media import AudioTrack
from hyperframes_lambda.contract.plan import Build, Canvas, Manifest
from hyperframes_lambda.media.codecs import codec_of, sound_of
from hyperframes_lambda.media.concat import concatenate
from hyperframes_lambda.media.encode import RateControl, SegmentEncoder
from hyperframes_lambda.media.gate import gate
from hyperframes_lambda.media.gate_record import ChunkRecord, digest, packets_of, samples_of
from hyperframes_lambda.media.gif import make_gif

WIDTH, HEIGHT, FPS, FRAMES, CHUNK = 320, 180, Fraction(24), 24, 8
Ffmpeg = Callable[..., None]


def picture(frame: int, *, alpha: bool = False, still: bool = False) -> bytes:
    """A box that moves over a floor, before a wall or before nothing; `still` ones differ from each other in a single pixel."""
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0) if alpha else (30, 60, 90, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 120, WIDTH, HEIGHT), fill=(90, 40, 60, 200 if alpha else 255))
    left = 100 if still else 12 * frame
    draw.rectangle((left, 40, left + 40, 80), fill=(255, 165, 0, 255))
    image.putpixel((frame, 0), (255, 255, 255, 255))
    buffer = io.BytesIO()
    (image if alpha else image.convert("RGB")).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(frozen=True)
class Render:
    """A finished render with all that the gate holds it to."""

    output: Path
    manifest: Manifest
    records: list[ChunkRecord]
    segments: list[Path]
    mix: Path | None
    ffmpeg: Path

    def check(self, output: Path | None = None, *, exact: bool = False, **changes: Any) -> dict[str, Any]:
        """Put `output` through the gate; unless `exact`, its packets do not count, because tampering encoded it anew."""
        records = self.records if exact else [dataclasses.replace(record, packets=[]) for record in self.records]
        arguments: dict[str, Any] = {"mix": self.mix, "source": lambda file: self.output.parent / file, "decoder": self.decoder, **changes}
        manifest = arguments.pop("manifest", self.manifest)
        return gate(self.ffmpeg, output or self.output, manifest, arguments.pop("records", records), **arguments)

    @property
    def decoder(self) -> str | None:
        return codec_of(self.manifest.config).decoder


def manifest_of(config: RenderConfig, audio: Sequence[AudioTrack] = ()) -> Manifest:
    return Manifest(
        project_sha256="0" * 64,
        config=config,
        build=Build(renderer="0", browser="0", ffmpeg="0", runtime="0"),
        entry="index.html",
        files={},
        canvas=Canvas(width=WIDTH, height=HEIGHT, scale=1),
        fps=FPS,
        format=config.format,
        width=WIDTH,
        height=HEIGHT,
        total_frames=FRAMES,
        chunks=plan_chunks(FRAMES, CHUNK, 1000),
        segment_frames=CHUNK,
        audio=list(audio),
    )


def render(ffmpeg_path: Path, folder: Path, config: RenderConfig, *, mix: Path | None = None, still: bool = False) -> Render:
    """Render as chunks and Assemble do, with drawn pictures instead of captured ones."""
    audio = [AudioTrack(element="<audio id=tone>", file="tone.wav", start=0.25, end=0.75)] if mix else []
    manifest = manifest_of(config, audio)
    codec, alpha = codec_of(config), config.format.spec.alpha
    segments, records, pictures = [], [], [picture(frame, alpha=alpha, still=still) for frame in range(FRAMES)]
    for chunk in manifest.chunks:
        segment = folder / f"{chunk.index}{config.format.spec.segment_suffix}"
        rate = RateControl.of(config.quality, codec=codec)
        own = pictures[chunk.first : chunk.last + 1]
        with SegmentEncoder(ffmpeg_path, segment, fps=FPS, width=WIDTH, height=HEIGHT, frames=chunk.frames, rate=rate) as encoder:
            for png in own:
                encoder.write(png)
        segments.append(segment)
        packets = packets_of(ffmpeg_path, segment) if config.format.spec.kind is Kind.VIDEO else []
        records.append(ChunkRecord([digest(png) for png in own], encoder.thumbnails, packets, alpha))
    output = folder / f"output{config.format.spec.suffix}"
    if config.format.spec.kind is Kind.ANIMATION:
        make_gif(ffmpeg_path, segments, output, fps=FPS, loop=0)
    else:
        encoding = sound_of(config) if mix else None
        concatenate(ffmpeg_path, segments, output, fps=FPS, codec=codec, sound=mix, sound_options=encoding.options if encoding else None)
    seen = {frame: pictures[frame] for frame in range(0, FRAMES, 5)}
    samples = samples_of(ffmpeg_path, seen, folder, alpha=alpha, opaque_from=codec.opaque_from)
    manifest = manifest.model_copy(update={"samples": samples})
    return Render(output, manifest, records, segments, mix, ffmpeg_path)


def sound(ffmpeg: Ffmpeg, folder: Path) -> Path:
    """A tone as the source, and a mix that has it from 0.25 s to 0.75 s of one second."""
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=0.5:r=48000", "-ac", 2, folder / "tone.wav")
    ffmpeg("-i", folder / "tone.wav", "-af", "adelay=250:all=1,apad=whole_len=48000", folder / "mix.wav")
    return folder / "mix.wav"
