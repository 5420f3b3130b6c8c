"""Render with a scratch file system that is too small, and print how the execution ended.

Run in a mount namespace of its own (`unshare -Urm`), so that a real, full file system needs no root:
`full_disk.py STATE MEGABYTES PROJECT.tar.gz`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hyperframes_provider.client.aws.connect import connect_from_session
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.local import endpoint as embedded
from tests.e2e.whole_path import WholePath


def main(state: str, megabytes: str, project: str) -> None:
    scratch = Path(state) / "tmp"
    scratch.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(scratch)], check=True)
    info = embedded.up(outputs=Path(state) / "outputs", state_dir=Path(state))
    try:
        code = Path(state) / "handler.zip"
        build_slim_zip(code)
        connect = connect_from_session(endpoint_url=info.url)
        outputs = deploy_stack(connect, "full-disk", parameters={"LambdaMemoryMb": "3008"}, code=code).outputs
        path = WholePath(info.url, outputs.bucket, outputs.state_machine_arn, outputs.function_arn)
        request = path.request(path.upload(Path(project).read_bytes()), Config={"fps": 24, "format": "png-sequence", "chunkSize": 48})
        done = path.run(request | {"OutputS3Uri": f"s3://{path.bucket}/outputs/frames.tar"})
    finally:
        embedded.down(state_dir=Path(state))
    print(json.dumps({"status": done.status, "error": done.error, "cause": done.cause, "failures": done.failures()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
