"""One embedded endpoint and one deployed stack for the whole folder. Afterwards neither has left a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hyperframes_provider.client.aws.connect import connect_from_session
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.local import endpoint as embedded
from tests.e2e.whole_path import WholePath


@pytest.fixture(scope="session")
def embedded_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EndpointInfo]:
    state, outputs = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("outputs")
    info = embedded.up(outputs=outputs, state_dir=state)
    family = psutil.Process(info.pid)
    yield info
    processes = [family, *family.children(recursive=True)]
    embedded.down(state_dir=state)
    assert [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture(scope="session")
def stack(embedded_endpoint: embedded.EndpointInfo, tmp_path_factory: pytest.TempPathFactory) -> WholePath:
    code = tmp_path_factory.mktemp("code") / "handler.zip"
    build_slim_zip(code)
    connect = connect_from_session(endpoint_url=embedded_endpoint.url)
    outputs = deploy_stack(connect, "hyperframes-e2e", parameters={"LambdaMemoryMb": "3008"}, code=code).outputs
    return WholePath(embedded_endpoint.url, outputs.bucket, outputs.state_machine_arn, outputs.function_arn)


@pytest.fixture(scope="session")
def handlers(embedded_endpoint: embedded.EndpointInfo):
    """Find the processes below the endpoint whose name contains a word, such as the handlers' browsers and encoders."""

    def named(word: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(embedded_endpoint.pid).children(recursive=True):
            try:
                if word in process.name():
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    return named


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")
