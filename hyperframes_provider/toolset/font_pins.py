"""The pinned fonts."""

from __future__ import annotations

from hyperframes_provider.toolset.part import Member, Packing, Part, Registry, Role


def _web_font(package: str, integrity: str, size: int) -> Part:
    """Return a Fontsource family in all its scripts: as a variable font if there is one, else with a file for each weight."""
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
    """Return a family for the browser's own search: a generic family, or the only one with the characters of `script`."""
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
    # The runtime's package brings the weights that the reference renderer embeds. These are the other weights, the italics and the scripts,
    # which the reference fetches from Google Fonts.
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
    # The fonts that come with the browser cover Hebrew, Greek and Cyrillic.
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
    # Browsers take root signs and stretched brackets of formulas from a font's MATH table, which few fonts have.
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
