"""Finding the tools: what is missing or only partly unpacked is said before anything is started."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda import __version__
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import CHROME_SOURCE_VARIABLE, TOOLSET_VARIABLE, Toolset
from hyperframes_lambda.machine.tools import TASK_ROOT_VARIABLE, find_tools


def described(tmp_path: Path, **changes: Any) -> dict[str, str]:
    """An environment whose toolset holds small programs of this machine in the tools' places."""
    program = Path(shutil.which("true") or sys.executable).resolve()
    (tmp_path / "runtime.js").write_text("//")
    tools = {
        "browsers": {"sparticuz": {"path": str(program), "version": "153"}},
        "ffmpeg": {"path": str(program), "version": "9.0"},
        "runtime": {"path": str(tmp_path / "runtime.js"), "version": "0.8"},
    }
    (tmp_path / "toolset.json").write_text(json.dumps(tools | changes))
    return {TOOLSET_VARIABLE: str(tmp_path / "toolset.json")}


def test_the_tools_of_this_machine_are_found(toolset: Toolset) -> None:
    tools = find_tools()
    assert tools.ffmpeg == toolset.ffmpeg
    assert tools.build().ffmpeg == toolset.ffmpeg.version
    assert tools.build().renderer == __version__
    assert tools.browser.version in tools.build().browser
    assert tools.source.value in tools.build().browser


@pytest.mark.parametrize("tool", ["browser", "ffmpeg"])
@pytest.mark.parametrize("fault", ["missing", "not executable", "cut off", "empty", "start script"])
def test_a_program_that_cannot_run_is_unavailable(tool: str, fault: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    whole = Path(shutil.which("true") or sys.executable).resolve().read_bytes()
    content = {"cut off": whole[: len(whole) // 2], "empty": b"", "start script": b"#!/bin/sh\n"}.get(fault, whole)
    if fault != "missing":
        program.write_bytes(content)
        program.chmod(0o644 if fault == "not executable" else 0o755)
    entry = {"path": str(program), "version": "1"}
    environ = described(tmp_path, **({"ffmpeg": entry} if tool == "ffmpeg" else {"browsers": {"sparticuz": entry}}))
    if fault == "start script":
        find_tools(environ)
        return
    with pytest.raises(RenderError, match="hyperframes-airflow setup" if fault != "cut off" else "is incomplete") as caught:
        find_tools(environ)
    assert caught.value.code is (ErrorCode.FFMPEG_UNAVAILABLE if tool == "ffmpeg" else ErrorCode.CHROME_UNAVAILABLE)
    assert str(program) in caught.value.message


def test_an_environment_without_a_usable_toolset_names_the_next_command(tmp_path: Path) -> None:
    (tmp_path / "damaged.json").write_text("{")
    good = described(tmp_path)
    missing = {"path": str(tmp_path / "nowhere.js"), "version": "1"}
    for environ, word in (
        ({TASK_ROOT_VARIABLE: str(tmp_path)}, TOOLSET_VARIABLE),
        ({"XDG_CACHE_HOME": str(tmp_path)}, "hyperframes/toolset.json"),
        ({TOOLSET_VARIABLE: str(tmp_path / "none.json")}, "none.json"),
        ({TOOLSET_VARIABLE: str(tmp_path / "damaged.json")}, "damaged"),
        (good | {CHROME_SOURCE_VARIABLE: "chrome-headless-shell"}, "sparticuz"),
        (good | {CHROME_SOURCE_VARIABLE: "firefox"}, "firefox"),
        (described(tmp_path, runtime=missing), "nowhere.js"),
    ):
        with pytest.raises(RenderError) as caught:
            find_tools(environ)
        assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE
        assert word in caught.value.message
        assert "accepted" in caught.value.message or caught.value.hint == "Run: hyperframes-airflow setup"


def test_what_chromium_needs_beside_it_must_be_there(tmp_path: Path) -> None:
    program = str(Path(shutil.which("true") or sys.executable).resolve())
    browser = {"path": program, "version": "1", "fontconfig": str(tmp_path / "fonts.conf")}
    with pytest.raises(RenderError, match=r"fonts\.conf") as caught:
        find_tools(described(tmp_path, browsers={"sparticuz": browser}))
    assert caught.value.code is ErrorCode.CHROME_UNAVAILABLE
