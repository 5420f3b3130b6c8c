"""Start, find and stop the embedded AWS endpoint of this machine. Cheap to import: only the endpoint's own process loads moto."""

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
from hyperframes_provider.local.state import HEALTH_PATH, EndpointInfo, StateFolder, default_state_dir

__all__ = ["EndpointError", "EndpointInfo", "down", "status", "up"]

ENDPOINT_MARK = "HYPERFRAMES_LOCAL_ENDPOINT"
"""Environment variable of the endpoint and all its descendants; its value is the state folder."""

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_HEALTH_SECONDS = 5.0


def up(port: int = 0, outputs: Path = Path("renders"), state_dir: Path | None = None) -> EndpointInfo:
    """Start the endpoint, or return the one that already runs, whatever its port and outputs folder (`already_running`).

    `port` 0 picks a free port. Finished videos are copied to `outputs`. Return once the endpoint answers; raise `EndpointError` with the
    end of its log if it does not.
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
    """Return the running endpoint, or None if none answers."""
    return _running(StateFolder(state_dir or default_state_dir()))


def down(state_dir: Path | None = None) -> bool:
    """Stop the endpoint and every process it started; return True if one was running.

    The endpoint gets time to end its own processes; the rest is killed. Raise `EndpointError` if a process survives even that.
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
        connection.request("GET", HEALTH_PATH)
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
        # A line means that the endpoint answers; the end of the pipe without a line means that it has exited.
        answered = select.select([reader], [], [], _START_SECONDS)[0] and reader.readline()
    info = state.read()
    if not answered or info is None:
        _stop(state)
        tail = "\n".join(state.log.read_text(errors="replace").splitlines()[-20:])
        raise EndpointError(f"The embedded endpoint did not start. Last lines of {state.log}:\n{tail}")
    return info


def _stop(state: StateFolder) -> bool:
    """End the endpoint of the state file, and all processes that an endpoint of this folder has left behind."""
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
        # An environment exits when its endpoint is gone, so only stragglers are killed.
        remains = processes.wait_until_gone(remains, 1.0)
        processes.kill(remains)
        remains = processes.wait_until_gone(remains, 5.0)
    if remains:
        raise EndpointError(
            f"Some processes of the embedded endpoint could not be stopped: {', '.join(str(process.pid) for process in remains)}"
        )
    state.remove()
    state.empty_scratch()
    return found
