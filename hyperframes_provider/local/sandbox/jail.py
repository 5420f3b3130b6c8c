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
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import traceback
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from hyperframes_provider.local.sandbox import program as sandbox
from hyperframes_provider.local.sandbox import relay

USER, GROUP = 993, 990
"""Lambda's `sbx_user1051` and its group."""

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


_SYSTEM = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/share/zoneinfo"),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache"),
)
"""What programs need of the machine; links are made anew, what is missing is left out."""

_DEVICES = ("null", "zero", "full", "random", "urandom")
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/bash\nsbx_user1051:x:{USER}:{GROUP}::/home/sbx_user1051:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nsbx_user1051:x:{GROUP}:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_EMPTY = ("proc", "tmp", "opt", "dev", "var/runtime")
_HOST_NAME = "169.254.100.1"
"""Lambda calls its machines by a link-local address."""

_OLD_ROOT = "/.machine"
_OPEN_FILES = _THREADS = 1024
"""Lambda's quotas for one environment."""
_KERNEL_THAT_COUNTS_THREADS_INSIDE = (5, 14)

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 24, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The jail cannot be made here."""


def main() -> None:
    """Be the first process: make the jail that the link asks for, pass bytes and messages on, and end with the link."""
    link = socket.socket(fileno=os.dup(0))
    spec: Spec = json.loads(link.recv(LONGEST_MESSAGE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Process 1 becomes a child of this one when the one between them ends.
    _call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
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
        _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS)
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
            _give_up_privileges()
            child_ended = sandbox.wake_on_child()
            child = sandbox.spawn(spec["command"], spec["variables"])
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
            status = sandbox.reap(child)
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
                    child = sandbox.spawn(spec["command"], spec["variables"])
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
    _raise_loopback()
    doors = [socket.create_server(("127.0.0.1", port), backlog=512) for port in spec["doors"]]
    _make_root(spec)
    os.chdir("/var/task")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release >= _KERNEL_THAT_COUNTS_THREADS_INSIDE:
        resource.setrlimit(resource.RLIMIT_NPROC, (_THREADS, _THREADS))
    return doors


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def _make_root(spec: Spec) -> None:
    """Put the new root together, next to the old one until all is mounted that comes from there; then the old one is gone."""
    os.umask(0o022)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # Any folder will do to mount it on: in the old root, this one is itself again as soon as the new one is the root.
    _mount("tmpfs", spec["code"], "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=4m")
    os.chdir(spec["code"])
    Path(_OLD_ROOT.lstrip("/")).mkdir()
    _call("pivot_root", b".", _OLD_ROOT.lstrip("/").encode())
    os.chdir("/")
    for folder in _EMPTY:
        Path("/", folder).mkdir(parents=True)
    for source in _SYSTEM:
        _show(source, source)
    for name, text in _FILES.items():
        Path("/", name).write_text(text)
    for source, target in [(spec["code"], "/var/task"), *spec["mounts"]]:
        if source:
            _show(source, target, needed=True)
        else:
            _mount("tmpfs", _mount_point(target, folder=True), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=4m")
    _make_devices()
    # Allowed only while another one is seen.
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _call("umount2", _OLD_ROOT.encode(), _MNT_DETACH)
    Path(_OLD_ROOT).rmdir()
    _make_read_only("/")
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode=700,uid={USER},gid={GROUP},size={spec['tmp_bytes']}")


def _show(source: str, target: str, *, needed: bool = False) -> None:
    """Bind what is at `source` of this machine; a link of the system (/lib) is made anew."""
    old = Path(_OLD_ROOT + source)
    if old.is_symlink() and not needed:
        if not Path(target).exists():
            Path(target).symlink_to(old.readlink())
        return
    if not old.exists() and not needed:
        return
    _mount(str(old), _mount_point(target, folder=old.is_dir()), None, _MS_BIND | _MS_REC)
    # At once: a mount point that is missing in it must not be made in a folder of this machine.
    _make_read_only(target)


def _mount_point(target: str, *, folder: bool) -> str:
    path = Path(target)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if folder else path.touch()
    return target


def _make_devices() -> None:
    """The few that Lambda has: above all no shared memory."""
    for name in _DEVICES:
        _show(f"/dev/{name}", f"/dev/{name}", needed=True)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("/dev", name).symlink_to(f"/proc/self/fd{target}")


def _make_read_only(target: str) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    _call(
        "syscall",
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE,
        attributes,
        len(attributes),
        what=f"mount_setattr {target}",
    )


def _give_up_privileges() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if os.getuid() == 0:
        os.setresuid(USER, USER, USER)
    _call("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), struct.pack("6I", *[0] * 6))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The function has this process's user: it must not be able to hold it up.
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _call(
        "mount",
        source.encode() if source else None,
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
        what=f"mount {target}",
    )


def _call(function: str, *arguments: Any, what: str = "") -> None:
    if getattr(_libc, function)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what or function)


def _words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    hint = " (user namespaces are forbidden here)" if error.filename == "unshare" and error.errno in (errno.EPERM, errno.ENOSPC) else ""
    return f"{error.filename}: {error.strerror}{hint}"


if __name__ == "__main__":
    main()
