"""Docstrings open as the standard library's do, with a noun phrase or an imperative: see docs/style.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests import ROOT
from tests.repository.house import product_files

OPENINGS = ("Of ", "What ", "Which ", "Whose ", "There ")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and texts of a file's docstrings: those of modules, classes and functions, and those below attributes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value.strip()


def test_no_docstring_opens_with_a_relative_clause() -> None:
    product = [path for path, _ in product_files() if path.endswith(".py")]
    others = [
        path.relative_to(ROOT).as_posix() for folder in ("tests", "benchmarks", "scripts", "dags") for path in (ROOT / folder).rglob("*.py")
    ]
    paths = [*product, *others]
    found = [f"{path}:{line}: {text}" for path in paths for line, text in docstrings(ROOT / path) if text.startswith(OPENINGS)]

    assert found == []


def test_docstrings_of_attributes_are_seen_too(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""A module."""\nclass A:\n    """A class."""\n    x: int = 0\n    """Of an attribute."""\n    y = "Of a value"\n')

    assert list(docstrings(module)) == [(1, "A module."), (3, "A class."), (5, "Of an attribute.")]
