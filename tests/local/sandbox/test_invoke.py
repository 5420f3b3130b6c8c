"""`hyperframes-airflow invoke`, and the sample events that come with the stack."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperframes_lambda.contract.events import AssembleEvent, PlanEvent, RenderChunkEvent, parse_event
from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.client.stack.sample_events import load_event, sample_names
from hyperframes_provider.local import endpoint
from hyperframes_provider.local.sandbox.interpreter import find_interpreter
from tests.command_line import Run, runner, shell
from tests.local.sandbox.jailed import probe_zip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("invoke")
    (folder / "handler.zip").write_bytes(probe_zip(**{"handler.py": b"from probe import handler"}))
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    yield endpoint.up(outputs=folder / "outputs", state_dir=folder / "state").url
    endpoint.down(folder / "state")


@pytest.fixture
def run(folder: Path) -> Run:
    """`hyperframes-airflow invoke …`; an event is written to the folder first."""
    return invoking(folder, runner(folder))


def invoking(folder: Path, call: Run) -> Run:
    # The interpreters and caches of this machine stay in reach, unlike those below XDG_DATA_HOME.
    more = {"HOME": os.environ["HOME"], "XDG_DATA_HOME": str(folder)}

    def invoke(*arguments: object, event: object = None) -> subprocess.CompletedProcess[str]:
        if event is not None:
            (folder / "event.json").write_text(json.dumps(event))
            arguments = ("--event", "event.json", *arguments)
        return call("invoke", *arguments, **more)

    return invoke


def test_without_an_endpoint_it_says_how_to_start_one(run: Run) -> None:
    done = run(event={"do": "describe"})
    assert done.returncode == 2
    assert "hyperframes-airflow local up" in done.stderr


def test_the_report_has_what_the_invocation_took_and_that_nothing_was_written(folder: Path, url: str) -> None:
    done = invoking(folder, shell(folder))(
        "--tmp-mb", 16, "--memory-mb", 256, "--env", "COLOUR=blue", "--json", event={"do": "fill", "mb": 10}
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["answer"]) == (0, True, {"written": 10 << 20, "error": None})
    assert (report["isolation"], report["isolation_reason"]) == ("namespaces", "")
    interpreter = find_interpreter("python3.13")
    assert (report["interpreter"]["version"], report["interpreter"]["matches"]) == (interpreter.version, interpreter.matches)
    assert (report["memory_mb"], report["tmp_mb"], report["peak_tmp_mb"]) == (256, 16, 10)
    assert 0 < report["init_ms"] < 60_000
    assert 0 < report["duration_ms"] < 60_000
    assert 5 < report["peak_memory_mb"] < 256
    assert report["written_outside_tmp"] == []
    assert report["files_compared"] > 1000
    assert "REPORT RequestId" in done.stderr


def test_settings_and_limits_reach_the_function(run: Run, url: str) -> None:
    answer = json.loads(run("--timeout", 7, "--env", "COLOUR=blue", "--json", event={"do": "describe"}).stdout)["answer"]
    assert answer["environ"]["COLOUR"] == "blue"
    assert answer["environ"]["AWS_ENDPOINT_URL"] == url
    assert answer["environ"]["HYPERFRAMES_CHUNK_TIMEOUT_SEC"] == "7"
    assert 6000 < answer["remaining_ms"] <= 7000


def test_a_failure_is_told_with_its_name_and_exits_1(run: Run, url: str) -> None:
    done = run("--timeout", 1, "--json", event={"do": "sleep", "seconds": 30})
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["error"]["errorType"]) == (1, False, "Sandbox.Timedout")
    assert report["written_outside_tmp"] == []


def test_without_walls_on_demand_says_so(run: Run, url: str) -> None:
    done = run("--isolation", "none", event={"do": "describe"})
    assert done.returncode == 0
    assert "isolation none (requested)" in done.stdout
    assert "not compared" in done.stdout


def test_a_person_reads_answer_sandbox_time_memory_and_tmp(run: Run, url: str) -> None:
    lines = run(event={"do": "size", "path": "/var/task/probe.py"}).stdout.splitlines()
    labels = [line.split()[0] for line in lines]
    assert labels[-6:] == ["answer", "sandbox", "time", "memory", "/tmp", "outside"]
    assert f"isolation namespaces · Python {find_interpreter('python3.13').version}" in lines[-5]
    assert "nothing written" in lines[-1]


def test_names_that_stay_open_and_names_that_are_not_there_are_refused(run: Run, url: str) -> None:
    still_open = run(event={"do": "${What}"})
    assert (still_open.returncode, "--set What=" in still_open.stderr) == (2, True)
    unknown = run("--set", "Wat=describe", event={"do": "${What}"})
    assert (unknown.returncode, "Its names: What" in unknown.stderr) == (2, True)
    assert run("--set", "What=describe", event={"do": "${What}"}).returncode == 0
    assert "hyperframes-airflow build" in run("--code", "nowhere.zip", event={}).stderr
    assert "plan" in run("--event", "nowhere").stderr


def test_a_project_folder_is_uploaded_and_the_plans_hash_is_looked_up(run: Run, url: str, folder: Path) -> None:
    (folder / "project").mkdir()
    (folder / "project" / "index.html").write_text("<p>hello")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("bundle/bundle.json", "{}")
        archive.writestr("handler.py", "def handler(event, context): return event")
    (folder / "echo.zip").write_bytes(buffer.getvalue())
    planned = run("--event", "plan", "--code", "echo.zip", "--set", "Project=project", "--json")
    answer = json.loads(planned.stdout)["answer"]
    assert answer["PlanOutputS3Prefix"] == "s3://hyperframes-invoke/renders/invoke/"
    bucket, _, key = answer["ProjectS3Uri"].removeprefix("s3://").partition("/")
    assert connect_local(url)("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    early = run("--event", "render-chunk", "--code", "echo.zip")
    assert (early.returncode, "invoke --event plan" in early.stderr) == (2, True)
    given = run("--event", "render-chunk", "--code", "echo.zip", "--set", f"PlanHash={'0' * 64}", "--set", "Chunk=3", "--json")
    assert json.loads(given.stdout)["answer"]["ChunkIndex"] == 3


VALUES = {
    "Bucket": "bucket",
    "Project": "s3://bucket/sites/a/project.tar.gz",
    "Render": "r",
    "PlanHash": "0" * 64,
    "Chunk": "0",
    "Output": "s3://bucket/outputs/r.mp4",
}


@pytest.mark.parametrize(("name", "kind"), [("plan", PlanEvent), ("render-chunk", RenderChunkEvent), ("assemble", AssembleEvent)])
def test_the_sample_events_are_the_contracts(name: str, kind: type) -> None:
    sample = load_event(name)
    event = sample.filled(VALUES)
    parsed = parse_event(event)
    assert isinstance(parsed, kind)
    # Nothing that the handler would ignore, and nothing of the wrong type.
    assert parsed.to_wire().items() >= event.items()


def test_every_sample_is_of_a_role() -> None:
    assert sample_names() == ["assemble", "plan", "render-chunk"]
