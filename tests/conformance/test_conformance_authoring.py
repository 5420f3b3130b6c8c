"""`check`, `info` and `snapshot` say the right thing of every composition of the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.authoring import check, info, snapshot
from hyperframes_lambda.composition import declared
from hyperframes_lambda.contract.authoring import Severity
from hyperframes_lambda.contract.config import RenderConfig
from tests.conformance.cases import CASES, REFUSALS, Case, Refusal

USES = {
    "random": {"unseeded-random"},
    "raf-clocks": {"wall-clock"},
}
"""What `check` warns of, by project; nothing in the others."""

KINDS = ("css-", "gsap-", "iframe-", "hf-", "three", "variables-given", "transparent", "font", "video-", "remote-", "google-")
OF_EACH_KIND = [next(case for case in CASES if case.name.startswith(kind)) for kind in KINDS]


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_has_nothing_against_any_composition(case: Case, conformance_project: Callable[[str], Path], tmp_path: Path) -> None:
    report = check(conformance_project(case.folder), case.sequence, tmp_path)

    assert report.renders, report.findings
    assert {finding.code for finding in report.findings} == USES.get(case.folder, set())
    assert report.seconds < 60


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", OF_EACH_KIND, ids=lambda case: case.name)
def test_info_and_snapshot_are_right_about_a_composition_of_each_kind(
    case: Case, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    project, config = conformance_project(case.folder), case.sequence
    middle = case.frames // 2

    found = info(project, config, tmp_path)
    (picture,) = snapshot(project, config, [middle / 25 + 0.001], tmp_path / "shots", tmp_path)

    declaration = declared(project, config.entry_file)
    assert (found.frames, found.fps, found.duration) == (case.frames, 25, case.frames / 25)
    assert [variable.id for variable in found.variables] == [variable.id for variable in declaration.variables]
    assert (found.composition_id, found.files) == (declaration.composition_id, sum(path.is_file() for path in project.rglob("*")))
    assert bool(found.videos) is case.folder.startswith("video-")
    assert bool(found.remote) is ("cdn." in page_of(project) or "unpkg.com" in page_of(project) or "fonts.googleapis" in page_of(project))
    assert picture.frame == middle
    pixels = np.asarray(Image.open(picture.path).convert("RGBA"))
    assert case.error(pixels, middle / 25) <= case.tolerance


@pytest.mark.usefixtures("one_browser")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_check_says_of_each_broken_one_what_a_render_would(
    case: Refusal, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    config = RenderConfig.model_validate({"variables": case.variables, "strictVariables": bool(case.variables)})

    report = check(conformance_project(case.folder), config, tmp_path)

    (finding,) = report.findings
    assert (finding.severity, finding.code) == (Severity.ERROR, case.code)
    assert [word for word in case.words if word not in f"{finding.message} {finding.hint}"] == []


def page_of(project: Path) -> str:
    return "".join(page.read_text(errors="replace") for page in project.rglob("*.html"))
