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
"""Environment variable that the processes of an environment inherit, but for those in a jail: its id."""

_START_SECONDS = 30.0
_PACKAGE_ROOT = Path(__file__).parents[3]
_JAIL = f"import sys; sys.path.append({str(_PACKAGE_ROOT)!r}); from hyperframes_provider.local.sandbox.jail import main; main()"


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
    site = f"{LANGUAGE}/{interpreter.sites[-1]}"
    mounts = [(str(interpreter.prefix.resolve()), LANGUAGE), *(("", f"{LANGUAGE}/{name}") for name in interpreter.sites)]
    mounts += [(str(path.resolve()), f"{site}/{path.name}") for path in interpreter.client]
    substitutes = interpreter.substitutes(folder)
    for path in substitutes.found:
        # A package has to take the place of the one in the ZIP, which is found first; a single module is found by its name's ending.
        replaced = path.is_dir() and (folder / path.name).is_dir()
        mounts.append((str(path.resolve()), f"{TASK_ROOT if replaced else site}/{path.name}"))
    spec = jail.Spec(
        command=[f"{LANGUAGE}/{interpreter.program}", "-m", "awslambdaric", wanted.handler],
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
        [sys.executable, "-I", "-S", supervisor.__file__, program, "-m", "awslambdaric", wanted.handler],
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
