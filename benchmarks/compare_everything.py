"""Compare every composition of this repository with the reference renderer, and write the table of docs/reference.md.

python benchmarks/compare_everything.py [-o REPORT_DIR] [NAME…]

The rows are the acceptance compositions, the conformance cases, the projects of `media_projects.py` and the demo. If a row is outside the
thresholds and has a closed form, both renderers draw it again as PNG frames: their distances from the formula show which one is right.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from compare_reference import EXIT_ALIKE, EXIT_DIFFERENT, Job, compare_job, render_both, write_report
from comparison import Comparison, decibel_text
from media_projects import write_projects as write_media_projects
from numpy.typing import NDArray
from PIL import Image
from reference import Reference, install

from hyperframes_lambda.composition.fonts import read_catalogue
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_provider.toolset import toolset_path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from tests.conformance import cases as conformance_cases  # noqa: E402
from tests.conformance import closed_form as formulas  # noqa: E402
from tests.conformance.materialise import write_projects as write_conformance_projects  # noqa: E402

Formula = Callable[[NDArray[np.uint8], float], float]

_CONFORMANCE_FPS = 25
"""The frame rate of the suite's compositions."""

_DEFAULT_FPS = 30

_LARGEST = "landscape"
"""Stands for custom output sizes: the reference has only named sizes, and this is the smallest."""


@dataclass(frozen=True)
class Row:
    """A job and its closed form, if there is one."""

    job: Job
    formula: Formula | None = None


@dataclass(frozen=True)
class Distance:
    """Distance of the worst PNG frame from its formula, in the formula's unit, and the number of that frame."""

    ours: float
    our_frame: int
    theirs: float
    their_frame: int

    def __str__(self) -> str:
        """Return a cell of the table."""
        return f"{self.ours:.2f} ({self.our_frame}), {self.theirs:.2f} ({self.their_frame})"


def rows(folder: Path, toolset: Toolset) -> Iterator[Row]:
    """Yield everything to compare; generated projects are written below `folder`."""
    compositions = ROOT / "tests" / "compositions"
    for composition in formulas.CASES:
        yield Row(Job(composition.name, compositions / composition.name, variables=composition.variables), composition.error)
    # The reference cannot render this page, so the nearest one that it can render stands in.
    nested = next(composition for composition in formulas.CASES if composition.name == "nested-variables")
    project = _edited(compositions / nested.name, folder / "nested-from-root", "parts/row.html", '"leaf.html"', '"parts/leaf.html"')
    yield Row(Job(project.name, project, variables=nested.variables), nested.error)

    cases = conformance_cases.CASES
    write_conformance_projects(sorted({case.folder for case in cases} | {"sound"}), folder / "conformance", toolset)
    for case in cases:
        resolution = _LARGEST if case.config.get("width", 0) == 640 else None
        job = Job(case.name, folder / "conformance" / case.folder, str(_CONFORMANCE_FPS), case.variables, resolution)
        yield Row(job, None if resolution else case.error)
        if case.name == "maplibre":
            unregistered = _edited(job.project, folder / "maplibre-unregistered", "index.html", "window.__hfMaplibre = [map];", "")
            yield Row(replace(job, name=unregistered.name, project=unregistered), case.error)
    sound = Job("sound", folder / "conformance" / "sound", str(_CONFORMANCE_FPS))
    yield Row(sound)
    muted = '<audio id="silent" src="media/880.wav" data-start="0" data-duration="1" muted></audio>'
    audible = _edited(sound.project, folder / "sound-without-muted", "index.html", muted, "")
    yield Row(replace(sound, name=audible.name, project=audible))

    write_media_projects(folder / "media", toolset.ffmpeg.path)
    for project in sorted((folder / "media").iterdir()):
        yield Row(Job(project.name, project))
    demo = ROOT / "dags" / "projects" / "demo"
    yield Row(Job("demo", demo))
    yield Row(Job("demo-own-font", _with_font(demo, folder / "demo-own-font", toolset)))


def _with_font(demo: Path, copy: Path, toolset: Toolset) -> Path:
    """Copy the demo with its font as a file: without a network the reference has only the weights 400 and 700."""
    fonts = toolset.fonts
    if fonts is None:
        raise FileNotFoundError("the toolset has no fonts")
    faces = read_catalogue(fonts).families["Open Sans"]
    latin = next(face for face in faces if face.style == "normal" and face.unicode_range.startswith("U+0000-00FF"))
    sheet = "assets/recap.css"
    rule = '@font-face { font-family: "Open Sans"; font-weight: 300 800; src: url(font.woff2); }'
    _edited(demo, copy, sheet, "html,", f"{rule}\nhtml,")
    shutil.copyfile(fonts.path.parent / latin.file, copy / "assets" / "font.woff2")
    return copy


def _edited(project: Path, copy: Path, page: str, old: str, new: str) -> Path:
    shutil.copytree(project, copy)
    text = (copy / page).read_text()
    if old not in text:
        raise ValueError(f"{page} of {project.name} has no {old}")
    (copy / page).write_text(text.replace(old, new, 1))
    return copy


def distance(row: Row, folder: Path, reference: Reference, toolset: Toolset) -> Distance | None:
    """Draw the row as PNG frames and measure both against its formula; return None without one, or if a renderer fails."""
    ours, theirs = folder / "ours", folder / "reference"
    if row.formula is None or render_both(replace(row.job, suffix=""), ours, theirs, reference, toolset) is not None:
        return None
    our, their = _pictures(ours), _pictures(theirs)
    if (our[0][..., 3] == 255).all():
        # In formats with alpha, the reference removes the page's background, which is white in every page with a formula.
        their = [_over_white(picture) for picture in their]
    fps = Fraction(row.job.fps or _DEFAULT_FPS)
    return Distance(*_worst(our, row.formula, fps), *_worst(their, row.formula, fps))


def _pictures(folder: Path) -> list[NDArray[np.uint8]]:
    return [np.asarray(Image.open(file).convert("RGBA")) for file in sorted(folder.glob("*.png"))]


def _over_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = picture[..., 3:].astype(np.float64) / 255
    return np.dstack([np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)), np.full(picture.shape[:2], 255)]).astype(np.uint8)


def _worst(pictures: list[NDArray[np.uint8]], formula: Formula, fps: Fraction) -> tuple[float, int]:
    errors = [formula(picture, float(number / fps)) for number, picture in enumerate(pictures)]
    worst = int(np.argmax(errors))
    return errors[worst], worst


def markdown(comparison: Comparison, found: Distance | None) -> str:
    """Return a row of the table of results."""
    verdict = "alike" if comparison.alike else "see below"
    if comparison.failure is not None:
        return f"| {comparison.name} | | | | | | {comparison.failure.partition(':')[0]}: see below | |"
    picture, sound = comparison.picture, comparison.sound
    heard = f"{sound.correlation:.4f}, {sound.lag * 1000:+.2f} ms, {sound.gain:+.2f} dB" if sound.ours or sound.theirs else ""
    number = picture.psnr.index(picture.psnr_min) if picture.psnr else 0
    mean, least = decibel_text(picture.psnr_mean), decibel_text(picture.psnr_min)
    cells = [comparison.name, picture.our_frames, mean, f"{least} ({number})", f"{picture.ssim_mean:.5f}"]
    return f"| {' | '.join(map(str, cells))} | {heard} | {verdict} | {found or ''} |"


HEAD = """| composition | frames | PSNR mean | worst frame | SSIM mean | sound: correlation, lag, level | | formula: ours, theirs |
|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Compare, write `report.json`, `report.txt` and `results.md`, and return the exit code."""
    parser = argparse.ArgumentParser(prog="compare_everything.py", description="Compare every composition of this repository.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "renders" / "compare", metavar="REPORT_DIR", help="default: renders/compare"
    )
    options = parser.parse_args()
    toolset = Toolset.model_validate_json(toolset_path().read_text())
    reference = install(toolset)
    options.output.mkdir(parents=True, exist_ok=True)
    found, lines = [], [HEAD]
    with tempfile.TemporaryDirectory(prefix="hyperframes-projects-") as scratch:
        for row in sorted(rows(Path(scratch), toolset), key=lambda row: row.job.name):
            if options.names and row.job.name not in options.names:
                continue
            comparison = compare_job(row.job, options.output, reference, toolset)
            measured = None if comparison.alike else distance(row, options.output / row.job.name, reference, toolset)
            found.append(comparison)
            lines.append(markdown(comparison, measured))
            sys.stderr.write(f"{lines[-1]}\n")
    write_report(found, options.output, reference)
    (options.output / "results.md").write_text("\n".join(lines) + "\n")
    return EXIT_ALIKE if all(comparison.alike for comparison in found) else EXIT_DIFFERENT


if __name__ == "__main__":
    sys.exit(main())
