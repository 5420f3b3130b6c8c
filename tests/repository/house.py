"""Figures of the house: its rooms, the arrows between them, and the lengths of its files.

`./scripts/house` prints them; `test_dependencies.py` holds the product to the floors named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

import grimp

from tests import ROOT

PACKAGES = ("hyperframes_provider", "hyperframes_lambda")
HOUSES: Mapping[str, tuple[str, ...]] = {
    "hyperframes_provider.client": ("aws", "request", "execution", "stack", "batch", "renders"),
    "hyperframes_provider.local": (
        "errors processes connections",
        "state",
        "sandbox storage",
        "cloudformation functions stepfunctions",
        "patches",
        "server",
        "endpoint",
    ),
    "hyperframes_lambda": (
        "contract",
        "composition browser media",
        "remote",
        "machine",
        "drawing",
        "planning",
        "plan render_chunk assemble",
        "entry authoring __main__",
    ),
}
"""Packages that have rooms, and their floors from the ground up. Rooms of one floor do not import each other."""
PRODUCT = ("hyperframes_provider", "lambda_src")
"""Folders of the product's code."""


@lru_cache(maxsize=1)
def graph() -> grimp.ImportGraph:
    """Every import of the product, those for type checkers and those inside functions included."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


@dataclass(frozen=True)
class House:
    """One package and the arrows between its rooms and files."""

    name: str
    arrows: tuple[tuple[str, str], ...]
    """Importer and imported, as module names."""

    @property
    def modules(self) -> list[str]:
        """Every module below the package."""
        return sorted(module for module in graph().modules if module.startswith(f"{self.name}."))

    @property
    def rooms(self) -> list[str]:
        """Subpackages, the package's own files aside."""
        children = graph().find_children(self.name)
        return sorted(child.rpartition(".")[2] for child in children if graph().find_children(child))

    @property
    def between_rooms(self) -> Counter[tuple[str, str]]:
        """Arrows from one direct child of the package to another, counted."""
        pairs = ((self.child(importer), self.child(imported)) for importer, imported in self.arrows)
        return Counter((importer, imported) for importer, imported in pairs if importer != imported)

    @property
    def upward(self) -> list[tuple[str, str]]:
        """Arrows between files that lead to the same floor or a higher one; files of one room are not counted."""
        floors = {room: number for number, floor in enumerate(HOUSES[self.name]) for room in floor.split()}
        return [
            (importer, imported)
            for importer, imported in self.arrows
            if self.child(importer) != self.child(imported)
            and floors.get(self.child(importer), -1) <= floors.get(self.child(imported), len(floors))
        ]

    @property
    def circle(self) -> list[str]:
        """The files of one import circle; empty when there is none."""
        sorter = TopologicalSorter[str]()
        for importer, imported in self.arrows:
            sorter.add(importer, imported)
        try:
            sorter.prepare()
        except CycleError as error:
            return list(error.args[1])
        return []

    def child(self, module: str) -> str:
        """The room, or the file beside the rooms, that a module belongs to."""
        return module.removeprefix(f"{self.name}.").partition(".")[0]


def house(name: str) -> House:
    """The package `name` with its arrows; a package's own `__init__` is its face and takes no part."""
    inside = [module for module in graph().modules if module.startswith(f"{name}.")]
    arrows = (
        (importer, imported)
        for importer in inside
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported.startswith(f"{name}.")
    )
    return House(name, tuple(sorted(arrows)))


def product_files() -> Iterator[tuple[str, int]]:
    """Python and JavaScript files of the product, and their lines."""
    for place in PRODUCT:
        for path in sorted((ROOT / place).rglob("*")):
            if path.suffix in (".py", ".js") and "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), len(path.read_text().splitlines())


def main() -> None:
    """Print the figures."""
    for name in HOUSES:
        shown = house(name)
        between = shown.between_rooms
        print(f"{name}: {len(shown.rooms)} rooms, {len(shown.modules)} modules, {len(shown.arrows)} arrows")
        print(f"  floors    {' < '.join(HOUSES[name])}")
        print(f"  upward    {len(shown.upward)}", *(f"\n    {importer} -> {imported}" for importer, imported in shown.upward))
        print(f"  circles   {' -> '.join(shown.circle) or 'none'}")
        for (importer, imported), count in sorted(between.items()):
            print(f"    {importer} -> {imported}: {count}")
    files = dict(product_files())
    rooms: Counter[str] = Counter()
    for path, length in files.items():
        rooms["/".join(path.split("/")[:3]) if path.count("/") > 2 else path.rpartition("/")[0]] += length
    print(f"{sum(files.values())} lines in {len(files)} Python and JavaScript files")
    for room, length in sorted(rooms.items()):
        print(f"  {room}: {length}")
    print("longest files")
    for path in sorted(files, key=files.__getitem__, reverse=True)[:5]:
        print(f"  {path}: {files[path]}")


if __name__ == "__main__":
    main()
