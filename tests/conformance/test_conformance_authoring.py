"""`snapshot` draws the right picture of a composition of each kind, and `check` names what is wrong with a broken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperframes_lambda.authoring import check, snapshot
from hyperframes_lambda.contract.authoring import Severity
from hyperframes_lambda.contract.config import RenderConfig
from tests.conformance.cases import CASES, REFUSALS, Case, Refusal

pytestmark = pytest.mark.usefixtures("one_browser")

KINDS = ("gsap-", "hf-", "variables-given", "transparent", "video-")
OF_EACH_KIND = [next(case for case in CASES if case.name.startswith(kind)) for kind in KINDS]


@pytest.mark.parametrize("case", OF_EACH_KIND, ids=lambda case: case.name)
def test_a_snapshot_is_right_about_a_composition_of_each_kind(
    case: Case, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    project, middle = conformance_project(case.folder), case.frames // 2

    (picture,) = snapshot(project, case.sequence, [middle / 25 + 0.001], tmp_path / "shots", tmp_path)

    assert picture.frame == middle
    pixels = np.asarray(Image.open(picture.path).convert("RGBA"))
    assert case.error(pixels, middle / 25) <= case.tolerance


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_check_reports_of_each_broken_one_what_a_render_would(
    case: Refusal, conformance_project: Callable[[str], Path], tmp_path: Path
) -> None:
    config = RenderConfig.model_validate({"variables": case.variables, "strictVariables": bool(case.variables)})

    report = check(conformance_project(case.folder), config, tmp_path)

    (finding,) = report.findings
    assert (finding.severity, finding.code) == (Severity.ERROR, case.code)
    assert [word for word in case.words if word not in f"{finding.message} {finding.hint}"] == []
