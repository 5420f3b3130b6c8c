"""System calls that Python lacks: namespaces, mounts, privileges. Standard library only: a jail imports it under `-I -S`."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from typing import Any

USER, GROUP = 993, 990
"""Lambda's `sbx_user1051` and its group."""

NOEXEC, BIND, RECURSIVE, PRIVATE = 8, 4096, 16384, 1 << 18
"""Flags of `mount`."""

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV = 2, 4
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def leave_namespaces() -> None:
    """Enter new namespaces of every kind."""
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS)


def raise_loopback() -> None:
    """Bring up the loopback interface of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a file system, bind a folder, or change how mounts propagate."""
    _call(
        "mount",
        source.encode() if source else None,
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
        name=f"mount {target}",
    )


def mount_new(kind: str, target: str, options: str | None = None, flags: int = 0) -> None:
    """Mount a new file system, without set-user-id programs and devices."""
    mount(kind, target, kind, _MS_NOSUID | _MS_NODEV | flags, options)


def swap_root(old: str) -> None:
    """Make the current folder the root, and move the old root to its subfolder `old`."""
    _call("pivot_root", b".", old.encode())


def unmount(target: str) -> None:
    """Detach a mount, busy or not."""
    _call("umount2", target.encode(), _MNT_DETACH)


def make_read_only(target: str) -> None:
    """Make a mount and all mounts below it read-only."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    arguments = (_SYS_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, len(attributes))
    _call("syscall", *arguments, name=f"mount_setattr {target}")


def give_up_privileges() -> None:
    """Become the function's user, with no capabilities and no way to gain any."""
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
    # The function runs as the same user and must not be able to trace this process.
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def _call(function: str, *arguments: Any, name: str = "") -> None:
    if getattr(_libc, function)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name or function)
