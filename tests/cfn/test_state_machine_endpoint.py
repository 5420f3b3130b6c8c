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

from hyperframes_provider.client.connect import Connect
from hyperframes_provider.client.stack import StackOutputs, delete_stack, deploy_stack

HANDLER = '''
import os
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
    if where == role and event.get("ChunkIndex", 1) == 1 and count.stat().st_size <= int(times):
        if error == "exit":
            os._exit(3)
        raise globals()[error]("what was wrong")
    if role == "plan":
        numbers = dict.fromkeys(("TotalFrames", "Width", "Height", "DurationMs"), 30)
        versions = dict.fromkeys(("RendererVersion", "BrowserVersion", "FfmpegVersion", "RuntimeVersion"), "1")
        chunks = [] if error == "no_chunks" else [0, 1, 2, 3]
        return {"ManifestS3Uri": uri, "PlanHash": "0" * 64, "ChunkCount": len(chunks), "Chunks": chunks, "MaxParallelChunks": 2, "Fps": 30,
                "Duration": 1.0, "Format": "mp4", "HasAudio": False, "Reused": False, **numbers, **versions}
    if role == "renderChunk":
        return {"ChunkIndex": event["ChunkIndex"], "FramesEncoded": 30, "Reused": False, "SegmentS3Uri": "s3://b/s", "Sha256": "0" * 64}
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

    def run(project: str) -> dict[str, Any]:
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

    return run


def test_the_output_is_what_assemble_returned(execute: Execute, stack: StackOutputs) -> None:
    done = execute("none-none-0")
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]) == {"OutputS3Uri": f"s3://{stack.bucket}/outputs/video.mp4", "FramesEncoded": 120}
    assert done["tries"] == {"plan-0": 1, **{f"renderChunk-{chunk}": 1 for chunk in range(4)}, "assemble-0": 1}


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
