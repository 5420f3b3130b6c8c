"""The walls around one Lambda execution environment, made of Linux namespaces alone: no root, no other program, nothing left behind.

Inside is what a function finds on Lambda: a read-only root with the code in /var/task, one writable folder, /tmp, of a fixed size, no
/dev/shm, a process tree and a user of its own, and a loopback through which a few ports of this machine's can be reached.

Three processes make it. The first stays outside, holds the link to the endpoint and passes bytes on. It forks one that leaves all
namespaces and ends when it has forked the third: process 1 inside, which builds the new root, gives up every privilege and starts the
function. When process 1 ends, because its link to the first has broken, the kernel kills everything inside; the first ends when the
endpoint's end of its own link is closed, however that happened. A function that has ended can be started again, as Lambda does: what it
left in /tmp is still there.

Standard library only, started with `-I -S`: up in milliseconds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import socket
import traceback
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from hyperframes_provider.local.sandbox import kernel, relay, supervisor
from hyperframes_provider.local.sandbox.kernel import GROUP, USER
from hyperframes_provider.local.sandbox.root import make_root

LONGEST_MESSAGE = 1 << 17


class Spec(TypedDict):
    """What a jail is made from: one message on the link, which is standard input."""

    command: list[str]
    variables: dict[str, str]
    """The whole environment of the command."""
    code: str
    """The folder that is /var/task inside, where the command starts."""
    mounts: list[tuple[str, str]]
    """What of this machine is seen where, read-only and in this order; no source stands for an empty folder that covers what is there."""
    tmp_bytes: int
    doors: list[int]
    """Ports of 127.0.0.1 that are the same inside as outside."""


class Message(TypedDict, total=False):
    """What comes back: `up` or `refused` once, and then news."""

    up: bool
    """The function was started. With it comes the jail's root folder as a descriptor."""
    refused: str
    """Why there is no jail: namespaces are forbidden here, or something of the specification does not exist."""
    ended: int
    """The function's process has ended, with this exit code (negative: by a signal)."""
    halted: bool
    """Nothing but process 1 runs inside."""


HALT, START = b"halt", b"start"
"""What can be asked for: kill everything that runs inside, and start the function anew."""

_HOST_NAME = "169.254.100.1"
"""Lambda calls its machines by a link-local address."""

_OPEN_FILES = _THREADS = 1024
"""Lambda's quotas for one environment."""
_KERNEL_THAT_COUNTS_THREADS_INSIDE = (5, 14)


class Refused(Exception):
    """The jail cannot be made here."""


def main() -> None:
    """Be the first process: make the jail that the link asks for, pass bytes and messages on, and end with the link."""
    link = socket.socket(fileno=os.dup(0))
    spec: Spec = json.loads(link.recv(LONGEST_MESSAGE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Process 1 becomes a child of this one when the one between them ends.
    supervisor.adopt_orphans()
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    maker = os.fork()
    if maker == 0:
        outside.close()
        link.close()
        _leave_namespaces(spec, inside)
    inside.close()
    process_1 = None
    try:
        process_1 = _let_out(outside, maker)
        doors, root = _await_doors(outside, len(spec["doors"]))
    except Refused as refusal:
        link.send(json.dumps(Message(refused=str(refusal))).encode())
    else:
        for door, port in zip(doors, spec["doors"], strict=True):
            relay.serve(door, port)
        socket.send_fds(link, [json.dumps(Message(up=True)).encode()], [root])
        os.close(root)
        _pass_messages(link, outside)
    _end(process_1)


def _pass_messages(link: socket.socket, outside: socket.socket) -> None:
    """Between the endpoint and process 1, until one of them is gone."""
    other = {link: outside, outside: link}
    while True:
        readable, _, _ = select.select([link, outside], [], [])
        for source in readable:
            message = source.recv(LONGEST_MESSAGE)
            if not message:
                return
            with contextlib.suppress(BrokenPipeError):  # told by the next look at the other side
                other[source].send(message)


def _let_out(outside: socket.socket, maker: int) -> int:
    """Give the process that has left the namespaces its user, and learn which process is the first inside."""
    _expect(outside, "left")
    _map_user(maker)
    outside.send(b"{}")
    process_1: int = _expect(outside, "process")["process"]
    os.waitpid(maker, 0)
    return process_1


def _await_doors(outside: socket.socket, count: int) -> tuple[list[socket.socket], int]:
    """The listening sockets of the inside, and its root folder."""
    data, descriptors, _, _ = socket.recv_fds(outside, LONGEST_MESSAGE, count + 1)
    _require(data, "doors")
    return [socket.socket(fileno=descriptor) for descriptor in descriptors[1:]], descriptors[0]


def _expect(end: socket.socket, name: str) -> dict[str, Any]:
    return _require(end.recv(LONGEST_MESSAGE), name)


def _require(data: bytes, name: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(data) if data else {"refused": "a process of the jail ended early"}
    if name not in message:
        raise Refused(str(message.get("refused")))
    return message


def _map_user(pid: int) -> None:
    """Root gives the inside a user that owns nothing here; any other user can only lend itself."""
    own, group = os.geteuid(), os.getegid()
    try:
        if own == 0:
            _write_map(pid, f"0 0 1\n{USER} {USER} 1\n", f"0 0 1\n{GROUP} {GROUP} 1\n")
            return
    except PermissionError:
        # Root of a container that has no other users to give away.
        pass
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    _write_map(pid, f"{USER} {own} 1\n", f"{GROUP} {group} 1\n")


def _write_map(pid: int, users: str, groups: str) -> None:
    for name, text in (("uid_map", users), ("gid_map", groups)):
        # In one write, which a buffered file does not promise.
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _end(process: int | None) -> None:
    """Kill process 1, and with it everything inside; returns when all of it is gone."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _leave_namespaces(spec: Spec, inside: socket.socket) -> NoReturn:
    """The process between: it cannot become process 1 of a new namespace itself, only its child can."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.setsid()
        kernel.leave_namespaces()
        inside.send(b'{"left": true}')
        inside.recv(LONGEST_MESSAGE)
        child = os.fork()
        if child == 0:
            _be_process_1(spec, inside)
        inside.send(json.dumps({"process": child}).encode())
    except OSError as error:
        inside.send(json.dumps({"refused": _words(error)}).encode())
    os._exit(0)


def _be_process_1(spec: Spec, inside: socket.socket) -> NoReturn:
    """Build the inside, give up all privileges, and run the command until the link breaks."""
    try:
        try:
            doors = _make_inside(spec)
            kernel.give_up_privileges()
            child_ended = supervisor.wake_on_child()
            child = supervisor.spawn(spec["command"], spec["variables"])
        except (OSError, ValueError) as error:
            inside.send(json.dumps({"refused": _words(error)}).encode())
            os._exit(0)
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        socket.send_fds(inside, [b'{"doors": true}'], [root, *(door.fileno() for door in doors)])
        os.close(root)
        for door in doors:
            door.close()
        _obey(spec, inside, child, child_ended)
    except BaseException:  # noqa: BLE001  # a copy of the first process must not run on as if it were that one
        traceback.print_exc()
    os._exit(0)


def _obey(spec: Spec, inside: socket.socket, child: int | None, child_ended: int) -> None:
    """Collect what ends, say so when it is the command, and do what is asked for."""
    while True:
        readable, _, _ = select.select([inside.fileno(), child_ended], [], [])
        if child_ended in readable:
            os.read(child_ended, 512)
            status = supervisor.reap(child)
            if status is not None:
                child = None
                inside.send(json.dumps(Message(ended=status)).encode())
        if inside.fileno() in readable:
            match inside.recv(LONGEST_MESSAGE):
                case b"halt":
                    child = None
                    _kill_all()
                    inside.send(json.dumps(Message(halted=True)).encode())
                case b"start":
                    child = supervisor.spawn(spec["command"], spec["variables"])
                case _:
                    return


def _kill_all() -> None:
    """Whatever runs in this namespace of processes, but process 1, which sends the signal."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        while True:
            os.kill(-1, signal.SIGKILL)
            os.waitpid(-1, 0)


def _make_inside(spec: Spec) -> list[socket.socket]:
    socket.sethostname(_HOST_NAME)
    kernel.raise_loopback()
    doors = [socket.create_server(("127.0.0.1", port), backlog=512) for port in spec["doors"]]
    make_root(spec["code"], spec["mounts"], spec["tmp_bytes"])
    os.chdir("/var/task")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release >= _KERNEL_THAT_COUNTS_THREADS_INSIDE:
        resource.setrlimit(resource.RLIMIT_NPROC, (_THREADS, _THREADS))
    return doors


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    hint = " (user namespaces are forbidden here)" if error.filename == "unshare" and error.errno in (errno.EPERM, errno.ENOSPC) else ""
    return f"{error.filename}: {error.strerror}{hint}"
