"""Unpacking on first use, with a small bundle: once for all processes, after any death, and with a word about what is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from hyperframes_lambda.contract.bundle import Block, Bundle, Packing, Payload
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Browser, ChromeSource, Tool, Toolset
from hyperframes_lambda.machine import bundled_tools
from hyperframes_lambda.machine.bundled_tools import BundledTools, has_bundle
from hyperframes_lambda.machine.tools import discard_unpacked, find_tools

BLOCK = 100_000
PROGRAM = Path(shutil.which("true") or "/bin/true").resolve().read_bytes()
LARGE = random.Random(7).randbytes(3 * BLOCK + 17)


def xz_payload(name: str, content: bytes, packed: bytearray) -> Payload:
    blocks = []
    for start in range(0, len(content), BLOCK):
        part = content[start : start + BLOCK]
        data = lzma.compress(part)
        blocks.append(Block(packed=len(data), size=len(part)))
        packed += data
    sha256 = hashlib.sha256(content).hexdigest()
    return Payload(
        file=f"payload/{name}.xz",
        packing=Packing.XZ,
        target=f"parts/{name}",
        size=len(content),
        sha256=sha256,
        executable=True,
        blocks=tuple(blocks),
        files={f"parts/{name}": len(content)},
    )


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task root with a bundle of each packing."""
    root = tmp_path / "task"
    folder = root / "bundle"
    (folder / "payload").mkdir(parents=True)
    packed = bytearray()
    payloads = [xz_payload("ffmpeg", PROGRAM + LARGE, packed)]
    (folder / "payload" / "ffmpeg.xz").write_bytes(packed)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("lib/library.so")
        entry.size = len(PROGRAM)
        tar.addfile(entry, io.BytesIO(PROGRAM))
    for name, content, packing, files in (
        ("chromium", PROGRAM, Packing.BROTLI, {"parts/chromium": len(PROGRAM)}),
        ("libraries", buffer.getvalue(), Packing.BROTLI_TAR, {"parts/libraries/lib/library.so": len(PROGRAM)}),
    ):
        (folder / "payload" / f"{name}.br").write_bytes(brotli.compress(content, quality=5))
        payloads.append(
            Payload(
                file=f"payload/{name}.br",
                packing=packing,
                target=f"parts/{name}",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                executable=True,
                files=files,
            )
        )
    (folder / "fonts.conf").write_text("<dir>@BUNDLE@/fonts</dir><dir>@TOOLS@/fonts</dir>")
    (folder / "runtime.js").write_text("//")
    browser = Browser(
        path=Path("@TOOLS@/parts/chromium"),
        version="153",
        library_path=Path("@TOOLS@/parts/libraries/lib"),
        fontconfig=Path("@TOOLS@/fonts.conf"),
    )
    toolset = Toolset(
        browsers={ChromeSource.SPARTICUZ: browser},
        ffmpeg=Tool(path=Path("@TOOLS@/parts/ffmpeg"), version="7.0"),
        runtime=Tool(path=Path("@BUNDLE@/runtime.js"), version="0.8"),
    )
    bundle = Bundle(digest="0123456789abcdef0123", payloads=tuple(payloads), toolset=toolset)
    (folder / "bundle.json").write_text(bundle.model_dump_json())
    return root


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(bundled_tools.tempfile, "tempdir", str(folder))
    return folder


def left(scratch: Path) -> list[str]:
    """List the temporary folder without the lock."""
    return sorted(path.name for path in scratch.iterdir() if path.suffix != ".lock")


def unpack_in_a_process(task: Path, scratch: Path) -> subprocess.Popen[str]:
    code = "from hyperframes_lambda.machine.tools import find_tools; print(find_tools().ffmpeg.path.stat().st_ino)"
    environ = {"LAMBDA_TASK_ROOT": str(task), "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)


def test_the_tools_are_unpacked_where_nothing_else_may_be_written(task: Path, scratch: Path) -> None:
    assert has_bundle(task) and not has_bundle(scratch)
    tools = find_tools({"LAMBDA_TASK_ROOT": str(task)})
    home = scratch / "hyperframes-tools-0123456789abcdef"
    assert tools.ffmpeg.path == home / "parts" / "ffmpeg"
    assert tools.ffmpeg.path.read_bytes() == PROGRAM + LARGE
    assert tools.browser.path.read_bytes() == PROGRAM
    assert os.access(tools.browser.path, os.X_OK)
    assert (home / "parts/libraries/lib/library.so").read_bytes() == PROGRAM
    assert tools.runtime.path == task / "bundle" / "runtime.js"
    assert tools.browser.fontconfig is not None
    assert tools.browser.fontconfig.read_text() == f"<dir>{task}/bundle/fonts</dir><dir>{home}/fonts</dir>"
    assert left(scratch) == [home.name]


def test_a_toolset_that_the_environment_names_goes_first(task: Path, scratch: Path, tmp_path: Path) -> None:
    bundle = Bundle.model_validate_json((task / "bundle" / "bundle.json").read_text())
    find_tools({"LAMBDA_TASK_ROOT": str(task)})
    named = bundle.tools(task / "bundle", scratch / "hyperframes-tools-0123456789abcdef")
    (tmp_path / "toolset.json").write_text(
        named.model_copy(update={"ffmpeg": Tool(path=named.ffmpeg.path, version="other")}).model_dump_json()
    )
    environ = {"LAMBDA_TASK_ROOT": str(task), "HYPERFRAMES_TOOLSET": str(tmp_path / "toolset.json")}
    assert find_tools(environ).ffmpeg.version == "other"
    discard_unpacked(environ)
    assert named.ffmpeg.path.exists()


def test_processes_of_a_sandbox_share_one_copy(task: Path, scratch: Path) -> None:
    running = [unpack_in_a_process(task, scratch) for _ in range(4)]
    inodes = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(inodes) == 1
    assert left(scratch) == ["hyperframes-tools-0123456789abcdef"]


def test_whoever_is_killed_while_unpacking_leaves_nothing_that_matters(task: Path, scratch: Path) -> None:
    payload = task / "bundle" / "payload" / "chromium.br"
    packed = payload.read_bytes()
    payload.unlink()
    os.mkfifo(payload)
    process = unpack_in_a_process(task, scratch)
    # A pipe in the payload's place: it opens when the process reads from it, which then waits for what never comes.
    with payload.open("wb"):
        assert left(scratch) == ["hyperframes-tools-0123456789abcdef.partial"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    payload.unlink()
    payload.write_bytes(packed)
    after = unpack_in_a_process(task, scratch)
    after.communicate()
    assert after.returncode == 0
    assert left(scratch) == ["hyperframes-tools-0123456789abcdef"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [Path.unlink, truncate], ids=["missing", "half"])
@pytest.mark.parametrize("file", ["parts/ffmpeg", "parts/chromium", "parts/libraries/lib/library.so", "fonts.conf"])
def test_a_half_unpacked_copy_is_repaired(task: Path, scratch: Path, file: str, harm: Callable[[Path], None]) -> None:
    tools = find_tools({"LAMBDA_TASK_ROOT": str(task)})
    path = tools.ffmpeg.path.parents[1] / file
    whole = path.read_bytes()
    harm(path)
    told: list[bool] = []
    for _ in range(2):
        find_tools({"LAMBDA_TASK_ROOT": str(task)}, before_unpacking=lambda: told.append(path.exists() and path.read_bytes() == whole))
    assert told == [False], "once, while the damaged copy is still there"
    assert path.read_bytes() == whole
    assert left(scratch) == ["hyperframes-tools-0123456789abcdef"]


def test_a_discarded_copy_is_unpacked_anew(task: Path, scratch: Path) -> None:
    """A file of the right size that does not run is found by running it, and the handler discards it."""
    environ = {"LAMBDA_TASK_ROOT": str(task)}
    path = find_tools(environ).browser.path
    path.write_bytes(b"\x7fELF" + bytes(len(PROGRAM) - 4))
    with pytest.raises(RenderError, match="is incomplete"):
        find_tools(environ)
    discard_unpacked(environ)
    assert left(scratch) == []
    assert find_tools(environ).browser.path.read_bytes() == PROGRAM


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize("file", ["ffmpeg.xz", "chromium.br", "libraries.br"])
@pytest.mark.parametrize("harm", ["flipped", "cut off"])
def test_a_damaged_payload_is_named_and_nothing_of_it_is_used(task: Path, scratch: Path, file: str, harm: str) -> None:
    payload = task / "bundle" / "payload" / file
    data = payload.read_bytes()
    payload.write_bytes(flip(data, len(data) // 2) if harm == "flipped" else data[: len(data) // 2])
    with pytest.raises(RenderError, match=rf"payload/{file} in the code ZIP is damaged") as caught:
        find_tools({"LAMBDA_TASK_ROOT": str(task)})
    assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE
    assert caught.value.hint is not None and "hyperframes-airflow build" in caught.value.hint
    assert left(scratch) == []


def test_a_bundle_that_says_nothing_is_named(task: Path, scratch: Path) -> None:
    (task / "bundle" / "bundle.json").write_text(json.dumps({"digest": 1}))
    with pytest.raises(RenderError, match=r"bundle\.json cannot be read") as caught:
        find_tools({"LAMBDA_TASK_ROOT": str(task)})
    assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE


def test_without_room_nothing_is_begun(task: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(512 << 20, 511 << 20, 1 << 20)
    monkeypatch.setattr(bundled_tools.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RenderError, match="where 1 of 512 MB are free") as caught:
        find_tools({"LAMBDA_TASK_ROOT": str(task)})
    assert caught.value.code is ErrorCode.DISK_FULL
    assert left(scratch) == []


def test_a_disk_that_fills_up_meanwhile_is_told_from_a_damaged_payload(task: Path, scratch: Path) -> None:
    """On a real file system of half a megabyte, in a namespace of its own; the look at the free space is made to see more."""
    script = """
import shutil, subprocess, sys
from collections import namedtuple
from hyperframes_lambda.machine import bundled_tools
from hyperframes_lambda.contract.errors import RenderError
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", sys.argv[2]], check=True)
bundled_tools.shutil.disk_usage = lambda path: namedtuple("usage", "total used free")(1 << 40, 0, 1 << 40)
try:
    bundled_tools.BundledTools(Path(sys.argv[1])).toolset()
except RenderError as error:
    print(error.code, [path.name for path in Path(sys.argv[2]).iterdir() if path.suffix != ".lock"])
"""
    environ = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["unshare", "-Urm", sys.executable, "-c", script, str(task), str(scratch)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "DISK_FULL []", done.stderr


def test_the_folder_is_named_by_what_is_in_it(task: Path, scratch: Path) -> None:
    text = (task / "bundle" / "bundle.json").read_text()
    (task / "bundle" / "bundle.json").write_text(text.replace("0123456789abcdef0123", "fedcba98765432100123"))
    assert BundledTools(task).unpacked.name == "hyperframes-tools-fedcba9876543210"
