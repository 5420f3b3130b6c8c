"""Write the conformance compositions as plain project folders, with their media and the libraries that the pages name.

    python tests/conformance/materialise.py FOLDER      # every case that can be rendered, libraries of content networks as local files

The suite takes from here what cannot lie in the repository. Its own pages keep the addresses of content networks, which it tests.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from hyperframes_lambda.composition.fonts import font_files
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.remote import cdn
from hyperframes_lambda.remote.packages import Registry
from hyperframes_provider.toolset import toolset_path
from tests.conformance.media import write_gif, write_media

PROJECTS = Path(__file__).parent / "projects"
COMPOSITIONS = Path(__file__).parents[1] / "compositions"

_ADDRESS = re.compile(r"https://[^\s\"'<>]+")


def materialise(name: str, folder: Path, toolset: Toolset, media: Path) -> None:
    """Copy project `name` to `folder`, with GSAP where a page names it and with `media`, written by `write_media`, where it has films."""
    own = PROJECTS / name
    shutil.copytree(own if own.is_dir() else COMPOSITIONS / name, folder)
    if any("gsap.min.js" in page.read_text(encoding="utf-8") for page in folder.rglob("*.html")):
        shutil.copy(toolset.libraries["gsap"].path, folder / "gsap.min.js")
    if name == "animated-image":
        write_gif(folder / "steps.gif")
    if name.startswith(("video-", "sound")):
        shutil.copytree(media, folder / "media")
    if name == "font-files":
        copy_fonts(toolset, folder / "fonts")


def copy_fonts(toolset: Toolset, folder: Path) -> None:
    """Write fonts of the toolset as files that an author brings, under names that say nothing."""
    bundled = {path.rpartition("/")[2]: file for path, (file, _) in font_files(toolset.fonts).items()}
    folder.mkdir()
    for name, own in (("montserrat-latin-wght", "variable"), ("league-gothic-latin-400", "letters"), ("archivo-black-latin-400", "digits")):
        shutil.copy(bundled[f"{name}-normal.woff2"], folder / f"{own}.woff2")


def localise(folder: Path, registry: Registry) -> None:
    """Put every library that a page takes from a content network into the project, with the files beside it that it may ask for."""
    for page in sorted(folder.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        for address in dict.fromkeys(_ADDRESS.findall(text)):
            meant = cdn.package_file(address)
            if meant is None:
                continue
            package = registry.package(meant.name, meant.version)
            path = cdn.find(meant, package)
            if path is None:
                raise FileNotFoundError(f"{address}: {package.spec} has no {meant.path}")
            library = folder / "lib" / package.name
            for beside in _beside(path, package.paths):
                (library / beside).parent.mkdir(parents=True, exist_ok=True)
                (library / beside).write_bytes(package.read(beside))
            text = text.replace(address, f"./lib/{package.name}/{path}")
        page.write_text(text, encoding="utf-8")


def _beside(path: str, paths: list[str]) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    return (other for other in paths if other.rpartition("/")[0] == folder and other.endswith((".js", ".css", ".png")))


def write_projects(names: Iterable[str], root: Path, toolset: Toolset) -> None:
    """Write the projects below `root`, each under its name; none of them needs a network then, but for Google's style sheets."""
    if toolset.npm is None:
        raise FileNotFoundError("the toolset has no npm, from whose registry the pages' libraries come")
    with tempfile.TemporaryDirectory() as scratch, closing(Registry(toolset.npm, Path(scratch) / "packages")) as registry:
        media = Path(scratch) / "media"
        write_media(media, toolset.ffmpeg.path)
        for name in names:
            materialise(name, root / name, toolset, media)
            localise(root / name, registry)


def main() -> None:
    """Write the projects of all cases below the folder that the command line names."""
    from tests.conformance.cases import CASES, OUTPUTS, SOUNDS

    names = sorted({case.folder for case in CASES} | {case.project for case in OUTPUTS} | {case.name for case in SOUNDS})
    write_projects(names, Path(sys.argv[1]), Toolset.model_validate_json(toolset_path().read_text()))


if __name__ == "__main__":
    main()
