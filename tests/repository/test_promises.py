"""Promises of the repository to those who clone it: commands that exist, a complete lock, a complete wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from hyperframes_provider.cli.parsers import parser
from tests import ROOT

TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".sh", ".cfg", ".js", ".html", ".css", ""}
# In two pieces each, or this file would be found as well.
REGISTRY_HOSTS = [a + b for a, b in (("registry.npm", "js.org"), ("files.python", "hosted.org"), ("pypi", ".org"), ("npm", "js.com"))]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        if path.suffix in TEXT
        for host in REGISTRY_HOSTS
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []


@pytest.mark.parametrize("name", ["airflow-3.3.txt", "bootstrap.txt"])
def test_the_lock_has_a_hash_for_every_pin_and_no_address(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert all(re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+", entry) for entry in entries)
    assert "://" not in text
    assert "--index" not in text


def test_the_functions_lock_has_the_same_versions_and_no_address() -> None:
    text = (ROOT / "hyperframes_provider" / "bundle" / "requirements.txt").read_text()
    locked = set(re.findall(r"^[a-z0-9-]+==[^ \n;]+", (ROOT / "constraints/airflow-3.3.txt").read_text(), re.MULTILINE))
    assert set(re.findall(r"^[a-z0-9-]+==[^ \n;]+", text, re.MULTILINE)) <= locked
    assert "://" not in text


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["local"], *extras["cdk"], *extras["dev"]]
    wanted = {re.sub(r"[._]", "-", name).lower() for line in lines for name in re.findall(r"^[A-Za-z0-9._-]+", line)}
    locked = set(re.findall(r"^[a-z0-9-]+", (ROOT / "constraints/airflow-3.3.txt").read_text(), re.MULTILINE))

    assert wanted - locked == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_command_of_the_page_exists(name: str) -> None:
    page = (ROOT / name).read_text()
    verbs = next(action for action in parser()._actions if hasattr(action, "choices") and action.choices)
    for command in set(re.findall(r"hyperframes-airflow ((?:local )?[a-z]+)", page)):
        first, _, second = command.partition(" ")
        assert first in verbs.choices, command  # type: ignore[operator]
        assert not second or second in ("up", "status", "down")
    for script in re.findall(r"\./(scripts/[a-z]+)", page):
        assert (ROOT / script).stat().st_mode & 0o111, script
    for target in re.findall(r"`make ([a-z]+)`", page):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_the_readme_opens_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.index("./scripts/demo") < readme.index("./scripts/test") < readme.index("## ")


def test_the_python_of_the_readme_is_a_dag() -> None:
    source = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(source) == 1
    done = subprocess.run([sys.executable, "-c", source[0]], capture_output=True, text=True, cwd=ROOT / "tests")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", ["demo", "test", "lint", "lock", "house", "environment.sh", "../.ci/run"])
def test_the_scripts_parse_and_stop_at_the_first_fault(script: str) -> None:
    path = ROOT / "scripts" / script
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    assert path.name == "environment.sh" or "set -euo pipefail" in path.read_text()


def test_the_wheel_has_both_packages_and_the_stack(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        entry_points = next(wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))

    for source in (ROOT / "hyperframes_provider", ROOT / "lambda_src" / "hyperframes_lambda"):
        files = {
            path.relative_to(source.parent).as_posix() for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }
        assert files - names == set()
    assert {"hyperframes_provider/cfn/template.yaml", "hyperframes_provider/cfn/render.asl.json"} <= names
    assert {"hyperframes_provider/py.typed", "hyperframes_lambda/py.typed"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"hyperframes_provider", "hyperframes_lambda"}
    assert "provider_info = hyperframes_provider.get_provider_info:get_provider_info" in entry_points
    assert "hyperframes-airflow = hyperframes_provider.cli:main" in entry_points
