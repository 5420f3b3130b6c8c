"""The slim ZIP: the same bytes every time, and everything the handler needs of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hyperframes_lambda
from hyperframes_provider.client.stack import slim_zip
from hyperframes_provider.client.stack.slim_zip import HANDLER_SOURCE, build_slim_zip
from tests import ROOT

ENGINE = Path(hyperframes_lambda.__file__).parent


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "one.zip", tmp_path / "two.zip"
    digest = build_slim_zip(first)
    assert digest == build_slim_zip(second) == hashlib.sha256(second.read_bytes()).hexdigest()
    assert first.read_bytes() == second.read_bytes()


def test_neither_time_nor_mode_nor_order_of_the_files_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for names, mode, stamp in ((["b.py", "a.py"], 0o600, 1_000_000_000), (["a.py", "b.py"], 0o755, 1_700_000_000)):
        root = tmp_path / str(stamp)
        root.mkdir()
        for name in names:
            (root / name).write_text(name)
            (root / name).chmod(mode)
            os.utime(root / name, (stamp, stamp))
        monkeypatch.setattr(slim_zip, "_package_folder", lambda root=root: root)
        digests.append(build_slim_zip(tmp_path / f"{stamp}.zip"))
    assert digests[0] == digests[1]


def test_a_changed_source_changes_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "package"
    root.mkdir()
    monkeypatch.setattr(slim_zip, "_package_folder", lambda: root)
    (root / "a.py").write_text("1")
    before = build_slim_zip(tmp_path / "a.zip")
    (root / "a.py").write_text("2")
    assert build_slim_zip(tmp_path / "b.zip") != before


def test_it_holds_every_source_and_data_file_and_no_cache(tmp_path: Path) -> None:
    build_slim_zip(tmp_path / "slim.zip")
    names = zipfile.ZipFile(tmp_path / "slim.zip").namelist()
    assert names == sorted(names)
    expected = {
        f"hyperframes_lambda/{file.relative_to(ENGINE).as_posix()}" for file in ENGINE.rglob("*") if file.suffix in (".py", ".js", ".json")
    }
    assert expected <= set(names)
    assert "handler.py" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_package_in_the_zip_is_importable_on_its_own(tmp_path: Path) -> None:
    build_slim_zip(tmp_path / "slim.zip")
    zipfile.ZipFile(tmp_path / "slim.zip").extractall(tmp_path / "code")
    script = "import hyperframes_lambda.contract.errors as m; print(m.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(tmp_path / "code")}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "code" / "hyperframes_lambda" / "contract" / "errors.py")


def test_the_handler_s_text_is_that_of_the_checkout() -> None:
    source = ROOT / "lambda_src" / "handler.py"
    assert source.read_text() == HANDLER_SOURCE


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slim_zip, "PACKAGE", "hyperframes_nowhere")
    with pytest.raises(slim_zip.EngineMissing, match="hyperframes_nowhere is not installed"):
        slim_zip._package_folder()
