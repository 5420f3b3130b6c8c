"""A function finds in the sandbox what it finds on Lambda, and reaches nothing else."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hyperframes_provider.local.sandbox.enclosure import Isolation
from hyperframes_provider.local.sandbox.interpreter import find_interpreter
from hyperframes_provider.local.sandbox.kernel import GROUP, USER
from tests.local.sandbox.jailed import Running, probe_config

TMP_MB = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module")
def probe(folder: Path) -> Iterator[Running]:
    with Running.start(probe_config(folder, tmp_mb=TMP_MB)) as running:
        assert running.environment.enclosure.isolation is Isolation.NAMESPACES, running.environment.enclosure.reason
        yield running


@pytest.fixture(scope="module")
def seen(probe: Running) -> dict[str, Any]:
    answer: dict[str, Any] = probe.answer(do="describe")
    return answer


def test_user_host_and_rights_are_lambdas(seen: dict[str, Any]) -> None:
    assert (seen["uid"], seen["gid"], seen["user"], seen["group"]) == (USER, GROUP, "sbx_user1051", "sbx_user1051")
    assert seen["host"].startswith("169.254.")
    assert set(seen["capabilities"].values()) == {0}
    assert seen["no_new_privs"] == "1"
    assert seen["limits"] == [[1024, 1024], [1024, 1024]]


def test_environment_variables_are_lambdas(seen: dict[str, Any]) -> None:
    environ = seen["environ"]
    assert environ["LAMBDA_TASK_ROOT"] == seen["cwd"] == "/var/task"
    assert environ["LD_LIBRARY_PATH"] == "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    assert environ["PATH"] == "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert (environ["TZ"], environ["LANG"], environ["_HANDLER"]) == (":UTC", "en_US.UTF-8", "probe.handler")
    assert environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert environ["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert seen["trace"].startswith("Root=1-")
    # Lambda sets neither, and nothing else of this machine's environment comes through.
    assert {"HOME", "TMPDIR", "HYPERFRAMES_TOOLSET", "VIRTUAL_ENV", "USER"} & set(environ) == set()


def test_of_this_machine_only_programs_and_libraries_are_seen(seen: dict[str, Any]) -> None:
    assert set(seen["root"]) <= {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "sbin", "tmp", "usr", "var"}
    assert seen["etc"] == ["group", "hosts", "ld.so.cache", "nsswitch.conf", "passwd"]
    assert seen["devices"] == ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]
    assert seen["homes"] == []
    assert seen["interfaces"] == ["lo"]
    assert (seen["processes"], seen["pid"]) == ([1, 2], 2)
    assert [name for name in seen["descriptors"] if not name.startswith(("socket:", "anon_inode:", "/proc/"))] == []


def test_the_runtime_is_of_the_functions_minor_version_without_this_machines_packages(seen: dict[str, Any], probe: Running) -> None:
    interpreter = find_interpreter("python3.13")
    assert seen["python"] == interpreter.version
    assert f"/var/lang/{interpreter.sites[-1]}" in seen["path"]
    assert probe.answer(do="import", module="awslambdaric").startswith(f"/var/lang/{interpreter.sites[-1]}/")
    assert probe.error(do="import", module="pip")["errorType"] == "ModuleNotFoundError"


def test_only_tmp_can_be_written(probe: Running) -> None:
    paths = [
        "/x",
        "/var/task/x",
        "/var/lang/x",
        "/var/runtime/x",
        "/opt/x",
        "/etc/passwd",
        "/usr/lib/x",
        "/dev/x",
        "/proc/sys/kernel/hostname",
    ]
    became = probe.answer(do="write", paths=[*paths, "/var/task/probe.py", "/dev/null", "/tmp/x"])
    assert became.pop("/tmp/x") == became.pop("/dev/null") == "ok"
    assert set(became.values()) <= {"Read-only file system", "Permission denied"}


def test_tmp_has_the_functions_size_and_its_use_is_reported(probe: Running) -> None:
    result = probe.invoke(do="fill", mb=100)
    filled = json.loads(result.payload)
    assert filled["error"] == "No space left on device"
    assert (TMP_MB - 1) << 20 <= filled["written"] <= TMP_MB << 20
    assert (TMP_MB - 1) << 20 <= result.usage.tmp_bytes <= TMP_MB << 20
    assert f"Max Tmp Used: {TMP_MB} MB\tIsolation: namespaces" in probe.said[-1]


def test_there_is_no_shared_memory(probe: Running) -> None:
    assert probe.answer(do="share_memory") == {"sem_open": None, "shm_open": -1}


def test_no_way_leads_to_more_rights(probe: Running) -> None:
    became = probe.answer(do="gain")
    assert became.pop("alive") == "ok"
    # A signal that process 1 does not want is accepted and goes nowhere.
    assert became.pop("kill") == "ok"
    assert set(became.values()) == {"Operation not permitted"}


def test_what_was_written_outside_tmp_shows(probe: Running) -> None:
    """Shown by a second name for a folder of /var/task, behind which this test, unlike the function, can write."""
    outside = probe.environment.enclosure.outside()
    assert outside is not None
    with outside:
        probe.answer(do="write", paths=["/tmp/more", "/var/task/x"])
        assert outside.changed() == []
        assert outside.count > 1000
        folder = probe.environment.config.code.folder
        folder.chmod(0o755)
        (folder / "new").write_text("x")
        assert outside.changed() == ["/var/task", "/var/task/new"]
        (folder / "new").unlink()


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"x" * int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        read = 0
        while read < length:
            read += len(self.rfile.read(min(1 << 16, length - read)))
        answer = str(read).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as running:
        running.request_queue_size = 128
        running.socket.listen(128)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_only_the_endpoint_can_be_reached(folder: Path, server: http.server.ThreadingHTTPServer) -> None:
    port = server.server_port
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as other,
        Running.start(probe_config(folder, f"http://127.0.0.1:{port}")) as running,
    ):
        threading.Thread(target=other.serve_forever, daemon=True).start()
        addresses = [("127.0.0.1", port), ("127.0.0.1", other.server_port), ("1.1.1.1", 443), ("169.254.169.254", 80), ("localhost", 22)]
        became = running.answer(do="reach", addresses=addresses)
        other.shutdown()
    assert became.pop(f"127.0.0.1:{port}") == "ok"
    assert "ok" not in became.values()


def test_many_connections_and_large_bodies_pass_whole(folder: Path, server: http.server.ThreadingHTTPServer) -> None:
    with Running.start(probe_config(folder, f"http://127.0.0.1:{server.server_port}")) as running:
        sizes = [1, 1 << 20, 40 << 20, *range(1000, 1060)]
        assert running.answer(do="fetch", paths=[f"/{size}" for size in sizes])["lengths"] == sizes
        assert running.answer(do="send", path="/", mb=48)["body"] == str(48 << 20)


@pytest.mark.parametrize(
    ("event", "name", "text"),
    [
        ({"do": "exit", "status": 3}, "Runtime.ExitError", "exit status 3"),
        ({"do": "signal", "name": "SIGSEGV"}, "Runtime.ExitError", "signal: segmentation fault"),
        ({"do": "signal", "name": "SIGKILL"}, "Runtime.ExitError", "signal: killed"),
        ({"do": "fail"}, "KeyError", "asked to"),
        ({"do": "sleep", "seconds": 30}, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ({"do": "allocate", "mb": 400, "seconds": 30}, "Runtime.ExitError", "signal: killed"),
    ],
)
def test_ways_to_die_have_lambdas_names(folder: Path, event: dict[str, Any], name: str, text: str) -> None:
    with Running.start(probe_config(folder, memory_mb=192, timeout=1.0 if event["do"] == "sleep" else 20.0)) as running:
        error = running.error(**event)
    assert error["errorType"] == name
    assert text in error["errorMessage"]


@pytest.mark.parametrize(
    "death", [{"do": "signal", "name": "SIGKILL"}, {"do": "sleep", "seconds": 30}, {"do": "allocate", "mb": 400, "seconds": 30}]
)
def test_after_a_death_the_function_starts_again_with_its_tmp(folder: Path, death: dict[str, Any]) -> None:
    """On Lambda, too, a new runtime may find the unfinished work of the one before."""
    with Running.start(probe_config(folder, memory_mb=192, timeout=2.0)) as running:
        running.answer(do="write", paths=["/tmp/left"])
        running.answer(do="leave_behind")
        dead = running.invoke(**death)
        assert dead.failed
        assert dead.reusable
        assert len(running.answer(do="describe")["processes"]) == 2
        assert running.answer(do="size", path="/tmp/left") == 1


def test_everything_inside_dies_with_the_environment(folder: Path) -> None:
    with Running.start(probe_config(folder)) as running:
        running.answer(do="leave_behind")
        inside = running.inside()
    assert len(inside) >= 3
    assert [process for process in inside if _lives(process)] == []


@pytest.mark.parametrize("victim", ["endpoint", "first process"])
def test_everything_inside_dies_with_the_endpoint_however_that_ends(folder: Path, victim: str) -> None:
    """Another process holds the environment, as the endpoint does; then that one, or the first process of the environment, is killed."""
    script = (
        "import sys; from pathlib import Path; from jailed import Running, probe_config\n"
        f"running = Running.start(probe_config(Path({str(folder)!r})))\n"
        "running.environment._log = lambda line: print(line, running.environment.enclosure.process.pid, flush=True)\n"
        "running.invoke(do='leave_behind', then='sleep')\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert holder.stdout is not None
    first = next(int(line.split()[-1]) for line in holder.stdout if line.startswith("left behind"))
    inside = psutil.Process(first).children(recursive=True)
    assert len(inside) >= 3
    os.kill(holder.pid if victim == "endpoint" else first, signal.SIGKILL)
    _, alive = psutil.wait_procs(inside, timeout=10)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert [process for process in alive if _lives(process)] == []


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_without_namespaces_it_runs_without_walls_and_says_so(folder: Path) -> None:
    """In a user namespace that allows no further ones, as some containers and distributions do."""
    script = (
        "import json; from pathlib import Path; from jailed import Running, probe_config\n"
        f"running = Running.start(probe_config(Path({str(folder)!r})), Path({str(folder)!r}))\n"
        "seen = running.answer(do='describe'); enclosure = running.environment.enclosure\n"
        "outside = enclosure.outside(); running.environment.close()\n"
        "print(json.dumps([enclosure.isolation, enclosure.reason, running.said, seen, outside]))"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", forbid, "sh", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    isolation, reason, said, seen, outside = json.loads(done.stdout.splitlines()[-1])
    assert (isolation, outside) == ("none", None)
    assert "namespaces are forbidden" in reason
    assert said[0] == f"Isolation: none ({reason}). Read-only code, the size of /tmp, user and network are not enforced."
    assert "Isolation: none" in said[-1]
    assert seen["python"] == find_interpreter("python3.13").version
