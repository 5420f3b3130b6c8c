"""Imports between packages, rooms and files, as ARCHITECTURE.md allows them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import grimp
import pytest

from tests.repository.house import HOUSES, PACKAGES, house, product_files

PROVIDER, ENGINE, CONTRACT = "hyperframes_provider", "hyperframes_lambda", "hyperframes_lambda.contract"
SECRETS = "aws_lambda_powertools"
LONGEST_FILE = 400


@lru_cache(maxsize=1)
def graph() -> grimp.ImportGraph:
    """Imports of the product, with third-party packages as one module each."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def arrows(sources: Iterable[str], *targets: str) -> set[tuple[str, str]]:
    """Direct imports from modules of the packages `sources` into the packages `targets`."""
    importers = [module for module in graph().modules if within(module, *sources)]
    assert importers
    return {(one, seen) for one in importers for seen in graph().find_modules_directly_imported_by(one) if within(seen, *targets)}


def test_the_provider_imports_nothing_of_the_engine_but_the_contract() -> None:
    assert {arrow for arrow in arrows([PROVIDER], ENGINE) if not within(arrow[1], CONTRACT) and arrow[1] != ENGINE} == set()


def test_the_engine_imports_neither_airflow_nor_the_provider() -> None:
    assert arrows([ENGINE], "airflow", PROVIDER) == set()


def test_the_contract_imports_nothing_else_of_the_engine() -> None:
    assert {arrow for arrow in arrows([CONTRACT], ENGINE) if not within(arrow[1], CONTRACT) and arrow[1] != ENGINE} == set()


def test_only_the_endpoint_imports_moto_and_nobody_in_the_provider_a_browser_or_an_encoder() -> None:
    assert {arrow for arrow in arrows([PROVIDER], "moto", "awslambdaric") if not within(arrow[0], f"{PROVIDER}.local")} == set()
    assert arrows([PROVIDER], "playwright", "ffmpeg") == set()


def test_the_client_imports_neither_airflow_nor_the_rest_of_the_provider() -> None:
    seen = arrows([f"{PROVIDER}.client"], "airflow", PROVIDER)

    assert {arrow for arrow in seen if not within(arrow[1], f"{PROVIDER}.client") and arrow[1] != PROVIDER} == set()


def test_the_evaluation_imports_the_client_and_the_toolset_only() -> None:
    allowed = [f"{PROVIDER}.{room}" for room in ("client", "evaluation", "toolset")]

    seen = arrows([f"{PROVIDER}.evaluation"], "airflow", PROVIDER)

    assert {arrow for arrow in seen if not within(arrow[1], *allowed) and arrow[1] != PROVIDER} == set()


def test_browser_media_and_composition_see_only_each_others_faces() -> None:
    rooms = [f"{ENGINE}.{room}" for room in ("browser", "media", "composition")]

    assert {arrow for room in rooms for other in rooms if other != room for arrow in arrows([room], other) if arrow[1] != other} == set()


def test_only_the_entry_sees_aws() -> None:
    """Powertools' parameters hold the webhook's secret; its logger and metrics are seen by the entry alone, too."""
    assert {arrow for arrow in arrows([ENGINE], "boto3", "botocore", SECRETS) if not within(arrow[0], f"{ENGINE}.entry")} == set()


def test_render_chunk_imports_nothing_of_plan() -> None:
    chain = grimp.build_graph(*PACKAGES, cache_dir=None).find_upstream_modules(f"{ENGINE}.render_chunk")

    assert {module for module in chain if within(module, f"{ENGINE}.plan", f"{ENGINE}.planning")} == set()


@pytest.mark.parametrize("name", HOUSES)
def test_a_house_has_at_most_ten_rooms_no_circle_and_no_arrow_upwards(name: str) -> None:
    shown = house(name)

    assert len(shown.rooms) <= 10
    assert shown.circle == []
    assert shown.upward == []


def test_no_file_of_the_product_is_longer_than_a_few_screens() -> None:
    assert {path: lines for path, lines in product_files() if lines > LONGEST_FILE} == {}
