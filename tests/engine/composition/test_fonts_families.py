"""A family that is named but not linked is requested as rarely as possible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import RemoteResponse
from hyperframes_lambda.remote import Recorder
from hyperframes_lambda.remote.families import FamilyFinder


class Sheets:
    """Stands in for the recorder: answers with the address for the faces that a family has."""

    def __init__(self, folder: Path, has: tuple[str, ...]) -> None:
        self.asked: list[str] = []
        self._folder = folder
        self._has = has

    def answer(self, url: str, headers: Mapping[str, str]) -> tuple[RemoteResponse, Path | None]:
        assert headers == {}
        self.asked.append(url)
        faces = url.partition("family=Some+Sans")[2].partition("&")[0]
        if faces not in self._has:
            raise RenderError(ErrorCode.FONT_UNAVAILABLE, f"{url}: no")
        body = self._folder / "sheet.css"
        body.write_text(url)
        return RemoteResponse(status=200), body


@pytest.mark.parametrize(
    ("has", "found", "asked"),
    [((), None, 1), (("",), "family=Some+Sans&", 3), (("", ":wght@400;700"), "wght@400;700", 3)],
)
def test_the_richest_sheet_is_taken_and_a_family_that_is_nowhere_costs_one_question(
    tmp_path: Path, has: tuple[str, ...], found: str | None, asked: int
) -> None:
    sheets = Sheets(tmp_path, has)
    css = FamilyFinder(cast(Recorder, sheets))("Some Sans")

    assert (css is None) if found is None else (found in (css or ""))
    assert len(sheets.asked) == asked
