"""The whole ZIP at work: a render through Plan, chunks and Assemble by the function's own Python, where this machine has one."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import boto3
import pytest
from moto.server import ThreadedMotoServer

from hyperframes_provider.bundle.wheels import PYTHON
from hyperframes_provider.client.request.project import pack

BUCKET = "render-bucket"
PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body style="margin:0;background:#fff">
<div data-composition-id="page" data-start="0" data-no-timeline data-width="320" data-height="180" data-duration="0.5">
<p style="font:24px Inter">Frame 映像 \N{GRINNING FACE} \N{ARABIC LETTER SEEN}\N{ARABIC LETTER LAM}</p><b id="box">x</b></div>
<script>document.getElementById("box").animate([{opacity:0},{opacity:1}],{duration:500,fill:"both"})</script>
</body></html>"""


class Sandbox:
    """The function's process. Nothing of this machine's environment reaches it."""

    def __init__(self, python: Path, task_root: Path, scratch: Path, endpoint: str) -> None:
        environ = {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LAMBDA_TASK_ROOT": str(task_root),
            "PYTHONPATH": str(task_root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "HYPERFRAMES_BUCKET": BUCKET,
            "HYPERFRAMES_ALLOWED_BUCKETS": "",
        }
        self.endpoint = endpoint
        script = Path(__file__).with_name("lambda_calls.py")
        self._process = subprocess.Popen([python, script], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **event: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(event), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait() == 0


@pytest.fixture(scope="module")
def python(task_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The interpreter and its code: one of the runtime's version with the ZIP, else this one with the engine of the ZIP alone."""
    beside = Path(sys.base_prefix).parent.glob(f"{PYTHON}*/bin/python{PYTHON}")
    for program in (*filter(None, [shutil.which(f"python{PYTHON}")]), *map(str, beside)):
        # Run it: a name on the PATH may be a shim without an interpreter behind it.
        if subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
            return Path(program), task_root
    root = tmp_path_factory.mktemp("engine")
    for name in ("handler.py", "hyperframes_lambda", "bundle"):
        (root / name).symlink_to(task_root / name)
    return Path(sys.executable), root


@pytest.fixture
def sandbox(python: tuple[Path, Path], tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    (tmp_path / "tmp").mkdir()
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    running = Sandbox(*python, tmp_path / "tmp", f"http://{host}:{port}")
    try:
        yield running
        running.close()
    finally:
        server.stop()


@pytest.fixture
def s3(sandbox: Sandbox, tmp_path: Path) -> Any:
    """The bucket with the project in it."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "index.html").write_text(PAGE, encoding="utf-8")
    found = boto3.client("s3", endpoint_url=sandbox.endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    found.create_bucket(Bucket=BUCKET)
    archive = io.BytesIO()
    pack(project, archive)
    found.put_object(Bucket=BUCKET, Key="project.tar.gz", Body=archive.getvalue())
    return found


def pictures(video: bytes) -> list[bytes]:
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def test_it_renders_what_the_tools_of_this_machine_render(sandbox: Sandbox, s3: Any, tmp_path: Path) -> None:
    prefix = f"s3://{BUCKET}/renders/r1/"
    config = {"fps": 24, "chunkSize": 6, "quality": "draft"}
    plan = sandbox(Action="plan", ProjectS3Uri=f"s3://{BUCKET}/project.tar.gz", PlanOutputS3Prefix=prefix, Config=config)["result"]
    assert plan["TotalFrames"] == 12
    common = {"ManifestS3Uri": plan["ManifestS3Uri"], "PlanHash": plan["PlanHash"]}

    browser = next((tmp_path / "tmp").glob("hyperframes-tools-*/parts/chromium-*/chromium"))
    size = browser.stat().st_size
    with browser.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))
    failed = sandbox(Action="renderChunk", ChunkIndex=0, **common)
    assert failed["error"] == "CHROME_UNAVAILABLE", failed
    assert not browser.exists(), "the next try has to start from a sound copy"

    for index in range(plan["ChunkCount"]):
        while not sandbox(Action="renderChunk", ChunkIndex=index, **common)["result"].get("Complete", True):
            pass
    output = f"s3://{BUCKET}/out.mp4"
    done = sandbox(Action="assemble", OutputS3Uri=output, **common)["result"]
    assert done["FramesEncoded"] == 12

    local = tmp_path / "local.mp4"
    command = [sys.executable, "-m", "hyperframes_lambda", "render", str(tmp_path / "project"), "-o", str(local)]
    subprocess.run([*command, "--fps", "24", "--quality", "draft", "--chunk-size", "6"], check=True, capture_output=True)
    assert pictures(s3.get_object(Bucket=BUCKET, Key="out.mp4")["Body"].read()) == pictures(local.read_bytes())
    sandbox.close()
    written = {path.name.partition("-tools-")[0] for path in (tmp_path / "tmp").iterdir()}
    assert written == {"hyperframes"}, "besides the tools only what belongs to the process, which goes with it"
