"""Render one plan in any number of chunks and compare the captured frames."""

from __future__ import annotations

import tarfile
from pathlib import Path

from hyperframes_lambda.contract.chunks import ChunkRange
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.machine.plan_folder import write_manifest
from hyperframes_lambda.render_chunk import render_chunk


def rendered_in(chunks: int, manifest: Manifest, plan_dir: Path, work: Path) -> list[bytes]:
    """Render a plan of an image sequence in so many chunks, in a folder of `work`, and return the PNG bytes of every frame."""
    total = manifest.total_frames
    bounds = [total * number // chunks for number in range(chunks + 1)]
    planned = [ChunkRange(index=n, first=bounds[n], last=bounds[n + 1] - 1) for n in range(chunks)]
    write_manifest(plan_dir, manifest.model_copy(update={"chunks": planned}).sealed())
    out = work / f"in-{chunks}"
    out.mkdir()
    frames = []
    for chunk in planned:
        for segment in render_chunk(plan_dir, chunk.index, out).finished:
            with tarfile.open(segment.path) as archive:
                members = sorted(archive, key=lambda entry: entry.name)
                frames += [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
    assert len(frames) == total
    return frames


def differing(frames: list[bytes], others: list[bytes]) -> list[int]:
    """Return the numbers of the frames that differ."""
    return [number for number, (one, other) in enumerate(zip(frames, others, strict=True)) if one != other]
