"""`smoke` and `eval` as a shell sees them, on the embedded endpoint; every figure of their reports computed again, by other means."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hyperframes_provider.client.connect import Connect, connect_local
from hyperframes_provider.client.stack import deploy_stack
from hyperframes_provider.evaluation import own_stack
from hyperframes_provider.evaluation.fixtures import built_in
from hyperframes_provider.evaluation.own_stack import ForeignStack, OwnStack
from hyperframes_provider.evaluation.quality import NotComparable, compare

FRAMES = 12
PAGE = """<!doctype html>
<style>
  body { margin: 0; }
  #stage { position: relative; width: 160px; height: 90px; overflow: hidden; background: linear-gradient(#1f4e79, #e5b27f); }
  b { position: absolute; width: 50px; height: 50px; top: 20px; background: conic-gradient(red, blue, green, red); }
</style>
<div id="stage" data-composition-id="tiny" data-no-timeline data-start="0" data-duration="0.5"
     data-width="160" data-height="90" data-fps="24"><b></b></div>
<script>
  const path = [{ transform: "none" }, { transform: "translateX(110px) rotate(1turn)" }];
  document.querySelector("b").animate(path, { duration: 500, fill: "both" });
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "index.html").write_text(PAGE)
    return folder


@pytest.fixture(scope="module")
def start(folder: Path) -> Callable[..., subprocess.Popen[str]]:
    base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = base | {"HYPERFRAMES_STATE_DIR": str(folder / "state"), "AWS_EC2_METADATA_DISABLED": "true"}
    script = "import sys; from hyperframes_provider.cli import main; sys.exit(main())"

    def call(*arguments: object) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", script, *map(str, arguments), "--json"]
        return subprocess.Popen(line, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return call


@pytest.fixture(scope="module")
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, dict[str, Any]]]:
    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        process = start(*arguments)
        out, errors = process.communicate(timeout=180)
        assert out, errors
        return process.returncode, json.loads(out)

    return call


@pytest.fixture(scope="module")
def connect(run) -> Iterator[Connect]:
    status, up = run("local", "up")
    assert status == 0
    yield connect_local(up["url"])
    run("local", "down")


def nothing_is_left(connect: Connect) -> bool:
    stacks = [stack["StackName"] for stack in connect("cloudformation").describe_stacks()["Stacks"]]
    buckets = [bucket["Name"] for bucket in connect("s3").list_buckets()["Buckets"]]
    return not [name for name in (*stacks, *buckets) if name.startswith("hyperframes-smoke-")]


def psnr(video: Path, reference: Path) -> float:
    """Of all samples of both videos, by another decoder."""
    squares, samples = 0.0, 0
    with av.open(str(video)) as one, av.open(str(reference)) as other:
        for ours, theirs in zip(one.decode(video=0), other.decode(video=0), strict=True):
            difference = ours.to_ndarray(format="yuv420p").astype(np.float64) - theirs.to_ndarray(format="yuv420p")
            squares, samples = squares + float((difference**2).sum()), samples + difference.size
    return 10 * math.log10(255**2 / (squares / samples))


def seconds(history: dict[str, Any]) -> float:
    times = [datetime.fromisoformat(history["execution"][name]) for name in ("startDate", "stopDate")]
    return (times[1] - times[0]).total_seconds()


def dollars(history: dict[str, Any], memory_mb: int) -> float:
    """Memory and scratch space by the time of the tasks, requests and state transitions; without the few objects that are written."""
    events = {event["id"]: event for event in history["events"]}
    spent = 0.0
    for event in events.values():
        if event["type"] == "TaskSucceeded":
            before = events[event["previousEventId"]]
            spent += (datetime.fromisoformat(event["timestamp"]) - datetime.fromisoformat(before["timestamp"])).total_seconds()
    tasks = sum(event["type"] == "TaskScheduled" for event in events.values())
    states = sum(event["type"].endswith("StateEntered") for event in events.values())
    return spent * (memory_mb / 1024 * 0.0000166667 + 9.5 * 0.0000000309) + tasks * 0.2e-6 + states * 25e-6


def test_a_smoke_run_passes_and_leaves_a_report_and_nothing_else(connect, run, folder: Path) -> None:
    status, report = run("smoke", "tiny", "--slim", "--chunk-counts", "2,3", "--reserved-concurrency", 3, "--output", "smoked")

    output = folder / "smoked"
    assert (status, report["passed"]) == (0, True)
    assert json.loads((output / "results.json").read_text()) == report
    assert nothing_is_left(connect)
    assert (report["stack"]["stack"], report["stack"]["bucket"], report["stack"]["problem"]) == ("deleted", "deleted", "")
    assert report["stack"]["objects"] > 0
    assert [row["chunk_count"] for row in report["runs"]] == [2, 3]
    for row in report["runs"]:
        history = json.loads((output / row["history"]).read_text())
        assert row["frames"] == row["quality"]["frames"] == FRAMES
        assert row["chunks"] == row["chunk_count"]
        assert sum(event["type"] == "MapIterationStarted" for event in history["events"]) == row["chunk_count"]
        assert row["seconds"] == pytest.approx(seconds(history), abs=0.06)
        assert row["execution_arn"] == history["execution"]["executionArn"]
        assert 0.97 * row["cost_usd"] - 0.0002 < dollars(history, 10240) <= row["cost_usd"]
        assert row["quality"]["psnr_db"] == pytest.approx(psnr(output / row["render"], output / "renders/in-process.mp4"), abs=0.01)
        assert row["quality"]["worst_psnr_db"] <= row["quality"]["psnr_db"]


def test_a_kept_stack_whose_renders_are_not_alike_enough_can_be_evaluated(connect, run, folder: Path) -> None:
    status, smoked = run("smoke", "tiny", "--slim", "--chunk-counts", "2", "--psnr-threshold", 200, "--keep-stack", "--output", "kept")

    assert (status, smoked["passed"], smoked["stack"]["stack"]) == (1, False, "kept")
    assert "is below 200 dB" in smoked["runs"][0]["problem"]
    assert smoked["runs"][0]["passed"] is False

    status, report = run("eval", "tiny", "--iterations", 2, "--stack-name", smoked["stack"]["name"], "--output", "evaluated")

    output = folder / "evaluated"
    assert (status, report["passed"]) == (0, True)
    assert json.loads((output / "results.json").read_text()) == report
    (fixture,) = report["fixtures"]
    assert (fixture["name"], fixture["frames"], fixture["width"], fixture["height"], fixture["duration"]) == ("tiny", 12, 160, 90, 0.5)
    iterations = fixture["iterations"]
    assert len({one["distributed"]["execution_arn"] for one in iterations}) == 2
    for one in iterations:
        history = json.loads((output / one["distributed"]["history"]).read_text())
        assert one["distributed"]["seconds"] == pytest.approx(seconds(history), abs=0.06)
        assert one["distributed"]["frames_per_second"] == pytest.approx(FRAMES / one["distributed"]["seconds"], abs=0.001)
        assert one["local"]["frames_per_second"] == pytest.approx(FRAMES / one["local"]["seconds"], abs=0.001)
        assert one["distributed"]["wall_seconds"] >= one["distributed"]["seconds"]
        if one["quality"]["psnr_db"] is not None:
            measured = psnr(output / one["distributed"]["render"], output / one["local"]["render"])
            assert one["quality"]["psnr_db"] == pytest.approx(measured, abs=0.01)
    median = fixture["median"]
    for name, (where, field) in {
        "local_seconds": ("local", "seconds"),
        "distributed_seconds": ("distributed", "seconds"),
        "distributed_wall_seconds": ("distributed", "wall_seconds"),
        "cost_usd": ("distributed", "cost_usd"),
        "distributed_frames_per_second": ("distributed", "frames_per_second"),
    }.items():
        assert median[name] == statistics.median(one[where][field] for one in iterations)
    assert median["speed_up"] == pytest.approx(median["local_seconds"] / median["distributed_seconds"], abs=0.001)

    assert run("destroy", "--stack-name", smoked["stack"]["name"])[0] == 0
    own_stack.empty_and_delete_bucket(connect, f"{kept_bucket(connect, smoked['stack']['name'])}")


def kept_bucket(connect: Connect, stack: str) -> str:
    (bucket,) = (item["Name"] for item in connect("s3").list_buckets()["Buckets"] if item["Name"].startswith(stack))
    return str(bucket)


def test_an_interrupt_takes_the_stack_away_and_stops_the_render(connect, start, folder: Path) -> None:
    process = start("smoke", "tiny", "--slim", "--chunk-counts", "2", "--output", "interrupted")
    for line in process.stderr:
        if "started" in line or "planned" in line:
            break
    process.send_signal(signal.SIGINT)

    out, _ = process.communicate(timeout=120)

    report = json.loads((folder / "interrupted" / "results.json").read_text())
    assert process.returncode == 130
    assert json.loads(out)["error"]["type"] == "Interrupted"
    assert nothing_is_left(connect)
    assert (report["passed"], report["error"]["type"], report["stack"]["stack"]) == (False, "KeyboardInterrupt", "deleted")
    history = json.loads((folder / "interrupted" / "histories" / "chunks-2.json").read_text())
    assert history["execution"]["status"] == "ABORTED"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["smoke", "nowhere"], "is neither one of cascade, sweep, ticker"),
        (["smoke", "tiny", "--slim", "--chunk-counts", "2;4"], "numbers with commas"),
        (["smoke", "tiny", "--slim", "--chunk-counts", "0"], "numbers from 1"),
        (["eval", "tiny", "--iterations", "0"], "1 and more"),
    ],
)
def test_a_wrong_request_deploys_nothing(arguments, words: str, connect, run) -> None:
    status, refused = run(*arguments)

    assert status == 2
    assert words in refused["error"]["message"]
    assert nothing_is_left(connect)


def test_a_stack_that_it_did_not_make_is_left_alone(connect) -> None:
    name = "hyperframes-not-ours"
    deployed = deploy_stack(connect, name).outputs
    said: list[str] = []

    with (
        pytest.raises(ForeignStack),
        own_stack.own_stack(connect, OwnStack(name, "x"), parameters={}, code=None, keep=False, say=said.append),
    ):
        pytest.fail("never entered")
    own_stack._take_away(connect, stack := OwnStack(name, "x"), said.append)

    assert stack.teardown.stack == "absent"
    assert said == []
    assert connect("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"] == deployed.stack_id


def test_videos_that_differ_in_length_are_not_compared(tmp_path: Path) -> None:
    for name, count in (("one.mp4", 3), ("two.mp4", 4)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(24))
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for shade in range(count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade * 40, np.uint8), format="rgb24")))
            container.mux(stream.encode())
    shutil.copy(tmp_path / "one.mp4", tmp_path / "same.mp4")

    assert compare(tmp_path / "one.mp4", tmp_path / "same.mp4").psnr_db is None
    with pytest.raises(NotComparable, match=r"has 3 frames, .* has 4"):
        compare(tmp_path / "one.mp4", tmp_path / "two.mp4")


def test_the_built_in_fixtures_are_those_of_the_package() -> None:
    assert {"cascade", "sweep", "ticker"} <= {fixture.name for fixture in built_in()}
