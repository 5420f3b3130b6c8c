"""One Lambda execution environment: one process of the function's code, one invocation at a time.

Time limit, memory limit and the ways to die are Lambda's; how many environments there are and who gets one is the pool's business.
"""

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
from hyperframes_provider.local.functions.runtime_api import Invocation, Report, RuntimeApi, Told
from hyperframes_provider.local.sandbox.code import Code
from hyperframes_provider.local.sandbox.enclosure import Isolation
from hyperframes_provider.local.sandbox.start import ENVIRONMENT_MARK, Wanted, start

_INIT_SECONDS = 10.0
"""Time that Lambda gives the initialisation for free; what it takes beyond that counts as the invocation's."""

_SAMPLE_SECONDS = 0.5
"""How often the memory of the process tree is looked at."""

_TMP_SAMPLE_SECONDS = 0.1
"""How often the temporary folder of a jail is looked at, which costs next to nothing."""


@dataclass(frozen=True)
class FunctionConfig:
    """What an environment is made from; two equal ones can share environments."""

    arn: str
    handler: str
    code: Code
    memory_mb: int
    timeout: float
    """Seconds."""
    variables: tuple[tuple[str, str], ...]
    """Environment variables, complete: nothing of the endpoint's own environment is added but, for a plain process, `TMPDIR` and `HOME`."""
    runtime: str = "python3.13"
    tmp_mb: int = 512
    """Size of /tmp. What lies in it does not count as memory, as on Lambda."""
    isolation: Isolation = Isolation.NAMESPACES
    """What is wished for; complete code alone can have walls."""


@dataclass(frozen=True)
class Usage:
    """What an invocation took."""

    duration_ms: float
    init_ms: float | None
    """Start of the environment until its runtime asked for the event; None for a warm one."""
    memory_bytes: int
    """The most that the environment's processes have used together so far, in looks half a second apart."""
    tmp_bytes: int
    """The most that its temporary folder has held so far."""


@dataclass(frozen=True)
class InvocationResult:
    """How an invocation ended."""

    request_id: str
    payload: bytes
    failed: bool
    usage: Usage
    reusable: bool
    """Whether the environment can take another invocation."""


class Environment:
    """A running function process. `log` receives its output line by line, and Lambda's START, END and REPORT.

    `enclosure` says what keeps it from this machine, and which interpreter it has. A plain process works in `scratch_dir`.
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
        wanted = Wanted(
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
            self.enclosure = start(wanted, self._api.address)
        except BaseException:
            self._api.close()
            raise
        self._process = self.enclosure.process
        self._fallen = False
        for warning in self._warnings():
            log(warning)
        self._output = threading.Thread(target=self._pass_output_on, name=f"output-{self.id}", daemon=True)
        self._output.start()
        threading.Thread(target=self.enclosure.watch, args=(self._note_end,), name=f"watch-{self.id}", daemon=True).start()

    def alive(self) -> bool:
        """Whether it can take an event: the process runs, or can be started again."""
        return self.enclosure.process.poll() is None

    def invoke(self, event: bytes, client_context: str | None = None) -> InvocationResult:
        """Run one event to its end: an answer, an error, the time limit, the memory limit or the end of the process."""
        request_id = str(uuid.uuid4())
        if self._fallen:
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
        end = self._wait_for_end(started + self.config.timeout) if first is None or first.told is Told.READY else first
        self._look_at_tmp()
        usage = Usage((time.monotonic() - started) * 1000, init_ms, self._peak_bytes, self._peak_tmp_bytes)
        result = self._result(request_id, end, usage)
        self._log(f"END RequestId: {request_id}")
        self._log(self._report(request_id, usage))
        self.idle_since = time.monotonic()
        return result

    def close(self) -> None:
        """End every process of the environment and remove its scratch folder; may be called twice."""
        if not self._closed.acquire(blocking=False):
            return
        self.enclosure.stop()
        # Nothing is left unless the first process itself was killed.
        processes.kill(processes.marked(ENVIRONMENT_MARK, self.id))
        self._api.close()

    def _restart(self) -> None:
        """Lambda starts a function that died in the same environment again, with its /tmp as it was."""
        self._api.forget()
        self._fallen = False
        self._cold = True
        self._peak_bytes = self._peak_resident_bytes = 0
        self.started = time.monotonic()
        self.enclosure.restart()

    def _note_end(self, status: int) -> None:
        if not self.enclosure.restartable:
            # Nothing more will come, and what it said last belongs before the end.
            self._output.join(_LAST_WORDS_SECONDS)
        self._fallen = True
        self._api.reports.put(Report(Told.EXITED, status=status))

    def _fall(self) -> bool:
        """End what runs, after a failure that the function does not survive; whether it can be started again."""
        if not self.enclosure.restartable:
            self.close()
            return False
        self.enclosure.halt()
        self._fallen = True
        return self.enclosure.restartable

    def _warnings(self) -> list[str]:
        """What is not as on Lambda although the code would allow it."""
        found = []
        interpreter = self.enclosure.interpreter
        if interpreter is not None and self.enclosure.isolation is Isolation.NONE:
            found.append(f"Isolation: none ({self.enclosure.reason}). Read-only code, the size of /tmp, user and network are not enforced.")
        if interpreter is not None and not interpreter.matches:
            found.append(
                f"Python {interpreter.version} instead of {interpreter.wanted}, with its own native packages: {interpreter.reason}."
            )
        if self.enclosure.substitutes.missing:
            found.append(f"Not installed here, and built for another Python in the ZIP: {', '.join(self.enclosure.substitutes.missing)}.")
        return found

    def _pass_output_on(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._log(line.decode("utf-8", "replace").rstrip("\n"))

    def _wait(self, seconds: float) -> Report | None:
        try:
            return self._api.reports.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _wait_for_end(self, deadline: float) -> Report | None:
        """The report that ends the invocation; None for the time limit."""
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
                        # Lambda reports it as the kill that it is.
                        return Report(Told.EXITED, status=-signal.SIGKILL)
            elif report.told is not Told.READY:
                self._over_memory()
                return report

    def _look_at_tmp(self) -> None:
        # Closed means over memory; what it held then is known from the look before.
        if not self._closed.locked():
            self._peak_tmp_bytes = max(self._peak_tmp_bytes, self.enclosure.tmp_bytes())

    def _over_memory(self) -> bool:
        """Measure the tree. The resident sum is an upper bound, so the costly figure is taken only when that one rises."""
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
        if end is not None and end.told in (Told.RESPONSE, Told.ERROR):
            return InvocationResult(request_id, end.body, failed=end.told is Told.ERROR, usage=usage, reusable=True)
        if end is not None and end.told is Told.INIT_ERROR:
            payload = end.body
        elif end is None:
            self._log(f"{_utc_now()} {request_id} Task timed out after {self.config.timeout:.2f} seconds")
            payload = _error("Sandbox.Timedout", request_id, f"Task timed out after {self.config.timeout:.2f} seconds")
        else:
            payload = _error("Runtime.ExitError", request_id, f"Runtime exited with error: {_why_exited(end.status)}")
        return InvocationResult(request_id, payload, failed=True, usage=usage, reusable=self._fall())

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


def _why_exited(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    names = {signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation fault", signal.SIGABRT: "aborted", signal.SIGTERM: "terminated"}
    return f"signal: {names.get(signal.Signals(-status), signal.Signals(-status).name)}"


_LAST_WORDS_SECONDS = 1.0


def _error(name: str, request_id: str, message: str) -> bytes:
    return json.dumps({"errorType": name, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
