"""`python -m hyperframes_lambda render PROJECT -o OUT`: run the three roles on local folders, with parallel processes for the chunks."""

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
from hyperframes_lambda.assemble import assemble
from hyperframes_lambda.contract.config import RenderConfig, fps_to_wire, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import FORMATS, OutputFormat, format_of
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.segments import on_grid, runs
from hyperframes_lambda.drawing.job import Events, FinishedSegment, Job
from hyperframes_lambda.drawing.workers import draw_in_workers
from hyperframes_lambda.machine.tools import find_tools
from hyperframes_lambda.machine.workspace import workspace
from hyperframes_lambda.plan import plan

EXIT_DONE, EXIT_FAILED, EXIT_WRONG_REQUEST, EXIT_INTERRUPTED = 0, 1, 2, 130

_WRONG_REQUEST = {ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_EVENT}
_MOST_CHUNKS = 1000
_PLAIN_LINE_SECONDS = 2.0
_DOT = " \N{MIDDLE DOT} "


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed render, 2 wrong request, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        config = _config(options)
        with workspace() as work:
            _render(options, config, work)
    except RenderError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return EXIT_WRONG_REQUEST if error.code in _WRONG_REQUEST else EXIT_FAILED
    except OSError as error:
        print(f"cannot render: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hyperframes_lambda", description="Render HTML compositions to video on this machine.")
    parser.add_argument("--version", action="version", version=__version__)
    render = parser.add_subparsers(dest="command", required=True).add_parser("render", help="render a project")
    render.add_argument("project", type=Path, metavar="PROJECT", help="folder of the project")
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
    render.add_argument("--format", help="output format (default: from the name of OUT)")
    render.add_argument("--quality", help="draft, standard (default) or high")
    render.add_argument("--crf", type=int, metavar="N", help="constant quality of the encoder, in place of the one of --quality")
    render.add_argument("--variables", metavar="JSON", help='values of the composition\'s variables: {"title": "Week 47"}')
    render.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other field: codec=h265, audio=false")
    render.add_argument("--chunk-size", type=int, metavar="N", help="frames per chunk")
    render.add_argument("--max-parallel-chunks", type=int, metavar="N", help="largest number of chunks (default: one per worker)")
    render.add_argument("--workers", type=int, metavar="N", help="processes that render chunks (default: one per CPU)")
    return parser


def _config(options: argparse.Namespace) -> RenderConfig:
    """Return the configuration that the options make; `INVALID_CONFIG` names a wrong option."""
    if options.workers is None:
        options.workers = len(os.sched_getaffinity(0))
    if options.workers < 1:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"--workers {options.workers}: the least is 1")
    if not options.project.is_dir():
        message = f"PROJECT {options.project} is not a folder"
        raise RenderError(ErrorCode.INVALID_CONFIG, message, hint="Pass the folder that holds index.html.")
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
        message = f"-o {options.output}: the format {config.format.value} does not make a {options.output.suffix} file"
        raise RenderError(ErrorCode.INVALID_CONFIG, message, hint=f"End it in {config.format.spec.suffix}.")
    return config


def _fields(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `["codec=h265", "audio=false"]` as fields, with JSON values parsed."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise RenderError(ErrorCode.INVALID_CONFIG, f"--set {pair}: expected NAME=VALUE", hint="Example: --set codec=h265")
        try:
            fields[name] = json.loads(text)
        except ValueError:
            fields[name] = text
    return fields


def _max_parallel(options: argparse.Namespace) -> int:
    if options.max_parallel_chunks is not None:
        return int(options.max_parallel_chunks)
    # Unless their size was requested, more chunks than workers would only launch more browsers.
    return _MOST_CHUNKS if options.chunk_size is not None else min(options.workers, _MOST_CHUNKS)


def _format_of(output: Path) -> str:
    found = format_of(output.suffix)
    if found is not None and not output.is_dir():
        return found.value
    if output.suffix == "" or output.is_dir():
        return OutputFormat.PNG_SEQUENCE.value
    known = ", ".join(sorted({spec.suffix for spec in FORMATS.values()}))
    message = f"-o {output}: unknown ending {output.suffix}; known: {known}"
    raise RenderError(ErrorCode.INVALID_CONFIG, message, hint="Use OUT.mp4, a folder or OUT.tar, or pass --format.")


def _variables(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise RenderError(ErrorCode.INVALID_CONFIG, f"--variables is not JSON: {error}") from error


def _render(options: argparse.Namespace, config: RenderConfig, work: Path) -> None:
    started = time.monotonic()
    manifest = plan(options.project, config, work / "plan", scratch=work)
    chunks = len(manifest.chunks)
    size = f"{manifest.width}x{manifest.height}"
    frames = f"{manifest.total_frames} frames"
    _say("plan", frames, size, f"{fps_to_wire(manifest.fps)} fps", f"{chunks} chunk{'s' if chunks != 1 else ''}")
    segments = _draw(manifest, work, options.workers)
    outcome = assemble(work / "plan", segments, options.output)
    seconds = time.monotonic() - started
    frames, rate = f"{outcome.frames} frames", f"{outcome.frames / seconds:.1f} fps"
    _say("done", frames, f"{outcome.duration:.3f} s", size, _megabytes(outcome.size), rate, f"{seconds:.1f} s")
    _say("output", str(outcome.output))
    for name, sidecar in outcome.sidecars.items():
        _say(name, str(sidecar))


def _draw(manifest: Manifest, work: Path, workers: int) -> list[Path]:
    """Render every chunk of the plan with `workers` processes, and return the segments in order."""
    # A page draws a whole chunk, as on Lambda, unless there are fewer chunks than workers.
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

    out_dir = work / "segments"
    out_dir.mkdir()
    job = Job(plan_dir=work / "plan", plan_hash=manifest.plan_hash, out_dir=out_dir, tools=find_tools(), scratch=work)
    try:
        draw_in_workers(job, shared_out, workers, Events(show, keep, lambda: False))
    finally:
        display.close()
    return [one.path for one in sorted(finished, key=lambda one: one.segment)]


class Display:
    """Frames, chunks, rate and time left: one line rewritten in place on a terminal, a line every few seconds elsewhere."""

    def __init__(self, stream: TextIO, frames: int, chunks: int) -> None:
        self._stream = stream
        self._frames = frames
        self._chunks = chunks
        self._started = self._shown_at = time.monotonic()
        self._shown = ""
        self._terminal = stream.isatty()

    def update(self, frames: int, chunks: int) -> None:
        """Show that `frames` frames and `chunks` chunks are done, if a line is due."""
        now = time.monotonic()
        if not self._terminal and now - self._shown_at < _PLAIN_LINE_SECONDS:
            return
        line = self._line(frames, chunks, now - self._started)
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

    def _line(self, done: int, chunks: int, seconds: float) -> str:
        parts = [f"{done}/{self._frames} frames", f"{chunks}/{self._chunks} chunks"]
        if done and seconds > 0:
            rate = done / seconds
            parts += [f"{rate:.0f} fps", f"ETA {(self._frames - done) / rate:.0f} s"]
        return "render    " + _DOT.join(parts)


def _say(label: str, *parts: str) -> None:
    print(f"{label:<9} {_DOT.join(parts)}", flush=True)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


if __name__ == "__main__":
    # Treats SIGTERM like Ctrl-C, so that browsers and encoders end as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
