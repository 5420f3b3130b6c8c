"""One Lambda execution environment, with Lambda's limits and failures: one process, one invocation at a time."""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperframes_provider.local import processes
from hyperframes_provider.local.functions.runtime_api import Invocation, Report, ReportKind, RuntimeApi
from hyperframes_provider.local.sandbox.code import Code
from hyperframes_provider.local.sandbox.enclosure import Isolation
from hyperframes_provider.local.sandbox.start import ENVIRONMENT_MARK, Launch, start

_INIT_SECONDS = 10.0
"""Lambda's free time for initialisation; the invocation pays for more."""

_SAMPLE_SECONDS = 0.5
"""Seconds between two measurements of the process tree's memory."""

_TMP_SAMPLE_SECONDS = 0.1
"""Seconds between two measurements of a jail's temporary folder, which are nearly free."""


@dataclass(frozen=True)
class FunctionConfig:
    """The settings of an environment; functions with equal settings can share environments."""

    arn: str
    handler: str
    code: Code
    memory_mb: int
    timeout: float
    """Seconds."""
    variables: tuple[tuple[str, str], ...]
    """All environment variables. Nothing else is inherited; a plain process also gets `TMPDIR` and `HOME`."""
    runtime: str = "python3.13"
    tmp_mb: int = 512
    """Size of /tmp. As on Lambda, its content does not count as memory."""
    isolation: Isolation = Isolation.NAMESPACES
    """The requested isolation; only complete code can be isolated."""


@dataclass(frozen=True)
class Usage:
    """Resources that an invocation used."""

    duration_ms: float
    init_ms: float | None
    """Time from the start of the environment until its runtime asked for the event; None for a warm one."""
    memory_bytes: int
    """Peak memory of all the environment's processes so far, measured twice a second."""
    tmp_bytes: int
    """Peak size of its temporary folder so far."""


@dataclass(frozen=True)
class InvocationResult:
    """The end of an invocation."""

    request_id: str
    payload: bytes
    failed: bool
    usage: Usage
    reusable: bool
    """Whether the environment can take another invocation."""


class Environment:
    """A running function process; `log` receives its output line by line, and Lambda's START, END and REPORT lines.

    `enclosure` tells its isolation and its interpreter. A plain process works in `scratch_dir`.
    """

    def __init__(
        self, config: FunctionConfig, variables: Mapping[str, str], log: Callable[[str], None], *, scratch_dir: Path | None = None
    ) -> None:
        self.config = config
        self.id = uuid.uuid4().hex
        self.idle_since = time.monotonic()
        self._log = log
        self._api = RuntimeApi(config.arn)
        self.started = time.monotonic()
        self._cold = True
        self._peak_bytes = 0
        self._peak_resident_bytes = 0
        self._peak_tmp_bytes = 0
        self._closed = threading.Lock()
        launch = Launch(
            code=config.code,
            handler=config.handler,
            runtime=config.runtime,
            variables={**dict(config.variables), **variables},
            tmp_mb=config.tmp_mb,
            isolation=config.isolation,
            mark=self.id,
            scratch_dir=scratch_dir,
        )
        try:
            self.enclosure = start(launch, self._api.address)
        except BaseException:
            self._api.close()
            raise
        self._process = self.enclosure.process
        self._exited = False
        for warning in self._warnings():
            log(warning)
        self._output = threading.Thread(target=self._forward_output, name=f"output-{self.id}", daemon=True)
        self._output.start()
        threading.Thread(target=self.enclosure.watch, args=(self._note_end,), name=f"watch-{self.id}", daemon=True).start()

    def alive(self) -> bool:
        """Whether it can take an event: the process runs, or can be restarted."""
        return self.enclosure.process.poll() is None

    def invoke(self, event: bytes, client_context: str | None = None) -> InvocationResult:
        """Run one event until the function answers or fails, exceeds its time or memory, or its process exits."""
        request_id = str(uuid.uuid4())
        if self._exited:
            self._restart()
        first = self._wait(_INIT_SECONDS) if self._cold else None
        init_ms = None
        if self._cold:
            init_ms = ((time.monotonic() if first is None else first.at) - self.started) * 1000
        self._cold = False
        self._log(f"START RequestId: {request_id} Version: $LATEST")
        started = time.monotonic()
        trace_id = f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
        deadline_ms = int((time.time() + self.config.timeout) * 1000)
        self._api.send(Invocation(request_id, event, deadline_ms, trace_id, client_context))
        end = self._wait_for_end(started + self.config.timeout) if first is None or first.kind is ReportKind.READY else first
        self._look_at_tmp()
        usage = Usage((time.monotonic() - started) * 1000, init_ms, self._peak_bytes, self._peak_tmp_bytes)
        result = self._result(request_id, end, usage)
        self._log(f"END RequestId: {request_id}")
        self._log(self._report(request_id, usage))
        self.idle_since = time.monotonic()
        return result

    def close(self) -> None:
        """End every process of the environment and remove its scratch folder. Later calls do nothing."""
        if not self._closed.acquire(blocking=False):
            return
        self.enclosure.stop()
        # Processes remain only if the first process itself was killed.
        processes.kill(processes.marked(ENVIRONMENT_MARK, self.id))
        self._api.close()

    def _restart(self) -> None:
        """Restart a dead function in the same environment with its /tmp unchanged, as Lambda does."""
        self._api.forget()
        self._exited = False
        self._cold = True
        self._peak_bytes = self._peak_resident_bytes = 0
        self.started = time.monotonic()
        self.enclosure.restart()

    def _note_end(self, status: int) -> None:
        if not self.enclosure.restartable:
            # No more output will come, and the last lines belong before the end.
            self._output.join(_OUTPUT_SECONDS)
        self._exited = True
        self._api.reports.put(Report(ReportKind.EXITED, status=status))

    def _end_runtime(self) -> bool:
        """End all processes after a fatal failure; return whether the function can be restarted."""
        if not self.enclosure.restartable:
            self.close()
            return False
        self.enclosure.halt()
        self._exited = True
        return self.enclosure.restartable

    def _warnings(self) -> list[str]:
        """Return the differences from Lambda that complete code need not have had."""
        found = []
        interpreter = self.enclosure.interpreter
        if interpreter is not None and self.enclosure.isolation is Isolation.NONE:
            found.append(f"Isolation: none ({self.enclosure.reason}). Read-only code, the size of /tmp, user and network are not enforced.")
        if interpreter is not None and not interpreter.matches:
            found.append(
                f"Python {interpreter.version} instead of {interpreter.wanted}, with its own native packages: {interpreter.reason}."
            )
        if missing := ", ".join(self.enclosure.substitutes.missing):
            found.append(f"Missing packages: {missing}. The ZIP has them for another Python, and they are not installed here.")
        return found

    def _forward_output(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._log(line.decode("utf-8", "replace").rstrip("\n"))

    def _wait(self, seconds: float) -> Report | None:
        try:
            return self._api.reports.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _wait_for_end(self, deadline: float) -> Report | None:
        """Return the report that ends the invocation, or None at the time limit."""
        walled = self.enclosure.isolation is Isolation.NAMESPACES
        next_look = time.monotonic() + _SAMPLE_SECONDS
        while True:
            now = time.monotonic()
            report = self._wait(min(_TMP_SAMPLE_SECONDS if walled else _SAMPLE_SECONDS, deadline - now))
            if report is None:
                if time.monotonic() >= deadline:
                    return None
                self._look_at_tmp()
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + _SAMPLE_SECONDS
                    if self._over_memory():
                        # Lambda reports exceeded memory as a killed process.
                        return Report(ReportKind.EXITED, status=-signal.SIGKILL)
            elif report.kind is not ReportKind.READY:
                self._over_memory()
                return report

    def _look_at_tmp(self) -> None:
        # A closed environment exceeded its memory; its last measurement stands.
        if not self._closed.locked():
            self._peak_tmp_bytes = max(self._peak_tmp_bytes, self.enclosure.tmp_bytes())

    def _over_memory(self) -> bool:
        """Measure the tree. Resident memory is an upper bound, so the slow measurement runs only when it rises."""
        tree = processes.tree(self._process.pid)
        resident = processes.resident_bytes(tree)
        limit = self.config.memory_mb * 2**20
        if resident > self._peak_resident_bytes * 1.05 or resident > limit:
            self._peak_resident_bytes = max(resident, self._peak_resident_bytes)
            used = processes.proportional_bytes(tree)
            self._peak_bytes = max(used, self._peak_bytes)
            if used > limit:
                self._log(f"The process tree uses {used / 2**20:.0f} MB of {self.config.memory_mb} MB: killed")
                return True
        return False

    def _result(self, request_id: str, end: Report | None, usage: Usage) -> InvocationResult:
        if end is not None and end.kind in (ReportKind.RESPONSE, ReportKind.ERROR):
            return InvocationResult(request_id, end.body, failed=end.kind is ReportKind.ERROR, usage=usage, reusable=True)
        if end is not None and end.kind is ReportKind.INIT_ERROR:
            payload = end.body
        elif end is None:
            self._log(f"{_utc_now()} {request_id} Task timed out after {self.config.timeout:.2f} seconds")
            payload = _error("Sandbox.Timedout", request_id, f"Task timed out after {self.config.timeout:.2f} seconds")
        else:
            payload = _error("Runtime.ExitError", request_id, f"Runtime exited with error: {_exit_reason(end.status)}")
        return InvocationResult(request_id, payload, failed=True, usage=usage, reusable=self._end_runtime())

    def _report(self, request_id: str, usage: Usage) -> str:
        fields = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {usage.duration_ms:.2f} ms",
            f"Billed Duration: {-int(-usage.duration_ms // 1)} ms",
            f"Memory Size: {self.config.memory_mb} MB",
            f"Max Memory Used: {usage.memory_bytes / 2**20:.0f} MB",
        ]
        if usage.init_ms is not None:
            fields.append(f"Init Duration: {usage.init_ms:.2f} ms")
        fields += [f"Tmp Size: {self.config.tmp_mb} MB", f"Max Tmp Used: {usage.tmp_bytes / 2**20:.0f} MB"]
        return "\t".join([*fields, f"Isolation: {self.enclosure.isolation}"])


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    names = {signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation fault", signal.SIGABRT: "aborted", signal.SIGTERM: "terminated"}
    return f"signal: {names.get(signal.Signals(-status), signal.Signals(-status).name)}"


_OUTPUT_SECONDS = 1.0


def _error(name: str, request_id: str, message: str) -> bytes:
    return json.dumps({"errorType": name, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
