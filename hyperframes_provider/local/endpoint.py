"""Start, find and stop the embedded AWS endpoint of this machine.

Cheap to import: moto is loaded by the endpoint's own process only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil

from hyperframes_provider.local import processes
from hyperframes_provider.local.errors import EndpointError
from hyperframes_provider.local.patches import require_moto
from hyperframes_provider.local.state import EndpointInfo, StateFolder, default_state_dir

__all__ = ["EndpointError", "EndpointInfo", "down", "status", "up"]

ENDPOINT_MARK = "HYPERFRAMES_LOCAL_ENDPOINT"
"""Environment variable of the endpoint and of everything it starts: its state folder."""

_HEALTH_PATH = "/_hyperframes/health"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_HEALTH_SECONDS = 5.0


def up(port: int = 0, outputs: Path = Path("renders"), state_dir: Path | None = None) -> EndpointInfo:
    """Start the endpoint, or report the one that runs (`already_running`, whatever port and folder were asked for).

    `port` 0 takes a free one. Finished videos are copied to `outputs`. Returns when the endpoint answers; raises `EndpointError`
    with the end of its log when it does not.
    """
    require_moto()
    state = StateFolder(state_dir or default_state_dir())
    with state.locked():
        running = _running(state)
        if running is not None:
            return replace(running, already_running=True)
        _stop(state)
        return _start(port, outputs.absolute(), state)


def status(state_dir: Path | None = None) -> EndpointInfo | None:
    """The endpoint that runs and answers, or None."""
    return _running(StateFolder(state_dir or default_state_dir()))


def down(state_dir: Path | None = None) -> bool:
    """Stop the endpoint and every process it started; True when there was one.

    It ends its own processes when asked to; what does not end in time is killed. Raises `EndpointError` if something survives even that.
    """
    state = StateFolder(state_dir or default_state_dir())
    if not state.folder.exists():
        return False
    with state.locked():
        return _stop(state)


def _running(state: StateFolder) -> EndpointInfo | None:
    info = state.read()
    if info is None or not info.process_lives():
        return None
    connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", _HEALTH_PATH)
        answered = json.load(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return info if answered.get("pid") == info.pid else None


def _start(port: int, outputs: Path, state: StateFolder) -> EndpointInfo:
    ready, ready_for_child = os.pipe()
    with os.fdopen(ready) as reader, state.log.open("w") as log:
        try:
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "hyperframes_provider.local.server",
                    f"--port={port}",
                    f"--outputs={outputs}",
                    f"--state-dir={state.folder}",
                    f"--ready-fd={ready_for_child}",
                ],
                env={**os.environ, ENDPOINT_MARK: str(state.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[ready_for_child],
                check=False,
            )
        finally:
            os.close(ready_for_child)
        # The line means that it answers; the end of the pipe without a line, that it has ended.
        answered = select.select([reader], [], [], _START_SECONDS)[0] and reader.readline()
    info = state.read()
    if not answered or info is None:
        _stop(state)
        tail = "\n".join(state.log.read_text(errors="replace").splitlines()[-20:])
        raise EndpointError(f"The embedded endpoint did not start. The end of {state.log}:\n{tail}")
    return info


def _stop(state: StateFolder) -> bool:
    """End the endpoint of the state file, and whatever an endpoint of this folder has left behind."""
    info = state.read()
    found = info is not None and info.process_lives()
    remains: list[psutil.Process] = []
    if info is not None and found:
        remains = processes.tree(info.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            remains.append(psutil.Process(info.pid))
        processes.terminate(info.pid)
        remains = processes.wait_until_gone(remains, _STOP_SECONDS)
    remains += [process for process in processes.marked(ENDPOINT_MARK, str(state.folder)) if process.pid != os.getpid()]
    if remains:
        # An environment ends by itself when its endpoint is gone; only then is the rest killed one by one.
        remains = processes.wait_until_gone(remains, 1.0)
        processes.kill(remains)
        remains = processes.wait_until_gone(remains, 5.0)
    if remains:
        raise EndpointError(
            f"These processes of the embedded endpoint cannot be ended: {', '.join(str(process.pid) for process in remains)}"
        )
    state.remove()
    state.empty_scratch()
    return found
