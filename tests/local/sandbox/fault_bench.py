"""The built ZIP on a stack behind the fault proxy: renders of one plan, and ways to disturb their processes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from hyperframes_provider.client.aws.connect import Connect
from tests.local.sandbox.fault_proxy import FaultProxy

TERMINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
FRAMES, CHUNKS = 24, 1
PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body style="margin:0;background:#123">
<div data-composition-id="faults" data-start="0" data-duration="1" data-no-timeline data-width="96" data-height="64">
<div id="box" style="position:absolute;width:20px;height:20px;background:red"></div></div>
<script>
document.getElementById("box").animate([{transform:"none"},{transform:"translate(70px,40px)"}],{duration:1000,fill:"both"});
requestAnimationFrame(function step() {
  let sum = 0;
  for (let i = 0; i < 2e7; i++) sum += i % 7;
  document.body.dataset.sum = sum;
  requestAnimationFrame(step);
});
</script></body></html>"""
"""A page with work for every frame, so that there are moments in the middle of a chunk."""


@dataclass(frozen=True)
class Execution:
    """A finished execution."""

    status: str
    error: str
    cause: str
    output: dict[str, Any]
    failures: list[str]
    """The errors of the tasks' failed attempts."""


@dataclass
class Bench:
    """One stack, and one plan that all its renders share."""

    connect: Connect
    bucket: str
    machine: str
    function: str
    endpoint_pid: int
    proxy: FaultProxy
    planned: str = ""
    """The render whose plan the others reuse."""
    cold_seconds: float = 0.0
    """Duration of that render, from the start of a first environment."""
    expected: str = ""
    """SHA-256 of the video of an undisturbed render."""
    settings: dict[str, Any] = field(default_factory=dict)

    def configure(self, *, memory_mb: int = 3008, timeout: int = 120, tmp_mb: int = 512, cold: bool = False) -> None:
        """Set the function's limits for its next start; `cold` ends idle environments even when nothing changes."""
        wanted = {"MemorySize": memory_mb, "Timeout": timeout, "EphemeralStorage": {"Size": tmp_mb}}
        if wanted == self.settings and not cold:
            return
        # Lambda has no /tmp below 512 MB, and the tools find room in that.
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{self.proxy.endpoint_port}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(parameter_validation=False),
        )
        found = client.get_function_configuration(FunctionName=self.function)["Environment"]["Variables"]
        variables = found | {
            "AWS_ENDPOINT_URL": self.proxy.url,
            "HYPERFRAMES_CHUNK_TIMEOUT_SEC": "2",
            "COLD": uuid.uuid4().hex,
        }
        client.update_function_configuration(FunctionName=self.function, Environment={"Variables": variables}, **wanted)
        self.settings = wanted

    def plan(self) -> Execution:
        """Render undisturbed. Later renders reuse this plan and must end in the same video."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("index.html")
            member.size = len(PAGE)
            tar.addfile(member, io.BytesIO(PAGE.encode()))
        self.connect("s3").put_object(Bucket=self.bucket, Key="sites/faults/project.tar.gz", Body=archive.getvalue())
        self.planned = "undisturbed"
        started = time.monotonic()
        done = self.run(self.planned)
        self.cold_seconds = time.monotonic() - started
        assert (done.status, done.failures) == ("SUCCEEDED", []), done.cause
        self.expected = self.video(self.planned)
        return done

    def render(self) -> str:
        """Create a render with the same plan and return its name."""
        render = uuid.uuid4().hex[:12]
        for key in self.keys(f"renders/{self.planned}/plan/"):
            target = key.replace(self.planned, render, 1)
            self.connect("s3").copy_object(Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": key})
        return render

    def start(self, render: str) -> str:
        request = {
            "ProjectS3Uri": f"s3://{self.bucket}/sites/faults/project.tar.gz",
            "PlanOutputS3Prefix": f"s3://{self.bucket}/renders/{render}/",
            "OutputS3Uri": f"s3://{self.bucket}/outputs/{render}.mp4",
            "Config": {"fps": 24, "chunkSize": FRAMES // CHUNKS, "maxParallelChunks": CHUNKS},
        }
        started = self.connect("stepfunctions").start_execution(
            stateMachineArn=self.machine, name=uuid.uuid4().hex, input=json.dumps(request)
        )
        return str(started["executionArn"])

    def finish(self, arn: str, seconds: float = 180) -> Execution:
        steps = self.connect("stepfunctions")
        found = wait_for(lambda: (now := steps.describe_execution(executionArn=arn))["status"] in TERMINAL and now, seconds)
        return Execution(
            found["status"], found.get("error", ""), found.get("cause", ""), json.loads(found.get("output") or "{}"), self.failures(arn)
        )

    def run(self, render: str) -> Execution:
        return self.finish(self.start(render))

    def failures(self, arn: str) -> list[str]:
        pages = self.connect("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event["taskFailedEventDetails"]["error"] for page in pages for event in page["events"] if event["type"] == "TaskFailed"]

    def keys(self, prefix: str) -> list[str]:
        pages = self.connect("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        body: bytes = self.connect("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def write(self, key: str, content: bytes) -> None:
        self.connect("s3").put_object(Bucket=self.bucket, Key=key, Body=content)

    def video(self, render: str) -> str:
        return hashlib.sha256(self.read(f"outputs/{render}.mp4")).hexdigest()

    def stored(self, render: str) -> list[str]:
        """Return the segments of a render in the order in which they were sent to S3, repetitions included."""
        begin = f"PUT /{self.bucket}/renders/{render}/chunks/"
        return [request for request in self.proxy.requests if request.startswith(begin) and ".mp4" in request and ".mp4." not in request]

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.endpoint_pid).children(recursive=True)

    def runtimes(self) -> list[psutil.Process]:
        """Return the functions' own processes."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if "awslambdaric" in line and line[0].startswith("/var/lang/"):
                    found.append(process)
        return found

    def signal_runtimes(self, number: signal.Signals) -> None:
        for process in self.runtimes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def scratch(self) -> list[Path]:
        """Return the functions' /tmp folders, seen from this process."""
        return [Path(f"/proc/{process.pid}/root/tmp") for process in self.runtimes()]

    def unpacking(self) -> bool:
        with contextlib.suppress(OSError):
            return any(any(scratch.glob("hyperframes-tools-*.partial/*")) for scratch in self.scratch())
        return False

    def browsing(self) -> bool:
        names = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                names.append(process.name())
        return any(name.startswith(("chrom", "headless")) for name in names)


@contextmanager
def when(happens: Callable[[], Any], act: Callable[[], None]) -> Iterator[list[bool]]:
    """Call `act` once as soon as `happens` within the context; the list is not empty afterwards if it was called."""
    over, acted = threading.Event(), []

    def watch() -> None:
        while not over.wait(0.003):
            if happens():
                act()
                acted.append(True)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield acted
    finally:
        over.set()
        thread.join()


def wait_for(look: Callable[[], Any], seconds: float) -> Any:
    """Poll `look` and return its first true answer."""
    over, deadline = threading.Event(), seconds / 0.1
    while not (answer := look()):
        assert deadline > 0, f"not within {seconds} s"
        deadline -= 1
        over.wait(0.1)
    return answer


def fill(folder: Path) -> Callable[[], None]:
    """Fill the disk and return a function that frees it again, even after the process behind `folder` has ended."""
    ballast = folder / "ballast"
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for step in (1 << 20, 4096):
        with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * step)

    def empty() -> None:
        os.unlink("ballast", dir_fd=place)
        os.close(place)

    return empty
