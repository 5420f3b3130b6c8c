"""The documented API of `hyperframes_provider.client`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hyperframes_provider import client


@pytest.mark.parametrize("name", client.__all__)
def test_every_documented_name_resolves(name: str) -> None:
    found = getattr(client, name)
    assert getattr(found, "__name__", name) in (name, getattr(found, "__origin__", found).__name__)


def test_the_list_is_complete_and_an_unknown_name_is_an_attribute_error() -> None:
    assert sorted(client._HOMES) == sorted(client.__all__)
    assert set(client.__all__) <= set(dir(client))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        client.nonsense  # noqa: B018  # reading it is the test


def test_the_import_loads_nothing_else() -> None:
    program = "import sys, hyperframes_provider.client; print(*({'boto3', 'botocore', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
