"""Who may import whom, as ARCHITECTURE.md has it, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

PROVIDER = ROOT / "hyperframes_provider"
ENGINE = ROOT / "lambda_src" / "hyperframes_lambda"


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def module_name(path: Path) -> str:
    base = ROOT if PROVIDER in path.parents else ROOT / "lambda_src"
    return ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that `path` imports anywhere, `from a import b` as `a` and as `a.b`, since `b` may be a module."""
    package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources(PROVIDER), ids=module_name)
def test_the_provider_sees_nothing_of_the_engine_but_the_contract(path: Path) -> None:
    seen = {module for module in imports(path) if within(module, "hyperframes_lambda") and module != "hyperframes_lambda"}

    assert {module for module in seen if not within(module, "hyperframes_lambda.contract")} == set()


@pytest.mark.parametrize("path", sources(PROVIDER), ids=module_name)
def test_browser_encoder_and_endpoint_stay_in_their_rooms(path: Path) -> None:
    """`local/` is the endpoint's room and may import moto; nothing else may, and nobody here imports a browser or an encoder."""
    heavy = {"playwright", "ffmpeg", *(() if within(module_name(path), "hyperframes_provider.local") else ("moto", "awslambdaric"))}

    assert {module for module in imports(path) if within(module, *heavy)} == set()


@pytest.mark.parametrize("path", sources(PROVIDER / "client"), ids=module_name)
def test_the_client_knows_neither_airflow_nor_the_rest_of_the_provider(path: Path) -> None:
    seen = {module for module in imports(path) if within(module, "airflow", "hyperframes_provider") and module != "hyperframes_provider"}

    assert {module for module in seen if not within(module, "hyperframes_provider.client")} == set()


@pytest.mark.parametrize("path", sources(PROVIDER / "evaluation"), ids=module_name)
def test_the_evaluation_stands_on_the_client_and_on_the_tools_of_this_machine(path: Path) -> None:
    seen = {module for module in imports(path) if within(module, "airflow", "hyperframes_provider") and module != "hyperframes_provider"}
    allowed = [f"hyperframes_provider.{room}" for room in ("client", "evaluation", "toolset")]

    assert {module for module in seen if not within(module, *allowed)} == set()


@pytest.mark.parametrize("path", sources(ENGINE), ids=module_name)
def test_the_engine_knows_neither_airflow_nor_the_provider(path: Path) -> None:
    assert {module for module in imports(path) if within(module, "airflow", "hyperframes_provider")} == set()


@pytest.mark.parametrize("path", sources(ENGINE / "contract"), ids=module_name)
def test_the_contract_imports_nothing_else_of_its_package(path: Path) -> None:
    seen = {module for module in imports(path) if within(module, "hyperframes_lambda") and module != "hyperframes_lambda"}

    assert {module for module in seen if not within(module, "hyperframes_lambda.contract")} == set()


ROOMS = ("browser", "media", "composition")


@pytest.mark.parametrize("path", [path for room in ROOMS for path in sources(ENGINE / room)], ids=module_name)
def test_the_engines_rooms_do_not_import_each_other(path: Path) -> None:
    own = module_name(path).split(".")[1]
    others = tuple(f"hyperframes_lambda.{room}" for room in ROOMS if room != own)

    # A room's face is its package; what lies deeper is its internals.
    assert {module for module in imports(path) if any(module.startswith(f"{other}.") for other in others)} == set()


@pytest.mark.parametrize("path", sources(ENGINE), ids=module_name)
def test_only_the_entries_see_aws(path: Path) -> None:
    """The room `entry` uses the storage, `storage` alone boto3, and `webhook`, a function of its own, the secret that it signs with."""
    secret = "aws_lambda_powertools.utilities.parameters"
    own = module_name(path)
    room = {"hyperframes_lambda.entry.storage"} if within(own, "hyperframes_lambda.entry") else set()
    allowed = {
        "hyperframes_lambda.entry.storage": {"boto3", "botocore"},
        "hyperframes_lambda.entry.webhook": {secret},
    }.get(own, room)
    seen = {module for module in imports(path) if within(module, "hyperframes_lambda.entry.storage", "boto3", "botocore", secret)}

    assert {module for module in seen if not within(module, *allowed)} == set()
