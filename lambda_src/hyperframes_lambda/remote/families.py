"""Families of Google Fonts that a composition uses without linking to them."""

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
"""Faces to request, from few to many; the last entry is the reference's. A source may refuse a sheet over one face that the family lacks;
if it refuses the first entry, the family does not exist."""


class FamilyFinder:
    """Finds the style sheet of a family, for inclusion in the page's own; font files are recorded when the page requests them."""

    def __init__(self, remote: Recorder) -> None:
        self._remote = remote
        self.missing: list[str] = []
        """Families that were requested and not found."""

    def __call__(self, family: str) -> str | None:
        """Return the style sheet with as many faces as possible; None when the family does not exist or cannot be reached."""
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
            # The caller decides whether a missing family is an error.
            return None
        return body.read_text(errors="replace") if response.status == 200 and body is not None else None
