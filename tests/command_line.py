"""`hyperframes-airflow …` in a folder with a state of its own: mostly in this process, and as a shell runs it where that is the claim."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import boto3

from hyperframes_provider.cli import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path) -> dict[str, str]:
    """A home of its own, no AWS configuration, and no embedded endpoint but the folder's."""
    base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return base | {"HYPERFRAMES_STATE_DIR": str(folder / "state"), "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}


def command(*arguments: object) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-c", "import sys; from hyperframes_provider.cli import main; sys.exit(main())", *map(str, arguments)]


def shell(folder: Path) -> Run:
    """Run a verb as a shell does."""

    def call(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        environ = environment(folder) | more
        return subprocess.run(command(*arguments), env=environ, cwd=folder, capture_output=True, text=True, timeout=120, check=False)

    return call


def runner(folder: Path) -> Run:
    """Run a verb in this process, with the environment and the folder that a shell would give it."""

    def call(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        typed, out, err = [str(argument) for argument in arguments], io.StringIO(), io.StringIO()
        with _surroundings(folder, environment(folder) | more), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(typed)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
            except Exception:  # noqa: BLE001  # as the interpreter does with an exception that nobody catches
                traceback.print_exc()
                code = 1
        return subprocess.CompletedProcess(typed, code, out.getvalue(), err.getvalue())

    return call


@contextlib.contextmanager
def _surroundings(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch.dict(os.environ, environ, clear=True), contextlib.chdir(folder), mock.patch.object(boto3, "DEFAULT_SESSION", None):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
