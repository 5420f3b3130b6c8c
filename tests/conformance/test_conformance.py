"""Every case is planned and drawn once; the tests of a case compare its frames, its chunks and the authoring verbs with that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hyperframes_lambda.authoring import check, info
from hyperframes_lambda.composition import declared
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.plan import plan
from tests.chunked import differing, rendered_in
from tests.conformance.cases import CASES, CLOSED_FORM, Case
from tests.conformance.materialise import materialise

USES = {
    "random": {"unseeded-random"},
    "raf-clocks": {"wall-clock"},
    "raf-canvas": {"wall-clock"},
}
"""The warnings of `check`, by project. The other projects have none."""
REMOTE = ("cdn.", "unpkg.com", "fonts.googleapis")


@dataclass(frozen=True)
class Drawn:
    """A case with its plan and the frames of one chunk that covers all of it."""

    case: Case
    project: Path
    work: Path
    manifest: Manifest
    frames: list[bytes]

    @property
    def plan_dir(self) -> Path:
        """Folder of the plan. The authoring verbs find it below `work` and do not plan again."""
        return self.work / "plan"


pytestmark = pytest.mark.usefixtures("one_browser")


@pytest.fixture(scope="module", params=(*CLOSED_FORM, *CASES), ids=lambda case: case.name)
def drawn(
    request: pytest.FixtureRequest, one_browser: None, toolset: Toolset, media_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Drawn:
    case: Case = request.param
    work = tmp_path_factory.mktemp(case.name)
    project = work / "projects" / case.folder
    materialise(case.folder, project, toolset, media_folder)
    manifest = plan(project, case.sequence, work / "plan")
    return Drawn(case, project, work, manifest, rendered_in(1, manifest, work / "plan", work))


def test_every_frame_equals_the_formula(drawn: Drawn) -> None:
    assert drawn.manifest.total_frames == drawn.case.frames
    drawn.case.require(drawn.frames, drawn.manifest.fps)


def test_the_frames_are_the_same_bytes_in_four_chunks(drawn: Drawn) -> None:
    assert differing(drawn.frames, rendered_in(4, drawn.manifest, drawn.plan_dir, drawn.work)) == []


@pytest.mark.parametrize("drawn", CLOSED_FORM, ids=lambda case: case.name, indirect=True)
def test_the_frames_are_the_same_bytes_in_seven_chunks(drawn: Drawn) -> None:
    assert differing(drawn.frames, rendered_in(7, drawn.manifest, drawn.plan_dir, drawn.work)) == []


def test_check_has_nothing_against_it(drawn: Drawn) -> None:
    report = check(drawn.project, drawn.case.sequence, drawn.work)

    assert report.renders, report.findings
    assert {finding.code for finding in report.findings} == USES.get(drawn.case.folder, set())
    assert report.seconds < 60


def test_info_describes_it(drawn: Drawn) -> None:
    config = drawn.case.sequence
    found = info(drawn.project, config, drawn.work)

    declaration = declared(drawn.project, config.entry_file)
    pages = "".join(page.read_text(errors="replace") for page in drawn.project.rglob("*.html"))
    assert (found.frames, found.fps, found.duration) == (drawn.case.frames, config.fps, drawn.case.frames / config.fps)
    assert [variable.id for variable in found.variables] == [variable.id for variable in declaration.variables]
    assert (found.composition_id, found.files) == (declaration.composition_id, sum(path.is_file() for path in drawn.project.rglob("*")))
    assert bool(found.videos) is drawn.case.folder.startswith("video-")
    assert bool(found.remote) is any(host in pages for host in REMOTE)
