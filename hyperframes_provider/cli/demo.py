"""`demo`: render the sample project with its DAG on the embedded endpoint.

Airflow runs in a separate process and writes to a log file. The progress shown meanwhile comes from the stack.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import hyperframes_provider
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.demo_watch import DemoWatch
from hyperframes_provider.cli.faults import DOCTOR, FAILED, WrongRequest
from hyperframes_provider.cli.local import start
from hyperframes_provider.cli.tools import add_library, bring, versions
from hyperframes_provider.client.aws.connect import LOCAL_REGION, connect_local
from hyperframes_provider.client.execution.objects import fetch_object
from hyperframes_provider.local import endpoint
from hyperframes_provider.local.endpoint import EndpointInfo

DAG_ID = "hyperframes_demo"
STACK = "hyperframes-demo"
_LOOK_SECONDS = 0.4
_GRACE_SECONDS = 30.0
"""Time for Airflow to stop the render and exit after Ctrl-C."""
_LOG_TAIL = 40


@dataclass(frozen=True)
class Checkout:
    """The folders of a checkout that the demo uses."""

    root: Path

    @property
    def dag(self) -> Path:
        """The DAG file."""
        return self.root / "dags" / "hyperframes_demo.py"

    @property
    def project(self) -> Path:
        """The sample project."""
        return self.root / "dags" / "projects" / "demo"

    @property
    def airflow_home(self) -> Path:
        """A private home for Airflow."""
        return self.root / ".local" / "airflow"

    @property
    def log(self) -> Path:
        """Airflow's output."""
        return self.root / ".local" / "demo.log"

    @property
    def renders(self) -> Path:
        """Finished videos."""
        return self.root / "renders"


def demo(options: argparse.Namespace, console: Console) -> int:
    """Set up, start the endpoint, run the DAG, download the video, and stop the endpoint if it was started here."""
    checkout = _find_checkout()
    _, toolset, took = bring(console)
    console.line("setup", versions(toolset), f"ready in {seconds(took)}")
    add_library("gsap", checkout.project / "assets")
    checkout.log.parent.mkdir(parents=True, exist_ok=True)
    with _endpoint(checkout, console) as info, checkout.log.open("wb") as log:
        environ = _environ(checkout, info, deferrable=options.deferrable)
        with _airflow(["db", "migrate"], environ, log) as migration:
            if migration.wait():
                return _failed(console, checkout, "airflow db migrate")
        mode = "deferrable" if options.deferrable else "synchronous"
        console.line("dag", f"{DAG_ID}  deploy ▸ render ▸ wait_for_chunks ▸ check", mode)
        connect = connect_local(info.url)
        with DemoWatch(connect, console, STACK) as watch, _airflow(["dags", "test", DAG_ID], environ, log) as run:
            while run.poll() is None:
                watch.look()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(_LOOK_SECONDS)
            watch.look()
        if run.returncode:
            return _failed(console, checkout, f"airflow dags test {DAG_ID}")
        result = watch.conclude()
        video = fetch_object(connect, result.output_uri, checkout.renders / "demo.mp4")
    shown = video.relative_to(Path.cwd()) if video.is_relative_to(Path.cwd()) else video
    console.line("video", str(shown))
    console.result({**result.to_xcom(), "path": video})
    return 0


def _find_checkout() -> Checkout:
    for root in (Path(hyperframes_provider.__file__).parents[1], Path.cwd()):
        checkout = Checkout(root)
        if checkout.dag.is_file():
            return checkout
    raise WrongRequest(
        "the demo needs dags/hyperframes_demo.py, which only a checkout has",
        hint="In a checkout: ./scripts/demo. Your own project: hyperframes-airflow render PROJECT -o OUT.mp4",
    )


@contextlib.contextmanager
def _endpoint(checkout: Checkout, console: Console) -> Iterator[EndpointInfo]:
    """Provide the endpoint, and stop it afterwards if the demo started it."""
    info = start(console, checkout.renders)
    try:
        yield info
    finally:
        if not info.already_running:
            endpoint.down()


def _environ(checkout: Checkout, info: EndpointInfo, *, deferrable: bool) -> dict[str, str]:
    connection = {
        "conn_type": "aws",
        "login": "local",
        "password": "local",
        "extra": {"endpoint_url": info.url, "region_name": LOCAL_REGION},
    }
    return os.environ | {
        "AIRFLOW_HOME": str(checkout.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(checkout.dag),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "HYPERFRAMES_DEMO_STACK": STACK,
        "HYPERFRAMES_DEMO_DEFERRABLE": str(deferrable).lower(),
    }


@contextlib.contextmanager
def _airflow(arguments: list[str], environ: dict[str, str], log: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """Run `airflow …` in its own process group, so that Ctrl-C reaches it only once, from here, with time to stop the render."""
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    except BaseException:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failed(console: Console, checkout: Checkout, command: str) -> int:
    lines = checkout.log.read_text(errors="replace").splitlines()
    tail = "\n".join(f"  {line}" for line in lines[-_LOG_TAIL:])
    hint = f"The complete log: {checkout.log}\n{DOCTOR}"
    console.fail("DemoFailed", f"{command} failed. The end of its log:\n{tail}", hint)
    return FAILED
