"""`python -m hyperframes_lambda render PROJECT -o OUT`: the three roles on local folders, with chunks as parallel processes."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from hyperframes_lambda import __version__
from hyperframes_lambda.assemble import AssembleOutcome, assemble
from hyperframes_lambda.contract.config import RenderConfig, fps_to_wire, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import FORMATS, OutputFormat, format_of
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import on_grid, runs
from hyperframes_lambda.drawing.job import Events, FinishedSegment, Job
from hyperframes_lambda.drawing.workers import draw_in_workers
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.machine.workspace import as_disk_full, workspace
from hyperframes_lambda.plan import plan

EXIT_DONE, EXIT_FAILED, EXIT_WRONG_REQUEST, EXIT_INTERRUPTED = 0, 1, 2, 130

_WRONG_REQUEST = {ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_EVENT}
_MOST_CHUNKS = 1000
_PLAIN_LINE_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 the render failed, 2 the request was wrong, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
        with workspace() as work:
            try:
                outcome, manifest, seconds = _render(options, config, work)
            except (RenderError, OSError) as error:
                full = as_disk_full(error, work)
                if full is not None:
                    raise full from error
                raise
    except RenderError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return EXIT_WRONG_REQUEST if error.code in _WRONG_REQUEST else EXIT_FAILED
    except OSError as error:
        print(f"cannot render: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(
        f"done      {outcome.frames} frames \N{MIDDLE DOT} {outcome.duration:.3f} s \N{MIDDLE DOT} {manifest.width}x{manifest.height} "
        f"\N{MIDDLE DOT} {_megabytes(outcome.size)} \N{MIDDLE DOT} {outcome.frames / seconds:.1f} fps \N{MIDDLE DOT} {seconds:.1f} s"
    )
    print(f"output    {outcome.output}")
    for name, sidecar in outcome.sidecars.items():
        print(f"{name:<9} {sidecar}")
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hyperframes_lambda", description="Render HTML compositions to video on this machine.")
    parser.add_argument("--version", action="version", version=__version__)
    render = parser.add_subparsers(dest="command", required=True).add_parser("render", help="render one project")
    render.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    render.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="OUT.mp4, .webm, .mov, .gif, .m3u8, .png, .jpg, .webp, .m4a or .wav; a folder or a .tar of frames",
    )
    render.add_argument("--fps", help="frames per second: 24, 25, 30, 50, 60, 120 or 30000/1001 (default: data-fps, else 30)")
    render.add_argument("--width", type=int, help="pixels (default: the composition's own)")
    render.add_argument("--height", type=int, help="pixels")
    render.add_argument("--format", help="default: by the name of OUT")
    render.add_argument("--quality", help="draft, standard (default) or high")
    render.add_argument("--crf", type=int, metavar="N", help="the encoder's constant quality, in place of the quality's own")
    render.add_argument("--variables", metavar="JSON", help='values of the composition\'s variables: {"title": "Week 47"}')
    render.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other field: codec=h265, audio=false")
    render.add_argument("--chunk-size", type=int, metavar="N", help="frames in a chunk")
    render.add_argument("--max-parallel-chunks", type=int, metavar="N", help="most chunks to split into (default: one per worker)")
    render.add_argument("--workers", type=int, metavar="N", help="processes that render chunks (default: one per CPU)")
    return parser


def _config(options: argparse.Namespace) -> RenderConfig:
    """The configuration that the options make; `INVALID_CONFIG` names the option that is wrong."""
    if options.workers is not None and options.workers < 1:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"--workers {options.workers}: accepted are 1 and more")
    if not options.project.is_dir():
        raise RenderError(
            ErrorCode.INVALID_CONFIG, f"PROJECT {options.project} is no folder", hint="Name the folder that holds index.html."
        )
    fields = _fields(options.set)
    given = {
        "fps": options.fps,
        "width": options.width,
        "height": options.height,
        "format": options.format or _format_of(options.output),
        "quality": options.quality,
        "crf": options.crf,
        "variables": _variables(options.variables),
        "chunkSize": options.chunk_size,
        "maxParallelChunks": None if "targetChunkFrames" in fields else _max_parallel(options),
    }
    config = parse_config({name: value for name, value in given.items() if value is not None} | fields, where="option")
    named = format_of(options.output.suffix)
    if named is not None and named is not config.format and not options.output.is_dir():
        message = f"-o {options.output}: the format {config.format.value} does not make a {options.output.suffix}"
        raise RenderError(ErrorCode.INVALID_CONFIG, message, hint=f"End it in {config.format.spec.suffix}.")
    return config


def _fields(pairs: Sequence[str]) -> dict[str, Any]:
    """`["codec=h265", "audio=false"]` as fields; a value that is JSON is read as such."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RenderError(ErrorCode.INVALID_CONFIG, f"--set {pair}: NAME=VALUE is needed", hint="--set codec=h265")
        try:
            fields[name] = json.loads(text)
        except ValueError:
            fields[name] = text
    return fields


def _max_parallel(options: argparse.Namespace) -> int:
    if options.max_parallel_chunks is not None:
        return int(options.max_parallel_chunks)
    # On one machine more chunks than workers only launch more browsers, unless their size was asked for.
    return _MOST_CHUNKS if options.chunk_size is not None else min(_workers(options), _MOST_CHUNKS)


def _workers(options: argparse.Namespace) -> int:
    return int(options.workers or len(os.sched_getaffinity(0)))


def _format_of(output: Path) -> str:
    found = format_of(output.suffix)
    if found is not None and not output.is_dir():
        return found.value
    if output.suffix == "" or output.is_dir():
        return OutputFormat.PNG_SEQUENCE.value
    known = ", ".join(sorted({spec.suffix for spec in FORMATS.values()}))
    message = f"-o {output}: the ending {output.suffix} names no known format; known are {known}"
    raise RenderError(ErrorCode.INVALID_CONFIG, message, hint="Use OUT.mp4, a folder or OUT.tar; or say --format.")


def _variables(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"--variables is not JSON: {error}") from error


def _render(options: argparse.Namespace, config: RenderConfig, work: Path) -> tuple[AssembleOutcome, Manifest, float]:
    started = time.monotonic()
    plan_dir, segments = work / "plan", work / "segments"
    segments.mkdir()
    manifest = plan(options.project, config, plan_dir, scratch=work)
    chunks = len(manifest.chunks)
    print(
        f"plan      {manifest.total_frames} frames \N{MIDDLE DOT} {manifest.width}x{manifest.height} \N{MIDDLE DOT} "
        f"{fps_to_wire(manifest.fps)} fps \N{MIDDLE DOT} {chunks} chunk{'s' if chunks != 1 else ''}",
        flush=True,
    )
    drawn = _draw(manifest, plan_dir, segments, _workers(options), work)
    outcome = assemble(plan_dir, drawn, options.output)
    return outcome, manifest, time.monotonic() - started


def _draw(manifest: Manifest, plan_dir: Path, folder: Path, workers: int, work: Path) -> list[Path]:
    """Render every chunk of the plan, with that many processes, and return the segments in order."""
    # A chunk is drawn in one page, as on Lambda, unless there are fewer chunks than workers.
    share = -(-workers // max(1, len(manifest.chunks)))
    shared_out = [
        run
        for chunk in manifest.chunks
        for run in runs(on_grid(chunk.index, chunk.first, [(chunk.first, chunk.last)], manifest.segment_frames), share)
    ]
    display = Display(sys.stdout, manifest.total_frames, len(manifest.chunks))
    left = {chunk.index: chunk.frames for chunk in manifest.chunks}
    finished: list[FinishedSegment] = []
    drawn = 0

    def show(frames: int) -> None:
        nonlocal drawn
        drawn = max(drawn, frames)
        display.update(drawn, sum(not frames for frames in left.values()))

    def keep(one: FinishedSegment) -> None:
        finished.append(one)
        left[one.segment.chunk] -= one.segment.frames
        show(manifest.total_frames - sum(left.values()))

    events = Events(show, keep, lambda: False)
    try:
        job = Job(plan_dir=plan_dir, plan_hash=manifest.plan_hash, out_dir=folder, tools=find_tools(), scratch=work)
        draw_in_workers(job, shared_out, workers, events)
    finally:
        display.close()
    return [one.path for one in sorted(finished, key=lambda one: one.segment)]


class Display:
    """Frames, chunks, rate and time left: one line that is written over on a terminal, a line every few seconds elsewhere."""

    def __init__(self, stream: TextIO, frames: int, chunks: int) -> None:
        self._stream = stream
        self._frames = frames
        self._chunks = chunks
        self._frames_done = self._chunks_done = 0
        self._started = time.monotonic()
        self._shown_at = self._started
        self._shown = ""
        self._terminal = stream.isatty()

    def update(self, frames: int, chunks: int) -> None:
        """Take note that `frames` frames and `chunks` chunks are done, and write the state if it is time to."""
        self._frames_done, self._chunks_done = frames, chunks
        now = time.monotonic()
        if not self._terminal and now - self._shown_at < _PLAIN_LINE_SECONDS:
            return
        line = self._line(now - self._started)
        if line == self._shown:
            return
        self._shown, self._shown_at = line, now
        self._stream.write(f"\r{line}\x1b[K" if self._terminal else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal and self._shown:
            self._stream.write("\n")
            self._stream.flush()

    def _line(self, seconds: float) -> str:
        done = self._frames_done
        parts = [f"{done}/{self._frames} frames", f"{self._chunks_done}/{self._chunks} chunks"]
        if done and seconds > 0:
            rate = done / seconds
            parts += [f"{rate:.0f} fps", f"ETA {(self._frames - done) / rate:.0f} s"]
        return "render    " + " \N{MIDDLE DOT} ".join(parts)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


if __name__ == "__main__":
    # A supervisor's polite request to end is Ctrl-C by another name: browsers and encoders are ended with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
