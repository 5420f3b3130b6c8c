from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from hyperframes_provider.operators import exceptions
from hyperframes_provider.operators.render import HyperFramesRenderOperator

STACK = "hyperframes-provider-tests"
Context = Callable[..., dict[str, Any]]


def operator(project: Path | str, **arguments: Any) -> HyperFramesRenderOperator:
    defaults = {"task_id": "render", "stack_name": STACK, "project": str(project), "deferrable": False, "poll_interval": 0.5}
    return HyperFramesRenderOperator(**(defaults | arguments))


def test_a_render_returns_the_documented_result(aws, project, context: Context) -> None:
    ctx = context()

    result = operator(project, variables={"chunks": 3}, output="outputs/recap.mp4", config={"fps": 30}).execute(ctx)

    (execution,) = aws.executions()
    assert result.pop("cost_usd") > 0
    assert result.pop("seconds") >= 0
    assert result == {
        "output_uri": f"s3://{aws.bucket}/outputs/recap.mp4",
        "frames": 30,
        "duration": 1.0,
        "width": 320,
        "height": 180,
        "bytes": 5,
        "chunks": 3,
        "chunks_reused": 0,
        "retries": 0,
        "throttled": 0,
        "invocations": 5,
        "workers": 1,
        "sizing": "",
        "plan_hash": "ab" * 32,
        "execution_arn": execution["executionArn"],
        "renderer": "0.1.0",
        "verification": {"FramesCompared": 30},
        "sidecars": {"poster": f"s3://{aws.bucket}/outputs/recap.poster.jpg"},
    }
    assert ctx["ti"].xcoms == {"execution_arn": execution["executionArn"], "hyperframes_links": {}}
    assert execution["name"].startswith("weekly-render-")
    assert execution["name"].endswith("-g1")


def test_variables_that_outgrow_the_input_travel_by_s3(aws, project, context: Context) -> None:
    variables = {"rows": "x" * 300_000}

    operator(project, variables=variables).execute(context())

    (execution,) = aws.executions()
    sent = json.loads(aws.describe(execution["executionArn"])["input"])
    # What this machine runs at once stands beside it, as the quota of its embedded account.
    assert sent["Config"] == {"variablesS3Uri": sent["PlanOutputS3Prefix"] + "variables.json", "concurrencyLimit": os.cpu_count()}
    bucket, _, key = sent["Config"]["variablesS3Uri"].removeprefix("s3://").partition("/")
    assert json.loads(aws.connect("s3").get_object(Bucket=bucket, Key=key)["Body"].read()) == variables


def test_the_default_output_is_named_after_the_render_and_does_not_expire(aws, project, context: Context) -> None:
    result = operator(project).execute(context())

    name = aws.executions()[0]["name"].removesuffix("-g1")
    assert result["output_uri"] == f"s3://{aws.bucket}/outputs/{name}.mp4"


def test_without_waiting_the_operator_returns_what_a_sensor_needs(aws, project, context: Context) -> None:
    result = operator(project, variables={"seconds": 1}, wait_for_completion=False, deferrable=True).execute(context())

    (execution,) = aws.executions()
    assert execution["status"] == "RUNNING"
    name = execution["name"].removesuffix("-g1")
    assert result == {
        "execution_arn": execution["executionArn"],
        "render_id": name,
        "output_uri": f"s3://{aws.bucket}/outputs/{name}.mp4",
    }


def test_another_attempt_adopts_the_running_execution(aws, project, context: Context) -> None:
    first = operator(project, variables={"seconds": 2}, deferrable=True)
    with pytest.raises(TaskDeferred):
        first.execute(context())

    result = operator(project, variables={"seconds": 2}).execute(context(try_number=2))

    (execution,) = aws.executions()
    assert (execution["executionArn"], execution["status"]) == (result["execution_arn"], "SUCCEEDED")


def test_a_result_that_got_lost_is_taken_and_one_that_was_returned_is_rendered_again(aws, project, context: Context) -> None:
    with pytest.raises(TaskDeferred):
        operator(project, deferrable=True).execute(context())
    aws.until(lambda: aws.executions()[0]["status"] == "SUCCEEDED")

    retried = operator(project).execute(context(try_number=2))
    assert [retried["execution_arn"]] == [execution["executionArn"] for execution in aws.executions()]

    cleared = operator(project).execute(context(try_number=3))
    assert [execution["name"][-3:] for execution in aws.executions()] == ["-g1", "-g2"]
    assert cleared["chunks_reused"] == 2


def test_another_run_is_another_render(aws, project, context: Context) -> None:
    operator(project).execute(context())
    operator(project).execute(context(run_id="manual__2"))

    assert [execution["name"][-3:] for execution in aws.executions()] == ["-g1", "-g1"]


def test_the_logical_date_stands_for_the_run_where_there_is_one(aws, project, context: Context) -> None:
    date = {"logical_date": datetime(2026, 1, 1, tzinfo=UTC)}
    operator(project).execute(context(run_id="manual__a") | date)
    operator(project).execute(context(run_id="manual__b") | date)

    assert [execution["name"][-3:] for execution in aws.executions()] == ["-g1", "-g2"]


def test_an_error_of_the_table_that_no_retry_can_mend_fails_the_task_for_good(aws, project, context: Context) -> None:
    render = operator(project, variables={"fail": {"code": "COMPOSITION_NOT_READY"}})

    with pytest.raises(exceptions.HyperFramesRenderFatalError) as failed:
        render.execute(context())

    assert isinstance(failed.value, AirflowFailException)
    lines = str(failed.value).splitlines()
    assert lines[0] == "RenderFailed: COMPOSITION_NOT_READY in Plan (not retried)"
    assert lines[1:3] == ["  COMPOSITION_NOT_READY was asked for", "  and this is what to do"]
    assert aws.executions()[0]["executionArn"] in lines[3]
    assert f"/aws/lambda/{STACK}" in lines[3]


def test_a_transient_error_names_chunk_and_attempts_and_the_next_attempt_keeps_finished_chunks(aws, project, context: Context) -> None:
    fault = {"code": "BROWSER_CRASHED", "chunk": 1, "times": 4}

    with pytest.raises(exceptions.HyperFramesRenderError) as failed:
        operator(project, variables={"fail": fault}).execute(context())
    result = operator(project, variables={"fail": fault}).execute(context(try_number=2))

    assert str(failed.value).startswith("RenderFailed: BROWSER_CRASHED in RenderChunk, chunk 1 (tried 4 times)")
    assert [execution["name"][-3:] for execution in aws.executions()] == ["-g1", "-g2"]
    assert result["chunks_reused"] == 1


@pytest.mark.usefixtures("aws")
def test_the_log_tells_retries_progress_and_the_result(project, context: Context) -> None:
    render = operator(project, variables={"seconds": 1, "fail": {"code": "BROWSER_CRASHED", "chunk": 0, "times": 1}})
    said: list[str] = []
    render._say = said.append  # type: ignore[method-assign]

    result = render.execute(context())

    assert "chunk 0 retried (BROWSER_CRASHED, attempt 2 of 4)" in said
    assert [line for line in said if line.startswith("2/2 chunks · 20/20 frames")]
    assert said[-1].startswith("done · 20 frames · 0.667 s · 5 B · $0.000")
    assert len(said) == len(set(said))
    assert result["retries"] == 1


def test_on_kill_stops_the_execution_with_a_cause_and_marks_its_chunks(aws, project, context: Context) -> None:
    render = operator(project, variables={"seconds": 3, "chunks": 4})
    failure: list[BaseException] = []

    def run() -> None:
        try:
            render.execute(context())
        except exceptions.HyperFramesRenderCancelledError as error:
            failure.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    aws.until(lambda: aws.executions() and aws.keys(f"renders/{aws.executions()[0]['name'].removesuffix('-g1')}/progress/"))
    render.on_kill()
    worker.join(30)

    described = aws.describe(aws.executions()[0]["executionArn"])
    assert (described["status"], described["error"]) == ("ABORTED", "RENDER_CANCELLED")
    assert "task render of DAG" in described["cause"]
    marker = f"renders/{described['name'].removesuffix('-g1')}/cancel"
    assert described["name"] in aws.connect("s3").get_object(Bucket=aws.bucket, Key=marker)["Body"].read().decode()
    assert len(failure) == 1


def test_after_our_own_stop_the_same_request_starts_afresh(aws, project, context: Context) -> None:
    variables = {"seconds": 2, "chunks": 2}
    render = operator(project, variables=variables, wait_for_completion=False)
    render.execute(context())
    render.on_kill()

    operator(project, variables=variables).execute(context(try_number=2))

    assert [(execution["name"][-3:], execution["status"]) for execution in aws.executions()] == [("-g1", "ABORTED"), ("-g2", "SUCCEEDED")]


def test_cancel_on_kill_false_leaves_the_render_alone(aws, project, context: Context) -> None:
    render = operator(project, variables={"seconds": 1}, wait_for_completion=False, cancel_on_kill=False)
    render.execute(context())

    render.on_kill()

    aws.until(lambda: aws.executions()[0]["status"] == "SUCCEEDED")


def test_the_trigger_carries_connection_and_deadline(aws, project, context: Context) -> None:
    render = operator(
        project, deferrable=True, region_name="us-east-1", botocore_config={"read_timeout": 5}, execution_timeout=timedelta(seconds=60)
    )
    before = datetime.now(UTC).timestamp()

    with pytest.raises(TaskDeferred) as deferred:
        render.execute(context())

    _, arguments = deferred.value.trigger.serialize()
    assert deferred.value.method_name == "execute_complete"
    assert before + 60 <= arguments.pop("deadline") <= before + 75
    assert arguments == {
        "execution_arn": aws.executions()[0]["executionArn"],
        "poll_interval": 0.5,
        "owns_execution": True,
        "aws_conn_id": "aws_default",
        "region_name": "us-east-1",
        "verify": None,
        "botocore_config": {"read_timeout": 5},
    }


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        ({"outcome": "deadline"}, exceptions.HyperFramesRenderTimeoutError, "not done by its deadline"),
        ({"outcome": "error", "message": "no answer"}, exceptions.HyperFramesServiceError, "no answer"),
        ({"outcome": "error", "message": "denied", "retryable": False}, exceptions.HyperFramesFatalError, "denied"),
    ],
)
def test_what_the_trigger_could_not_do_fails_the_task_by_kind(event, error, words: str, project, context: Context) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:execution:m:n-g1"

    with pytest.raises(error, match=words):
        operator(project).execute_complete(context(), {"execution_arn": arn, **event})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"config": {"widht": 320}}, "config.widht: unknown field, did you mean 'width'"),
        ({"config": {"fps": 31}}, "config.fps: 31 is not accepted"),
        ({"config": {"fps": 31, "width": "{{ params.width }}"}}, "config.fps: 31"),
        ({"config": {"crf": 20, "bitrate": "8M"}}, "exclude each other"),
        ({"config": ["fps"]}, "not a mapping"),
        ({"variables": "title"}, "not a mapping"),
        ({"variables": {"a": 1}, "config": {"variables": {"a": 1}}}, "given twice"),
        ({"state_machine_arn": "arn:aws:states:us-east-1:1:stateMachine:m"}, "exactly one place to render"),
        ({"stack_name": None, "bucket": "b"}, "exactly one place to render"),
        ({"poll_interval": 0}, "poll_interval: 0"),
    ],
)
def test_what_can_never_be_right_fails_when_the_dag_is_parsed(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.HyperFramesRequestError, match=words.replace("(", r"\(")):
        operator("project", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"config": "{{ params.config | tojson }}"},
        {"config": {"fps": "{{ params.fps }}", "variables": {"title": "{{ ds }}"}}},
        {"config": {"{{ params.name }}": 1}},
        {"variables": "{{ params.variables | tojson }}"},
        {"stack_name": None, "state_machine_arn": "{{ arn }}", "bucket": "{{ bucket }}"},
    ],
)
def test_templates_wait_until_the_task_runs(arguments: dict[str, Any]) -> None:
    operator("project", **arguments)


def test_rendered_templates_are_read_as_what_they_spell(aws, project, context: Context) -> None:
    render = operator(project, config={"width": "{{ 1 }}", "fps": "{{ 1 }}", "strictVariables": "{{ 1 }}"}, variables="{{ 1 }}")
    render.config = {"width": "640", "fps": "30000/1001", "strictVariables": "true"}
    render.variables = '{"chunks": 2, "title": "007"}'  # type: ignore[assignment]  # what the tojson filter makes

    arn = render.execute(context())["execution_arn"]

    assert (
        '"Config":{"fps":"30000/1001","width":640,"variables":{"chunks":2,"title":"007"},"strictVariables":true,'
        in aws.describe(arn)["input"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"project": "/nowhere/project"}, "does not exist"),
        ({"project": "s3://{bucket}/missing.tar.gz"}, "there is no object"),
        ({"project": "s3://{bucket}/folder"}, "not a .tar.gz archive"),
        ({"output": "s3://{bucket}/"}, "names no object"),
        ({"output": "outputs/recap.mov"}, "ends in .mov"),
        ({"variables": {"rows": "x" * 17_000_000}}, "Config.variables.rows makes the variables too large: 17,000,002 of 17,"),
        ({"stack_name": "no-such-stack"}, "does not exist"),
    ],
)
def test_a_wrong_request_fails_for_good_before_anything_is_started(arguments, words: str, aws, project, context: Context) -> None:
    arguments = {key: value.replace("{bucket}", aws.bucket) if isinstance(value, str) else value for key, value in arguments.items()}

    with pytest.raises(AirflowFailException, match=words):
        operator(arguments.pop("project", project), **arguments).execute(context())

    assert aws.executions() == []


@pytest.mark.usefixtures("aws")
def test_a_relative_project_starts_at_the_dag_file(project, context: Context) -> None:
    from airflow.sdk import DAG

    with DAG("weekly", schedule=None) as dag:
        render = operator("project")
    dag.fileloc = str(project.parent / "dag.py")

    assert render.execute(context())["frames"] == 20


@pytest.mark.usefixtures("aws")
def test_an_output_under_the_expiring_prefix_gets_a_warning(project, context: Context, monkeypatch) -> None:
    render = operator(project, output="renders/mine.mp4")
    warnings: list[str] = []
    monkeypatch.setattr(type(render.log), "warning", lambda _log, text, *values: warnings.append(text % values), raising=False)

    render.execute(context())

    assert [text for text in warnings if "where objects expire" in text]
