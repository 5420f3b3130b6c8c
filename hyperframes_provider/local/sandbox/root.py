"""The root folder of a jail. Standard library only: a jail imports it under `-I -S`."""

from __future__ import annotations

import os
from pathlib import Path

from hyperframes_provider.local.sandbox import kernel
from hyperframes_provider.local.sandbox.kernel import GROUP, USER

_SYSTEM = (
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/share/zoneinfo"),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache"),
)
"""Programs and libraries of this machine; links are created anew, and missing paths are skipped."""

_DEVICES = ("null", "zero", "full", "random", "urandom")
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/bash\nsbx_user1051:x:{USER}:{GROUP}::/home/sbx_user1051:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nsbx_user1051:x:{GROUP}:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
_EMPTY = ("proc", "tmp", "opt", "dev", "var/runtime")
_OLD_ROOT = "/.machine"
_SMALL = "mode=755,size=4m"
"""Options of a tmpfs that holds nothing but mount points and small files."""


def make_root(code: str, mounts: list[tuple[str, str]], tmp_bytes: int) -> None:
    """Build the root of this mount namespace; see `jail.Spec` for the arguments.

    The new root stands next to the old one until everything that comes from there is mounted; then the old one goes.
    """
    os.umask(0o022)
    kernel.mount(None, "/", None, kernel.RECURSIVE | kernel.PRIVATE)
    # Any folder will do as the mount point: in the old root, this one shows its own content again as soon as the new root is in place.
    kernel.mount_new("tmpfs", code, _SMALL)
    os.chdir(code)
    Path(_OLD_ROOT.lstrip("/")).mkdir()
    kernel.swap_root(_OLD_ROOT.lstrip("/"))
    os.chdir("/")
    for folder in _EMPTY:
        Path("/", folder).mkdir(parents=True)
    for source in _SYSTEM:
        _show(source, source)
    for name, text in _FILES.items():
        Path("/", name).write_text(text)
    for source, target in [(code, "/var/task"), *mounts]:
        if source:
            _show(source, target, needed=True)
        else:
            kernel.mount_new("tmpfs", _mount_point(target, folder=True), _SMALL)
    _make_devices()
    # The kernel allows this only while another /proc is visible.
    kernel.mount_new("proc", "/proc", flags=kernel.NOEXEC)
    kernel.unmount(_OLD_ROOT)
    Path(_OLD_ROOT).rmdir()
    kernel.make_read_only("/")
    kernel.mount_new("tmpfs", "/tmp", f"mode=700,uid={USER},gid={GROUP},size={tmp_bytes}")


def _show(source: str, target: str, *, needed: bool = False) -> None:
    """Bind `source` of this machine to `target`, read-only; links of the system, such as /lib, are created anew."""
    old = Path(_OLD_ROOT + source)
    if old.is_symlink() and not needed:
        if not Path(target).exists():
            Path(target).symlink_to(old.readlink())
        return
    if not old.exists() and not needed:
        return
    kernel.mount(str(old), _mount_point(target, folder=old.is_dir()), None, kernel.BIND | kernel.RECURSIVE)
    # At once: a later mount point below it must not be created in a folder of this machine.
    kernel.make_read_only(target)


def _mount_point(target: str, *, folder: bool) -> str:
    path = Path(target)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if folder else path.touch()
    return target


def _make_devices() -> None:
    """Create the few devices that Lambda has; shared memory is not among them."""
    for name in _DEVICES:
        _show(f"/dev/{name}", f"/dev/{name}", needed=True)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("/dev", name).symlink_to(f"/proc/self/fd{target}")
