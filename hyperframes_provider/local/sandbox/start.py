"""Start the process of one execution environment: in a jail if its code is complete, else as a plain process.

Where namespaces are forbidden, complete code runs as a plain process too. The enclosure records which of the two it is, and why.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hyperframes_provider.local.sandbox import jail, supervisor
from hyperframes_provider.local.sandbox.code import Code
from hyperframes_provider.local.sandbox.enclosure import Enclosure, Isolation
from hyperframes_provider.local.sandbox.interpreter import Interpreter, find_interpreter
from hyperframes_provider.local.sandbox.variables import LANGUAGE, TASK_ROOT

ENVIRONMENT_MARK = "HYPERFRAMES_LOCAL_ENVIRONMENT"
"""Environment variable that the processes of an environment outside a jail inherit; its value is the environment's ID."""

_START_SECONDS = 30.0
_PACKAGE_ROOT = Path(__file__).parents[3]
_JAIL = f"import sys; sys.path.append({str(_PACKAGE_ROOT)!r}); from hyperframes_provider.local.sandbox.jail import main; main()"


@dataclass(frozen=True)
class Launch:
    """The settings of a process."""

    code: Code
    handler: str
    runtime: str
    variables: Mapping[str, str]
    tmp_mb: int
    isolation: Isolation
    mark: str
    scratch_dir: Path | None
    """Parent of a plain process's scratch folder; None for the system's temporary folder."""


def start(launch: Launch, runtime_api: str) -> Enclosure:
    """Start the runtime, which asks the address `runtime_api` for events."""
    if not launch.code.complete:
        return _start_slim(launch, runtime_api)
    interpreter = find_interpreter(launch.runtime)
    reason = "requested"
    if launch.isolation is Isolation.NAMESPACES:
        jailed = _start_jailed(launch, runtime_api, interpreter)
        if isinstance(jailed, Enclosure):
            return jailed
        reason = jailed
    return _start_plain(launch, runtime_api, interpreter, reason)


def _start_jailed(launch: Launch, runtime_api: str, interpreter: Interpreter) -> Enclosure | str:
    """Start the function in a jail; return the reason if there can be none."""
    folder = launch.code.folder
    site = f"{LANGUAGE}/{interpreter.sites[-1]}"
    mounts = [(str(interpreter.prefix.resolve()), LANGUAGE), *(("", f"{LANGUAGE}/{name}") for name in interpreter.sites)]
    mounts += [(str(path.resolve()), f"{site}/{path.name}") for path in interpreter.client]
    substitutes = interpreter.substitutes(folder)
    for path in substitutes.found:
        # A package must replace the one in the ZIP, which comes first on the path; a single module has another file name for each Python.
        replaced = path.is_dir() and (folder / path.name).is_dir()
        mounts.append((str(path.resolve()), f"{TASK_ROOT if replaced else site}/{path.name}"))
    spec = jail.Spec(
        command=[f"{LANGUAGE}/{interpreter.program}", "-m", "awslambdaric", launch.handler],
        variables={**launch.variables, "AWS_LAMBDA_RUNTIME_API": runtime_api},
        code=str(folder.resolve()),
        mounts=mounts,
        tmp_bytes=launch.tmp_mb << 20,
        ports=sorted({int(runtime_api.rpartition(":")[2]), *_endpoint_ports(launch.variables)}),
    )
    link, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with inner:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _JAIL],
            env={ENVIRONMENT_MARK: launch.mark},
            stdin=inner.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach only the process that waits for the answer.
            start_new_session=True,
        )
    link.settimeout(_START_SECONDS)
    try:
        link.send(json.dumps(spec).encode())
        data, descriptors, _, _ = socket.recv_fds(link, jail.LONGEST_MESSAGE, 1)
        answer: jail.Message = json.loads(data) if data else jail.Message(refused="the first process of the jail ended early")
    except OSError as error:  # including a timeout
        process.kill()
        answer = jail.Message(refused=f"the first process of the jail did not answer: {error}")
    if not answer.get("up"):
        link.close()
        output, _ = process.communicate()
        return "\n".join(part for part in (answer.get("refused", ""), output.decode("utf-8", "replace").strip()) if part)
    os.set_inheritable(descriptors[0], False)
    link.settimeout(None)
    return Enclosure(process, Isolation.NAMESPACES, "", interpreter, substitutes, link, descriptors[0])


def _start_plain(launch: Launch, runtime_api: str, interpreter: Interpreter, reason: str) -> Enclosure:
    """Run complete code as a process of this user: with its own tools and packages, but without walls."""
    scratch = _scratch(launch)
    site = scratch / "site"
    site.mkdir()
    substitutes = interpreter.substitutes(launch.code.folder)
    for path in (*interpreter.client, *substitutes.found):
        (site / path.name).symlink_to(path)
    place = scratch / "work"
    place.mkdir()
    own = {
        "PYTHONPATH": os.pathsep.join([str(site), str(launch.code.folder)]),
        "LAMBDA_TASK_ROOT": str(launch.code.folder),
        "PATH": os.environ.get("PATH", os.defpath),
    }
    dropped = {"LD_LIBRARY_PATH", "LAMBDA_RUNTIME_DIR", "PWD"}
    variables = {name: value for name, value in {**launch.variables, **own}.items() if name not in dropped}
    program = str(interpreter.prefix / interpreter.program)
    process = _popen(launch, program, variables, runtime_api, scratch, place)
    return Enclosure(process, Isolation.NONE, reason, interpreter, substitutes, _scratch=scratch)


def _start_slim(launch: Launch, runtime_api: str) -> Enclosure:
    """Run slim code, which needs this machine's packages, in this Python environment."""
    scratch = _scratch(launch)
    process = _popen(launch, sys.executable, launch.variables, runtime_api, scratch, launch.code.folder)
    return Enclosure(process, Isolation.NONE, "slim code uses the packages and tools of this machine", None, _scratch=scratch)


def _scratch(launch: Launch) -> Path:
    return Path(tempfile.mkdtemp(prefix="e", dir=launch.scratch_dir))


def _popen(
    launch: Launch, program: str, variables: Mapping[str, str], runtime_api: str, scratch: Path, place: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__, program, "-m", "awslambdaric", launch.handler],
        cwd=place,
        env={
            **variables,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "TMPDIR": str(scratch),
            "HOME": str(scratch),
            ENVIRONMENT_MARK: launch.mark,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _endpoint_ports(variables: Mapping[str, str]) -> Iterator[int]:
    """Yield the ports of the AWS endpoints on this machine that the function's variables name."""
    for name, value in variables.items():
        if name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_"):
            address = urlsplit(value)
            if address.hostname in ("127.0.0.1", "localhost"):
                yield address.port or 80
