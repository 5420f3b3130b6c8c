"""The Python that runs a complete ZIP, and its substitute on a machine without the runtime's version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyperframes_provider.local.sandbox.enclosure import Isolation
from hyperframes_provider.local.sandbox.interpreter import _fetched_client, find_interpreter
from tests.local.sandbox.jailed import Running, probe_config, probe_zip


@pytest.fixture
def no_python_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("HOME", "PATH", "PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    find_interpreter.cache_clear()
    yield
    find_interpreter.cache_clear()


def test_a_python_of_the_runtimes_version_is_found_and_its_client_fetched() -> None:
    find_interpreter.cache_clear()
    found = find_interpreter("python3.13")
    # The machine may have one or not: it has to be found, or its absence reported.
    assert found.matches is (found.reason == "")
    assert found.matches or found.reason == "no Python 3.13 is on this machine"
    assert (found.prefix / found.program).is_file()
    client = {path.name.partition(".")[0] for path in _fetched_client("3.13")}
    assert client >= {"awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"}


def test_without_one_the_present_interpreter_runs_the_zip_with_its_own_native_packages(no_python_elsewhere: None, tmp_path: Path) -> None:
    """3.10 is older than any Python that this project runs on."""
    foreign = {
        "greenlet/__init__.py": b"",
        "greenlet/_greenlet.cpython-310-x86_64-linux-gnu.so": b"",
        "nowhere/_native.cpython-310-x86_64-linux-gnu.so": b"",
        "pure/__init__.py": b"",
    }
    config = probe_config(tmp_path, archive=probe_zip(**foreign), runtime="python3.10")
    with Running.start(config) as running:
        enclosure = running.environment.enclosure
        assert enclosure.isolation is Isolation.NAMESPACES, enclosure.reason
        assert running.answer(do="describe")["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
        assert running.answer(do="import", module="greenlet._greenlet").startswith("/var/task/greenlet/")
        assert running.answer(do="import", module="pure") == "/var/task/pure/__init__.py"
        # Only what the ZIP has, and nothing else that happens to be installed.
        assert running.error(do="import", module="pytest")["errorType"] == "ModuleNotFoundError"
    interpreter = enclosure.interpreter
    assert interpreter is not None
    assert not interpreter.matches
    assert interpreter.reason == "no Python 3.10 is on this machine"
    assert enclosure.substitutes.missing == ("nowhere",)
    assert f"Python {interpreter.version} instead of 3.10" in running.said[0]
    assert "nowhere" in running.said[1]


def test_the_same_without_walls(no_python_elsewhere: None, tmp_path: Path) -> None:
    foreign = {"greenlet/__init__.py": b"", "greenlet/_greenlet.cpython-310-x86_64-linux-gnu.so": b""}
    config = probe_config(tmp_path, archive=probe_zip(**foreign), runtime="python3.10", isolation=Isolation.NONE)
    with Running.start(config, tmp_path) as running:
        assert running.environment.enclosure.reason == "requested"
        assert "/site-packages/greenlet/" in str(Path(running.answer(do="import", module="greenlet._greenlet")).resolve())
        assert running.answer(do="describe")["environ"]["LAMBDA_TASK_ROOT"] == str(config.code.folder)


@pytest.mark.parametrize("isolation", Isolation)
def test_an_older_python_gets_what_the_zip_leaves_out(
    no_python_elsewhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: Isolation
) -> None:
    package = tmp_path / "installed" / "backports"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr("hyperframes_provider.local.sandbox.interpreter._installed", lambda: (package,))
    config = probe_config(tmp_path, archive=probe_zip(), runtime="python3.10", isolation=isolation)
    with Running.start(config, tmp_path) as running:
        assert running.environment.enclosure.isolation is isolation
        assert running.answer(do="import", module="backports").endswith("/backports/__init__.py")
