"""The documentation keeps what it promises: tables that follow from the code, links that lead somewhere, imports that will not move."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_provider import client
from tests import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """Fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_the_tables_of_a_page_are_those_of_the_code(page: Path) -> None:
    filled = runpy.run_path(str(ROOT / "scripts" / "tables.py"))["filled"]

    assert page.read_text("utf-8") == filled(page.read_text("utf-8")), "run: make docs"


def test_every_field_of_the_configuration_has_a_description() -> None:
    assert [name for name, field in RenderConfig.model_fields.items() if not field.description] == []


def test_the_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"

    assert {page.name for page in DOCS} - set(links(index)) == {index.name}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *DOCS], ids=name_of)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    places = "hyperframes_provider|lambda_src|tests|cfn|docs|dags|scripts|constraints|benchmarks"

    named = re.findall(rf"`(?:\./)?((?:{places})/[\w./-]+)[ `]", prose(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_import_documented_names_of_the_client(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for module, names in re.findall(r"^from (hyperframes_provider\.client[\w.]*) import (.+)$", block, re.MULTILINE):
            assert module == client.__name__
            assert set(names.split(", ")) <= set(client.__all__)


def test_the_readme_shows_a_composition_of_ten_lines_and_its_picture() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (composition,) = re.findall(r"^```html\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", readme)

    assert len(composition.splitlines()) == 10
    assert (ROOT / picture).stat().st_size < 20_000
