"""The command line as a shell sees it: exit codes, one JSON document, and a next command in every message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hyperframes_lambda.contract.toolset import Toolset

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`hyperframes-airflow …` in a process of its own, with no embedded endpoint and no AWS configuration."""

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environ = base | {"HYPERFRAMES_STATE_DIR": str(tmp_path / "state"), "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
        command = [sys.executable, "-c", "import sys; from hyperframes_provider.cli import main; sys.exit(main())", *map(str, arguments)]
        return subprocess.run(command, env=environ | environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return call


def test_help_needs_neither_airflow_nor_the_endpoint(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "render" in done.stdout
    source = (
        "import sys; from hyperframes_provider.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("airflow", "boto3", "moto", "playwright", "ffmpeg") if f"'{name}'" in loaded]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "nowhere", "-o", "out.mp4", "--fps", "31"], "fps"),
        (["render", "nowhere", "-o", "out.avi"], ".mp4"),
        (["render", "nowhere", "-o", "out.mp4", "--var", "title"], "NAME=VALUE"),
        (["render", "nowhere", "-o", "out.mp4", "--variables", "[1]"], "object"),
        (["deploy", "--parameter", "LambdaMemoryMb"], "NAME=VALUE"),
        (["deploy", "--profile", "nobody"], "nobody"),
        (["add", "jquery", "--to", "."], "gsap"),
        (["local", "up", "--port", "70000"], "70000"),
        (["download", "nowhere", "-o", "x"], "s3://"),
    ],
)
def test_a_wrong_request_exits_2_and_names_the_next_command(arguments: list[str], said: str, run: Run) -> None:
    done = run(*arguments, AWS_DEFAULT_REGION="us-east-1")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_json_is_one_document_for_an_error_too(run: Run) -> None:
    done = run("render", "nowhere", "-o", "out.mp4", "--fps", "31", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "INVALID_CONFIG"
    assert "hyperframes-airflow" in error["hint"]


def test_an_endpoint_that_does_not_answer_exits_1(run: Run) -> None:
    done = run("progress", "latest", "--endpoint-url", "http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert done.returncode == 1, done.stderr
    assert "hyperframes-airflow local up" in done.stderr


def test_build_writes_the_zip_that_it_describes(run: Run, tmp_path: Path) -> None:
    done = run("build", "-o", "code/handler.zip", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["bytes"] == (tmp_path / "code/handler.zip").stat().st_size
    assert "handler.py" in zipfile.ZipFile(tmp_path / "code/handler.zip").namelist()


def test_add_copies_the_pinned_library(run: Run, tmp_path: Path, toolset: Toolset) -> None:
    done = run("add", "gsap", "--to", "project/assets")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "project/assets/gsap.min.js").read_bytes() == toolset.libraries["gsap"].path.read_bytes()


def test_setup_finds_everything_there(run: Run, toolset: Toolset) -> None:
    done = run("setup", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ffmpeg"]["version"] == toolset.ffmpeg.version


def test_the_doctor_is_content_with_this_machine(run: Run) -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["ffmpeg"]["state"] == "ok"
    assert checks["endpoint"]["detail"].startswith("not running")


def test_the_endpoint_is_the_default_while_it_is_up(run: Run) -> None:
    assert run("local", "status").returncode == 1
    up = run("local", "up", "--outputs", "videos", "--json")
    try:
        assert up.returncode == 0, up.stderr
        url = json.loads(up.stdout)["url"]
        assert json.loads(run("local", "up", "--json").stdout) == {**json.loads(up.stdout), "already_running": True}
        assert json.loads(run("local", "status", "--json").stdout)["url"] == url
        missing = run("progress", "latest")
        assert missing.returncode == 2
        assert "hyperframes-airflow deploy" in missing.stderr
        deployed = run("deploy", "--json")
        assert json.loads(deployed.stdout)["action"] == "created", deployed.stderr
        again = run("deploy", "--json")
        assert json.loads(again.stdout)["action"] == "unchanged"
        nothing = run("progress", "latest")
        assert nothing.returncode == 2
        assert "no render 'latest'" in nothing.stderr
        destroyed = run("destroy", "--json")
        assert json.loads(destroyed.stdout)["action"] == "deleted", destroyed.stderr
    finally:
        down = run("local", "down", "--json")
    assert json.loads(down.stdout) == {"stopped": True}
    assert run("local", "status").returncode == 1
