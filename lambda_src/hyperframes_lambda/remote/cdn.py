"""The npm package file behind an address of a content network. Pure: nothing is fetched here.

The rules are the networks' own: jsdelivr and unpkg serve packages unchanged, cdnjs has its own names and folders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from hyperframes_lambda.remote.packages import Package


class Entry(StrEnum):
    """Rule by which a network picks a file when the address has no path."""

    JSDELIVR = "jsdelivr"
    UNPKG = "unpkg"
    NONE = "none"


@dataclass(frozen=True)
class PackageFile:
    """`path` of the package `name` at `version` (a version, range or tag), looked up in each of `folders` and then in the top folder."""

    name: str
    version: str
    path: str
    entry: Entry = Entry.NONE
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Library:
    """npm package of a cdnjs library, and the folders of its files there."""

    package: str
    folders: tuple[str, ...] = ()


_DIST = ("dist",)
_LIBRARIES: dict[str, _Library] = {
    "animate.css": _Library("animate.css"),
    "animejs": _Library("animejs", ("lib", "dist/bundles", "dist")),
    "bodymovin": _Library("lottie-web", ("build/player",)),
    "bootstrap": _Library("bootstrap", _DIST),
    "Chart.js": _Library("chart.js", _DIST),
    "d3": _Library("d3", _DIST),
    "dat-gui": _Library("dat.gui", ("build",)),
    "echarts": _Library("echarts", _DIST),
    "fabric.js": _Library("fabric", _DIST),
    "font-awesome": _Library("@fortawesome/fontawesome-free"),
    "gsap": _Library("gsap", _DIST),
    "howler": _Library("howler", _DIST),
    "jquery": _Library("jquery", _DIST),
    "KaTeX": _Library("katex", _DIST),
    "konva": _Library("konva"),
    "leaflet": _Library("leaflet", _DIST),
    "lodash.js": _Library("lodash"),
    "lottie-web": _Library("lottie-web", ("build/player",)),
    "luxon": _Library("luxon", ("build/global",)),
    "maplibre-gl": _Library("maplibre-gl", _DIST),
    "mapbox-gl": _Library("mapbox-gl", _DIST),
    "marked": _Library("marked"),
    "mathjs": _Library("mathjs", ("lib/browser",)),
    "matter-js": _Library("matter-js", ("build",)),
    "moment.js": _Library("moment", ("min", "")),
    "normalize": _Library("normalize.css"),
    "p5.js": _Library("p5", ("lib",)),
    "paper.js": _Library("paper", _DIST),
    "pixi.js": _Library("pixi.js", _DIST),
    "plotly.js": _Library("plotly.js-dist-min"),
    "prism": _Library("prismjs"),
    "react": _Library("react"),
    "react-dom": _Library("react-dom"),
    "rough.js": _Library("roughjs", ("bundled",)),
    "snap.svg": _Library("snapsvg", _DIST),
    "svg.js": _Library("@svgdotjs/svg.js", _DIST),
    "three.js": _Library("three", ("build",)),
    "Tone": _Library("tone", ("build",)),
    "topojson": _Library("topojson", _DIST),
    "TweenMax": _Library("gsap", _DIST),
    "two.js": _Library("two.js", ("build",)),
    "typed.js": _Library("typed.js", (*_DIST, "lib")),
    "vivus": _Library("vivus", _DIST),
    "vue": _Library("vue", _DIST),
}

_GOOGLE_NAMES = {"threejs": "three.js", "d3js": "d3"}
"""Names of ajax.googleapis.com that differ from those of cdnjs."""

_THREE_REVISION = re.compile(r"r(\d+)")
"""cdnjs writes version 0.128.0 as r128."""

_JQUERY = re.compile(r"/jquery-(?P<version>\d+\.\d+\.\d+)(?P<build>(\.slim)?(\.min)?)\.js")

_MODULE_SERVERS = frozenset(
    {"esm.sh", "cdn.esm.sh", "esm.run", "cdn.skypack.dev", "ga.jspm.io", "jspm.dev", "esm.unpkg.com", "cdn.pika.dev", "deno.land"}
)


def package_file(url: str) -> PackageFile | None:
    """Return the package file behind `url`; None outside npm-backed networks, and for an address that only the network itself answers."""
    if own_work(url) is not None:
        return None
    parts = urlsplit(url)
    path = unquote(parts.path)
    match parts.hostname:
        case "cdn.jsdelivr.net" | "fastly.jsdelivr.net" | "gcore.jsdelivr.net" | "testingcf.jsdelivr.net":
            return _spec(path.removeprefix("/npm/"), Entry.JSDELIVR) if path.startswith("/npm/") else None
        case "unpkg.com" | "www.unpkg.com":
            return _spec(path.removeprefix("/"), Entry.UNPKG)
        case "cdnjs.cloudflare.com" | "ajax.googleapis.com":
            return _library(path)
        case "code.jquery.com":
            named = _JQUERY.fullmatch(path)
            return PackageFile("jquery", named["version"], f"dist/jquery{named['build']}.js") if named else None
        case "d3js.org" if path.startswith("/d3.v"):
            version, _, rest = path.removeprefix("/d3.v").partition(".")
            return PackageFile("d3", version, f"dist/d3.{rest}")
    return None


def own_work(url: str) -> str | None:
    """Return why only the network itself can answer `url`, which it builds from packages instead of serving one; None otherwise."""
    parts = urlsplit(url)
    if parts.hostname in _MODULE_SERVERS:
        return f"{parts.hostname} builds its modules itself"
    if parts.hostname and parts.hostname.endswith("jsdelivr.net"):
        if parts.path.endswith("/+esm"):
            return "jsdelivr builds addresses that end in /+esm itself"
        if parts.path.startswith("/combine/"):
            return "jsdelivr builds addresses that begin with /combine/ itself"
        if not parts.path.startswith("/npm/"):
            return f"{parts.path.split('/')[1]!r} addresses of jsdelivr are not npm packages"
    if parts.hostname == "unpkg.com" and "module" in parts.query.split("&"):
        return "unpkg rewrites addresses with ?module itself"
    return None


MODULE_HINT = (
    "Use a file of the package instead, such as https://cdn.jsdelivr.net/npm/three@0.160.0/build/three.module.js, "
    "or copy the library into the project."
)


def find(file: PackageFile, package: Package) -> str | None:
    """Return the path of `file` within `package`; None when the package lacks it."""
    if not file.path:
        return _entry(file.entry, package)
    for path in _candidates(file):
        if path in package:
            return path
    return None


def _candidates(file: PackageFile) -> Iterable[str]:
    paths = [posixpath.join(folder, file.path) for folder in (*file.folders, "")]
    yield from paths
    # jsdelivr and cdnjs minify files that the package holds only in full.
    if file.entry is not Entry.UNPKG:
        for path in paths:
            stem, suffix = posixpath.splitext(path)
            if suffix in (".js", ".css", ".mjs") and stem.endswith(".min"):
                yield stem.removesuffix(".min") + suffix


def _spec(text: str, entry: Entry) -> PackageFile | None:
    """Parse `name[@version][/path]`, with the scope as part of the name."""
    scope, slash, rest = text.partition("/") if text.startswith("@") else ("", "", text)
    label, folder, path = rest.partition("/")
    name, _, version = label.partition("@")
    # An address that ends in a slash is a listing for people.
    if not name or (scope and not slash) or (folder and not path) or path.endswith("/"):
        return None
    return PackageFile(f"{scope}{slash}{name}", version or "latest", path, entry)


def _library(path: str) -> PackageFile | None:
    parts = path.removeprefix("/ajax/libs/").split("/", 2)
    if not path.startswith("/ajax/libs/") or len(parts) < 3:
        return None
    name, version, file = parts
    library = _LIBRARIES.get(_GOOGLE_NAMES.get(name, name))
    if library is None:
        return None
    revision = _THREE_REVISION.fullmatch(version) if library.package == "three" else None
    return PackageFile(library.package, f"0.{revision[1]}.0" if revision else version, file, folders=library.folders)


def _entry(entry: Entry, package: Package) -> str | None:
    manifest = package.json("package.json")
    fields = ("jsdelivr", "browser", "main") if entry is Entry.JSDELIVR else ("unpkg", "browser", "main")
    for field in fields:
        value = manifest.get(field)
        found = _existing(value, package) if isinstance(value, str) else None
        if found is not None:
            return found
    return _existing("index.js", package)


def _existing(path: str, package: Package) -> str | None:
    plain = posixpath.normpath(path).lstrip("/")
    return next((tried for tried in (plain, f"{plain}.js", f"{plain}/index.js") if tried in package), None)
