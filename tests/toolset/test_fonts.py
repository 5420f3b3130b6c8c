"""Fonts out of packages, and what the set-up tells the engine and the browser about them. Without a network."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hyperframes_lambda.composition.fonts import font_files, read_catalogue
from hyperframes_lambda.contract.fonts import ALIASES, BUNDLED, slug
from hyperframes_provider.toolset import ensure_toolset, inspect, read_toolset
from hyperframes_provider.toolset.font_files import embedded_fonts, plain_font
from hyperframes_provider.toolset.font_pins import FONT_PARTS
from hyperframes_provider.toolset.part import Member, Packing, Part, Role
from hyperframes_provider.toolset.report import SetupReporter

SCRIPT = ",\n".join(
    f'["@fontsource/{family}:{weight}:normal", "data:font/woff2;base64,{base64.b64encode(f"{family} {weight}".encode()).decode()}"]'
    for family, weight in (("inter", 400), ("inter", 700), ("lato", 400))
)


def woff(tables: dict[bytes, bytes]) -> bytes:
    """A WOFF 1.0 file with every table compressed where that makes it smaller."""
    directory, body = b"", b""
    start = 44 + 20 * len(tables)
    for tag, content in tables.items():
        packed = min(zlib.compress(content), content, key=len)
        directory += struct.pack(">4s4I", tag, start + len(body), len(packed), len(content), 7)
        body += packed + bytes(-len(packed) % 4)
    return struct.pack(">4sIIHHIHHIIIII", b"wOFF", 0x10000, start + len(body), len(tables), 0, 0, 0, 0, 0, 0, 0, 0, 0) + directory + body


def _in_place(part: Part, scratch: Path, reporter: SetupReporter) -> Path:
    scratch.mkdir(parents=True)
    return Path(part.spec)


@pytest.fixture
def parts_with_fonts(fake_parts: tuple[Part, ...], fake_part: Callable[..., Part], monkeypatch: pytest.MonkeyPatch) -> tuple[Part, ...]:
    """The fake parts, the runtime with embedded fonts, a variable family and an installed font.

    They are unpacked from where they lie: that npm delivers them is what the tests of the set-up are about.
    """
    monkeypatch.setattr("hyperframes_provider.toolset.installed.fetch", _in_place)
    browser, encoder, _, library = fake_parts
    variable = {"inter-latin-wght-normal": b"a", "inter-latin-ext-wght-normal": b"b", "inter-latin-wght-italic": b"c"}
    return (
        browser,
        encoder,
        fake_part(
            "runtime",
            Role.RUNTIME,
            {"package/runtime.js": b"1;", "package/fonts.js": SCRIPT.encode()},
            (Member("package/runtime.js", "runtime.js"), Member("package/fonts.js", "fonts", Packing.FONT_DATA)),
            web_fonts="fonts",
        ),
        library,
        fake_part(
            "font-inter",
            Role.FONT,
            {
                **{f"package/files/{name}.woff2": content for name, content in variable.items()},
                "package/files/inter-latin-opsz-normal.woff2": b"not wanted",
                "package/metadata.json": json.dumps({"variable": {"wght": {"min": "100", "max": "900"}}}).encode(),
                "package/unicode.json": json.dumps({"latin": "U+0-7F", "latin-ext": "U+100-1FF"}).encode(),
            },
            (
                Member("package/metadata.json", "metadata.json"),
                Member("package/unicode.json", "unicode.json"),
                Member("package/files/*-wght-*.woff2", "files"),
            ),
            web_fonts="files",
        ),
        fake_part(
            "font-installed",
            Role.FONT,
            {"package/a.woff": woff({b"head": b"x" * 54})},
            (Member("package/a.woff", "files/a.ttf", Packing.WOFF),),
            fonts="files",
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "toolset.json"


def test_the_catalogue_has_the_embedded_faces_and_fills_the_gaps(parts_with_fonts: tuple[Part, ...], path: Path) -> None:
    toolset = read_toolset(ensure_toolset(path=path, parts=parts_with_fonts))
    assert toolset is not None
    assert toolset.fonts is not None
    families = read_catalogue(toolset.fonts).families

    assert list(families) == ["Inter", "Lato"]
    faces = [(face.file.rpartition("/")[2].split("-", 1)[1], face.weight) for face in families["Inter"]]
    gaps = ["100 300", "500 600", "800 900"]
    assert faces == [
        *(("latin-ext-wght-normal.woff2", weight) for weight in ("100 300", "400", "500 600", "700", "800 900")),
        ("latin-wght-italic.woff2", "100 900"),
        *(("latin-wght-normal.woff2", weight) for weight in gaps),
        ("latin-400-normal.woff2", "400"),
        ("latin-700-normal.woff2", "700"),
    ]
    assert {file.read_bytes() for file, _ in font_files(toolset.fonts).values()} == {
        b"a",
        b"b",
        b"c",
        b"inter 400",
        b"inter 700",
        b"lato 400",
    }


def test_the_browser_finds_the_pinned_fonts_by_all_their_names_and_nothing_else(parts_with_fonts: tuple[Part, ...], path: Path) -> None:
    ensure_toolset(path=path, parts=parts_with_fonts)

    conf = ElementTree.parse(path.parent / "fonts.conf").getroot()
    folders = [folder.text or "" for folder in conf.iter("dir")]
    assert all(folder.startswith(f"{path.parent}/parts/") for folder in folders)
    assert (Path(folders[-1]) / "a.ttf").is_file()
    names = {match.findtext("test/string"): match.findtext("edit/string") for match in conf.iter("match")}
    assert (names["sans-serif"], names["helvetica"], names["Apple Color Emoji"]) == ("Inter", "Inter", "Noto Color Emoji")


def test_another_font_is_another_build(parts_with_fonts: tuple[Part, ...], path: Path, tmp_path: Path) -> None:
    versions = set()
    for number, parts in enumerate((parts_with_fonts, parts_with_fonts[:-1])):
        toolset = read_toolset(ensure_toolset(path=tmp_path / str(number) / "toolset.json", parts=parts))
        assert toolset is not None
        assert toolset.fonts is not None
        versions.add(toolset.fonts.version)

    assert len(versions) == 2


def test_a_part_from_before_a_member_was_pinned_is_fetched_anew(parts_with_fonts: tuple[Part, ...], path: Path) -> None:
    runtime = parts_with_fonts[2]
    earlier = replace(runtime, members=runtime.members[:1], web_fonts=None)
    ensure_toolset(path=path, parts=[earlier if part is runtime else part for part in parts_with_fonts])
    ensure_toolset(path=path, parts=parts_with_fonts)

    assert (path.parent / "parts" / runtime.folder / "fonts" / "lato-latin-400-normal.woff2").read_bytes() == b"lato 400"
    statuses = {status.name: status for status in inspect(path, parts_with_fonts)}
    assert statuses["fonts"].version == "2 of 2"


def test_a_packed_font_is_written_plainly_without_what_is_not_drawn() -> None:
    tables = {b"SVG ": b"s" * 400, b"cmap": b"c" * 301, b"head": bytes(range(54))}
    font = plain_font(woff(tables))

    assert struct.unpack_from(">I4H", font) == (0x10000, 2, 32, 1, 0)
    found = {}
    for number in range(2):
        tag, _, start, size = struct.unpack_from(">4s3I", font, 12 + 16 * number)
        assert start % 4 == 0
        found[tag] = font[start : start + size]
    assert found == {tag: content for tag, content in tables.items() if tag != b"SVG "}


@pytest.mark.parametrize("data", [b"", b"wOF2" + bytes(60), woff({b"head": b"h" * 100})[:70]])
def test_what_is_no_packed_font_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="WOFF"):
        plain_font(data)


def test_a_script_without_fonts_is_refused() -> None:
    assert dict(embedded_fonts(SCRIPT))["inter-latin-700-normal.woff2"] == b"inter 700"
    with pytest.raises(ValueError, match="no fonts"):
        list(embedded_fonts("export {}"))


def test_every_bundled_family_has_a_part_or_is_embedded_only() -> None:
    packaged = {part.name.removeprefix("font-") for part in FONT_PARTS if part.web_fonts}

    assert {slug(family) for family in BUNDLED} - packaged == {"noto-sans-jp"}
    assert set(ALIASES.values()) == set(BUNDLED)
