"""A function that looks at where it is, and tries what it must not be able to do. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import grp
import json
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    return globals()[f"do_{event['do']}"](event, context)


def do_describe(_event: dict[str, Any], context: Any) -> dict[str, Any]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "environ": dict(os.environ),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
        "host": socket.gethostname(),
        "cwd": str(Path.cwd()),
        "python": sys.version.split()[0],
        "path": sys.path,
        "capabilities": {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privs": status["NoNewPrivs"],
        "processes": sorted(int(path.name) for path in Path("/proc").glob("[0-9]*")),
        "pid": os.getpid(),
        "root": sorted(path.name for path in Path("/").iterdir()),
        "etc": sorted(path.name for path in Path("/etc").iterdir()),
        "devices": sorted(path.name for path in Path("/dev").iterdir()),
        "homes": [str(path) for path in (Path("/root"), Path("/home"), Path("/work")) if path.exists()],
        "interfaces": [name for _, name in socket.if_nameindex()],
        "limits": [resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_NPROC)],
        "descriptors": sorted(descriptors()),
        "remaining_ms": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "trace": os.environ.get("_X_AMZN_TRACE_ID", ""),
    }


def descriptors() -> list[str]:
    """List what this process has open beside its standard streams."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found += [str(path.readlink())] if int(path.name) > 2 else []
    return found


def do_write(event: dict[str, Any], _context: Any) -> dict[str, str]:
    """Write to each path and return `ok` or the error's name."""
    found = {}
    for name in event["paths"]:
        try:
            with Path(name).open("ab") as file:
                file.write(b"x")
            found[name] = "ok"
        except OSError as error:
            found[name] = type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return found


def do_fill(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Write to /tmp until it is full, and say how much went in."""
    written = 0
    try:
        with Path("/tmp/fill").open("wb", buffering=0) as file:
            while written < event["mb"] << 20:
                written += file.write(b"x" * (1 << 20))
    except OSError as error:
        return {"written": written, "error": os.strerror(error.errno or 0)}
    return {"written": written, "error": None}


def do_share_memory(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    semaphore = libc.sem_open(b"/probe", os.O_CREAT, 0o600, 1)
    named = libc.shm_open(b"/probe", os.O_CREAT | os.O_RDWR, 0o600)
    return {"sem_open": semaphore, "shm_open": named}


def do_reach(event: dict[str, Any], _context: Any) -> dict[str, str]:
    """Connect to each address and return `ok` or the error's name."""
    found = {}
    for host, port in event["addresses"]:
        try:
            socket.create_connection((host, port), timeout=5).close()
            found[f"{host}:{port}"] = "ok"
        except OSError as error:
            found[f"{host}:{port}"] = str(error)
    return found


def do_gain(_event: dict[str, Any], _context: Any) -> dict[str, str]:
    """Every way to more rights that there is."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = {}
    for name, arguments in {
        "setuid": (0,),
        "mount": (b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        "remount": (None, b"/var/task", None, 32 | 4096, None),
        "unmount": (b"/var/task", 2),
        "chroot": (b"/tmp",),
        "sethostname": (b"other", 5),
        "kill": (1, signal.SIGKILL),
        "ptrace": (16, 1, None, None),
    }.items():
        function = {"remount": "mount", "unmount": "umount2"}.get(name, name)
        done = getattr(libc, function)(*arguments)
        found[name] = "ok" if done == 0 else os.strerror(ctypes.get_errno())
    found["alive"] = "ok" if Path("/proc/1").exists() else "gone"
    return found


def do_fetch(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """GET each path of the endpoint, all at a time."""
    from concurrent.futures import ThreadPoolExecutor

    base = os.environ["AWS_ENDPOINT_URL"]

    def get(path: str) -> int:
        with urllib.request.urlopen(base + path, timeout=60) as answer:
            return sum(len(block) for block in iter(lambda: answer.read(1 << 16), b""))

    with ThreadPoolExecutor(len(event["paths"])) as pool:
        return {"lengths": list(pool.map(get, event["paths"]))}


def do_send(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    body = b"x" * (event["mb"] << 20)
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + event["path"], data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {"status": answer.status, "body": answer.read().decode()}


def do_leave_behind(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """A process with a session of its own and no parent, as a browser's helpers may be."""
    sleep = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    script = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\nos.execv({sys.executable!r}, {sleep})"
    subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    if event.get("then") == "sleep":
        print("left behind", flush=True)
        time.sleep(600)
    return {"pid": os.getpid()}


def do_allocate(event: dict[str, Any], _context: Any) -> int:
    """In a child, as the browser is one."""
    script = f"import time; held = b'x' * ({event['mb']} << 20); time.sleep({event['seconds']})"
    return subprocess.run([sys.executable, "-c", script], check=False).returncode


def do_exit(event: dict[str, Any], _context: Any) -> None:
    os._exit(event["status"])


def do_signal(event: dict[str, Any], _context: Any) -> None:
    os.kill(os.getpid(), getattr(signal, event["name"]))


def do_sleep(event: dict[str, Any], _context: Any) -> None:
    time.sleep(event["seconds"])


def do_fail(_event: dict[str, Any], _context: Any) -> None:
    raise KeyError("asked to")


def do_read(event: dict[str, Any], _context: Any) -> Any:
    return json.loads(Path(event["path"]).read_text())


def do_import(event: dict[str, Any], _context: Any) -> str:
    return str(__import__(event["module"]).__file__)


def do_size(event: dict[str, Any], _context: Any) -> int:
    return Path(event["path"]).stat().st_size
