"""Commands that a DAG author types, each in a process of its own, against the embedded endpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.e2e.whole_path import WholePath

DEMO = ROOT / "dags" / "hyperframes_demo.py"
BATCH = ROOT / "dags" / "hyperframes_batch.py"
OF_A_BOX = Path(__file__).parent / "dags" / "of_a_box.py"

Airflow = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def airflow(stack: WholePath, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Start `airflow …` with a home of its own, one DAG file and a connection to the embedded endpoint."""
    home = tmp_path_factory.mktemp("airflow")
    connection = {
        "conn_type": "aws",
        "login": "local",
        "password": "local",
        "extra": {"endpoint_url": stack.endpoint_url, "region_name": "us-east-1"},
    }
    base = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "HYPERFRAMES_DEMO_STACK": "hyperframes-e2e-demo",
    }

    def start(dag_file: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "airflow", *arguments]
        where = base | {"AIRFLOW__CORE__DAGS_FOLDER": str(dag_file)} | environment
        return subprocess.Popen(command, env=where, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    migrated = start(DEMO, "db", "migrate")
    assert migrated.wait(120) == 0, migrated.stdout
    return start


@pytest.fixture
def of_a_box(composition) -> dict[str, str]:
    return {"E2E_STACK": "hyperframes-e2e", "E2E_PROJECT": str(composition("gsap-box"))}


def finished(process: subprocess.Popen[str], timeout: float = 300) -> str:
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, output[-6000:]
    return output


def executions(stack: WholePath, state_machine: str | None = None) -> list[dict[str, object]]:
    listing = stack.client("stepfunctions").list_executions(stateMachineArn=state_machine or stack.state_machine)
    return list(listing["executions"])


@pytest.fixture
def small_demo(tmp_path: Path) -> Path:
    """The demo with a sixth of its width and height; everything else is what users run."""
    text = DEMO.read_text()
    assert "1920, 1080" in text
    shutil.copytree(DEMO.parent / "projects", tmp_path / "projects")
    (copy := tmp_path / DEMO.name).write_text(text.replace("1920, 1080", "320, 180"))
    return copy


def test_dags_test_renders_the_demo(airflow: Airflow, small_demo: Path) -> None:
    output = finished(airflow(small_demo, "dags", "test", "hyperframes_demo", "2026-01-02"))

    assert "240 frames" in output
    assert "4/4 chunks" in output


def test_dags_test_renders_a_video_for_each_row(airflow: Airflow) -> None:
    output = finished(airflow(BATCH, "dags", "test", "hyperframes_batch", "2026-01-04"))

    assert "2 videos · 384 frames" in output


def test_tasks_test_renders(airflow: Airflow, of_a_box: dict[str, str]) -> None:
    output = finished(airflow(OF_A_BOX, "tasks", "test", "of_a_box", "render", "2026-01-01", **of_a_box, E2E_DEFERRABLE="true"))

    # The command exits 0 whatever becomes of the task, so the log has to say it.
    assert "120 frames" in output
    assert "2.000 s" in output


def test_a_worker_killed_while_it_waits_is_retried_into_the_same_execution(
    airflow: Airflow, stack: WholePath, of_a_box: dict[str, str]
) -> None:
    environment = of_a_box | {"E2E_DEFERRABLE": "false"}
    before = {execution["executionArn"] for execution in executions(stack)}
    attempt = ("dags", "test", "of_a_box", "2026-02-01")

    def new() -> list[dict[str, object]]:
        return [execution for execution in executions(stack) if execution["executionArn"] not in before]

    first = airflow(OF_A_BOX, *attempt, **environment)
    started = stack.wait_for(new, timeout=240)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert started[0]["status"] == "RUNNING"
    output = finished(airflow(OF_A_BOX, *attempt, **environment))

    assert [(execution["executionArn"], execution["status"]) for execution in new()] == [(started[0]["executionArn"], "SUCCEEDED")]
    assert "adopt" in output
    assert "2/2 chunks" in output
    render = str(started[0]["name"]).rpartition("-g")[0]
    assert len([key for key in stack.keys(f"s3://{stack.bucket}/outputs/") if render in key and key.endswith(".mp4")]) == 1
