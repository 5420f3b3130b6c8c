"""The walls around one Lambda execution environment, made of Linux namespaces alone, without root or another program.

The inside matches Lambda: a read-only root with the code in /var/task, one writable folder, /tmp, of a fixed size, no /dev/shm, separate
processes and users, and a loopback interface from which only a few of this machine's ports can be reached.

Three processes build it. The first stays outside, holds the link to the endpoint and forwards bytes. It forks the second, which leaves all
namespaces, forks the third, and exits. The third is process 1 inside: it builds the new root, gives up every privilege and starts the
function. When its link to the first process breaks, process 1 exits and the kernel kills everything inside. The first process ends when the
endpoint's end of its own link closes, for whatever reason. A function that has ended can be restarted with its /tmp unchanged, as on
Lambda.

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
    """Specification of a jail: one message on the link, which is standard input."""

    command: list[str]
    variables: dict[str, str]
    """The whole environment of the command."""
    code: str
    """The folder that becomes /var/task, where the command starts."""
    mounts: list[tuple[str, str]]
    """Read-only mounts, in order: source on this machine and target. An empty source covers the target with an empty folder."""
    tmp_bytes: int
    ports: list[int]
    """Ports of 127.0.0.1 that can be reached from inside."""


class Message(TypedDict, total=False):
    """An answer of the jail: `up` or `refused` once, then events."""

    up: bool
    """The function was started. The message carries a descriptor of the jail's root folder."""
    refused: str
    """The reason for no jail: namespaces are forbidden here, or a path of the specification does not exist."""
    ended: int
    """Exit code of the function's process, negative for a signal."""
    halted: bool
    """Only process 1 runs inside."""


HALT, START = b"halt", b"start"
"""Requests: kill everything that runs inside, and start the function again."""

_HOST_NAME = "169.254.100.1"
"""Lambda names its hosts by a link-local address."""

_OPEN_FILES = _THREADS = 1024
"""Lambda's quotas for one environment."""
_KERNEL_WITH_THREAD_LIMIT = (5, 14)


class Refused(Exception):
    """The jail cannot be built on this machine."""


def main() -> None:
    """Run the first process: build the requested jail, forward bytes and messages, and end with the link."""
    link = socket.socket(fileno=os.dup(0))
    spec: Spec = json.loads(link.recv(LONGEST_MESSAGE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Process 1 becomes a child of this process when the one between them exits.
    supervisor.adopt_orphans()
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    maker = os.fork()
    if maker == 0:
        outside.close()
        link.close()
        _fork_inside(spec, inside)
    inside.close()
    init = None
    try:
        init = _admit(outside, maker)
        listeners, root = _await_listeners(outside, len(spec["ports"]))
    except Refused as refusal:
        link.send(json.dumps(Message(refused=str(refusal))).encode())
    else:
        for listener, port in zip(listeners, spec["ports"], strict=True):
            relay.serve(listener, port)
        socket.send_fds(link, [json.dumps(Message(up=True)).encode()], [root])
        os.close(root)
        _forward_messages(link, outside)
    _end_inside(init)


def _forward_messages(link: socket.socket, outside: socket.socket) -> None:
    """Forward messages between the endpoint and process 1 until one of them is gone."""
    other = {link: outside, outside: link}
    while True:
        readable, _, _ = select.select([link, outside], [], [])
        for source in readable:
            message = source.recv(LONGEST_MESSAGE)
            if not message:
                return
            with contextlib.suppress(BrokenPipeError):  # noticed in the next round, at the other end
                other[source].send(message)


def _admit(outside: socket.socket, maker: int) -> int:
    """Map the user of the process that has left the namespaces; return the process ID of process 1."""
    _expect(outside, "left")
    _map_user(maker)
    outside.send(b"{}")
    init: int = _expect(outside, "process")["process"]
    os.waitpid(maker, 0)
    return init


def _await_listeners(outside: socket.socket, count: int) -> tuple[list[socket.socket], int]:
    """Return the listening sockets inside, and the descriptor of the root folder."""
    data, descriptors, _, _ = socket.recv_fds(outside, LONGEST_MESSAGE, count + 1)
    _require(data, "listening")
    return [socket.socket(fileno=descriptor) for descriptor in descriptors[1:]], descriptors[0]


def _expect(end: socket.socket, name: str) -> dict[str, Any]:
    return _require(end.recv(LONGEST_MESSAGE), name)


def _require(data: bytes, name: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(data) if data else {"refused": "a process of the jail ended early"}
    if name not in message:
        raise Refused(str(message.get("refused")))
    return message


def _map_user(pid: int) -> None:
    """Map the user inside: root maps one that owns nothing here, any other user can only map itself."""
    own, group = os.geteuid(), os.getegid()
    try:
        if own == 0:
            _write_map(pid, f"0 0 1\n{USER} {USER} 1\n", f"0 0 1\n{GROUP} {GROUP} 1\n")
            return
    except PermissionError:
        # Root in a container without other users.
        pass
    Path(f"/proc/{pid}/setgroups").write_text("deny")
    _write_map(pid, f"{USER} {own} 1\n", f"{GROUP} {group} 1\n")


def _write_map(pid: int, users: str, groups: str) -> None:
    for name, text in (("uid_map", users), ("gid_map", groups)):
        # The kernel wants a single write.
        with Path(f"/proc/{pid}/{name}").open("wb", buffering=0) as file:
            file.write(text.encode())


def _end_inside(process: int | None) -> None:
    """Kill process 1, and with it everything inside; return once all of it is gone."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _fork_inside(spec: Spec, inside: socket.socket) -> NoReturn:
    """Run the second process: only its child can become process 1 of a new namespace."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.setsid()
        kernel.leave_namespaces()
        inside.send(b'{"left": true}')
        inside.recv(LONGEST_MESSAGE)
        child = os.fork()
        if child == 0:
            _run_inside(spec, inside)
        inside.send(json.dumps({"process": child}).encode())
    except OSError as error:
        inside.send(json.dumps({"refused": _message_of(error)}).encode())
    os._exit(0)


def _run_inside(spec: Spec, inside: socket.socket) -> NoReturn:
    """Run process 1: build the inside, give up all privileges, and run the command until the link breaks."""
    try:
        try:
            listeners = _make_inside(spec)
            kernel.give_up_privileges()
            child_ended = supervisor.wake_on_child()
            child = supervisor.spawn(spec["command"], spec["variables"])
        except (OSError, ValueError) as error:
            inside.send(json.dumps({"refused": _message_of(error)}).encode())
            os._exit(0)
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        socket.send_fds(inside, [b'{"listening": true}'], [root, *(listener.fileno() for listener in listeners)])
        os.close(root)
        for listener in listeners:
            listener.close()
        _follow_requests(spec, inside, child, child_ended)
    except BaseException:  # noqa: BLE001  # this fork of the first process must not continue as the first process
        traceback.print_exc()
    os._exit(0)


def _follow_requests(spec: Spec, inside: socket.socket, child: int | None, child_ended: int) -> None:
    """Collect ended processes, report the end of the command, and follow the endpoint's requests."""
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
    """Kill all other processes in this process namespace."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        while True:
            os.kill(-1, signal.SIGKILL)
            os.waitpid(-1, 0)


def _make_inside(spec: Spec) -> list[socket.socket]:
    socket.sethostname(_HOST_NAME)
    kernel.raise_loopback()
    listeners = [socket.create_server(("127.0.0.1", port), backlog=512) for port in spec["ports"]]
    make_root(spec["code"], spec["mounts"], spec["tmp_bytes"])
    os.chdir("/var/task")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release >= _KERNEL_WITH_THREAD_LIMIT:
        resource.setrlimit(resource.RLIMIT_NPROC, (_THREADS, _THREADS))
    return listeners


def _message_of(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    hint = " (user namespaces are forbidden here)" if error.filename == "unshare" and error.errno in (errno.EPERM, errno.ENOSPC) else ""
    return f"{error.filename}: {error.strerror}{hint}"
