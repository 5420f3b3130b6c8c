"""Fonts installed on the machine are never used. A separate module, because it launches browsers with other settings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hyperframes_lambda.browser import PageSpec, launch
from hyperframes_lambda.contract.toolset import Browser

PAGE = """<!doctype html><html><body>
<div data-composition-id="main" data-no-timeline data-start="0" data-duration="1" data-width="320" data-height="180">
<span id="host" style="font-family:'Hostfont Monos', sans-serif">iiii</span>
<span id="same" style="font-family:'Helvetica Neue'">iiii</span>
<span id="inter" style="font-family:sans-serif">iiii</span>
</div><script>function width(id) { return document.getElementById(id).getBoundingClientRect().width }</script></body></html>"""


def renamed(font: bytes, before: str, after: str) -> bytes:
    """Rename the font to another name of the same length."""
    changed = font.replace(before.encode("utf-16-be"), after.encode("utf-16-be"))
    assert changed != font
    return changed


@pytest.fixture
def host_fonts(chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two fonts in its user's folders: one with a unique name, and one with a bundled family's name."""
    assert chromium.fontconfig is not None
    parts = chromium.fontconfig.parent / "parts"
    mono = next(parts.glob("font-jetbrains-mono-installed-*/files/*-400-normal.ttf")).read_bytes()
    folder = tmp_path / "home" / ".local" / "share" / "fonts"
    folder.mkdir(parents=True)
    (folder / "own.ttf").write_bytes(renamed(mono, "JetBrains Mono", "Hostfont Monos"))
    (folder / "same.ttf").write_bytes(renamed(mono, "JetBrains Mono", "Helvetica Neue"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / ".local" / "share"))
    return folder


def test_a_font_of_the_host_is_never_used(
    host_fonts: Path, chromium: Browser, project: Callable[..., Path], site: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    folder = project({"index.html": PAGE})

    def look(browser: Browser) -> list[float]:
        with (
            site(folder) as url,
            launch(browser) as session,
            session.open(PageSpec(url, width=320, height=180)) as page,
        ):
            return [float(page.ask(f"width({name!r})")) for name in ("host", "same", "inter")]

    assert chromium.fontconfig is not None
    with_host = tmp_path / "fonts.conf"
    with_host.write_text(chromium.fontconfig.read_text().replace("<dir>", f"<dir>{host_fonts}</dir><dir>", 1))
    host, same, inter = look(chromium.model_copy(update={"fontconfig": with_host}))
    assert host > 1.5 * inter, "the control: a font of the host would be seen"
    assert same == inter, "a name that stands for a bundled family means that one even then"

    host, same, inter = look(chromium)
    assert host == same == inter
