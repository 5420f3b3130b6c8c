"""Every `hyperframes-airflow` command in the documentation can be typed: its verbs, options and stack parameters exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperframes_provider.cli.parsers import parser
from hyperframes_provider.client.stack.template import load_template
from tests import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(text: str) -> Iterator[list[str]]:
    """The words behind `hyperframes-airflow` in blocks of code, up to a comment or an operator of the shell."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:\$ )?(?:\w+=\S+ )*hyperframes-airflow (.*)", line)
            if found:
                words = shlex.split(found[1], comments=True)
                end = next((index for index, word in enumerate(words) if word in ("&", "&&", ">", "|")), len(words))
                yield words[:end]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documented_commands_exist(document: Path) -> None:
    for words in commands(document.read_text("utf-8")):
        try:
            options = parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"{document.name}: hyperframes-airflow {' '.join(words)}")
        for pair in getattr(options, "parameter", None) or ():
            assert pair.partition("=")[0] in load_template().parameters, f"{document.name}: {pair}"


def test_the_commands_in_the_readme_s_sentences_exist() -> None:
    spans = re.findall(r"`hyperframes-airflow ([^`]+)`", (ROOT / "README.md").read_text("utf-8"))
    assert spans
    for span in spans:
        parser().parse_args(shlex.split(span))


def test_such_commands_are_found() -> None:
    found = list(commands((ROOT / "docs" / "aws.md").read_text("utf-8")))
    assert len(found) > 25
    assert ["smoke", "--output", "evaluation/smoke"] in found
