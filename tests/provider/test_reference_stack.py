"""A stack of the reference renderer, driven by everything that drives ours. Its function is a stand-in; endpoint and clients are real."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.request.dialect import OWN
from hyperframes_provider.client.request.reference_stack import REFERENCE
from hyperframes_provider.client.stack.delete import delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import describe_stack
from hyperframes_provider.operators import exceptions
from hyperframes_provider.operators.render import HyperFramesRenderOperator
from hyperframes_provider.sensors.render import HyperFramesChunkSensor, HyperFramesRenderSensor
from hyperframes_provider.triggers.render import RenderTrigger
from tests.provider.reference_template import template

STACK = "reference"
SIZE = {"fps": 30, "width": 320, "height": 180}
Context = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def _reference(_deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    connect: Connect = _deployed.connect
    code = tmp_path_factory.mktemp("reference") / "handler.zip"
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(Path(__file__).with_name("reference_function.py"), "handler.py")
    connect("s3").create_bucket(Bucket="reference-code")
    connect("s3").upload_file(str(code), "reference-code", "handler.zip")
    cloudformation = connect("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=template("reference-code", "handler.zip"),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": "ProjectName", "ParameterValue": STACK}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    yield replace(_deployed, outputs=describe_stack(connect, STACK))
    cloudformation.delete_stack(StackName=STACK)


@pytest.fixture
def reference(aws, _reference):
    """The stack, as the connection `aws_default` reaches it."""
    listed = _reference.connect("stepfunctions").list_executions(stateMachineArn=_reference.outputs.state_machine_arn)["executions"]
    _reference.known = {item["executionArn"] for item in listed}
    return _reference


def operator(project: Path | str, **arguments: Any) -> HyperFramesRenderOperator:
    defaults = {"task_id": "render", "stack_name": STACK, "project": str(project), "deferrable": False, "poll_interval": 0.5}
    return HyperFramesRenderOperator(**(defaults | {"config": SIZE} | arguments))


def submit(reference, project, context: Context, **variables: Any) -> str:
    return str(operator(project, variables=variables, wait_for_completion=False).execute(context())["execution_arn"])


def test_a_stack_is_told_by_its_outputs(aws, reference) -> None:
    assert describe_stack(reference.connect, STACK).dialect is REFERENCE
    assert aws.outputs.dialect is OWN
    client = RenderClient(reference.connect)
    assert client.target(STACK).dialect is REFERENCE
    assert client.target_at(reference.bucket, reference.outputs.state_machine_arn).dialect is REFERENCE
    assert client.target_at(aws.bucket, aws.outputs.state_machine_arn).dialect is OWN


def test_a_render_returns_what_the_reference_says(reference, project, context: Context) -> None:
    said: list[str] = []
    render = operator(project, variables={"chunks": 3}, output="outputs/recap.mp4", config={**SIZE, "codec": "h265", "crf": 20})
    render._say = said.append  # type: ignore[method-assign]

    result = render.execute(context())

    (execution,) = reference.executions()
    sent = json.loads(reference.describe(execution["executionArn"])["input"])
    assert set(sent) == {"ProjectS3Uri", "PlanOutputS3Prefix", "OutputS3Uri", "Config"}
    assert sent["Config"] == {**SIZE, "format": "mp4", "codec": "h265", "crf": 20, "variables": {"chunks": 3}}
    assert sent["PlanOutputS3Prefix"] == f"s3://{reference.bucket}/renders/{execution['name']}/"
    assert result.pop("cost_usd") > 0
    assert result.pop("seconds") >= 0
    assert len(result.pop("plan_hash")) == 64
    expected = {
        "output_uri": f"s3://{reference.bucket}/outputs/recap.mp4",
        "frames": 30,
        "duration": 1.0,
        "width": 320,
        "height": 180,
        "bytes": 5,
        "chunks": 3,
        "chunks_reused": 0,
        "retries": 0,
        "execution_arn": execution["executionArn"],
        "renderer": "0.8.31",
        "verification": {},
        "sidecars": {},
    }
    assert {name: result[name] for name in expected} == expected
    assert [line for line in said if "3 chunks planned · 30 frames · 1.000 s" in line]
    assert said[-1].startswith("done · 30 frames · 1.000 s · 5 B")


def test_deferred_and_watched_by_sensors(reference, project, context: Context) -> None:
    render = operator(project, variables={"chunks": 2, "seconds": 0.5}, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        render.execute(context())
    arn = deferred.value.trigger.execution_arn

    event = fired(deferred.value.trigger)
    result = render.execute_complete(context(), event)
    chunks = HyperFramesChunkSensor(task_id="chunks", execution_arn=arn, at_least=1.0).poke(context())
    done = HyperFramesRenderSensor(task_id="done", execution_arn=arn).poke(context())

    assert (event["chunks_done"], event["chunks_total"], event["frames_done"], event["frames_total"]) == (2, 2, 20, 20)
    assert result["frames"] == 20
    assert chunks.is_done
    assert chunks.xcom_value["chunks_done"] == 2
    assert done.is_done
    assert done.xcom_value["output_uri"] == result["output_uri"]
    assert reference.keys(f"renders/{arn.rpartition(':')[2]}/progress/") == []


def fired(trigger: RenderTrigger) -> dict[str, Any]:
    async def events() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


def test_a_chunk_sensor_fires_before_the_end(reference, project, context: Context) -> None:
    """Progress is in the history alone: one chunk of two is done while the other fails and waits."""
    arn = submit(reference, project, context, chunks=2, fail={"name": "Flaky", "chunk": 1, "times": 2})
    sensor = HyperFramesChunkSensor(task_id="half", execution_arn=arn, at_least=0.5)

    found = reference.until(lambda: (answer := sensor.poke(context())).is_done and answer)

    assert found.xcom_value["chunks_done"] == 1
    assert reference.describe(arn)["status"] == "RUNNING"


def test_a_final_error_of_the_reference_fails_the_task_for_good(reference, project, context: Context) -> None:
    with pytest.raises(exceptions.HyperFramesRenderFatalError) as failed:
        operator(project, variables={"fail": {"name": "FONT_FETCH_FAILED"}}).execute(context())

    lines = str(failed.value).splitlines()
    assert lines[0] == "RenderFailed: FONT_FETCH_FAILED in PlanV2 (not retried)"
    assert lines[1] == "  [producer] FONT_FETCH_FAILED was asked for"
    assert reference.executions()[0]["executionArn"] in lines[2]
    assert f"/aws/lambda/{STACK}-render" in lines[2]


def test_any_other_error_is_retried_and_the_next_attempt_is_not_in_the_way_of_its_own_plan(reference, project, context: Context) -> None:
    said: list[str] = []
    render = operator(project, variables={"vary": True, "fail": {"name": "Flaky", "chunk": 1, "times": 1}})
    render._say = said.append  # type: ignore[method-assign]
    assert render.execute(context())["retries"] == 1
    assert "chunk 1 retried (Flaky, attempt 2 of 5)" in said

    # Cleared: the result was taken, so it renders again. Under the old prefix the reference would refuse its other plan.
    assert operator(project, variables=render.variables).execute(context(try_number=2))["frames"] == 20
    assert [execution["name"][-3:] for execution in reference.executions()] == ["-g1", "-g2"]


def test_a_result_that_got_lost_is_taken(reference, project, context: Context) -> None:
    with pytest.raises(TaskDeferred):
        operator(project, deferrable=True).execute(context())
    reference.until(lambda: reference.executions()[0]["status"] == "SUCCEEDED")

    retried = operator(project).execute(context(try_number=2))

    assert [retried["execution_arn"]] == [execution["executionArn"] for execution in reference.executions()]


def test_killing_the_task_stops_the_execution_and_leaves_no_marker(reference, project, context: Context) -> None:
    render = operator(project, variables={"seconds": 3, "chunks": 4})
    failure: list[BaseException] = []

    def run() -> None:
        try:
            render.execute(context())
        except exceptions.HyperFramesRenderCancelledError as error:
            failure.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    reference.until(lambda: reference.executions() and reference.keys(f"renders/{reference.executions()[0]['name']}/v2/"))
    render.on_kill()
    worker.join(30)

    described = reference.describe(reference.executions()[0]["executionArn"])
    assert (described["status"], described["error"]) == ("ABORTED", "RENDER_CANCELLED")
    assert [key for key in reference.keys("renders/") if key.endswith("/cancel")] == []
    assert len(failure) == 1


def test_the_trigger_stops_it_too_when_its_deadline_passes(reference, project, context: Context) -> None:
    arn = submit(reference, project, context, seconds=5)
    reference.until(lambda: reference.keys(f"renders/{arn.rpartition(':')[2]}/v2/"))

    event = fired(RenderTrigger(execution_arn=arn, poll_interval=0.2, deadline=1.0, owns_execution=True))

    assert event["outcome"] == "deadline"
    assert reference.describe(arn)["status"] == "ABORTED"
    assert [key for key in reference.keys("renders/") if key.endswith("/cancel")] == []


def test_a_stopped_render_goes_on_under_a_prefix_of_its_own(reference, project, context: Context) -> None:
    client = RenderClient(reference.connect)
    arn = submit(reference, project, context, seconds=3, vary=True)
    reference.until(lambda: reference.keys(f"renders/{arn.rpartition(':')[2]}/v2/"))
    stopped = client.cancel(arn, cause="a test")

    started = client.redrive(arn)

    assert (stopped.stopped, stopped.marked) == (True, False)
    assert "running chunks end when they are done" in stopped.detail
    assert started.execution_arn == f"{arn.removesuffix('-g1')}-g2"
    ended = reference.until(lambda: (found := reference.describe(started.execution_arn))["status"] != "RUNNING" and found)
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["input"])["PlanOutputS3Prefix"].endswith("-g2/")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"config": {"fps": 25, "sidecars": ["poster"], "audio": False}}, ("config.fps: 25", "config.sidecars", "config.audio", "width")),
        ({"config": {**SIZE, "format": "gif"}}, ("config.format: 'gif' is not accepted; use mp4, mov, webm, png-sequence",)),
        ({"output": "s3://elsewhere/recap.mp4"}, ("output: s3://elsewhere/recap.mp4 is not in the bucket",)),
        ({"project": "s3://elsewhere/recap.tar.gz"}, ("project: s3://elsewhere/recap.tar.gz is not in the bucket",)),
        ({"config": {**SIZE, "format": "png-sequence"}, "output": "outputs/a.tar"}, ("End it in .tar.gz",)),
        ({"variables": {"rows": "x" * 300_000}}, ("Config.variables.rows makes the request too large",)),
    ],
)
def test_what_the_reference_cannot_do_is_refused_before_anything_is_started(arguments, words, reference, project, context) -> None:
    before = reference.keys("sites/")

    with pytest.raises(AirflowFailException) as refused:
        operator(arguments.pop("project", project), **arguments).execute(context())

    assert [word for word in words if word not in str(refused.value)] == []
    assert reference.executions() == []
    assert reference.keys("sites/") == before


def test_every_field_is_known_to_the_reference_or_refused_by_name() -> None:
    """A field that is new here must not slip through to a stack that would ignore it."""
    from tests.provider.reference_function import KNOWN

    values: dict[str, Any] = {
        "strictVariables": True,
        "audio": False,
        "allowedHosts": ["a.internal"],
        "metadata": {"title": "x"},
        "cfr": True,
    }
    values |= {"sidecars": ["poster"], "posterAt": 1, "audioCodec": "opus", "audioBitrate": "96k"}
    for name in {info.alias for info in RenderConfig.model_fields.values()} - KNOWN - set(values):
        values[str(name)] = {"frame": 1, "at": 1.0, "gifLoop": 1, "hlsSegmentSeconds": 4}[str(name)]
    for name, value in values.items():
        form = {"frame": "png", "at": "png", "gifLoop": "gif", "hlsSegmentSeconds": "hls"}.get(name, "mp4")
        needed = {"sidecars": ["poster"]} if name == "posterAt" else {}
        config = RenderConfig.model_validate({**SIZE, "format": form, **needed, name: value})
        with pytest.raises(RenderError) as refused:
            REFERENCE.config(config)
        assert refused.value.code is ErrorCode.INVALID_CONFIG
        assert f"config.{name}: " in refused.value.message


def test_our_deploy_and_destroy_leave_such_a_stack_alone(reference) -> None:
    with pytest.raises(InvalidRequest, match="was not made from this template"):
        deploy_stack(reference.connect, STACK)
    with pytest.raises(InvalidRequest, match="was not made from this template"):
        delete_stack(reference.connect, STACK)


@pytest.fixture
def command(reference, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = base | {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "HYPERFRAMES_STATE_DIR": str(tmp_path)}
    script = "import sys; from hyperframes_provider.cli import main; sys.exit(main())"

    def start(*arguments: object) -> subprocess.Popen[str]:
        where = ("--stack-name", STACK, "--endpoint-url", reference.endpoint_url, "--region", "us-east-1", "--json")
        line = [sys.executable, "-c", script, *map(str, arguments), *where]
        return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)

    return start


def said(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, errors = process.communicate(timeout=60)
    assert out, errors
    return process.returncode, json.loads(out)


def test_the_command_line_renders_frames_and_says_how_far_it_is(reference, project, command, tmp_path: Path) -> None:
    size = ("--fps", 30, "--width", 320, "--height", 180)
    status, rendered = said(command("render", project, "-o", "frames/", *size))
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["frame_000001.png", "frame_000002.png"]
    assert rendered["output_uri"].endswith(".tar.gz")

    status, _ = said(command("download", rendered["execution_arn"], "-o", "frames.tar"))
    with tarfile.open(tmp_path / "frames.tar", "r:") as archive:
        assert (status, len(archive.getnames())) == (0, 2)

    status, progress = said(command("progress", rendered["execution_arn"]))
    assert (status, progress["status"], progress["chunks_done"], progress["frames_done"]) == (0, "SUCCEEDED", 2, 20)

    status, refused = said(command("render", project, "-o", "film.mp4", "--sidecar", "poster"))
    assert (status, refused["error"]["type"]) == (2, "INVALID_CONFIG")
    assert "config.sidecars" in refused["error"]["message"]


def test_the_command_line_cancels(reference, project, context: Context, command) -> None:
    # Long as a whole; a chunk that runs on when the rest is stopped is over soon.
    arn = submit(reference, project, context, seconds=2, chunks=30)
    reference.until(lambda: reference.keys(f"renders/{arn.rpartition(':')[2]}/v2/"))

    status, cancelled = said(command("cancel", arn))

    assert (status, cancelled["stopped"]) == (0, True)
    assert reference.describe(arn)["status"] == "ABORTED"
    assert [key for key in reference.keys("renders/") if key.endswith("/cancel")] == []
