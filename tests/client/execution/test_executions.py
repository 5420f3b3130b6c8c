"""Executions against written answers of Step Functions: those that only AWS gives, and those that take too long for a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from hyperframes_lambda.contract.events import ExecutionInput
from hyperframes_provider.client.aws import errors
from hyperframes_provider.client.aws.calls import Steps, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.s3 import S3Location
from hyperframes_provider.client.execution import executions, starting
from hyperframes_provider.client.execution.starting import Started
from hyperframes_provider.client.request.project import Project
from hyperframes_provider.client.request.reference_stack import REFERENCE
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:render"
RENDER = "weekly-0f0e0d0c-0b0a-5908-8706-050403020100"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = ExecutionInput.model_validate(
    {
        "ProjectS3Uri": "s3://bucket/sites/x/project.tar.gz",
        "PlanOutputS3Prefix": f"s3://bucket/renders/{RENDER}/",
        "OutputS3Uri": "s3://bucket/outputs/x.mp4",
    }
)
PREPARED = PreparedRender(
    RenderTarget("bucket", MACHINE),
    RENDER,
    Project(S3Location("bucket", "sites/x/project.tar.gz"), None, None),
    REQUEST,
    (),
)
MISSING = "404"


def arn(generation: int) -> str:
    return f"arn:aws:states:us-east-1:123456789012:execution:render:{RENDER}-g{generation}"


class Script:
    """The calls that are to come, in their order, with their answers."""

    def __init__(self) -> None:
        session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
        self.clients = {name: session.client(name) for name in ("stepfunctions", "s3")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}

    def connect(self, service: str) -> Any:
        return self.clients[service]

    def describe(self, generation: int, status: str | None = None, **more: Any) -> Script:
        wanted = {"executionArn": arn(generation)}
        if status is None:
            self.stubs["stepfunctions"].add_client_error("describe_execution", "ExecutionDoesNotExist", expected_params=wanted)
            return self
        answer = {
            "executionArn": arn(generation),
            "stateMachineArn": MACHINE,
            "status": status,
            "startDate": NOW,
            "input": PREPARED.input_json(1),
        }
        self.stubs["stepfunctions"].add_response("describe_execution", answer | more, wanted)
        return self

    def start(self, generation: int, error: str | None = None) -> Script:
        wanted = {"stateMachineArn": MACHINE, "name": f"{RENDER}-g{generation}", "input": PREPARED.input_json(1)}
        if error:
            self.stubs["stepfunctions"].add_client_error("start_execution", error, expected_params=wanted)
        else:
            self.stubs["stepfunctions"].add_response("start_execution", {"executionArn": arn(generation), "startDate": NOW}, wanted)
        return self

    def redrive(self, generation: int, error: str | None = None) -> Script:
        wanted = {"executionArn": arn(generation), "clientToken": ANY}
        if error:
            self.stubs["stepfunctions"].add_client_error("redrive_execution", error, expected_params=wanted)
        else:
            self.stubs["stepfunctions"].add_response("redrive_execution", {"redriveDate": NOW}, wanted)
        return self

    def head(self, key: str, *, found: bool) -> Script:
        wanted = {"Bucket": "bucket", "Key": f"renders/{RENDER}/{key}"}
        if found:
            self.stubs["s3"].add_response("head_object", {"ContentLength": 0}, wanted)
        else:
            self.stubs["s3"].add_client_error("head_object", MISSING, expected_params=wanted)
        return self

    def play(self) -> tuple[Started, list[str]]:
        begun: list[str] = []
        return self.run(starting.start_or_adopt(PREPARED, on_begin=begun.append)), begun

    def run(self, steps: Steps[Started]) -> Started:
        with self.stubs["stepfunctions"], self.stubs["s3"]:
            started = run(self.connect, steps)
            for stub in self.stubs.values():
                stub.assert_no_pending_responses()
        return started


def taken(script: Script, *, taken: bool, plan: bool = True) -> Script:
    script.head(f"taken/{RENDER}-g1", found=taken)
    return script if taken else script.head("plan/manifest.json", found=plan)


CASES: dict[str, tuple[Callable[[Script], Script], str, int]] = {
    "nothing is there: start": (lambda s: s.describe(1).start(1), "started", 1),
    "running: adopt": (lambda s: s.describe(1, "RUNNING").describe(2), "adopted", 1),
    "waiting to be redriven: adopt": (lambda s: s.describe(1, "PENDING_REDRIVE").describe(2), "adopted", 1),
    "the latest generation decides": (
        lambda s: s.describe(1, "FAILED", error="BROWSER_CRASHED").describe(2, "RUNNING").describe(3),
        "adopted",
        2,
    ),
    "succeeded, result lost: hand it over": (lambda s: taken(s.describe(1, "SUCCEEDED").describe(2), taken=False), "finished", 1),
    "succeeded, result taken: render again": (lambda s: taken(s.describe(1, "SUCCEEDED").describe(2), taken=True).start(2), "started", 2),
    "succeeded so long ago that everything has expired: render again": (
        lambda s: taken(s.describe(1, "SUCCEEDED").describe(2), taken=False, plan=False).start(2),
        "started",
        2,
    ),
    "failed: the next generation, under the definition that is deployed now": (
        lambda s: s.describe(1, "FAILED", error="BROWSER_CRASHED", redriveStatus="REDRIVABLE").describe(2).start(2),
        "started",
        2,
    ),
    "timed out: redrive": (lambda s: s.describe(1, "TIMED_OUT", redriveStatus="REDRIVABLE").describe(2).redrive(1), "redriven", 1),
    "timed out, redrive refused: the next generation": (
        lambda s: s.describe(1, "TIMED_OUT", redriveStatus="REDRIVABLE").describe(2).redrive(1, "ExecutionNotRedrivable").start(2),
        "started",
        2,
    ),
    "timed out, not redrivable: the next generation": (
        lambda s: s.describe(1, "TIMED_OUT", redriveStatus="NOT_REDRIVABLE").describe(2).start(2),
        "started",
        2,
    ),
    "timed out where nobody knows redrives: the next generation": (lambda s: s.describe(1, "TIMED_OUT").describe(2).start(2), "started", 2),
    "stopped by somebody: redrive": (
        lambda s: s.describe(1, "ABORTED", cause="console", redriveStatus="REDRIVABLE").describe(2).redrive(1),
        "redriven",
        1,
    ),
    "stopped by us: the next generation, away from the cancel marker": (
        lambda s: s.describe(1, "ABORTED", error="RENDER_CANCELLED", redriveStatus="REDRIVABLE").describe(2).start(2),
        "started",
        2,
    ),
    "another attempt was faster: adopt what it started": (
        lambda s: s.describe(1).start(1, "ExecutionAlreadyExists").describe(1, "RUNNING").describe(2),
        "adopted",
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_start_or_adopt(case: str) -> None:
    script, how, generation = CASES[case]

    started, begun = script(Script()).play()

    assert (started.how, started.execution_arn) == (how, arn(generation))
    assert begun[-1:] == ([] if how == "finished" else [arn(generation)])


def test_a_missing_state_machine_and_endless_races_have_names() -> None:
    with pytest.raises(errors.ServiceError, match="there is no state machine"):
        Script().describe(1).start(1, "StateMachineDoesNotExist").play()
    racing = Script()
    for _ in range(5):
        racing.describe(1).start(1, "ExecutionAlreadyExists")
    with pytest.raises(errors.ServiceError, match="kept starting"):
        racing.play()


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("ThrottlingException", errors.Throttled, True),
        ("AccessDeniedException", errors.AccessDenied, False),
        ("ExecutionDoesNotExist", errors.ExecutionNotFound, False),
        ("InternalServerError", errors.ServiceError, True),
    ],
)
def test_errors_of_aws_have_classes_of_their_own(code: str, kind: type[errors.HyperFramesClientError], retryable: bool) -> None:
    script = Script()
    script.stubs["stepfunctions"].add_client_error("describe_execution", code)

    with script.stubs["stepfunctions"], pytest.raises(kind) as raised:
        run(script.connect, executions.describe(arn(1)))

    assert type(raised.value) is kind
    assert raised.value.retryable is retryable


REDRIVES: dict[str, tuple[Callable[[Script], Script], str, int]] = {
    "failed: where Step Functions can": (
        lambda s: s.describe(1, "FAILED", error="BROWSER_CRASHED", redriveStatus="REDRIVABLE").describe(2).redrive(1),
        "redriven",
        1,
    ),
    "refused: the next generation": (
        lambda s: s.describe(1, "FAILED", error="X", redriveStatus="REDRIVABLE").describe(2).redrive(1, "ExecutionNotRedrivable").start(2),
        "started",
        2,
    ),
    "too old: the generation after the last": (
        lambda s: s.describe(1, "TIMED_OUT", redriveStatus="NOT_REDRIVABLE").describe(2, "FAILED", error="X").describe(3).start(3),
        "started",
        3,
    ),
    "stopped by us: away from the cancel marker": (
        lambda s: s.describe(1, "ABORTED", error="RENDER_CANCELLED", redriveStatus="REDRIVABLE").describe(2).start(2),
        "started",
        2,
    ),
    "a later generation runs: adopt it": (
        lambda s: s.describe(1, "FAILED", error="X").describe(2, "RUNNING").describe(3),
        "adopted",
        2,
    ),
    "a later generation failed: it is redriven, and not this one": (
        lambda s: (
            s.describe(1, "FAILED", redriveStatus="REDRIVABLE").describe(2, "FAILED", redriveStatus="REDRIVABLE").describe(3).redrive(2)
        ),
        "redriven",
        2,
    ),
    "it runs": (lambda s: s.describe(1, "RUNNING").describe(2), "adopted", 1),
}


@pytest.mark.parametrize("case", REDRIVES)
def test_redrive(case: str) -> None:
    script, how, generation = REDRIVES[case]

    started = script(Script()).run(starting.redrive(arn(1)))

    assert (started.how, started.execution_arn) == (how, arn(generation))


def test_a_redrive_of_a_stack_of_the_reference_has_a_prefix_of_its_own() -> None:
    """It refuses to plan where a plan lies."""
    script = Script()
    given = json.loads(PREPARED.input_json(1)) | {"PlanOutputS3Prefix": f"s3://bucket/renders/{RENDER}-g1/"}
    script.describe(1, "FAILED", error="X", input=json.dumps(given)).describe(2)
    wanted = {"stateMachineArn": MACHINE, "name": f"{RENDER}-g2", "input": ANY}
    script.stubs["stepfunctions"].add_response("start_execution", {"executionArn": arn(2), "startDate": NOW}, wanted)
    sent: list[str] = []
    script.clients["stepfunctions"].meta.events.register(
        "before-parameter-build.sfn.StartExecution", lambda params, **_: sent.append(params["input"])
    )

    script.run(starting.redrive(arn(1), dialect=REFERENCE))

    assert json.loads(sent[0]) == given | {"PlanOutputS3Prefix": f"s3://bucket/renders/{RENDER}-g2/"}


@pytest.mark.parametrize(("status", "more"), [("SUCCEEDED", {}), ("FAILED", {"input": "{}"})])
def test_what_cannot_be_redriven_says_why(status: str, more: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"has succeeded|is not a HyperFrames render"):
        Script().describe(1, status, **more).describe(2).run(starting.redrive(arn(1)))


def test_a_render_whose_later_generation_has_succeeded_is_not_redriven() -> None:
    with pytest.raises(errors.InvalidRequest, match="-g2 has succeeded"):
        Script().describe(1, "FAILED", redriveStatus="REDRIVABLE").describe(2, "SUCCEEDED").describe(3).run(starting.redrive(arn(1)))


def test_what_boto3_wraps_has_the_class_of_what_is_in_it() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
    with pytest.raises(errors.AccessDenied, match="PutObject"), errors.typed_errors():
        try:
            raise denied
        except ClientError as error:
            raise S3UploadFailedError(f"Failed to upload: {error}") from None
    with pytest.raises(errors.EndpointUnreachable, match="cut off"), errors.typed_errors():
        raise RetriesExceededError(OSError("cut off"))


def test_what_is_admitted_is_started_and_only_when_something_is() -> None:
    asked: list[str] = []

    def admit(prepared: PreparedRender) -> Steps[PreparedRender]:
        asked.append(prepared.render_id)
        return prepared.limited(7)
        yield

    script = Script().describe(1)
    limited = PREPARED.limited(7)
    assert json.loads(limited.input_json(1))["Config"] == {"concurrencyLimit": 7}
    assert (limited.render_id, PREPARED.limited(None)) == (PREPARED.render_id, PREPARED)
    wanted = {"stateMachineArn": MACHINE, "name": f"{RENDER}-g1", "input": limited.input_json(1)}
    script.stubs["stepfunctions"].add_response("start_execution", {"executionArn": arn(1), "startDate": NOW}, wanted)
    script.run(starting.start_or_adopt(PREPARED, on_begin=lambda _: None, admit=admit))
    Script().describe(1, "RUNNING").describe(2).run(starting.start_or_adopt(PREPARED, on_begin=lambda _: None, admit=admit))

    assert asked == [RENDER]


@pytest.fixture
def stopping() -> Iterator[tuple[Script, Connect]]:
    script = Script()
    with script.stubs["stepfunctions"], script.stubs["s3"]:
        yield script, script.connect


def stop_call(script: Script, error: str | None = None) -> None:
    wanted = {"executionArn": arn(1), "error": "RENDER_CANCELLED", "cause": "no longer wanted"}
    if error:
        script.stubs["stepfunctions"].add_client_error("stop_execution", error, expected_params=wanted)
    else:
        script.stubs["stepfunctions"].add_response("stop_execution", {"stopDate": NOW}, wanted)


def test_the_marker_comes_before_the_stop(stopping) -> None:
    script, connect = stopping
    script.describe(1, "RUNNING")
    script.stubs["s3"].add_response(
        "put_object",
        {},
        {
            "Bucket": "bucket",
            "Key": f"renders/{RENDER}/cancel",
            "Body": f'{{"ExecutionName":"{RENDER}-g1","Cause":"no longer wanted"}}'.encode(),
            "ContentType": "application/json",
        },
    )
    stop_call(script)

    stopped = run(connect, executions.stop(arn(1), cause="no longer wanted"))

    assert (stopped.stopped, stopped.marked) == (True, True)


def test_a_marker_that_may_not_be_written_does_not_keep_the_execution_alive(stopping) -> None:
    script, connect = stopping
    script.stubs["s3"].add_client_error("put_object", "AccessDenied")
    stop_call(script)

    stopped = run(connect, executions.stop(arn(1), cause="no longer wanted", prefix=PREPARED.prefix))

    assert (stopped.stopped, stopped.marked) == (True, False)
    assert "AccessDenied" in stopped.detail


@pytest.mark.parametrize("status", ["SUCCEEDED", None])
def test_stopping_what_has_ended_or_never_was_says_so(status: str | None, stopping) -> None:
    script, connect = stopping
    script.describe(1, status)

    assert run(connect, executions.stop(arn(1), cause="late")).stopped is False
