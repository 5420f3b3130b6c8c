"""Start the process of one execution environment: between the walls of a jail where its code is complete, else as a plain process.

Where namespaces are forbidden, complete code runs as a plain process too. Which of the two it was, and why, stays with the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE
from hyperframes_provider.local.sandbox import jail
from hyperframes_provider.local.sandbox import program as sandbox
from hyperframes_provider.local.sandbox.code import Code
from hyperframes_provider.local.sandbox.interpreter import Interpreter, Substitutes, find_interpreter
from hyperframes_provider.local.sandbox.outside import Outside

ENVIRONMENT_MARK = "HYPERFRAMES_LOCAL_ENVIRONMENT"
"""Environment variable that the processes of an environment inherit, but for those in a jail: its id."""

TASK_ROOT = "/var/task"
_LANGUAGE = "/var/lang"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PACKAGE_ROOT = Path(__file__).parents[3]
_JAIL = f"import sys; sys.path.append({str(_PACKAGE_ROOT)!r}); from hyperframes_provider.local.sandbox.jail import main; main()"

_CERTIFICATES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Whom this machine trusts: behind a company's own authority nothing remote could be fetched without. They hold no secrets."""

NO_SUBSTITUTES = Substitutes((), ())

JAIL_VARIABLES: Mapping[str, str] = {
    "PATH": f"{_LANGUAGE}/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": f"{_LANGUAGE}/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:{TASK_ROOT}:{TASK_ROOT}/lib:/opt/lib",
    "LAMBDA_TASK_ROOT": TASK_ROOT,
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "PYTHONPATH": "/var/runtime",
    "PWD": TASK_ROOT,
    "SHLVL": "0",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
"""What Lambda's Python runtime sets, beside the function's own settings; HOME and TMPDIR are not among them."""


def lambda_variables(name: str, handler: str, memory_mb: int, runtime: str, region: str, endpoint: str) -> dict[str, str]:
    """What Lambda tells every function, and the endpoint that it finds AWS at.

    Whatever credentials this machine has, a function under test gets none of them.
    """
    return {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }


def code_variables(code: Code, toolset: Path) -> dict[str, str]:
    """What stands beside those: for complete code Lambda's own folders, for slim code what it needs of this machine."""
    if code.complete:
        return dict(JAIL_VARIABLES)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(code.folder),
        "LAMBDA_TASK_ROOT": str(code.folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        TOOLSET_VARIABLE: str(toolset),
        **{name: os.environ[name] for name in _CERTIFICATES if name in os.environ},
    }


class Isolation(StrEnum):
    """What keeps a function from the machine."""

    NAMESPACES = "namespaces"
    """The walls of `jail`."""
    NONE = "none"
    """A plain process with the rights of this user: it can write where the user can, and reach what the user can."""


@dataclass(frozen=True)
class Wanted:
    """What is to be started."""

    code: Code
    handler: str
    runtime: str
    variables: Mapping[str, str]
    tmp_mb: int
    isolation: Isolation
    mark: str
    scratch_dir: Path | None
    """Where a plain process gets its scratch folder; None for the system's temporary folder."""


@dataclass
class Enclosure:
    """A started function process, and what holds it."""

    process: subprocess.Popen[bytes]
    isolation: Isolation
    reason: str
    """Why there are no walls; empty when there are."""
    interpreter: Interpreter | None
    """None for slim code, which runs in this environment."""
    substitutes: Substitutes = NO_SUBSTITUTES
    """Packages of this environment that stand in for those of the ZIP."""
    _link: socket.socket | None = None
    _root: int | None = None
    """The jail's root folder, which can be looked at from here while this descriptor is open."""
    _scratch: Path | None = None
    _using_root: threading.Lock = field(default_factory=threading.Lock, init=False)
    _halted: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def restartable(self) -> bool:
        """Whether the function can be started again in it, with what it left in /tmp, as Lambda does with one that died."""
        return self._link is not None and self.process.poll() is None

    def watch(self, on_end: Callable[[int], None]) -> None:
        """Call `on_end` with the exit code (negative: a signal) whenever the function's process has ended, until it cannot any more."""
        if self._link is None:
            on_end(self.process.wait())
            return
        while True:
            try:
                data = self._link.recv(jail.LONGEST_MESSAGE)
            except OSError:  # closed by `stop`
                data = b""
            message: jail.Message = json.loads(data) if data else jail.Message(ended=-signal.SIGKILL)
            if "halted" in message:
                self._halted.set()
            if "ended" in message:
                on_end(message["ended"])
            if not data:
                self._halted.set()
                return

    def halt(self) -> None:
        """Kill everything inside a restartable one; returns when nothing runs there any more."""
        self._halted.clear()
        self._ask(jail.HALT)
        self._halted.wait(_STOP_SECONDS)

    def restart(self) -> None:
        """Start the function anew, after `halt`."""
        self._ask(jail.START)

    def _ask(self, what: bytes) -> None:
        if self._link is not None:
            with contextlib.suppress(OSError):  # gone, which `watch` tells
                self._link.send(what)

    def tmp_bytes(self) -> int:
        """What the function's temporary folder holds now; nothing when it is gone."""
        with self._using_root:
            if self._root is not None:
                descriptor = os.open("tmp", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root)
                try:
                    room = os.fstatvfs(descriptor)
                finally:
                    os.close(descriptor)
                return (room.f_blocks - room.f_bfree) * room.f_frsize
        return _size(self._scratch) if self._scratch is not None else 0

    def outside(self) -> Outside | None:
        """A look at what the function sees outside /tmp; None without walls, where that would be the whole machine."""
        with self._using_root:
            return None if self._root is None else Outside(self._root)

    def stop(self) -> None:
        """End every process in it and let its folders go; may be called twice."""
        if self._link is not None:
            # The end of this link, or of the pipe, is what makes the first process kill everything. It also wakes `watch`.
            with contextlib.suppress(OSError):  # not connected any more
                self._link.shutdown(socket.SHUT_RDWR)
            self._link.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self._using_root:
            if self._root is not None:
                os.close(self._root)
                self._root = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def start(wanted: Wanted, runtime_api: str) -> Enclosure:
    """Start the runtime for `wanted`; `runtime_api` is the address that it asks for events."""
    if not wanted.code.complete:
        return _start_slim(wanted, runtime_api)
    interpreter = find_interpreter(wanted.runtime)
    reason = "asked for"
    if wanted.isolation is Isolation.NAMESPACES:
        jailed = _start_jailed(wanted, runtime_api, interpreter)
        if isinstance(jailed, Enclosure):
            return jailed
        reason = jailed
    return _start_plain(wanted, runtime_api, interpreter, reason)


def _start_jailed(wanted: Wanted, runtime_api: str, interpreter: Interpreter) -> Enclosure | str:
    """The function in a jail, or why there is none."""
    folder = wanted.code.folder
    site = f"{_LANGUAGE}/{interpreter.sites[-1]}"
    mounts = [(str(interpreter.prefix.resolve()), _LANGUAGE), *(("", f"{_LANGUAGE}/{name}") for name in interpreter.sites)]
    mounts += [(str(path.resolve()), f"{site}/{path.name}") for path in interpreter.client]
    substitutes = interpreter.substitutes(folder)
    for path in substitutes.found:
        # A package has to take the place of the one in the ZIP, which is found first; a single module is found by its name's ending.
        replaced = path.is_dir() and (folder / path.name).is_dir()
        mounts.append((str(path.resolve()), f"{TASK_ROOT if replaced else site}/{path.name}"))
    spec = jail.Spec(
        command=[f"{_LANGUAGE}/{interpreter.program}", "-m", "awslambdaric", wanted.handler],
        variables={**wanted.variables, "AWS_LAMBDA_RUNTIME_API": runtime_api},
        code=str(folder.resolve()),
        mounts=mounts,
        tmp_bytes=wanted.tmp_mb << 20,
        doors=sorted({int(runtime_api.rpartition(":")[2]), *_endpoint_ports(wanted.variables)}),
    )
    link, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with inner:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _JAIL],
            env={ENVIRONMENT_MARK: wanted.mark},
            stdin=inner.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for whoever waits for the answer, not for the processes one by one.
            start_new_session=True,
        )
    link.settimeout(_START_SECONDS)
    try:
        link.send(json.dumps(spec).encode())
        data, descriptors, _, _ = socket.recv_fds(link, jail.LONGEST_MESSAGE, 1)
        answer: jail.Message = json.loads(data) if data else jail.Message(refused="its first process ended early")
    except OSError as error:  # also when it takes too long
        process.kill()
        answer = jail.Message(refused=f"its first process does not answer: {error}")
    if not answer.get("up"):
        link.close()
        said, _ = process.communicate()
        return "\n".join(part for part in (answer.get("refused", ""), said.decode("utf-8", "replace").strip()) if part)
    os.set_inheritable(descriptors[0], False)
    link.settimeout(None)
    return Enclosure(process, Isolation.NAMESPACES, "", interpreter, substitutes, link, descriptors[0])


def _start_plain(wanted: Wanted, runtime_api: str, interpreter: Interpreter, reason: str) -> Enclosure:
    """Complete code as a process of this user: its own tools and packages, but none of the walls."""
    scratch = _scratch(wanted)
    site = scratch / "site"
    site.mkdir()
    substitutes = interpreter.substitutes(wanted.code.folder)
    for path in (*interpreter.client, *substitutes.found):
        (site / path.name).symlink_to(path)
    place = scratch / "work"
    place.mkdir()
    own = {
        "PYTHONPATH": os.pathsep.join([str(site), str(wanted.code.folder)]),
        "LAMBDA_TASK_ROOT": str(wanted.code.folder),
        "PATH": os.environ.get("PATH", os.defpath),
    }
    dropped = {"LD_LIBRARY_PATH", "LAMBDA_RUNTIME_DIR", "PWD"}
    variables = {name: value for name, value in {**wanted.variables, **own}.items() if name not in dropped}
    program = str(interpreter.prefix / interpreter.program)
    process = _popen(wanted, program, variables, runtime_api, scratch, place)
    return Enclosure(process, Isolation.NONE, reason, interpreter, substitutes, _scratch=scratch)


def _start_slim(wanted: Wanted, runtime_api: str) -> Enclosure:
    """Slim code needs what is installed here, and so runs here."""
    scratch = _scratch(wanted)
    process = _popen(wanted, sys.executable, wanted.variables, runtime_api, scratch, wanted.code.folder)
    return Enclosure(process, Isolation.NONE, "slim code uses the packages and tools of this machine", None, _scratch=scratch)


def _scratch(wanted: Wanted) -> Path:
    return Path(tempfile.mkdtemp(prefix="e", dir=wanted.scratch_dir))


def _popen(
    wanted: Wanted, program: str, variables: Mapping[str, str], runtime_api: str, scratch: Path, place: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", sandbox.__file__, program, "-m", "awslambdaric", wanted.handler],
        cwd=place,
        env={
            **variables,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "TMPDIR": str(scratch),
            "HOME": str(scratch),
            ENVIRONMENT_MARK: wanted.mark,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _endpoint_ports(variables: Mapping[str, str]) -> Iterator[int]:
    """The AWS endpoints of this machine that the function has been told of."""
    for name, value in variables.items():
        if name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_"):
            address = urlsplit(value)
            if address.hostname in ("127.0.0.1", "localhost"):
                yield address.port or 80


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(root, name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
