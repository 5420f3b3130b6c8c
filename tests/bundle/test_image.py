"""The context of the container image has every path that it names. Building the image needs Docker."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from hyperframes_lambda.contract.toolset import ChromeSource, Toolset
from hyperframes_provider.bundle import BundleError, build_image_context
from hyperframes_provider.bundle.image import TASK_ROOT, TOOLS_ROOT


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image") / "context"
    assert build_image_context(folder) > 400_000_000
    return folder


def instructions(context: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (context / "Dockerfile").read_text().splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.setdefault(name, []).append(rest)
    return found


def place(context: Path, path: Path) -> Path:
    """Return the place in the context of the image's `path`."""
    for copied in instructions(context)["COPY"]:
        source, target = copied.split()
        if path.is_relative_to(target):
            return context / source / path.relative_to(target)
    raise AssertionError(f"nothing is copied to {path}")


def test_the_dockerfile_copies_what_is_there_and_fetches_nothing(context: Path) -> None:
    found = instructions(context)
    assert set(found) == {"ARG", "FROM", "COPY", "ENV", "CMD"}
    assert found["ARG"] == ["BASE=public.ecr.aws/lambda/python:3.13"]
    assert {target.rstrip("/") for _, target in map(str.split, found["COPY"])} == {TASK_ROOT, TOOLS_ROOT}
    (module, function) = ast.literal_eval(found["CMD"][0])[0].split(".")
    assert f"import {function}" in place(context, Path(TASK_ROOT, f"{module}.py")).read_text()


def test_the_tools_lie_where_the_toolset_says(context: Path) -> None:
    (variable,) = instructions(context)["ENV"]
    toolset = Toolset.model_validate_json(place(context, Path(variable.removeprefix("HYPERFRAMES_TOOLSET="))).read_text())
    browser = toolset.browsers[ChromeSource.SPARTICUZ]
    assert browser.library_path is not None and browser.fontconfig is not None and browser.driver_node is not None
    assert toolset.fonts is not None
    for program in (browser.path, browser.driver_node, toolset.ffmpeg.path):
        assert place(context, program).stat().st_mode & 0o111 == 0o111
    assert place(context, browser.library_path).is_dir()
    for file in (toolset.runtime.path, toolset.fonts.path):
        assert place(context, file).is_file()
    conf = place(context, browser.fontconfig).read_text()
    folders = re.findall("<dir>(.*?)</dir>", conf)
    assert folders and all(place(context, Path(folder)).is_dir() for folder in folders)
    assert "@" not in conf
    assert re.findall("<cachedir>(.*?)</cachedir>", conf) == ["/tmp/hyperframes-fontconfig"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BundleError, match="is not an empty folder"):
        build_image_context(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
