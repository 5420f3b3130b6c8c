"""Font families that every composition may use, and their aliases.

The table is the reference's: the same name must give the same face. Names are compared in lower case.
"""

from __future__ import annotations

PRIMARY = "Inter"
"""Inserted before every family list that begins with a generic family, as in the reference."""

BUNDLED = (
    "Inter",
    "Montserrat",
    "Outfit",
    "Nunito",
    "Oswald",
    "League Gothic",
    "Archivo Black",
    "Space Mono",
    "IBM Plex Mono",
    "JetBrains Mono",
    "EB Garamond",
    "Playfair Display",
    "Source Code Pro",
    "Noto Sans JP",
    "Roboto",
    "Open Sans",
    "Lato",
    "Poppins",
)
"""Families in the toolset, as their names are written."""

_STANDS_FOR = {
    "Inter": (
        "helvetica neue, helvetica, helvetica bold, arial, verdana, tahoma, trebuchet ms, calibri, candara, corbel, geneva, optima, "
        "sf pro, sf pro display, sf pro text, sf pro rounded, avenir, avenir next, lucida grande, lucida sans, lucida sans unicode, "
        "noto sans, dejavu sans, liberation sans"
    ),
    "Montserrat": "futura, din alternate, arial black",
    "League Gothic": "bebas neue",
    "Roboto": "segoe ui",
    "Noto Sans JP": "noto sans japanese",
    "JetBrains Mono": (
        "courier new, courier, sf mono, menlo, monaco, consolas, andale mono, lucida console, lucida sans typewriter, "
        "dejavu sans mono, liberation mono"
    ),
    "EB Garamond": (
        "garamond, georgia, palatino, palatino linotype, book antiqua, cambria, times, times new roman, dejavu serif, liberation serif"
    ),
}

ALIASES: dict[str, str] = {
    **{family.lower(): family for family in BUNDLED},
    **{name: family for family, names in _STANDS_FOR.items() for name in names.split(", ")},
}
"""Bundled family by name, in lower case."""

GENERIC = frozenset(
    {
        *("sans-serif", "serif", "monospace", "cursive", "fantasy", "system-ui", "emoji", "math", "fangsong"),
        *("ui-sans-serif", "ui-serif", "ui-monospace", "-apple-system", "blinkmacsystemfont"),
    }
)
"""Families that a style sheet need not declare."""

CSS_WIDE = frozenset({"inherit", "initial", "unset", "revert", "revert-layer"})

EMOJI, CJK, MATH = "Noto Color Emoji", "Noto Sans CJK JP", "Noto Sans Math"

INSTALLED: dict[str, tuple[str, ...]] = {
    "Inter": ("sans-serif", "system-ui", "ui-sans-serif", "ui-rounded", "-apple-system", "BlinkMacSystemFont", "cursive", "fantasy"),
    "EB Garamond": ("serif", "ui-serif"),
    "JetBrains Mono": ("monospace", "ui-monospace", "SFMono-Regular"),
    # Chromium requests the first of these names for the generic family `math`.
    MATH: ("Latin Modern Math", "math", "Cambria Math", "STIX Two Math", "Asana Math", "DejaVu Math TeX Gyre"),
    "Noto Sans Arabic": ("Geeza Pro", "Noto Naskh Arabic", "Arabic UI Text"),
    "Noto Sans Devanagari": ("Kohinoor Devanagari", "Devanagari MT", "Mangal", "Nirmala UI"),
    "Noto Sans Thai": ("Thonburi", "Leelawadee UI", "Noto Serif Thai"),
    EMOJI: ("emoji", "Apple Color Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Android Emoji", "EmojiOne Color", "Twemoji Mozilla"),
    CJK: (
        *("Hiragino Sans", "Hiragino Kaku Gothic ProN", "Hiragino Kaku Gothic Pro", "Yu Gothic", "YuGothic", "Meiryo", "MS Gothic"),
        *("MS PGothic", "Osaka", "Source Han Sans", "Source Han Sans JP"),
    ),
    "Noto Sans CJK SC": (
        *("Noto Sans SC", "PingFang SC", "Microsoft YaHei", "Hiragino Sans GB", "Heiti SC", "SimHei", "SimSun", "STHeiti"),
        *("WenQuanYi Micro Hei", "Source Han Sans SC", "Source Han Sans CN", "fangsong"),
    ),
    "Noto Sans CJK TC": ("Noto Sans TC", "PingFang TC", "Microsoft JhengHei", "Heiti TC", "PMingLiU", "Source Han Sans TC"),
    "Noto Sans CJK HK": ("Noto Sans HK", "PingFang HK"),
    "Noto Sans CJK KR": ("Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", "Nanum Gothic", "Dotum", "Gulim", "Source Han Sans KR"),
}
"""Families in the browser's own font folders, and the further names by which it finds them. They serve families that a script sets at run
time, the browser's own generic families, and writing systems that no other family covers."""

CJK_BY_LANGUAGE = {
    "zh": "Noto Sans CJK SC",
    "zh-cn": "Noto Sans CJK SC",
    "zh-sg": "Noto Sans CJK SC",
    "zh-hans": "Noto Sans CJK SC",
    "zh-tw": "Noto Sans CJK TC",
    "zh-hant": "Noto Sans CJK TC",
    "zh-hk": "Noto Sans CJK HK",
    "ko": "Noto Sans CJK KR",
}
"""Family by the language of a text, because languages write the same character differently; text without a language is Japanese."""


def system_names() -> frozenset[str]:
    """Return every name, in lower case, that needs no `@font-face` rule."""
    installed = (name for family, names in INSTALLED.items() for name in (family, *names))
    return frozenset({name.lower() for name in installed} | set(ALIASES) | GENERIC)


def slug(family: str) -> str:
    """Return the family's name as package and file names write it: `EB Garamond` → `eb-garamond`."""
    return family.lower().replace(" ", "-")
