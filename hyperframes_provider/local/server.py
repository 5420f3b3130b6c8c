"""The endpoint's process: the patched moto behind one loopback port, until SIGTERM.

`endpoint.up` starts it as `python -m hyperframes_provider.local.server`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hyperframes_provider.local import patches
from hyperframes_provider.local.connections import Connections
from hyperframes_provider.local.processes import start_ticks
from hyperframes_provider.local.state import HEALTH_PATH, EndpointInfo, StateFolder

StartResponse = Callable[[str, list[tuple[str, str]]], object]

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Become a daemon, serve, and clean up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True, help="a pipe that gets one line of JSON when the endpoint answers")
    options = parser.parse_args(arguments)
    if os.fork():
        # The caller of `up` waits for this process only. The child is reparented, so it leaves the caller no zombie.
        os._exit(0)
    os.setsid()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    # Processes started here must not inherit the caller's pipe, or the caller would wait for them.
    fcntl.fcntl(options.ready_fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    serve(options.port, options.outputs, StateFolder(options.state_dir), options.ready_fd, stopping)


def serve(port: int, outputs: Path, state: StateFolder, ready_fd: int, stopping: threading.Event) -> None:
    """Serve on `port` (0 picks a free one) until `stopping`; then end all environments and remove everything but the log."""
    state.empty_scratch()
    state.scratch.mkdir(parents=True, exist_ok=True)
    # Large objects are spooled to temporary files, and environments have their folders there.
    os.environ["TMPDIR"] = tempfile.tempdir = str(state.scratch)
    # Web pages must not reach the endpoint: no CORS, and see `_Gate`.
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(state.empty_scratch)
        server, connections, pool = _make_server(port, outputs, state.scratch)
        cleanup.callback(pool.close)
        info = EndpointInfo(
            url=f"http://127.0.0.1:{server.server_port}",
            pid=os.getpid(),
            port=server.server_port,
            outputs=outputs,
            started_ticks=start_ticks(os.getpid()) or 0,
        )
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, name="http", daemon=True).start()
        state.write(info)
        cleanup.callback(state.remove, info)
        with os.fdopen(ready_fd, "w") as ready:
            ready.write(json.dumps({"ready": True}) + "\n")
        _log.info("serving on %s, outputs in %s", info.url, outputs)
        # In the background: the import takes more than a second, and nobody starts an execution before deploying a stack.
        threading.Thread(target=patches.load_interpreter, args=(connections,), name="load-interpreter", daemon=True).start()
        stopping.wait()
        _log.info("stopping")
        server.shutdown()


def _make_server(port: int, outputs: Path, scratch: Path) -> tuple[Any, Connections, Any]:
    """Return the server, which listens but does not answer yet, the connections to it, and the pool of functions."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    gate = _Gate()
    server = make_server("127.0.0.1", port, gate, threaded=True, request_handler=MotoRequestHandler)
    os.environ["MOTO_PORT"] = str(server.server_port)
    connections = Connections(f"http://127.0.0.1:{server.server_port}")
    outputs.mkdir(parents=True, exist_ok=True)
    code = scratch / "code"
    code.mkdir()
    gate.services, pool = patches.install(connections, outputs, code)
    return server, connections, pool


class _Gate:
    """The WSGI application: it refuses web pages, answers health checks, and passes everything else on to the services."""

    services: Any

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").partition(":")[0]
        # SDKs send no Origin and use no other host name; a page that found the port would do one or the other.
        if "HTTP_ORIGIN" in environ or host not in ("127.0.0.1", "localhost"):
            return _answer(start_response, "403 Forbidden", {"error": "the embedded endpoint serves AWS SDKs on this machine only"})
        if environ.get("PATH_INFO") == HEALTH_PATH:
            return _answer(start_response, "200 OK", {"pid": os.getpid()})
        answer: Iterable[bytes] = self.services(environ, start_response)
        return answer


def _answer(start_response: StartResponse, status: str, content: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(content).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    main()
