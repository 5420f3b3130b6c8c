"""Render a composition of small frames as very many chunks on the embedded endpoint, and measure it.

python benchmarks/many_chunks.py [--chunks 1000] [--frames-per-chunk 1] [--json]

Everything is real: the state machine, an execution for each chunk, the function's processes, browser, encoder, and the verification of the
output. Exit with 1 if the render is incomplete or an attempt failed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from hyperframes_lambda.contract.config import parse_config
from hyperframes_provider.client.aws.connect import connect_local
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.local import endpoint

FPS = 25
STACK = "hyperframes-many"
PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body>
<div data-composition-id="many" data-start="0" data-duration="{seconds}" data-no-timeline data-width="64" data-height="64">
<div id="box" style="position:absolute;width:16px;height:16px;background:red"></div></div>
<script>
document.getElementById("box").animate([{{transform:"none"}},{{transform:"translateX(48px)"}}],{{duration:4000,iterations:Infinity}});
</script></body></html>"""


def main() -> int:
    """Render, report, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--frames-per-chunk", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one document instead of lines")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hyperframes-many-") as folder:
        state = Path(folder)
        info = endpoint.up(outputs=state / "outputs", state_dir=state / "state")
        try:
            report = measure(info, state, options.chunks, options.frames_per_chunk, quiet=options.json)
        finally:
            endpoint.down(state / "state")
    sys.stdout.write((json.dumps(report, indent=2) if options.json else summary(report)) + "\n")
    complete = report["chunks"] == options.chunks and report["frames"] == options.chunks * options.frames_per_chunk
    return 0 if complete and report["retries"] == 0 else 1


def measure(info: endpoint.EndpointInfo, state: Path, chunks: int, size: int, *, quiet: bool) -> dict[str, Any]:
    """Return the render's result with the endpoint's memory and the length of the parent's history."""
    connect = connect_local(info.url)
    code = state / "handler.zip"
    build_slim_zip(code)
    outputs = deploy_stack(connect, STACK, parameters={"LambdaMemoryMb": "2048"}, code=code).outputs
    project = f"s3://{outputs.bucket}/sites/many/project.tar.gz"
    connect("s3").put_object(Bucket=outputs.bucket, Key="sites/many/project.tar.gz", Body=archive(chunks * size))
    client = RenderClient(connect)
    config = parse_config({"fps": FPS, "chunkSize": size, "maxParallelChunks": min(chunks, 10_000)})
    prepared = client.prepare(client.target(STACK), project=project, config=config, label="many", identity=(chunks, size))

    def say(line: str) -> None:
        if not quiet:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    started = time.monotonic()
    arn = client.start(prepared, say=say).execution_arn
    client.wait(arn, say=say)
    result = client.conclude(arn)
    last = connect("stepfunctions").get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"][0]["id"]
    memory = psutil.Process(info.pid).memory_info().rss >> 20
    measured = {"wall_seconds": round(time.monotonic() - started, 1), "endpoint_mb": memory, "parent_events": last}
    return {**result.to_xcom(), **measured, "chunks_per_second": round(result.chunks / result.seconds, 2)}


def archive(frames: int) -> bytes:
    """Return the project's archive."""
    buffer, page = io.BytesIO(), PAGE.format(seconds=frames / FPS).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("index.html")
        member.size = len(page)
        tar.addfile(member, io.BytesIO(page))
    return buffer.getvalue()


def summary(report: dict[str, Any]) -> str:
    """Return the report as one line."""
    return (
        f"{report['chunks']} chunks · {report['frames']} frames · {report['seconds']:.0f} s · {report['chunks_per_second']} a second · "
        f"{report['invocations']} invocations · {report['retries']} retries · {report['parent_events']} events in the parent's history · "
        f"endpoint {report['endpoint_mb']} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
