"""The files that belong to a project: one answer for upload, digest, `check`, `info` and the page server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


class ProjectFileError(ValueError):
    """A file or link that a project cannot contain.

    :param message: the fault, with the path relative to the project
    :param hint: how to correct it
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def project_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the POSIX path below `folder` and the real path of each file, folder by folder in the order of names.

    Hidden files and folders (`.env`, `.git`), `node_modules` and `__pycache__` are left out. Links are followed inside `folder`, even into
    one of those. Raise `ProjectFileError` for a link that leaves `folder`, is broken or forms a circle, and for a pipe or device.
    """
    root = folder.resolve()
    yield from _below(root, root, "", (root,))


def _below(root: Path, folder: Path, prefix: str, ancestors: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for item in sorted(folder.iterdir()):
        if item.name.startswith(".") or item.name in _LEFT_OUT:
            continue
        name, target = prefix + item.name, item.resolve()
        if not target.is_relative_to(root):
            raise ProjectFileError(f"the link {name} leads out of the project, to {target}", hint="Copy the file into the project.")
        if not target.exists():
            raise ProjectFileError(f"the link {name} leads to {target.relative_to(root)}, which does not exist", hint="Correct the link.")
        if target in ancestors:
            raise ProjectFileError(f"the link {name} leads back to a folder that contains it", hint="Remove the link.")
        if target.is_dir():
            yield from _below(root, target, f"{name}/", (*ancestors, target))
        elif target.is_file():
            yield name, target
        else:
            raise ProjectFileError(f"{name} is neither a file nor a folder", hint="Remove it from the project.")
