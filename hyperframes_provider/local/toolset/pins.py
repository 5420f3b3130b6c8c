"""The pinned parts: what is fetched, what its archive must hash to, which of its files are kept, and what it is for.

The one place to change a version. A part comes from a registry by name and version; which host serves it is the package manager's
configuration, not ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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


class Packing(Enum):
    """How a member lies in its archive."""

    PLAIN = "plain"
    BROTLI = "brotli"
    BROTLI_TAR = "brotli-tar"
    """A compressed tar, unpacked into the folder that the member's target names."""


@dataclass(frozen=True)
class Member:
    """One file of the archive that is kept.

    `path` is its name in the archive, `target` the file, or for a tar the folder, that it becomes in the part's own folder.
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
    """Folder of fonts that the browser draws with."""

    @property
    def folder(self) -> str:
        """The part's folder in the cache: another version, or another archive under the same one, is another folder."""
        digest = "".join(letter for letter in self.integrity.partition("-")[2] if letter.isalnum())
        return f"{self.name}-{self.version}-{digest[:12]}"


BROWSER_PROBE = ("--headless", "--no-sandbox", "--version")

PARTS: tuple[Part, ...] = (
    Part(
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
    ),
    Part(
        name="ffmpeg",
        version="0.8.1",
        registry=Registry.PYPI,
        spec="imageio-ffmpeg==0.8.1",
        integrity="sha256-BQ1oUGAcOziQvSsoMG87hCs9rqOQpWEQEXQ3WhxGC9o=",
        size=67_998_402,
        role=Role.FFMPEG,
        members=(
            Member("imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2", "ffmpeg", executable=True),
            Member("imageio_ffmpeg-0.8.1.dist-info/licenses/LICENSE", "LICENSE"),
        ),
        main="ffmpeg",
        probe=("-version",),
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
            # Its licence is stated in these two; the package has no file of its own for it.
            Member("package/README.md", "README.md"),
            Member("package/package.json", "package.json"),
        ),
        main="hyperframe.runtime.iife.js",
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
    ),
)

WHEEL_PLATFORM = "manylinux_2_28_x86_64"
"""The platform tag of ffmpeg's wheel. All parts are for Linux on x86-64."""
