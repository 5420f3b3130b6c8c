"""Render projects with the reference renderer and with ours, and measure the differences in pictures, sound and streams.

python benchmarks/compare_reference.py PROJECT… [-o REPORT_DIR] [--fps 30] [--variables JSON] [--resolution landscape] [--format webm]

Both use the same browser, the same ffmpeg, one worker, and H.264 at a quantiser finer than the differences in question, so what remains is
due to the renderers. Exit with 1 if a project is outside the thresholds, with 2 if nothing could be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from comparison import Comparison, compare, failed, table
from reference import Reference, ReferenceError, install

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, Toolset
from hyperframes_provider.toolset import toolset_path

EXIT_ALIKE, EXIT_DIFFERENT, EXIT_NOTHING = 0, 1, 2

CRF = 4
"""Visually lossless: above 48 dB on every composition tried, so below 40 dB the pictures differ and not just the encoders."""

_RENDER_SECONDS = 900.0

RESOLUTIONS = {"landscape": 1920, "portrait": 1080, "square": 1080, "landscape-4k": 3840, "portrait-4k": 2160, "square-4k": 2160}
"""Widths of the reference's named sizes."""


@dataclass(frozen=True)
class Job:
    """One project with its settings for both renderers; `name` names its reports."""

    name: str
    project: Path
    fps: str | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    resolution: str | None = None
    suffix: str = ".mp4"

    def options(self, size: str, value: str | None) -> list[str]:
        """Return the options that both command lines share, and the output size under the given option name."""
        named = {"--fps": self.fps, "--variables": json.dumps(self.variables) if self.variables else None, size: value}
        return [word for name, given in named.items() if given is not None for word in (name, given)]


class _Scripts(HTMLParser):
    """The `src` of every script."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value for name, value in attrs if tag == "script" and name == "src" and value]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the projects named on the command line, print the table, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = [project.resolve().name for project in options.projects]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        parser.error(f"several projects are named {', '.join(twice)}: their reports would share a folder")
    try:
        toolset = Toolset.model_validate_json(toolset_path().read_text())
        variables = json.loads(options.variables) if options.variables else {}
        reference = install(toolset)
    except (ReferenceError, OSError, ValueError) as error:
        sys.stderr.write(f"cannot compare: {error}\n")
        return EXIT_NOTHING
    options.output.mkdir(parents=True, exist_ok=True)
    found = []
    for project, name in zip(options.projects, names, strict=True):
        sys.stderr.write(f"comparing {project}\n")
        job = Job(name, project, options.fps, variables, options.resolution, f".{options.format}")
        found.append(compare_job(job, options.output, reference, toolset))
    write_report(found, options.output, reference)
    sys.stdout.write((options.output / ("report.json" if options.json else "report.txt")).read_text())
    return EXIT_ALIKE if all(comparison.alike for comparison in found) else EXIT_DIFFERENT


def write_report(found: Sequence[Comparison], folder: Path, reference: Reference) -> None:
    """Write `report.json`, for machines, and `report.txt`, a table."""
    report = {"reference": reference.version, "crf": CRF, "projects": [comparison.as_json() for comparison in found]}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.txt").write_text(table(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compare_reference.py", description="Compare our renders with the reference renderer's.")
    parser.add_argument("projects", type=Path, nargs="+", metavar="PROJECT", help="a project's folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("renders/compare"), metavar="REPORT_DIR", help="default: renders/compare")
    parser.add_argument("--fps", help="frames per second for both (default: data-fps, else 30)")
    parser.add_argument("--variables", metavar="JSON", help="values of the composition's variables, for both")
    parser.add_argument("--resolution", choices=sorted(RESOLUTIONS), help="output size, for both (default: the composition's own)")
    parser.add_argument("--format", choices=("mp4", "webm", "mov"), default="mp4", help="for both (default: mp4)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of a table")
    return parser


def compare_job(job: Job, reports: Path, reference: Reference, toolset: Toolset) -> Comparison:
    """Render with both and measure; both outputs and the worst frames stay in `reports / job.name`."""
    folder = reports / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    ours, theirs = folder / f"ours{job.suffix}", folder / f"reference{job.suffix}"
    failure = render_both(job, ours, theirs, reference, toolset)
    return compare(job.name, ours, theirs, folder) if failure is None else failed(job.name, failure)


def render_both(job: Job, ours: Path, theirs: Path, reference: Reference, toolset: Toolset) -> str | None:
    """Render with both; return the first failure's message. A name without a suffix becomes a folder of PNG frames."""
    with tempfile.TemporaryDirectory(prefix="hyperframes-compare-") as scratch:
        copy = complete_copy(job.project, Path(scratch) / job.name, toolset)
        failure = _render_ours(copy, ours, job)
        if failure is not None:
            return f"ours failed: {failure}"
        try:
            reference.render(copy, theirs.resolve(), crf=CRF, options=job.options("--resolution", job.resolution))
        except ReferenceError as error:
            return f"the reference failed: {error}"
    return None


def complete_copy(project: Path, folder: Path, toolset: Toolset) -> Path:
    """Copy the project, and add the script libraries that its pages expect and the checkout lacks."""
    shutil.copytree(project, folder)
    libraries = {tool.path.name: tool.path for tool in toolset.libraries.values()}
    for page in sorted(folder.rglob("*.html")):
        scripts = _Scripts()
        scripts.feed(page.read_text(encoding="utf-8", errors="replace"))
        for source in scripts.sources:
            # A sub-composition's paths are relative to its own page or to the project's root.
            places = [page.parent / source, folder / source]
            library = libraries.get(Path(source).name)
            if library is None or "://" in source or any(place.is_file() for place in places):
                continue
            for place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(library, place)
    return folder


def _render_ours(project: Path, output: Path, job: Job) -> str | None:
    """Render with this checkout; return the message of a failure."""
    command = [sys.executable, "-m", "hyperframes_lambda", "render", str(project), "-o", str(output)]
    command += ["--quality", "high", "--workers", "1"]
    command += ["--crf", str(CRF)] if output.suffix in (".mp4", ".webm") else []
    command += job.options("--width", str(RESOLUTIONS[job.resolution]) if job.resolution else None)
    environment = {**os.environ, TOOLSET_VARIABLE: str(toolset_path())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=_RENDER_SECONDS, check=False)
    return None if done.returncode == 0 else " | ".join(done.stderr.strip().splitlines()[-3:])


if __name__ == "__main__":
    sys.exit(main())
