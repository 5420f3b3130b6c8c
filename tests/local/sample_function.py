"""The function of the endpoint's tests: small, and able to fail in every way that a Lambda function can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3


class FlakyError(Exception):
    """An error that a retry fixes."""


class BadInputError(Exception):
    """An error that no retry fixes."""


def handler(event: dict[str, Any], context: Any) -> Any:
    return globals()[f"do_{event['do']}"](event, context)


def do_echo(event: dict[str, Any], _context: Any) -> Any:
    return event


def do_fail(event: dict[str, Any], _context: Any) -> None:
    raise {"flaky": FlakyError, "bad": BadInputError}[event["how"]](f"asked to fail: {event['how']}")


def do_count_and_fail(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Fail until attempt `succeed_on`; attempts are counted by objects in the bucket."""
    s3 = boto3.client("s3")
    tried = s3.list_objects_v2(Bucket=event["bucket"], Prefix=event["prefix"]).get("KeyCount", 0) + 1
    s3.put_object(Bucket=event["bucket"], Key=f"{event['prefix']}{tried}", Body=b"")
    if tried < event["succeed_on"]:
        raise FlakyError(f"try {tried}")
    return {"tried": tried}


def do_sleep(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    started = time.time()
    time.sleep(event["seconds"])
    return {"started": started, "ended": time.time(), "pid": os.getpid()}


def do_print(event: dict[str, Any], _context: Any) -> None:
    print(event["text"], flush=True)


def do_exit(event: dict[str, Any], _context: Any) -> None:
    os._exit(event["status"])


def do_signal(event: dict[str, Any], _context: Any) -> None:
    os.kill(os.getpid(), getattr(signal, event["name"]))


def do_allocate(event: dict[str, Any], _context: Any) -> int:
    """Use the memory in a child process, like a browser."""
    script = f"import time; held = b'x' * ({event['mb']} << 20); time.sleep({event['seconds']})"
    return subprocess.run([sys.executable, "-c", script], check=False).returncode


def do_share(event: dict[str, Any], _context: Any) -> int:
    """Fork `processes` that share one block, whose pages count once."""
    held = b"x" * (event["mb"] << 20)
    children = []
    for _ in range(event["processes"]):
        child = os.fork()
        if child == 0:
            time.sleep(event["seconds"])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return len(held)


def do_describe(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "environ": dict(os.environ),
        "pid": os.getpid(),
        "cwd": str(Path.cwd()),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "scratch_is_writable": os.access(os.environ["TMPDIR"], os.W_OK),
        "code_modes": sorted({oct(path.stat().st_mode & 0o222) for path in Path.cwd().rglob("*")}),
    }


def do_detach(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Leave a process behind with its own session and no living parent, like a browser's helper."""
    script = "import os, sys, time; pid = os.fork()\nif pid: print(pid); sys.exit()\nos.setsid(); time.sleep(600)"
    # The remaining process must not inherit the pipe of standard output: `run` would wait for it.
    started = subprocess.run(
        [sys.executable, "-c", script.replace("os.setsid();", "os.setsid(); os.close(1);")], stdout=subprocess.PIPE, check=True
    )
    if event.get("then") == "sleep":
        boto3.client("s3").put_object(Bucket=event["bucket"], Key="detached", Body=json.dumps({"pid": int(started.stdout)}))
        time.sleep(600)
    return {"pid": int(started.stdout), "own": os.getpid()}


def do_plan(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return {"Chunks": list(range(event["chunks"])), "MaxParallelChunks": event["parallel"]}


def do_render(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=f"chunks/{event['prefix']}/{event['chunk']}", Body=str(event["chunk"]))
    return {"pid": os.getpid()}


def do_assemble(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    s3 = boto3.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=event["bucket"], Prefix=f"chunks/{event['prefix']}/")["Contents"]]
    content = b"".join(s3.get_object(Bucket=event["bucket"], Key=key)["Body"].read() for key in sorted(keys))
    s3.put_object(Bucket=event["bucket"], Key=event["output"], Body=content)
    return {"OutputS3Uri": f"s3://{event['bucket']}/{event['output']}", "Chunks": len(keys)}
