"""Fonts of Google Fonts that a composition names without linking to them."""

from __future__ import annotations

from urllib.parse import quote_plus

from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.remote.record import Recorder

_SHEET = "https://fonts.googleapis.com/css2?family="
_FACES = (
    "&display=block",
    ":wght@400;700&display=block",
    ":ital,wght@0,100;0,200;0,300;0,400;0,500;0,600;0,700;0,800;0,900;1,400;1,700&display=block",
)
"""What is asked for, last what the reference asks for. A source may refuse a sheet for one face that the family does not have; a family
that is not there at all is known by the first of them."""


class FamilyFinder:
    """Gives the style sheet of a family, or None where there is no such family or no way to it.

    The sheet is for the page's own style sheet; its font files are recorded when the page asks for them.
    """

    def __init__(self, remote: Recorder) -> None:
        self._remote = remote
        self.missing: list[str] = []
        """Families that were asked for and could not be had."""

    def __call__(self, family: str) -> str | None:
        """The style sheet with as many faces as can be had."""
        least, *more = _FACES
        found = self._sheet(family, least)
        if found is None:
            self.missing.append(family)
            return None
        richer = (self._sheet(family, faces) for faces in reversed(more))
        return next((css for css in richer if css is not None), found)

    def _sheet(self, family: str, faces: str) -> str | None:
        try:
            response, body = self._remote.answer(f"{_SHEET}{quote_plus(family)}{faces}", {})
        except RenderError:
            # Whether a family is wanted that badly is for the caller to say.
            return None
        return body.read_text(errors="replace") if response.status == 200 and body is not None else None
