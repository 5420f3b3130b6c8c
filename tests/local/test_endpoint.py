"""Starting and stopping: one endpoint per state folder, and nothing left of it, however it ended."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.local import endpoint, patches, processes
from hyperframes_provider.local.endpoint import ENDPOINT_MARK, EndpointError, EndpointInfo
from hyperframes_provider.local.state import StateFolder
from tests.local.deployed import ROLE, Deployed, eventually, function_zip


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    endpoint.down(folder)
    assert processes.marked(ENDPOINT_MARK, str(folder)) == []


def detach_and_wait(info: EndpointInfo) -> int:
    """Start an invocation that keeps a detached, parentless process running; return its pid."""
    connect = connect_local(info.url)
    connect("iam").create_role(RoleName="test", AssumeRolePolicyDocument="{}")
    s3 = connect("s3")
    s3.create_bucket(Bucket="store")
    connect("lambda").create_function(
        FunctionName="f",
        Runtime="python3.11",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": function_zip()},
        Timeout=600,
        MemorySize=512,
    )
    event = json.dumps({"do": "detach", "then": "sleep", "bucket": "store"})

    def invoke() -> None:
        with pytest.raises(Exception, match=r"Could not connect|Connection|closed|Unhandled"):
            answer = connect("lambda").invoke(FunctionName="f", Payload=event)
            raise ConnectionError(answer["FunctionError"])

    threading.Thread(target=invoke, daemon=True).start()
    eventually(lambda: s3.list_objects_v2(Bucket="store").get("KeyCount"))
    pid: int = json.load(s3.get_object(Bucket="store", Key="detached")["Body"])["pid"]
    assert os.getsid(pid) == pid
    assert psutil.Process(pid).ppid() != os.getpid()
    return pid


def test_the_second_up_reports_the_first(local_aws: Deployed, tmp_path: Path) -> None:
    second = endpoint.up(outputs=tmp_path, state_dir=local_aws.state_dir)
    assert second == replace(local_aws.info, already_running=True)
    assert endpoint.status(local_aws.state_dir) == local_aws.info


def test_it_is_a_process_of_its_own_on_loopback_only(local_aws: Deployed) -> None:
    server = psutil.Process(local_aws.info.pid)
    assert server.ppid() != os.getpid()
    listening = {connection.laddr.ip for connection in server.net_connections("tcp") if connection.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Host": "rebound.example.com"}])
def test_web_pages_are_refused(local_aws: Deployed, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", local_aws.info.port, timeout=10)
    connection.request("GET", "/testing/code/function.zip", headers=headers)
    assert connection.getresponse().status == 403
    connection.close()


def test_down_ends_a_busy_endpoint_with_detached_processes(state_dir: Path, tmp_path: Path) -> None:
    info = endpoint.up(outputs=tmp_path / "out", state_dir=state_dir)
    detached = detach_and_wait(info)
    assert endpoint.down(state_dir) is True
    assert processes.start_ticks(detached) is None
    assert processes.start_ticks(info.pid) is None
    assert endpoint.status(state_dir) is None
    assert endpoint.down(state_dir) is False
    assert sorted(path.name for path in state_dir.iterdir()) == ["endpoint.lock", "endpoint.log"]


def test_after_kill_9_everything_is_gone_and_up_works(state_dir: Path, tmp_path: Path) -> None:
    first = endpoint.up(outputs=tmp_path / "out", state_dir=state_dir)
    detached = detach_and_wait(first)
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: processes.start_ticks(detached) is None, 5)
    assert endpoint.status(state_dir) is None
    second = endpoint.up(outputs=tmp_path / "out", state_dir=state_dir)
    assert (second.already_running, second.pid == first.pid) == (False, False)
    assert endpoint.status(state_dir) == second
    assert [process.pid for process in processes.marked(ENDPOINT_MARK, str(state_dir))] == [second.pid]


def test_a_state_file_about_another_process_is_not_believed(state_dir: Path, tmp_path: Path) -> None:
    state = StateFolder(state_dir)
    state_dir.mkdir()
    mine = processes.start_ticks(os.getpid())
    assert mine is not None
    state.write(EndpointInfo("http://127.0.0.1:1", os.getpid(), 1, tmp_path, mine - 1))
    assert endpoint.status(state_dir) is None
    assert endpoint.down(state_dir) is False
    state.write(EndpointInfo("http://127.0.0.1:1", 2**22 + 1, 1, tmp_path, 1))
    assert endpoint.status(state_dir) is None
    (state_dir / "endpoint.json").write_text('{"half": ')
    assert endpoint.status(state_dir) is None


def test_a_taken_port_is_reported_with_the_log(state_dir: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EndpointError, match=r"Address already in use|Port \d+ is in use"):
        endpoint.up(port=taken.getsockname()[1], outputs=tmp_path, state_dir=state_dir)
    assert endpoint.status(state_dir) is None


@pytest.mark.parametrize("found", ["5.2.4", None])
def test_another_moto_is_refused_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch, state_dir: Path, tmp_path: Path, found: str | None
) -> None:
    def version(name: str) -> str:
        if found is None:
            raise patches.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(patches, "version", version)
    with pytest.raises(EndpointError, match=r'5\.2\.5.*pip install "hyperframes-provider\[local\]"'):
        endpoint.up(outputs=tmp_path, state_dir=state_dir)
