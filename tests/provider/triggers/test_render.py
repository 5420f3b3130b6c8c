from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from hyperframes_provider.operators.render import HyperFramesRenderOperator
from hyperframes_provider.sensors.render import HyperFramesChunkSensor, HyperFramesRenderSensor
from hyperframes_provider.triggers.render import ChunkTrigger, RenderTrigger

STACK = "hyperframes-provider-tests"
ARN = "arn:aws:states:us-east-1:123456789012:execution:m:n-g1"


@pytest.fixture
def started(aws, project, context) -> Callable[..., str]:
    """Start a render and return the execution's ARN."""

    def start(**variables: Any) -> str:
        render = HyperFramesRenderOperator(
            task_id="submit", stack_name=STACK, project=str(project), variables=variables, wait_for_completion=False
        )
        return str(render.execute(context())["execution_arn"])

    return start


async def events(trigger: RenderTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in trigger.run()]


def wait(trigger: RenderTrigger) -> dict[str, Any]:
    (event,) = asyncio.run(events(trigger))
    return event


def test_the_trigger_fires_once_when_the_execution_has_ended(started) -> None:
    arn = started(chunks=2, seconds=0.5)

    event = wait(RenderTrigger(execution_arn=arn, poll_interval=0.3))

    assert event == {
        "outcome": "ended",
        "execution_arn": arn,
        "status": "SUCCEEDED",
        "message": "",
        "retryable": True,
        "chunks_done": 2,
        "chunks_total": 2,
        "frames_done": 20,
        "frames_total": 20,
    }


def test_a_failed_execution_is_an_event_too(started) -> None:
    event = wait(RenderTrigger(execution_arn=started(fail={"code": "COMPOSITION_ERROR"}), poll_interval=0.3))

    assert (event["outcome"], event["status"]) == ("ended", "FAILED")


@pytest.mark.parametrize(("at_least", "least"), [(1, 1), (0.5, 2), (1.0, 4)])
def test_the_chunk_trigger_fires_when_enough_chunks_are_complete(at_least, least: int, started) -> None:
    event = wait(ChunkTrigger(execution_arn=started(chunks=4, seconds=2), at_least=at_least, poll_interval=0.2))

    assert event["outcome"] == "reached"
    assert least <= event["chunks_done"] <= least + 1
    assert event["chunks_total"] == 4


def test_the_chunk_trigger_says_when_the_wish_can_never_come_true(started) -> None:
    event = wait(ChunkTrigger(execution_arn=started(chunks=2), at_least=3, poll_interval=0.3))

    assert (event["outcome"], event["retryable"]) == ("error", False)
    assert "3 chunks can never be complete, the plan has 2" in event["message"]


def test_the_deadline_stops_an_execution_that_the_task_owns(started, aws) -> None:
    arn = started(seconds=3)

    event = wait(RenderTrigger(execution_arn=arn, deadline=time.time() + 0.5, owns_execution=True, poll_interval=0.2))

    assert event["outcome"] == "deadline"
    described = aws.describe(arn)
    assert (described["status"], described["error"]) == ("ABORTED", "RENDER_CANCELLED")
    assert "deadline" in described["cause"]


def test_the_deadline_of_a_looker_on_stops_nothing(started, aws) -> None:
    arn = started(seconds=1)

    assert wait(RenderTrigger(execution_arn=arn, deadline=time.time() + 0.2, poll_interval=0.1))["outcome"] == "deadline"
    aws.until(lambda: aws.describe(arn)["status"] == "SUCCEEDED")


@pytest.mark.parametrize(("owns", "status"), [(True, "ABORTED"), (False, "SUCCEEDED")])
def test_on_kill_stops_what_the_task_owns(owns: bool, status: str, started, aws) -> None:
    arn = started(seconds=1)

    asyncio.run(RenderTrigger(execution_arn=arn, owns_execution=owns).on_kill())

    aws.until(lambda: aws.describe(arn)["status"] == status)


@pytest.mark.parametrize(("task_instance", "status"), [(None, "ABORTED"), (object(), "SUCCEEDED")])
def test_a_cancelled_trigger_stops_the_render_only_where_no_triggerer_runs_it(task_instance, status: str, started, aws) -> None:
    # One that is to be stopped lasts long enough for the stop to find it on a busy machine; the chunks that run then are over soon.
    arn = started(seconds=1.5, chunks=20 if status == "ABORTED" else 1)
    trigger = RenderTrigger(execution_arn=arn, owns_execution=True, poll_interval=0.2)
    trigger._task_instance = task_instance

    async def interrupted() -> None:
        waiting = asyncio.create_task(events(trigger))
        await asyncio.sleep(0.5)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())

    aws.until(lambda: aws.describe(arn)["status"] == status)


@pytest.mark.usefixtures("aws")
def test_an_unknown_execution_becomes_an_event_after_some_patience(monkeypatch) -> None:
    monkeypatch.setattr("hyperframes_provider.client.execution.pace._LONGEST_AFTER_ERROR", 0.05)

    event = wait(RenderTrigger(execution_arn=ARN))

    assert (event["outcome"], event["retryable"]) == ("error", False)
    assert event["message"].startswith("ExecutionNotFound: there is no execution")


@pytest.mark.usefixtures("aws")
def test_an_endpoint_that_does_not_answer_becomes_an_event(monkeypatch) -> None:
    monkeypatch.setattr("hyperframes_provider.client.execution.pace._LONGEST_AFTER_ERROR", 0.01)
    nowhere = '{"conn_type": "aws", "login": "x", "password": "x", "extra": {"endpoint_url": "http://127.0.0.1:9"}}'
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", nowhere)

    event = wait(RenderTrigger(execution_arn=ARN, region_name="us-east-1", botocore_config={"retries": {"total_max_attempts": 1}}))

    assert (event["outcome"], event["retryable"]) == ("error", True)
    assert event["message"].startswith("EndpointUnreachable")


@pytest.mark.parametrize(
    "trigger",
    [
        RenderTrigger(execution_arn=ARN, deadline=1.5, owns_execution=True, verify=False, botocore_config={"read_timeout": 5}),
        ChunkTrigger(execution_arn=ARN, at_least=0.5, region_name="eu-central-1", aws_conn_id=None),
    ],
)
def test_a_trigger_survives_the_database_and_an_upgrade(trigger: RenderTrigger) -> None:
    from airflow.sdk.module_loading import import_string

    path, arguments = trigger.serialize()

    again = import_string(path)(**arguments, added_by_a_newer_version=1)

    assert type(again) is type(trigger)
    assert again.serialize() == (path, arguments)


def test_the_render_sensor_returns_what_the_operator_returns(started, context) -> None:
    arn = started(chunks=2)

    found = HyperFramesRenderSensor(task_id="done", execution_arn=arn, deferrable=False, poke_interval=0.2).execute(context())

    assert found["frames"] == 20
    assert found["execution_arn"] == arn
    assert set(found) >= {"output_uri", "duration", "bytes", "cost_usd", "plan_hash", "renderer", "seconds", "retries"}


def test_a_deferred_sensor_resumes_with_the_result(started, context) -> None:
    from airflow.providers.common.compat.sdk import TaskDeferred

    sensor = HyperFramesRenderSensor(task_id="done", execution_arn=started(seconds=1), deferrable=True, poke_interval=0.2)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())

    assert sensor.execute_complete(context(), wait(deferred.value.trigger))["frames"] == 20
    assert deferred.value.trigger.owns_execution is False


def test_the_chunk_sensor_returns_how_far_the_render_is(started, context) -> None:
    arn = started(chunks=4, seconds=1.0)

    found = HyperFramesChunkSensor(task_id="half", execution_arn=arn, at_least=0.5, deferrable=False, poke_interval=0.2).execute(context())

    assert found["execution_arn"] == arn
    assert (found["chunks_total"], found["frames_total"]) == (4, 40)
    assert 2 <= found["chunks_done"] < 4


@pytest.mark.parametrize("sensor", [HyperFramesRenderSensor, HyperFramesChunkSensor])
def test_a_sensor_fails_as_the_operator_does(sensor, started, context) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    arn = started(fail={"code": "ASSET_UNAVAILABLE"})

    with pytest.raises(AirflowFailException, match="RenderFailed: ASSET_UNAVAILABLE in Plan"):
        sensor(task_id="wait", execution_arn=arn, deferrable=False, poke_interval=0.2).execute(context())


def test_a_sensor_whose_time_is_up_fails_as_sensors_do(context) -> None:
    from airflow.providers.common.compat.sdk import AirflowSensorTimeout

    sensor = HyperFramesRenderSensor(task_id="done", execution_arn=ARN, timeout=60)

    with pytest.raises(AirflowSensorTimeout, match="after 60 s"):
        sensor.execute_complete(context(), {"outcome": "deadline", "execution_arn": ARN})


@pytest.mark.parametrize("at_least", [0, -1, 0.0, 1.5, True, "half", None])
def test_a_senseless_number_of_chunks_fails_when_the_dag_is_parsed(at_least) -> None:
    from hyperframes_provider.operators.exceptions import HyperFramesRequestError

    with pytest.raises(HyperFramesRequestError, match="at_least"):
        HyperFramesChunkSensor(task_id="half", execution_arn=ARN, at_least=at_least)
