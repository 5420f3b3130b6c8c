"""The compositions to render: small ones from the package, or any project folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import hyperframes_provider
from hyperframes_provider.client.aws.errors import InvalidRequest

_COMPOSITIONS = Path(__file__).parent / "compositions"
_DEMO = Path(hyperframes_provider.__file__).parents[1] / "dags" / "projects" / "demo"
"""The sample project, which only a checkout has."""


@dataclass(frozen=True)
class Fixture:
    """A project to render, with a name for reports."""

    name: str
    project: Path


def built_in() -> list[Fixture]:
    """Return the fixtures of the package and, in a checkout, the sample project `demo`."""
    found = [Fixture(folder.name, folder) for folder in sorted(_COMPOSITIONS.iterdir()) if (folder / "index.html").is_file()]
    # The demo copies its script library; without it, the project cannot be rendered.
    return [*found, Fixture("demo", _DEMO)] if (_DEMO / "assets" / "gsap.min.js").is_file() else found


def find(wanted: str) -> Fixture:
    """Return the built-in fixture or the project folder `wanted`; raise `InvalidRequest` if it is neither."""
    named = {fixture.name: fixture for fixture in built_in()}
    if wanted in named:
        return named[wanted]
    folder = Path(wanted)
    if (folder / "index.html").is_file():
        return Fixture(folder.resolve().name, folder)
    raise InvalidRequest(
        f"fixture: {wanted!r} is neither one of {', '.join(named)} nor a folder with index.html",
        hint="Name a fixture or a project folder: hyperframes-airflow eval sweep path/to/project",
    )
