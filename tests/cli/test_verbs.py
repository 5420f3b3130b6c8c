"""The verbs about many renders and what lies around them, on an embedded endpoint with the real renderer."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.command_line import command, environment, runner

PAGE = """<!doctype html>
<html data-composition-variables='[{{"id": "title", "type": "string", "default": "x"}}]'><head><meta charset="utf-8"><style>
body {{ margin: 0 }} #box {{ width: 16px; height: 16px; background: #f00; animation: slide {seconds}s linear both }}
@keyframes slide {{ from {{ transform: translateX(0) }} to {{ transform: translateX(16px) }} }}
</style></head><body>
<div data-composition-id="tiny" data-no-timeline data-start="0" data-duration="{seconds}" data-width="32" data-height="32">
<div id="box"></div></div>
</body></html>
"""

Json = Callable[..., Any]


def project(folder: Path, seconds: float = 0.2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(PAGE.format(seconds=seconds))
    return folder


def lines(path: Path) -> dict[int, dict[str, Any]]:
    return {line["row"]: line for line in map(json.loads, path.read_text().splitlines())}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose commands find an endpoint that is up, with a stack and a project."""
    folder = tmp_path_factory.mktemp("verbs")
    run = runner(folder)
    assert run("local", "up", "--outputs", "videos").returncode == 0
    try:
        assert run("deploy", "--parameter", "LambdaMemoryMb=3008").returncode == 0
        project(folder / "tiny")
        yield folder
    finally:
        run("local", "down")


@pytest.fixture(scope="module")
def said(deployed: Path) -> Json:
    """Return what a verb answers with --json, after a look at its exit code."""

    def call(*arguments: object, code: int = 0) -> Any:
        done = runner(deployed)(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def batch(deployed: Path, said: Json) -> dict[str, Any]:
    """A batch of which one row cannot be rendered."""
    rows = [
        {"variables": {"title": "Studio North"}},
        {"variables": {"title": "B"}, "config": {"format": "png-sequence"}, "output": "out/frames/"},
        {"variables": {"title": "C", "unknown": 1}},
    ]
    (deployed / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return dict(said(*BATCH, code=1))


BATCH = ("render-batch", "tiny", "--rows", "rows.jsonl", "-o", "out/{row:02d}-{title}.mp4", "--strict-variables", "--sidecar", "poster")


def test_a_batch_renders_every_row_that_can_be_and_lists_the_others(deployed: Path, batch: dict[str, Any]) -> None:
    assert (batch["rows"], batch["succeeded"], batch["skipped"], batch["failed"]) == (3, 2, 0, 1)
    assert [(failure["row"], failure["code"]) for failure in batch["failures"]] == [(3, "INVALID_CONFIG")]
    assert "unknown" in batch["failures"][0]["message"]
    assert (deployed / "out/01-studio-north.mp4").stat().st_size > 0
    assert (deployed / "out/01-studio-north.poster.jpg").is_file()
    assert len(list((deployed / "out/frames").glob("*.png"))) == 6
    found = lines(deployed / "rows.results.jsonl")
    assert {number: line["state"] for number, line in found.items()} == {1: "succeeded", 2: "succeeded", 3: "failed"}
    assert (found[1]["how"], found[1]["frames"], found[1]["path"]) == ("started", 6, "out/01-studio-north.mp4")
    assert 0 < batch["cost_usd"] < 0.1


def test_the_same_batch_again_skips_what_is_finished(deployed: Path, batch: dict[str, Any], said: Json) -> None:
    (deployed / "out/01-studio-north.mp4").unlink()
    again = said(*BATCH, code=1)
    assert (again["succeeded"], again["skipped"], again["failed"], again["cost_usd"]) == (2, 2, 1, 0)
    assert (deployed / "out/01-studio-north.mp4").is_file()
    assert lines(deployed / "rows.results.jsonl")[1]["how"] == "finished"


def test_nothing_is_started_for_a_batch_with_a_faulty_row(deployed: Path, batch: dict[str, Any], said: Json) -> None:
    (deployed / "faulty.csv").write_text("title,config.fps\nA,30\nB,31\nA,30\n")
    before = said("list")["renders"]
    done = runner(deployed)("render-batch", "tiny", "--rows", "faulty.csv", "-o", "out/{title}.mp4")
    assert done.returncode == 2
    assert "row 2: config.fps" in done.stderr
    assert "row 3: output out/a.mp4 is also that of row 1" in done.stderr
    assert said("list")["renders"] == before


def test_the_list_has_the_newest_first(batch: dict[str, Any], said: Json) -> None:
    renders = said("list")["renders"]
    assert [render["started"] for render in renders] == sorted((render["started"] for render in renders), reverse=True)
    done = said("list", "--status", "succeeded", "--limit", "1")["renders"]
    assert [(render["status"], render["frames"], render["error"]) for render in done] == [("SUCCEEDED", 6, "")]
    assert done[0]["seconds"] > 0
    failed = said("list", "--status", "failed")["renders"]
    assert {(render["frames"], render["error"]) for render in failed} == {(None, "INVALID_CONFIG")}


def test_the_logs_of_a_render_are_those_of_all_its_functions(deployed: Path, batch: dict[str, Any], said: Json) -> None:
    arn = lines(deployed / "rows.results.jsonl")[1]["execution_arn"]
    found = said("logs", arn)["lines"]
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert {line["action"] for line in found} == {"plan", "renderChunk", "assemble"}
    of_chunk = said("logs", arn, "--chunk", "0")["lines"]
    assert of_chunk
    assert {line["chunk"] for line in of_chunk} == {0}
    text = runner(deployed)("logs", arn, "--tail", "2")
    assert len(text.stdout.splitlines()) == 2, text.stderr
    assert said("logs", said("list", "--status", "failed")["renders"][0]["id"])["lines"][-1]["level"] in ("ERROR", "")


def test_download_brings_what_a_render_made(deployed: Path, batch: dict[str, Any], said: Json) -> None:
    arn = lines(deployed / "rows.results.jsonl")[1]["execution_arn"]
    fetched = said("download", arn, "-o", "again/video.mp4")
    assert fetched["sidecar_paths"] == {"poster": "again/video.poster.jpg"}
    assert (deployed / "again/video.mp4").stat().st_size > 0
    refused = runner(deployed)("download", arn, "-o", "again/video.gif")
    assert (refused.returncode, ".mp4" in refused.stderr) == (2, True)
    missing = runner(deployed)("download", "nothing", "-o", "x.mp4")
    assert (missing.returncode, "hyperframes-airflow list" in missing.stderr) == (2, True)


def test_an_interrupted_batch_stops_what_runs_and_its_project_can_then_be_removed(deployed: Path, said: Json) -> None:
    project(deployed / "long", seconds=40)
    (deployed / "long.json").write_text(json.dumps([{"variables": {"title": title}} for title in "abc"]))
    created = said("sites", "create", "long")
    assert created["uploaded"] is True
    assert said("sites", "create", "long")["uploaded"] is False
    arguments = command("render-batch", "long", "--rows", "long.json", "--max-running", "2", "--json")
    with subprocess.Popen(
        arguments, env=environment(deployed), cwd=deployed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not (running := said("list", "--status", "running")["renders"]):
            assert time.monotonic() < deadline
        refused = runner(deployed)("sites", "remove", created["id"][:12])
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (refused.returncode, running[0]["id"] in refused.stderr) == (2, True), refused.stderr
    assert process.returncode == 130, errors
    assert json.loads(output)["error"]["type"] == "Interrupted"
    assert said("list", "--status", "running")["renders"] == []
    site = next(site for site in said("sites", "list")["sites"] if site["id"] == created["id"])
    assert (site["bytes"], site["running"]) == (created["bytes"], [])
    assert running[0]["id"] in site["ended"]
    assert said("sites", "remove", created["id"])["removed"] == created["id"]
    assert created["id"] not in [site["id"] for site in said("sites", "list")["sites"]]
    assert runner(deployed)("sites", "remove", created["id"]).returncode == 2


def test_an_estimate_says_time_money_and_what_it_assumes(deployed: Path, said: Json) -> None:
    plain = said("estimate", "tiny", "--memory-mb", "2048", "--vcpu-factor", "2")
    assert (plain["frames"], plain["chunks"], plain["measured"]["width"]) == (6, 1, 32)
    assert plain["seconds"] > plain["measured"]["capture"] * 2 * 6
    assert 0 < plain["cost_usd"] < 0.01
    assert any("2 times as long" in text for text in plain["assumptions"])
    chunked = said("estimate", "tiny", "--stack-name", "hyperframes", "--chunk-size", "2")
    assert (chunked["chunks"], "chunkSize 2" in chunked["sizing"], "3,008 MB" in chunked["sizing"]) == (3, True, True)
    assert runner(deployed)("estimate", "tiny", "--stack-name", "nothing").returncode == 2
    assert runner(deployed)("estimate", "tiny", "--vcpu-factor", "0").returncode == 2


def test_quotas_say_how_many_chunks_run_at_once_and_what_may_not_be_asked(said: Json) -> None:
    found = said("quotas")
    values = {(value["service"], value["name"]): value for value in found["values"]}
    assert found["chunks_at_once"] == values["lambda", "Concurrent executions"]["value"] > 0
    assert "chunks of all renders together" in found["meaning"][0]
    assert all(value["problem"] for value in found["values"] if value["value"] is None)


def test_the_doctor_looks_at_a_stack(said: Json) -> None:
    checks = {check["name"]: check for check in said("doctor", "--stack-name", "hyperframes")["checks"]}
    assert [checks[name]["state"] for name in ("stack", "versions", "bucket", "concurrency")] == ["ok"] * 4
    assert [check["state"] for name, check in checks.items() if name.startswith("function ")] == ["ok"]
    missing = {check["name"]: check for check in said("doctor", "--stack-name", "nothing", code=1)["checks"]}
    assert (missing["stack"]["state"], missing["stack"]["hint"]) == ("missing", "hyperframes-airflow deploy --stack-name nothing")


def test_a_stopped_render_is_continued_in_place_of_begun_anew(deployed: Path, said: Json) -> None:
    project(deployed / "steady", seconds=10)
    with subprocess.Popen(
        command("render", "steady", "-o", "out/steady.mp4", "--chunk-size", "30"),
        env=environment(deployed),
        cwd=deployed,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("planned" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = said("list", "--status", "aborted", "--limit", "1")["renders"][0]
    again = said("redrive", stopped["execution_arn"])
    assert again["how"] in ("started", "redriven")
    assert said("progress", again["execution_arn"], "--watch")["status"] == "SUCCEEDED"
    assert runner(deployed)("redrive", again["execution_arn"]).returncode == 2


def test_the_examples_of_the_python_api_run(deployed: Path, said: Json) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python-api.md").read_text(), re.DOTALL | re.MULTILINE)
    environ = environment(deployed) | {"AWS_ENDPOINT_URL": said("local", "status")["url"]}
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], env=environ, cwd=deployed, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(blocks) == 6
    assert (deployed / "videos/ada.mp4").stat().st_size > 0
    assert "1 succeeded started" in done.stdout
