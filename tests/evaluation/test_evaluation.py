"""`smoke` and `eval` on the embedded endpoint, with every figure of their reports computed again by other means."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import Connect, connect_local
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest, ServiceError
from hyperframes_provider.client.execution.failure import RenderCancelled
from hyperframes_provider.client.stack.delete import DeleteResult
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.events import StackEvent
from hyperframes_provider.evaluation import distributed, own_stack, smoke
from hyperframes_provider.evaluation.fixtures import Fixture, built_in
from hyperframes_provider.evaluation.local_render import LocalRender
from hyperframes_provider.evaluation.own_stack import ForeignStack, OwnStack
from hyperframes_provider.evaluation.quality import NotComparable, compare
from hyperframes_provider.evaluation.smoke import SmokeOptions, run_smoke
from tests.command_line import command, environment, runner

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
    """Start a verb as a shell does."""

    def call(*arguments: object) -> subprocess.Popen[str]:
        environ = environment(folder) | {"HOME": os.environ["HOME"]}
        line = command(*arguments, "--json")
        return subprocess.Popen(line, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return call


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run a verb; return its exit code and its document."""

    def call(*arguments: object) -> tuple[int, dict[str, Any]]:
        done = runner(folder)(*arguments, "--json", HOME=os.environ["HOME"])
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

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
    """PSNR over all samples of both videos, by another decoder."""
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
    """Price of memory and scratch space over the tasks' time, of requests and of state transitions, without the few S3 objects."""
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
        (["smoke", "tiny", "--slim", "--chunk-counts", "2;4"], "give numbers"),
        (["smoke", "tiny", "--slim", "--chunk-counts", "0"], "positive numbers"),
        (["eval", "tiny", "--iterations", "0"], "less than 1"),
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


def test_one_doubled_frame_among_many_is_not_alike_enough(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 320)
    pictures = [
        np.repeat(np.tile(128 + 110 * np.sin(ramp / 9 + shift / 5), (180, 1))[..., None], 3, 2).astype(np.uint8) for shift in range(96)
    ]
    doubled = [*pictures[:41], pictures[40], *pictures[42:]]
    for name, shown, gop in (("reference", pictures, "96"), ("alike", pictures, "12"), ("doubled", doubled, "12")):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(24), options={"crf": "8", "g": gop})
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            for picture in shown:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())

    alike, wrong = (compare(tmp_path / f"{name}.mp4", tmp_path / "reference.mp4") for name in ("alike", "doubled"))

    assert alike.shortfall(40.0) == ""
    assert wrong.psnr_db is not None and wrong.worst_psnr_db is not None
    assert wrong.psnr_db > 40 and (wrong.worst_frame, wrong.worst_psnr_db < 30) == (41, True)
    assert wrong.shortfall(40.0) == f"frame 41 has PSNR {wrong.worst_psnr_db:g} dB, below 30 dB"
    assert wrong.shortfall(60.0).startswith(f"PSNR {wrong.psnr_db:g} dB is below 60 dB; worst is frame 41")


def test_a_stack_that_is_still_being_made_is_taken_away(connect) -> None:
    said: list[str] = []

    def interrupt(event: StackEvent) -> None:
        assert said == []
        raise KeyboardInterrupt(event.status)

    stack = OwnStack("hyperframes-smoke-early", "early")
    with (
        pytest.raises(KeyboardInterrupt),
        own_stack.own_stack(connect, stack, parameters={}, code=None, keep=False, say=said.append, on_event=interrupt),
    ):
        pytest.fail("never entered")

    assert (stack.teardown.stack, stack.teardown.bucket, stack.teardown.problem) == ("deleted", "deleted", "")
    assert stack.teardown.bucket_name.startswith("hyperframes-smoke-early-")
    assert nothing_is_left(connect)


def test_nothing_is_kept_of_a_deploy_that_was_refused_before_it_began(connect) -> None:
    said: list[str] = []
    stack = OwnStack("hyperframes-smoke-refused", "refused")
    with (
        pytest.raises(InvalidRequest),
        own_stack.own_stack(connect, stack, parameters={"NoSuchThing": 1}, code=None, keep=True, say=said.append),
    ):
        pytest.fail("never entered")

    assert (stack.teardown.stack, stack.teardown.bucket, said) == ("absent", "absent", [])


Fault = type[BaseException]


@pytest.mark.parametrize(
    ("broken", "fault", "teardown", "advice"),
    [
        ("delete_stack", HyperFramesClientError, ("failed", "unknown", ""), "hyperframes-airflow destroy --stack-name mine"),
        ("delete_stack", KeyboardInterrupt, ("failed", "unknown", ""), "hyperframes-airflow destroy --stack-name mine"),
        (
            "empty_and_delete_bucket",
            HyperFramesClientError,
            ("deleted", "failed", "mine-bucket"),
            "delete its bucket yourself: mine-bucket",
        ),
        ("empty_and_delete_bucket", KeyboardInterrupt, ("deleted", "failed", "mine-bucket"), "delete its bucket yourself: mine-bucket"),
    ],
)
def test_what_could_not_be_taken_away_is_said_by_name(
    broken: str, fault: Fault, teardown: tuple[str, str, str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise fault("not today")

    monkeypatch.setattr(own_stack, "_find_own", lambda *_: {"StackStatus": "CREATE_COMPLETE"})
    monkeypatch.setattr(own_stack, "delete_stack", lambda *_: DeleteResult("deleted", "mine-bucket"))
    monkeypatch.setattr(own_stack, broken, fail)
    said: list[str] = []
    stack = OwnStack("mine", "run")

    with pytest.raises(KeyboardInterrupt) if fault is KeyboardInterrupt else nullcontext():
        own_stack._take_away(lambda _: None, stack, said.append)

    done = stack.teardown
    assert (done.stack, done.bucket, done.bucket_name) == teardown
    assert done.problem == ("the deletion was interrupted" if fault is KeyboardInterrupt else "not today")
    assert said[0] == f"cannot delete everything: {done.problem}"
    assert said[1].endswith(advice)


def test_a_run_that_leaves_something_behind_has_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def left(_connect: object, stack: OwnStack, **_: object) -> Iterator[Any]:
        yield SimpleNamespace(resources=1, seconds=1.0, code="code.zip")
        stack.teardown.problem = "the bucket is not empty"

    meta = SimpleNamespace(endpoint_url="http://127.0.0.1:1", region_name="us-east-1")
    row = {"chunk_count": 2, "passed": True, "problem": "none"}
    monkeypatch.setattr(smoke, "own_stack", left)
    monkeypatch.setattr(smoke, "render_locally", lambda *_, **__: LocalRender(tmp_path, 12, 1.0))
    monkeypatch.setattr(smoke, "_one", lambda *_: row)
    monkeypatch.setattr(smoke, "RenderClient", lambda _: SimpleNamespace(target=lambda _: None))

    options = SmokeOptions(Fixture("tiny", tmp_path), tmp_path / "out", chunk_counts=[2])
    document = run_smoke(lambda _: SimpleNamespace(meta=meta), options, say=lambda _: None)

    assert (document["passed"], document["runs"], document["stack"]["problem"]) == (False, [row], "the bucket is not empty")
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == document


class Bucket:
    """An S3 client whose bucket gets another object after being emptied, `late` times."""

    def __init__(self, late: int) -> None:
        self.late, self.deleted, self.objects = late, False, 1

    def get_paginator(self, _name: str) -> Bucket:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"Versions": [{"Key": "a", "VersionId": str(number)} for number in range(self.objects)]}]

    def delete_objects(self, **_: object) -> dict[str, Any]:
        self.objects = 1 if self.late else 0
        return {}

    def delete_bucket(self, **_: str) -> None:
        if self.objects:
            self.late -= 1
            raise ClientError({"Error": {"Code": "BucketNotEmpty"}}, "DeleteBucket")
        self.deleted = True


@pytest.mark.parametrize(("late", "deleted"), [(0, 1), (2, 3), (9, None)])
def test_a_bucket_that_is_still_written_to_is_emptied_again(late: int, deleted: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_stack, "_BUCKET_PAUSES", (0.0, 0.0, 0.0))
    bucket = Bucket(late)
    if deleted is None:
        with pytest.raises(ServiceError, match="BucketNotEmpty"):
            own_stack.empty_and_delete_bucket(lambda _: bucket, "mine")
    else:
        assert own_stack.empty_and_delete_bucket(lambda _: bucket, "mine") == deleted
    assert bucket.deleted is (deleted is not None)


class Client:
    """A RenderClient whose render ends with `end` and cannot be cancelled."""

    def __init__(self, end: BaseException | None) -> None:
        self.end = end
        self.cancelled: list[str] = []

    def prepare(self, *_: object, **__: object) -> str:
        return "prepared"

    def upload(self, prepared: str) -> None:
        assert prepared == "prepared"

    def start(self, _prepared: str, *, on_begin: Callable[[str], None]) -> SimpleNamespace:
        on_begin("arn")
        return SimpleNamespace(execution_arn="arn")

    def wait(self, *_: object, **__: object) -> None:
        if self.end is not None:
            raise self.end

    def conclude(self, _arn: str) -> SimpleNamespace:
        return SimpleNamespace(output_uri="s3://bucket/outputs/x.mp4")

    def cancel(self, arn: str, **_: object) -> None:
        self.cancelled.append(arn)
        raise HyperFramesClientError("StopExecution: refused")


def no_history(service: str) -> Any:
    if service == "s3":
        return SimpleNamespace(download_file=lambda _bucket, _key, path: Path(path).write_bytes(b"video"))
    raise HyperFramesClientError("DescribeExecution: refused")


CANCELLED = RenderCancelled("stopped in the console", execution_arn="arn")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (None, ["cannot save the history: DescribeExecution: refused"]),
        (CANCELLED, ["cannot save the history: DescribeExecution: refused"]),
        *(
            (end, ["cannot stop the render: StopExecution: refused", "cannot save the history: DescribeExecution: refused"])
            for end in (KeyboardInterrupt(), HyperFramesClientError("no answer"), ValueError("unexpected"))
        ),
    ],
)
def test_a_render_that_is_given_up_is_stopped_and_how_it_ended_is_not_hidden(
    end: BaseException | None, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, lines = Client(end), []
    monkeypatch.setattr(distributed, "RenderClient", lambda _: client)

    def render() -> distributed.DistributedRender:
        return distributed.render_distributed(
            no_history,
            SimpleNamespace(),
            Fixture("tiny", tmp_path),
            config={},
            identity=(),
            output=tmp_path / "renders" / "x.mp4",
            history=tmp_path / "x.json",
            say=lines.append,
        )

    if end is None:
        assert render().path.read_bytes() == b"video"
    else:
        with pytest.raises(type(end)) as caught:
            render()
        assert caught.value is end
    assert lines == said
    assert client.cancelled == (["arn"] if len(said) == 2 else [])
