"""The set-up: only what was pinned is unpacked, completely or not at all, once."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, ChromeSource
from hyperframes_provider.toolset import ToolsetError, ensure_toolset, inspect, read_toolset
from hyperframes_provider.toolset.doctor import State
from hyperframes_provider.toolset.part import Member, Part
from hyperframes_provider.toolset.pins import PARTS
from hyperframes_provider.toolset.report import Phase, Silent


class Heard(Silent):
    """Remembers the phases."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, Phase]] = []

    def phase(self, part: Part, phase: Phase) -> None:
        self.phases.append((part.name, phase))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "toolset.json"


def test_every_part_lands_where_the_toolset_says(fake_parts: tuple[Part, ...], path: Path) -> None:
    toolset = read_toolset(ensure_toolset(path=path, parts=fake_parts))

    assert toolset is not None
    browser = toolset.browsers[ChromeSource.SPARTICUZ]
    assert (browser.version, toolset.ffmpeg.version, toolset.runtime.version) == ("1.2.3", "1.2.3", "1.0.0")
    assert subprocess.run([browser.path], capture_output=True, check=True).stdout == b"Fake 1.2.3\n"
    assert toolset.runtime.path.read_bytes() == b"1;"
    assert list(toolset.libraries) == ["tween"]
    fonts = browser.path.parent / "fonts" / "fonts"
    assert (fonts / "A.ttf").read_bytes() == b"font"
    assert browser.fontconfig is not None
    assert f"<dir>{fonts}</dir>" in browser.fontconfig.read_text()


def test_nothing_else_stays_behind(fake_parts: tuple[Part, ...], path: Path, everything_in: Callable[[Path], set[str]]) -> None:
    ensure_toolset(path=path, parts=fake_parts)

    top = {name.partition("/")[0] for name in everything_in(path.parent)}
    assert top == {"toolset.json", "fonts.conf", "fonts.json", "setup.lock", "parts"}
    assert {folder.name for folder in (path.parent / "parts").iterdir()} == {part.folder for part in fake_parts}


def test_the_second_time_nothing_is_fetched(fake_parts: tuple[Part, ...], path: Path) -> None:
    first, second = Heard(), Heard()
    ensure_toolset(first, path=path, parts=fake_parts)
    written = path.stat().st_mtime_ns
    ensure_toolset(second, path=path, parts=fake_parts)

    assert {name for name, phase in first.phases if phase is Phase.DONE} == {part.name for part in fake_parts}
    assert second.phases == []
    assert path.stat().st_mtime_ns == written


def test_only_the_damaged_part_is_fetched_again(fake_parts: tuple[Part, ...], path: Path) -> None:
    toolset = read_toolset(ensure_toolset(path=path, parts=fake_parts))
    assert toolset is not None
    toolset.runtime.path.unlink()
    heard = Heard()
    ensure_toolset(heard, path=path, parts=fake_parts)

    assert {name for name, _ in heard.phases} == {"runtime"}
    assert toolset.runtime.path.read_bytes() == b"1;"


def test_an_archive_with_another_hash_is_refused(
    fake_parts: tuple[Part, ...], path: Path, everything_in: Callable[[Path], set[str]]
) -> None:
    wrong = replace(fake_parts[2], integrity=fake_parts[3].integrity)
    heard = Heard()
    with pytest.raises(ToolsetError, match=r"runtime: the archive of .* is not the pinned one: sha512-") as raised:
        ensure_toolset(heard, path=path, parts=(wrong,))

    assert "hyperframes-airflow setup" in raised.value.hint
    assert ("runtime", Phase.UNPACK) not in heard.phases
    assert everything_in(path.parent) == {"setup.lock", "parts"}


def test_a_part_that_cannot_be_had_keeps_the_others(fake_parts: tuple[Part, ...], path: Path) -> None:
    missing = replace(fake_parts[0], spec=str(path.parent / "nowhere.tgz"))
    with pytest.raises(ToolsetError, match="npm could not deliver") as raised:
        ensure_toolset(path=path, parts=(missing, *fake_parts[1:]))

    assert "hyperframes-airflow setup" in raised.value.hint
    assert not path.exists()
    assert {folder.name for folder in (path.parent / "parts").iterdir()} == {part.folder for part in fake_parts[1:]}


def test_a_program_that_does_not_start_is_not_kept(fake_parts: tuple[Part, ...], path: Path) -> None:
    broken = replace(fake_parts[2], members=(Member("package/runtime.js", "runtime.js", executable=True),), probe=("--version",))
    with pytest.raises(ToolsetError, match=r"runtime\.js"):
        ensure_toolset(path=path, parts=(broken,))

    assert list((path.parent / "parts").iterdir()) == []


@pytest.mark.parametrize("phase", [Phase.CHECK, Phase.UNPACK])
def test_a_killed_set_up_leaves_nothing_half_done(phase: Phase, fake_parts: tuple[Part, ...], path: Path, tmp_path: Path) -> None:
    table = tmp_path / "parts.pickle"
    table.write_bytes(pickle.dumps((fake_parts, path, phase.name)))
    script = """
import pickle, sys, threading
from pathlib import Path
from hyperframes_provider.toolset import ensure_toolset
from hyperframes_provider.toolset.report import Silent
parts, path, phase = pickle.loads(Path(sys.argv[1]).read_bytes())
class Stop(Silent):
    def phase(self, part, reached):
        if part.name == "browser" and reached.name == phase:
            print("reached", flush=True)
            threading.Event().wait()
ensure_toolset(Stop(), path=path, parts=parts)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(table)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reached\n"
        process.send_signal(signal.SIGKILL)

    assert not path.exists()
    assert fake_parts[0].folder not in {folder.name for folder in (path.parent / "parts").iterdir()}
    toolset = read_toolset(ensure_toolset(path=path, parts=fake_parts))
    assert toolset is not None
    assert all(browser.path.is_file() for browser in toolset.browsers.values())
    assert {folder.name for folder in (path.parent / "parts").iterdir()} == {part.folder for part in fake_parts}


def test_what_a_killed_set_up_left_is_cleared_away(
    fake_parts: tuple[Part, ...], path: Path, everything_in: Callable[[Path], set[str]]
) -> None:
    stale = path.parent / "setup.tmp" / "killed" / "browser" / "half"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    ensure_toolset(path=path, parts=fake_parts)

    assert not [name for name in everything_in(path.parent) if "setup.tmp" in name]


def test_two_set_ups_at_a_time_take_turns(fake_parts: tuple[Part, ...], path: Path, tmp_path: Path) -> None:
    table = tmp_path / "parts.pickle"
    table.write_bytes(pickle.dumps((fake_parts, path)))
    script = (
        "import pickle, sys; from pathlib import Path; from hyperframes_provider.toolset import ensure_toolset;"
        "parts, path = pickle.loads(Path(sys.argv[1]).read_bytes()); print(ensure_toolset(path=path, parts=parts))"
    )
    command = [sys.executable, "-c", script, str(table)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    assert [process.communicate()[0].strip() for process in both] == [str(path)] * 2
    assert [process.returncode for process in both] == [0, 0]


def test_an_existing_chrome_is_registered_and_stays(fake_parts: tuple[Part, ...], path: Path, tmp_path: Path) -> None:
    chrome = tmp_path / "chrome-headless-shell"
    chrome.write_text("#!/bin/sh\necho Own Chrome 156.0.1\n")
    chrome.chmod(0o755)
    ensure_toolset(path=path, parts=fake_parts, chrome=chrome)
    ensure_toolset(path=path, parts=fake_parts)

    toolset = read_toolset(path)
    assert toolset is not None
    own = toolset.browsers[ChromeSource.CHROME_HEADLESS_SHELL]
    assert (own.path, own.version) == (chrome, "156.0.1")
    assert own.fontconfig == toolset.browsers[ChromeSource.SPARTICUZ].fontconfig


@pytest.mark.parametrize(("content", "said"), [(None, "does not exist"), ("#!/bin/sh\necho no display >&2; exit 3\n", "no display")])
def test_a_chrome_that_does_not_run_is_refused(
    content: str | None, said: str, fake_parts: tuple[Part, ...], path: Path, tmp_path: Path
) -> None:
    chrome = tmp_path / "chrome"
    if content is not None:
        chrome.write_text(content)
        chrome.chmod(0o755)
    with pytest.raises(ToolsetError, match=said):
        ensure_toolset(path=path, parts=fake_parts, chrome=chrome)

    assert not path.exists()


def test_a_toolset_of_somebody_else_is_left_alone(fake_parts: tuple[Part, ...], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolset = read_toolset(ensure_toolset(path=path, parts=fake_parts))
    assert toolset is not None
    own = path.parent.parent / "mine.json"
    own.write_text(toolset.model_dump_json())
    monkeypatch.setenv(TOOLSET_VARIABLE, str(own))
    heard = Heard()

    assert ensure_toolset(heard, parts=fake_parts) == own
    assert heard.phases == []


def test_the_doctor_tells_missing_damaged_and_sound_parts_apart(
    fake_parts: tuple[Part, ...], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOOLSET_VARIABLE, raising=False)
    names = [part.name for part in fake_parts]

    before = {status.name: status for status in inspect(path, fake_parts)}
    assert [before[name].state for name in names] == [State.MISSING] * 4
    assert all(before[name].hint == "hyperframes-airflow setup" for name in [*names, "toolset"])

    toolset = read_toolset(ensure_toolset(path=path, parts=fake_parts))
    assert toolset is not None
    toolset.runtime.path.write_bytes(b"9;")
    after = {status.name: status for status in inspect(path, fake_parts)}
    assert [after[name].state for name in names] == [State.OK, State.OK, State.DAMAGED, State.OK]
    assert after["browser"].version == "1.2.3"
    assert "content of runtime.js has changed" in after["runtime"].detail
    assert "hyperframes-airflow setup" in after["runtime"].hint
    assert after["disk"].state in (State.OK, State.WARNING)
    assert after["moto"].version == "5.2.5"


def test_the_pins_are_exact() -> None:
    for part in PARTS:
        algorithm, _, digest = part.integrity.partition("-")
        assert (algorithm, len(digest)) in (("sha512", 88), ("sha256", 44)), part.name
        assert part.main in {member.target for member in part.members}
        assert any(member.target in ("LICENSE", "README.md") for member in part.members), f"{part.name} comes without its licence"
