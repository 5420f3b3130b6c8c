"""The command line: exit codes, one JSON document, and a next command in every message."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperframes_lambda.contract.toolset import Toolset
from tests.command_line import Run, command, environment, runner, shell


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`hyperframes-airflow …` in the test's folder."""
    return runner(tmp_path)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose commands find an endpoint that is up, with a stack."""
    folder = tmp_path_factory.mktemp("deployed")
    run = runner(folder)
    assert run("local", "up", "--outputs", "videos").returncode == 0
    try:
        assert run("deploy").returncode == 0
        yield folder
    finally:
        assert json.loads(run("local", "down", "--json").stdout) == {"stopped": True}
    assert run("local", "status").returncode == 1


def test_help_needs_neither_airflow_nor_the_endpoint(tmp_path: Path) -> None:
    done = shell(tmp_path)("--help")
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
        (["render", "nowhere", "-o", "out.webm", "--format", "gif"], "ending in .gif"),
        (["render", "nowhere", "-o", "out.mov", "--crf", "18"], "prores"),
        (["render", "nowhere", "-o", "out.mp4", "--set", "gifLoop=1"], "gifLoop"),
        (["render", "nowhere", "-o", "out.mp4", "--var", "title"], "NAME=VALUE"),
        (["render", "nowhere", "-o", "out.mp4", "--variables", "[1]"], "object"),
        (["deploy", "--parameter", "LambdaMemoryMb"], "NAME=VALUE"),
        (["deploy", "--profile", "nobody"], "nobody"),
        (["add", "jquery", "--to", "."], "gsap"),
        (["local", "up", "--port", "70000"], "70000"),
        (["download", "s3://B/key", "-o", "x"], "s3://"),
    ],
)
def test_a_wrong_request_exits_2_and_names_the_next_command(arguments: list[str], said: str, run: Run) -> None:
    done = run(*arguments, AWS_DEFAULT_REGION="us-east-1")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("asked", [["--format", "mp4"], ["--set", "format=mp4"], ["--format", "webm", "--set", "format=mp4"]])
def test_a_format_that_is_asked_for_does_not_give_way_to_the_ending_of_a_batchs_outputs(asked: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    done = run("render-batch", "nowhere", "--rows", "rows.jsonl", "-o", "x/{row}.webm", *asked)
    assert done.returncode == 2, done.stderr
    assert "row 1: -o x/1.webm: the format mp4 needs a file ending in .mp4" in done.stderr


def test_json_is_one_document_for_an_error_too(tmp_path: Path) -> None:
    done = shell(tmp_path)("render", "nowhere", "-o", "out.mp4", "--fps", "31", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "INVALID_CONFIG"
    assert "hyperframes-airflow" in error["hint"]


def test_json_is_one_document_for_what_is_no_command_too(run: Run) -> None:
    done = run("render", "--json")

    assert done.returncode == 2
    assert "the following arguments are required" in json.loads(done.stdout)["error"]["message"]
    assert "usage:" in done.stderr


def test_json_is_one_document_for_an_error_that_nobody_foresaw(tmp_path: Path) -> None:
    code = "from hyperframes_provider.cli import main, tools; tools.doctor = lambda *_: 1 / 0; main(['doctor', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == {"type": "ZeroDivisionError", "message": "division by zero", "hint": ""}
    assert "Traceback" in done.stderr


def test_an_endpoint_that_does_not_answer_exits_1(run: Run) -> None:
    done = run("progress", "latest", "--endpoint-url", "http://127.0.0.1:9")
    assert done.returncode == 1, done.stderr
    assert "hyperframes-airflow local up" in done.stderr


def test_build_writes_the_zip_that_it_describes(run: Run, tmp_path: Path) -> None:
    done = run("build", "--slim", "-o", "code/handler.zip", "--json")
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


def test_nothing_is_up_before_it_is_started(run: Run) -> None:
    assert run("local", "status").returncode == 1
    assert json.loads(run("local", "down", "--json").stdout) == {"stopped": False}


def test_the_endpoint_that_is_up_is_the_default(deployed: Path) -> None:
    run = runner(deployed)
    status = json.loads(run("local", "status", "--json").stdout)
    assert json.loads(run("local", "up", "--json").stdout)["already_running"] is True
    assert json.loads(run("local", "up", "--json").stdout)["url"] == status["url"]
    assert json.loads(run("deploy", "--json").stdout)["action"] == "unchanged"
    assert json.loads(run("deploy", "--stack-name", "another", "--json").stdout)["action"] == "created"
    assert json.loads(run("destroy", "--stack-name", "another", "--json").stdout)["action"] == "deleted"
    missing = run("progress", "latest", "--stack-name", "another")
    assert missing.returncode == 2
    assert "hyperframes-airflow deploy" in missing.stderr


def test_render_brings_the_video(deployed: Path, composition: Callable[[str], Path]) -> None:
    run = runner(deployed)
    request = ("render", composition("gsap-box"), "-o", "out/box.mp4", "--fps", "24", "--chunk-size", "24", "--json")
    done = shell(deployed)(*request)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["frames"], result["chunks"], result["path"]) == (48, 2, "out/box.mp4")
    assert (deployed / "out/box.mp4").stat().st_size == result["bytes"]
    assert "2/2 chunks" in done.stderr

    progress = json.loads(run("progress", result["execution_arn"], "--watch", "--json").stdout)
    assert (progress["status"], progress["frames_done"]) == ("SUCCEEDED", 48)
    assert json.loads(run("progress", "latest", "--json").stdout)["execution_arn"] == result["execution_arn"]
    assert run("download", result["output_uri"], "-o", "again.mp4").returncode == 0
    assert (deployed / "again.mp4").read_bytes() == (deployed / "out/box.mp4").read_bytes()
    assert run("cancel", "latest").returncode == 1
    assert json.loads(run(*request).stdout)["chunks_reused"] == 2


def test_a_render_that_fails_exits_1_with_its_code(deployed: Path, composition: Callable[[str], Path]) -> None:
    project = composition("gsap-box")
    (project / "gsap.min.js").unlink()
    done = runner(deployed)("render", project, "-o", "out/broken.mp4", "--json")
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "RenderFailed"
    assert error["code"] in ("COMPOSITION_NOT_READY", "COMPOSITION_ERROR", "ASSET_UNAVAILABLE")
    assert "gsap.min.js" in error["message"]
    assert not (deployed / "out/broken.mp4").exists()


def test_a_terminated_render_is_stopped_and_exits_130(deployed: Path, composition: Callable[[str], Path]) -> None:
    """`tests/cli/test_verbs.py` does the same with Ctrl-C."""
    arguments = command("render", composition("gsap-box"), "-o", "out/long.mp4", "--fps", "60", "--chunk-size", "10")
    with subprocess.Popen(
        arguments, env=environment(deployed), cwd=deployed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("planned" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "the render was stopped" in rest
    assert json.loads(runner(deployed)("progress", "latest", "--json").stdout)["status"] == "ABORTED"
