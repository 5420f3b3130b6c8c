"""Where a content network is out of reach: which npm package an address means, what is taken from it, and fonts made of packages."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tinycss2

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Npm
from hyperframes_lambda.remote import Recorder, addresses, packages
from hyperframes_lambda.remote.cdn import Entry, PackageFile, find, own_work, package_file
from hyperframes_lambda.remote.google_fonts import Face, font_file, sheet_of
from hyperframes_lambda.remote.packages import Package, Registry

Packages = Mapping[str, Mapping[str, str]]
"""`name@version` → path → content."""

FAKE_NPM = """
import base64, hashlib, json, pathlib, sys
store, call = pathlib.Path(__file__).parent, sys.argv[1:]
with (store / "calls").open("a") as calls:
    calls.write(" ".join(call[:2]) + "\\n")
name, _, wanted = call[1].rpartition("@")
versions = json.loads((store / "versions.json").read_text()).get(name)
def fail(code, summary):
    print(json.dumps({"error": {"code": code, "summary": summary}}))
    sys.exit(1)
if (store / "hang").exists():
    sys.stdin.read()
    import threading
    threading.Event().wait()
if (store / "offline").exists():
    fail("ENOTFOUND", "getaddrinfo ENOTFOUND")
if versions is None:
    fail("E404", "Not Found")
fitting = versions[-1:] if wanted == "latest" else [v for v in versions if v == wanted or v.startswith(wanted.lstrip("^~") + ".")]
if not fitting:
    fail("E404", "No match found for version " + wanted)
if call[0] == "view":
    print(json.dumps(fitting if len(fitting) > 1 else fitting[0]))
else:
    archive = (store / (name.replace("/", "+") + "@" + wanted + ".tgz")).read_bytes()
    folder = next(a for a in call if a.startswith("--pack-destination=")).partition("=")[2]
    (pathlib.Path(folder) / "archive.tgz").write_bytes(archive)
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if (store / "lies").exists():
        digest = digest[::-1]
    print(json.dumps([{"version": wanted, "integrity": "sha512-" + digest}]))
"""


def archive(files: Mapping[str, str]) -> bytes:
    """An npm package's archive."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(content.encode())
            tar.addfile(entry, io.BytesIO(content.encode()))
    return gzip.compress(plain.getvalue(), mtime=0)


@pytest.fixture
def registry(tmp_path: Path) -> Callable[[Packages], Npm]:
    """An npm client, and a registry behind it, of the given packages."""

    def stock(content: Packages) -> Npm:
        store = tmp_path / "store"
        store.mkdir(exist_ok=True)
        versions: dict[str, list[str]] = {}
        for spec, files in content.items():
            name, _, version = spec.rpartition("@")
            versions.setdefault(name, []).append(version)
            (store / f"{spec.replace('/', '+')}.tgz").write_bytes(archive(files))
        (store / "versions.json").write_text(json.dumps(versions))
        (store / "npm.py").write_text(FAKE_NPM)
        return Npm(node=Path(sys.executable), cli=store / "npm.py", packages=tmp_path / "packages")

    return stock


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name resolves."""

    def unknown(host: str, *_arguments: object, **_options: object) -> None:
        raise OSError(f"{host} is not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", unknown)


JSDELIVR, UNPKG, CDNJS = "https://cdn.jsdelivr.net/npm/", "https://unpkg.com/", "https://cdnjs.cloudflare.com/ajax/libs/"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (f"{JSDELIVR}gsap@3.12.5/dist/gsap.min.js", PackageFile("gsap", "3.12.5", "dist/gsap.min.js", Entry.JSDELIVR)),
        (f"{JSDELIVR}gsap@3", PackageFile("gsap", "3", "", Entry.JSDELIVR)),
        (f"{JSDELIVR}gsap", PackageFile("gsap", "latest", "", Entry.JSDELIVR)),
        (f"{JSDELIVR}@scope/name@^1.2/a/b.css", PackageFile("@scope/name", "^1.2", "a/b.css", Entry.JSDELIVR)),
        (f"{JSDELIVR}@scope%2Fname@1/x.js", PackageFile("@scope/name", "1", "x.js", Entry.JSDELIVR)),
        (f"{UNPKG}three@0.160/build/three.module.js", PackageFile("three", "0.160", "build/three.module.js", Entry.UNPKG)),
        (f"{UNPKG}@tweenjs/tween.js", PackageFile("@tweenjs/tween.js", "latest", "", Entry.UNPKG)),
        (f"{CDNJS}gsap/3.12.5/gsap.min.js", PackageFile("gsap", "3.12.5", "gsap.min.js", folders=("dist",))),
        (f"{CDNJS}three.js/r128/three.min.js", PackageFile("three", "0.128.0", "three.min.js", folders=("build",))),
        (
            "https://ajax.googleapis.com/ajax/libs/jquery/3.7.1/jquery.min.js",
            PackageFile("jquery", "3.7.1", "jquery.min.js", folders=("dist",)),
        ),
        ("https://code.jquery.com/jquery-3.7.1.slim.min.js", PackageFile("jquery", "3.7.1", "dist/jquery.slim.min.js")),
        ("https://d3js.org/d3.v7.min.js", PackageFile("d3", "7", "dist/d3.min.js")),
        (f"{CDNJS}unknown-library/1.0/x.js", None),
        ("https://cdn.jsdelivr.net/gh/user/repo@1/x.js", None),
        (f"{JSDELIVR}three/+esm", None),
        (f"{JSDELIVR}three/", None),
        (f"{UNPKG}three/build/", None),
        (f"{UNPKG}three?module", None),
        ("https://esm.sh/three@0.160", None),
        ("https://example.com/npm/gsap@3/x.js", None),
    ],
)
def test_an_address_of_a_content_network_names_package_version_and_path(url: str, meant: PackageFile | None) -> None:
    assert package_file(url) == meant


@pytest.mark.parametrize(
    "url",
    [
        f"{JSDELIVR}three/+esm",
        "https://cdn.jsdelivr.net/combine/npm/a@1,npm/b@2",
        "https://cdn.jsdelivr.net/gh/user/repo@1/x.js",
        f"{UNPKG}three?module",
        "https://esm.sh/three@0.160",
        "https://cdn.skypack.dev/three",
    ],
)
def test_what_a_network_builds_itself_is_refused_with_a_way_out(url: str, registry: Callable[[Packages], Npm]) -> None:
    assert own_work(url) is not None
    with Recorder(npm=registry({})) as recorder, pytest.raises(RenderError) as failure:
        recorder.answer(url, {})

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert url in str(failure.value)
    assert "Use a file of the package" in str(failure.value)


@pytest.mark.parametrize(
    ("entry", "fields", "found"),
    [
        (Entry.JSDELIVR, {"jsdelivr": "dist/j.js", "unpkg": "dist/u.js", "main": "main.js"}, "dist/j.js"),
        (Entry.UNPKG, {"jsdelivr": "dist/j.js", "unpkg": "./dist/u.js", "main": "main.js"}, "dist/u.js"),
        (Entry.JSDELIVR, {"main": "main"}, "main.js"),
        (Entry.JSDELIVR, {"main": "lib", "browser": {"fs": False}}, "lib/index.js"),
        (Entry.UNPKG, {"browser": "dist/j.js", "main": "main.js"}, "dist/j.js"),
        (Entry.UNPKG, {}, "index.js"),
        (Entry.JSDELIVR, {"main": "gone.js"}, "index.js"),
    ],
)
def test_an_address_without_a_path_means_the_package_s_entry(tmp_path: Path, entry: Entry, fields: dict[str, object], found: str) -> None:
    files = dict.fromkeys(("index.js", "main.js", "lib/index.js", "dist/j.js", "dist/u.js"), "")
    (tmp_path / "p.tar").write_bytes(gzip.decompress(archive({**files, "package.json": json.dumps(fields)})))

    assert find(PackageFile("p", "1", "", entry), Package("p", "1.0.0", tmp_path / "p.tar")) == found


LIBRARY = {"package.json": '{"main": "dist/lib.js"}', "dist/lib.js": "lib()", "dist/only.js": "only()", "README.md": "hello"}


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (f"{JSDELIVR}lib@1.2.0/dist/lib.js", "lib()"),
        (f"{JSDELIVR}lib@1", "newest()"),
        (f"{JSDELIVR}lib@latest/dist/lib.js", "newest()"),
        (f"{JSDELIVR}lib@1.2.0/dist/only.min.js", "only()"),
    ],
)
def test_the_file_comes_from_the_package_of_that_version(url: str, body: str, registry: Callable[[Packages], Npm]) -> None:
    newest = {**LIBRARY, "dist/lib.js": "newest()"}
    npm = registry({"lib@1.2.0": LIBRARY, "lib@1.9.0": LIBRARY, "lib@1.10.0-beta": LIBRARY, "lib@1.10.0": newest})

    with Recorder(npm=npm) as recorder:
        response, path = recorder.answer(url, {})
        assert (response.status, path and path.read_text()) == (200, body)
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"
        assert recorder.files()[str(response.file)].read() == body.encode()


def test_the_tenth_release_candidate_is_newer_than_the_ninth(registry: Callable[[Packages], Npm], tmp_path: Path) -> None:
    packages = Registry(registry({f"lib@2.0.0-rc.{number}": LIBRARY for number in (10, 9)}), tmp_path)
    assert packages.package("lib", "~2.0.0-rc").version == "2.0.0-rc.10"
    packages.close()


def test_unpkg_redirects_to_the_exact_address(registry: Callable[[Packages], Npm]) -> None:
    with Recorder(npm=registry({"lib@1.2.0": LIBRARY})) as recorder:
        hops = [recorder.answer(url, {})[0] for url in (f"{UNPKG}lib@1", f"{UNPKG}lib@1.2.0/dist/lib.js")]

        assert (hops[0].status, hops[0].headers, hops[0].file) == (302, {"location": f"{UNPKG}lib@1.2.0/dist/lib.js"}, None)
        assert hops[1].status == 200
        assert list(recorder.responses()) == [f"{UNPKG}lib@1", f"{UNPKG}lib@1.2.0/dist/lib.js"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{JSDELIVR}nothing@1/x.js", ["the npm registry has no nothing@1"]),
        (f"{JSDELIVR}lib@7/x.js", ["the npm registry has no lib@7"]),
        (f"{JSDELIVR}lib@1.2.0/gone.js", ["lib@1.2.0 has no gone.js"]),
        (f"{JSDELIVR}lib@file:..%2Fsecret/x.js", ["is not the name of an npm package"]),
        (f"{JSDELIVR}lib@../x.js", ["is not the name of an npm package"]),
        (f"{JSDELIVR}lib@https:/x.js", ["is not the name of an npm package"]),
        (f"{JSDELIVR}lib@x.tgz/x.js", ["is not the name of an npm package"]),
        (f"{JSDELIVR}--registry=evil/x.js", ["is not the name of an npm package"]),
        ("https://example.com/x.js", ["unknown host"]),
    ],
)
def test_what_no_package_has_is_named(url: str, words: list[str], registry: Callable[[Packages], Npm]) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    with Recorder(npm=npm) as recorder, pytest.raises(RenderError) as failure:
        recorder.answer(url, {})

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert [word for word in [url, "cannot be fetched", *words] if word not in str(failure.value)] == []
    calls = npm.cli.with_name("calls")
    assert not calls.exists() or "secret" not in calls.read_text()


def test_a_package_is_fetched_once_and_kept_by_its_exact_version(tmp_path: Path, registry: Callable[[Packages], Npm]) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    assert Registry(npm, tmp_path / "one").package("lib", "1.2.0").read("dist/lib.js") == b"lib()"
    npm.cli.with_name("offline").touch()

    again = Registry(npm, tmp_path / "two")

    assert again.package("lib", "1.2.0").read("dist/lib.js") == b"lib()"
    with pytest.raises(RenderError, match="cannot be reached"):
        again.package("lib", "1")


def test_a_kept_package_that_was_damaged_is_fetched_again(tmp_path: Path, registry: Callable[[Packages], Npm]) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    Registry(npm, tmp_path / "one").package("lib", "1.2.0")
    (npm.packages / "lib@1.2.0.tgz").write_bytes(archive({"dist/lib.js": "evil()"}))

    assert Registry(npm, tmp_path / "two").package("lib", "1.2.0").read("dist/lib.js") == b"lib()"


def test_an_archive_that_is_not_what_the_registry_says_is_not_used(tmp_path: Path, registry: Callable[[Packages], Npm]) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    npm.cli.with_name("lies").touch()

    with pytest.raises(RenderError, match="does not match its reported digest"):
        Registry(npm, tmp_path / "one").package("lib", "1.2.0")
    assert list(npm.packages.glob("*")) == []


def test_a_registry_that_does_not_answer_is_waited_for_once(
    tmp_path: Path, registry: Callable[[Packages], Npm], monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    npm.cli.with_name("hang").touch()
    monkeypatch.setattr(packages, "REACH_SECONDS", 0.5)
    asked, started = Registry(npm, tmp_path / "one"), time.monotonic()

    for name in ("lib", "other", "lib"):
        with pytest.raises(RenderError, match="cannot be reached") as failure:
            asked.package(name, "1")
        assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert time.monotonic() - started < 2


FONTS: Packages = {
    "@fontsource/some-sans@5.0.0": {
        "metadata.json": json.dumps(
            {"weights": [400, 700], "styles": ["normal", "italic"], "subsets": ["latin", "greek"], "defSubset": "latin"}
        ),
        "unicode.json": json.dumps({"greek": "U+370-3FF", "latin": "U+0-FF", "[7]": "U+4E00"}),
        **{
            f"files/some-sans-{subset}-{weight}-{style}.woff2": f"{subset} {weight} {style}"
            for subset in ("greek", "latin", "7")
            for weight in (400, 700)
            for style in ("normal", "italic")
        },
    },
    "@fontsource-variable/some-sans@5.0.0": {
        "metadata.json": json.dumps({"variable": {"wght": {}, "wdth": {}, "slnt": {}}, "defSubset": "latin"}),
        "unicode.json": json.dumps({"latin": "U+0-FF"}),
        "files/some-sans-latin-wght-normal.woff2": "weights",
        "files/some-sans-latin-wdth-normal.woff2": "widths",
        "files/some-sans-latin-standard-normal.woff2": "standard",
    },
}

SHEETS = "https://fonts.googleapis.com/"


@pytest.mark.parametrize(
    ("url", "families"),
    [
        ("css2?family=Some+Sans", [("Some Sans", [Face()])]),
        ("css2?family=Some+Sans:wght@400;700&display=swap", [("Some Sans", [Face(), Face(weight=(700, 700))])]),
        ("css2?family=Some+Sans:ital,wght@0,400;1,700", [("Some Sans", [Face(), Face(italic=True, weight=(700, 700))])]),
        ("css2?family=Some+Sans:ital@1", [("Some Sans", [Face(italic=True)])]),
        ("css2?family=Some+Sans:wght@100..900", [("Some Sans", [Face(weight=(100, 900))])]),
        ("css2?family=A:wdth,wght@75..100,400&family=B", [("A", [Face(axes={"wdth": "75..100"})]), ("B", [Face()])]),
        ("css?family=Some+Sans:400,700italic|B:b,i", [
            ("Some Sans", [Face(), Face(italic=True, weight=(700, 700))]),
            ("B", [Face(weight=(700, 700)), Face(italic=True)]),
        ]),
        ("css?family=Some+Sans", [("Some Sans", [Face()])]),
        ("icon?family=Material+Icons", [("Material Icons", [Face()])]),
    ],
)  # fmt: skip
def test_a_style_sheet_s_address_says_families_and_faces(url: str, families: list[tuple[str, list[Face]]]) -> None:
    sheet = sheet_of(SHEETS + url)

    assert sheet is not None
    assert [(family.name, list(family.faces)) for family in sheet.families] == families


@pytest.mark.parametrize(
    "url", [f"{SHEETS}css2", f"{SHEETS}earlyaccess/x.css", "https://example.com/css2?family=A", "https://fonts.gstatic.com/x"]
)
def test_other_addresses_are_no_style_sheets(url: str) -> None:
    assert sheet_of(url) is None


def test_a_sheet_has_one_rule_a_face_and_subset_and_its_files_are_the_package_s(registry: Callable[[Packages], Npm]) -> None:
    with Recorder(npm=registry(FONTS)) as recorder:
        response, path = recorder.answer(f"{SHEETS}css2?family=Some+Sans:ital,wght@0,400;1,700&display=swap", {})
        assert path is not None
        rules = tinycss2.parse_stylesheet(path.read_text(), skip_comments=True, skip_whitespace=True)
        faces = [
            {
                d.lower_name: tinycss2.serialize(d.value).strip()
                for d in tinycss2.parse_blocks_contents(rule.content)
                if d.type == "declaration"
            }
            for rule in rules
        ]
        contents = []
        for face in faces:
            url = face["src"].partition("(")[2].partition(")")[0]
            assert font_file(url) is not None
            contents.append(recorder.answer(url, {})[1].read_text())  # type: ignore[union-attr]

    assert response.headers["content-type"].startswith("text/css")
    assert [(face["unicode-range"], face["font-weight"], face["font-style"]) for face in faces] == [
        (span, weight, style) for weight, style in (("400", "normal"), ("700", "italic")) for span in ("U+370-3FF", "U+0-FF", "U+4E00")
    ]
    assert {face["font-family"] for face in faces} == {'"Some Sans"'}
    assert {face["font-display"] for face in faces} == {"swap"}
    assert contents == [f"{subset} {face}" for face in ("400 normal", "700 italic") for subset in ("greek", "latin", "7")]


@pytest.mark.parametrize(
    ("axes", "file", "descriptor"),
    [
        ("wght@100..900", "-wght-", "font-weight: 100 900;"),
        ("wdth,wght@75..100,400", "-wdth-", "font-stretch: 75% 100%;"),
        ("slnt,wdth,wght@-10..0,75..100,100..900", "-standard-", "font-style: oblique 0deg 10deg;"),
    ],
)
def test_a_range_is_a_variable_font(axes: str, file: str, descriptor: str, registry: Callable[[Packages], Npm]) -> None:
    with Recorder(npm=registry(FONTS)) as recorder:
        css = recorder.answer(f"{SHEETS}css2?family=Some+Sans:{axes}", {})[1].read_text()  # type: ignore[union-attr]

    assert file in css
    assert descriptor in css


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("css2?family=Nobody+Knows", ["'Nobody Knows'", "@fontsource/nobody-knows"]),
        ("css2?family=Some+Sans:wght@300", ["Some Sans", "300", "400, 700"]),
        ("css2?family=Some+Sans:GRAD@-50..100", ["Some Sans", "GRAD"]),
    ],
)
def test_a_family_or_face_that_no_package_has_is_font_unavailable(
    query: str, words: list[str], registry: Callable[[Packages], Npm]
) -> None:
    with Recorder(npm=registry(FONTS)) as recorder, pytest.raises(RenderError) as failure:
        recorder.answer(SHEETS + query, {})

    assert failure.value.code is ErrorCode.FONT_UNAVAILABLE
    assert [word for word in words if word not in str(failure.value)] == []


def test_without_a_registry_a_network_out_of_reach_is_just_that() -> None:
    with Recorder() as recorder, pytest.raises(RenderError, match=r"unknown host cdn\.jsdelivr\.net") as failure:
        recorder.answer(f"{JSDELIVR}gsap@3.12.5/dist/gsap.min.js", {})

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE


def test_the_integrity_of_a_kept_package_is_npm_s(tmp_path: Path, registry: Callable[[Packages], Npm]) -> None:
    npm = registry({"lib@1.2.0": LIBRARY})
    Registry(npm, tmp_path / "one").package("lib", "1.2.0")

    digest = hashlib.sha512((npm.packages / "lib@1.2.0.tgz").read_bytes()).digest()
    assert (npm.packages / "lib@1.2.0.integrity").read_text() == "sha512-" + base64.b64encode(digest).decode()
