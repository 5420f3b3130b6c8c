"""The definition at work on the embedded endpoint: what an execution returns, what is retried, and under which name it fails.

A handler of a few lines stands in for the engine, which has its own tests: here it is the transitions that are looked at.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.execution.ending import conclude
from hyperframes_provider.client.execution.failure import RenderFailed
from hyperframes_provider.client.execution.history import History, read
from hyperframes_provider.client.stack.delete import delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.describe import StackOutputs

HANDLER = '''
import os
import time
from pathlib import Path

COUNTS = Path(COUNTS_FOLDER)

class COMPOSITION_NOT_READY(Exception): pass
class BROWSER_CRASHED(Exception): pass
class Surprise(Exception): pass

def handler(event, context):
    """The project's name says what happens: <error>-<role>-<times>."""
    role = event["Action"]
    uri = event["ProjectS3Uri"] if role == "plan" else event["ManifestS3Uri"]
    name = uri.rsplit("/", 1)[-1]
    count = COUNTS / event["ExecutionName"] / f"{role}-{event.get('ChunkIndex', 0)}"
    count.parent.mkdir(parents=True, exist_ok=True)
    with count.open("a") as file:
        file.write("x")
    error, where, times = name.split("-")
    many, error = error.startswith("many"), error.removeprefix("many_")
    if error == "slow" and role == "renderChunk":
        time.sleep(0.3)
    once_more = where == role and event.get("ChunkIndex", 1) == 1 and count.stat().st_size <= int(times)
    if once_more and error not in ("checkpoint", "many"):
        if error == "exit":
            os._exit(3)
        raise globals()[error]("what was wrong")
    if role == "plan":
        numbers = dict.fromkeys(("TotalFrames", "Width", "Height", "DurationMs"), 30)
        versions = dict.fromkeys(("RendererVersion", "BrowserVersion", "FfmpegVersion", "RuntimeVersion"), "1")
        chunks = 60 if many else 0 if error == "no_chunks" else 4
        bucket = uri.removeprefix("s3://").partition("/")[0]
        return {"ManifestS3Uri": uri, "PlanHash": "0" * 64, "ChunkCount": chunks, "Chunks": list(range(chunks)) if chunks <= 40 else [],
                "ChunksBucket": bucket, "ChunksKey": "renders/1/plan/chunks.json", "MaxParallelChunks": 2, "Fps": 30,
                "Duration": 1.0, "Format": "mp4", "HasAudio": False, "Reused": False, **numbers, **versions}
    if role == "renderChunk":
        return {"ChunkIndex": event["ChunkIndex"], "Complete": not once_more, "FramesEncoded": 30, "Reused": False}
    return {"OutputS3Uri": event["OutputS3Uri"], "FramesEncoded": 120}
'''


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counts")


@pytest.fixture(scope="module")
def stack(connect: Connect, counts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackOutputs]:
    code = tmp_path_factory.mktemp("code") / "code.zip"
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", HANDLER.replace("COUNTS_FOLDER", repr(str(counts))))
    yield deploy_stack(connect, "hyperframes-flow", code=code).outputs
    delete_stack(connect, "hyperframes-flow")


Execute = Callable[[str], dict[str, Any]]


@pytest.fixture
def execute(connect: Connect, stack: StackOutputs, counts: Path) -> Execute:
    """Run one execution to its end; the description, and how often each task was tried as `tries`."""

    def start_and_wait(project: str) -> dict[str, Any]:
        machine = connect("stepfunctions")
        document = {
            "ProjectS3Uri": f"s3://{stack.bucket}/{project}",
            "PlanOutputS3Prefix": f"s3://{stack.bucket}/renders/1/",
            "OutputS3Uri": f"s3://{stack.bucket}/outputs/video.mp4",
            "Config": {},
        }
        arn = machine.start_execution(stateMachineArn=stack.state_machine_arn, input=json.dumps(document))["executionArn"]
        deadline = time.monotonic() + 60
        while (description := machine.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the execution does not end"
            time.sleep(0.05)
        tries = {file.name: file.stat().st_size for file in (counts / description["name"]).iterdir()}
        return {**description, "tries": tries}

    return start_and_wait


@pytest.fixture
def history(connect: Connect) -> Callable[[str], History]:
    def fold(arn: str) -> History:
        folded = History()
        run(connect, read(folded, arn))
        return folded

    return fold


def test_the_output_is_what_assemble_returned(execute: Execute, stack: StackOutputs) -> None:
    done = execute("none-none-0")
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == {"OutputS3Uri": f"s3://{stack.bucket}/outputs/video.mp4", "FramesEncoded": 120}
    assert done["tries"] == {"plan-0": 1, **{f"renderChunk-{chunk}": 1 for chunk in range(4)}, "assemble-0": 1}


def test_a_chunk_that_is_not_complete_is_invoked_again_until_it_is(execute: Execute, history: Callable[[str], History]) -> None:
    done = execute("checkpoint-renderChunk-6")
    assert done["status"] == "SUCCEEDED"
    assert done["tries"]["renderChunk-1"] == 7
    assert {done["tries"][f"renderChunk-{chunk}"] for chunk in (0, 2, 3)} == {1}
    folded = history(done["executionArn"])
    assert (folded.retries, folded.throttled, folded.invocations) == ([], 0, 2 + 3 + 7)
    assert [attempt.number for attempt in folded.attempts if attempt.chunk == 1] == [1] * 7


@pytest.fixture
def chunk_list(connect: Connect, stack: StackOutputs) -> None:
    connect("s3").put_object(Bucket=stack.bucket, Key="renders/1/plan/chunks.json", Body=json.dumps(list(range(60))).encode())


@pytest.mark.usefixtures("chunk_list")
def test_more_than_forty_chunks_are_executions_of_their_own_with_checkpoints_too(
    execute: Execute, history: Callable[[str], History]
) -> None:
    done = execute("many-renderChunk-2")
    assert done["status"] == "SUCCEEDED"
    assert done["tries"] == {"plan-0": 1, **{f"renderChunk-{chunk}": 3 if chunk == 1 else 1 for chunk in range(60)}, "assemble-0": 1}
    folded = history(done["executionArn"])
    assert folded.map_run_arn
    assert [attempt.state for attempt in folded.attempts] == ["Plan", "Assemble"]


@pytest.mark.usefixtures("chunk_list")
def test_the_failure_of_one_of_many_chunks_is_found_in_its_own_execution(execute: Execute, connect: Connect) -> None:
    failed = execute("many_COMPOSITION_NOT_READY-renderChunk-9")
    assert (failed["status"], failed["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    with pytest.raises(RenderFailed) as raised:
        run(connect, conclude(failed["executionArn"], with_console=False))
    failure = raised.value.failure
    assert (failure.error, failure.message, failure.chunk, failure.attempts) == ("COMPOSITION_NOT_READY", "what was wrong", 1, 1)


def test_throttled_attempts_are_waited_out_and_are_no_failures(
    execute: Execute, history: Callable[[str], History], connect: Connect, stack: StackOutputs
) -> None:
    """One invocation at a time, and two chunks that want one."""
    connect("lambda").put_function_concurrency(FunctionName=stack.function_arn, ReservedConcurrentExecutions=1)
    try:
        done = execute("slow-none-0")
    finally:
        connect("lambda").delete_function_concurrency(FunctionName=stack.function_arn)
    assert done["status"] == "SUCCEEDED"
    folded = history(done["executionArn"])
    assert folded.throttled > 0
    assert (folded.retries, folded.invocations) == ([], 6)
    assert all(attempt.number == 1 for attempt in folded.attempts)


def test_a_plan_without_chunks_goes_straight_to_assemble(execute: Execute) -> None:
    done = execute("no_chunks-none-0")
    assert done["status"] == "SUCCEEDED"
    assert done["tries"] == {"plan-0": 1, "assemble-0": 1}


@pytest.mark.parametrize(("role", "chunk"), [("plan", 0), ("renderChunk", 1), ("assemble", 0)])
def test_an_error_that_no_retry_can_mend_fails_at_once_under_its_own_name(execute: Execute, role: str, chunk: int) -> None:
    failed = execute(f"COMPOSITION_NOT_READY-{role}-9")
    assert (failed["status"], failed["error"]) == ("FAILED", "COMPOSITION_NOT_READY")
    assert json.loads(failed["cause"])["errorMessage"] == "what was wrong"
    assert failed["tries"][f"{role}-{chunk}"] == 1


@pytest.mark.parametrize(("error", "tries"), [("BROWSER_CRASHED", 4), ("Surprise", 3)])
def test_what_may_pass_is_tried_as_often_as_the_table_says(execute: Execute, error: str, tries: int) -> None:
    failed = execute(f"{error}-renderChunk-99")
    assert (failed["status"], failed["error"]) == ("FAILED", error)
    assert failed["tries"]["renderChunk-1"] == tries


@pytest.mark.parametrize("error", ["BROWSER_CRASHED", "exit"])
def test_one_failing_attempt_costs_only_its_chunk(execute: Execute, error: str) -> None:
    done = execute(f"{error}-renderChunk-1")
    assert done["status"] == "SUCCEEDED"
    assert done["tries"]["renderChunk-1"] == 2
    assert {done["tries"][f"renderChunk-{chunk}"] for chunk in (0, 2, 3)} == {1}
