"""Whatever arrives from outside (configuration, events, plans, archives, pages, timing expressions) ends in a value or in a typed error."""

from __future__ import annotations

import io
import json
import math
import os
import string
import tarfile
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hyperframes_lambda.composition import check_variables, compile_project, declared
from hyperframes_lambda.contract.config import RenderConfig, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import parse_event
from hyperframes_lambda.contract.plan import PROTOCOL, parse_manifest
from hyperframes_lambda.machine.archive import unpack_project

RUNTIME = b"// the runtime"
FIELDS = [name for field, info in RenderConfig.model_fields.items() for name in (field, info.alias or field)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4), max_leaves=12
)
LIKELY = st.sampled_from(
    [
        "mp4",
        "webm",
        "gif",
        "hls",
        "png",
        "h265",
        "high",
        "30000/1001",
        "30/0",
        "-1",
        "8M",
        "1e9",
        0,
        1,
        16,
        30,
        7680,
        -1,
        2**70,
        0.5,
        True,
        [],
        {},
    ]
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=12), LIKELY | JSON, max_size=6))
@example({"variables": {"": [math.inf]}})
@settings(max_examples=300)
def test_a_configuration_is_accepted_and_survives_the_wire_or_names_its_field(data: dict[str, Any]) -> None:
    try:
        config = parse_config(data)
    except RenderError as error:
        assert error.code is ErrorCode.INVALID_CONFIG
        assert error.message.startswith("config")
        return
    assert parse_config(config.to_wire()) == config


EVENT_FIELDS = [
    "Action",
    "ProjectS3Uri",
    "PlanOutputS3Prefix",
    "Config",
    "ManifestS3Uri",
    "PlanHash",
    "ChunkIndex",
    "OutputS3Uri",
    "Payload",
    "Input",
]
EVENT_VALUES = st.sampled_from(["plan", "renderChunk", "assemble", "s3://bucket/key", "s3://bucket/", "s3://B/k", "0" * 64, 0, -1, {}])
EVENTS = st.recursive(
    st.dictionaries(st.sampled_from(EVENT_FIELDS) | st.text(max_size=8), EVENT_VALUES | JSON, max_size=6),
    lambda inner: st.dictionaries(st.sampled_from(["Payload", "Input", "Action"]), inner, max_size=2),
    max_leaves=4,
)


@given(EVENTS)
@settings(max_examples=300)
def test_an_event_is_one_of_the_three_or_invalid(event: dict[str, Any]) -> None:
    try:
        found = parse_event(event)
    except RenderError as error:
        assert error.code is ErrorCode.INVALID_EVENT
        return
    assert found.action in ("plan", "renderChunk", "assemble")


@given(
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        st.sampled_from(["protocol", "planHash", "files", "chunks", "fps", "config"]), LIKELY | JSON | st.just(PROTOCOL), max_size=6
    ).map(lambda value: json.dumps(value).encode())
)
@settings(max_examples=200)
def test_a_manifest_that_nobody_sealed_is_refused(text: bytes) -> None:
    with pytest.raises(RenderError) as caught:
        parse_manifest(text)
    assert caught.value.code in (ErrorCode.PLAN_PROTOCOL_UNSUPPORTED, ErrorCode.PLAN_HASH_MISMATCH)


NAMES = st.sampled_from(
    ["index.html", "a/b.js", "../out", "/etc/x", "a", "a/../../x", "", ".", "..", "x" * 300, "\\x", "a\x00b", "ü"]
) | st.text(max_size=12)
MEMBERS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"Z"]),
        NAMES,
        st.integers(0, 20),
    ),
    max_size=6,
)
DAMAGE = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3)


def tar_gz(members: list[tuple[str, bytes, str, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", errors="surrogateescape") as tar:
        for name, kind, target, size in [*members, ("index.html", tarfile.REGTYPE, "", 3)]:
            member = tarfile.TarInfo(name.replace("\x00", ""))
            member.type, member.linkname = kind, target.replace("\x00", "")
            member.size = size if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"x" * size))
    return buffer.getvalue()


@given(MEMBERS, DAMAGE, st.integers(0, 4000) | st.none())
@example([("", tarfile.SYMTYPE, "", 0)], [], None)
@example([(".", tarfile.LNKTYPE, "index.html", 0)], [], None)
@example([("a", tarfile.LNKTYPE, "a", 0), ("b", tarfile.LNKTYPE, "c", 0), ("c", tarfile.LNKTYPE, "b", 0)], [], None)
@example(
    [
        ("00-\xbb\U0001edeb", tarfile.SYMTYPE, "00\x90\xa2\xdd", 0),
        ("00\x1d\x90", tarfile.REGTYPE, "index.html", 0),
        ("0D\u0980\U00028be4", tarfile.DIRTYPE, "index.html", 0),
        ("index.html", tarfile.REGTYPE, "\xfc", 1),
    ],
    [(2245, 0)],
    177,
)
@settings(max_examples=150, deadline=None)
def test_an_archive_stays_inside_its_folder_or_is_rejected(members, damage, cut: int | None) -> None:
    data = bytearray(tar_gz(members)[:cut])
    for position, value in damage:
        if data:
            data[position % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "project.tar.gz").write_bytes(data)
        try:
            root = unpack_project(work / "project.tar.gz", work / "into", entry="index.html")
        except RenderError as error:
            assert error.code is ErrorCode.ARCHIVE_REJECTED
        else:
            assert (root / "index.html").is_file()
        outside = [path for path in work.rglob("*") if not path.is_relative_to(work / "into") and path.name != "project.tar.gz"]
        assert outside == []
        links = [path for path in (work / "into").rglob("*") if path.is_symlink()]
        assert all(Path(os.path.realpath(path)).is_relative_to(os.path.realpath(work / "into")) for path in links)


MARKUP = st.lists(
    st.sampled_from(
        [
            "<html>",
            "<head>",
            "</head>",
            "<body>",
            "</body>",
            "</html>",
            "<!doctype html>",
            "<!--",
            "-->",
            "<script>",
            "</script>",
            "<style>",
            "</style>",
            "<template>",
            "</template>",
            '<div data-composition-id="a" data-width="320" data-height="180">',
            "</div>",
            '<div data-composition-src="b.html">',
            '<div data-composition-src="index.html">',
            '<div data-composition-src="../x.html">',
            'data-width="-3"',
            "<p data-width=x data-composition-id>",
            "data-composition-variables='[{\"id\":1}]'",
            "<div data-composition-id=c data-composition-variables='{}'>",
            "<",
            ">",
            "&#0;",
            "<![CDATA[",
            "]]>",
            "@import 'x';",
            "url(",
            "a{b:c",
            "}",
            "\x00",
            "\ufeff",
            "<svg><style>",
            "<iframe srcdoc='<b>'>",
            "<img src=//x>",
        ]
    )
    | st.text(alphabet=string.printable, max_size=10),
    max_size=14,
).map("".join)


@given(MARKUP, MARKUP)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_page_compiles_or_is_refused_by_code(entry: str, other: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "index.html").write_text(entry, encoding="utf-8")
        (project / "b.html").write_text(other, encoding="utf-8")
        try:
            declaration = declared(project, "index.html")
            served = compile_project(project, "index.html", runtime_js=RUNTIME, fps=Fraction(30))
        except RenderError as error:
            assert error.code in (ErrorCode.INVALID_CONFIG, ErrorCode.ASSET_UNAVAILABLE, ErrorCode.COMPOSITION_ERROR)
            return
        assert b"__hyperframes/virtual_time.js" in served["index.html"].read()
        try:
            check_variables(declaration.variables, {"x": object()})
        except RenderError as error:
            assert error.code is ErrorCode.INVALID_CONFIG


@dataclass(frozen=True)
class Clip:
    """A timed element: its expression, and what it means by the composition's rules."""

    expression: str
    start: float


IDS = ("c0", "c1", "c2", "c3", "c4", "c5")
NUMBERS = st.sampled_from(["0", "0.5", "1", ".25", "-1", "1e0", " 0.75 ", "", "NaN", "Infinity", "1s", "--", "0x1", "٣"])
REFERENCES = st.builds(
    lambda name, space, sign, number: f"{name}{space}{sign}{space}{number}" if sign else name,
    st.sampled_from([*IDS, "nobody", "root", "c0.5", "c 0", "#c1"]),
    st.sampled_from([" ", "  ", "", "\t"]),
    st.sampled_from(["", "+", "-", "*"]),
    st.sampled_from(["0.5", "1", "x", "", "9999"]),
)
EXPRESSIONS = st.lists(NUMBERS | REFERENCES | st.text(alphabet=string.printable, max_size=8), min_size=len(IDS), max_size=len(IDS))


@given(EXPRESSIONS)
@example(["0.5", "c0", "c1 + 0.5", "c2 - 1", "nobody", "c5"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_timing_expression_gives_a_place_on_the_timeline_or_a_typed_error(opened, project, expressions: list[str]) -> None:
    clips = "".join(
        f'<div id="{name}" class="clip" data-start="{expression.translate(ESCAPED)}" data-duration="0.5"><b></b></div>'
        for name, expression in zip(IDS, expressions, strict=True)
    )
    page = (
        "<!doctype html><style>@keyframes k{to{opacity:.5}} b{animation:k 100s linear both}</style>"
        '<div id="root" data-composition-id="root" data-no-timeline data-start="0" data-width="320" data-height="180" data-duration="3">'
        f"{clips}</div>"
    )
    try:
        with opened(project({"index.html": page})) as composition:
            composition.capture(1.0)
            local = composition.ask("document.getAnimations().map(a => a.currentTime)")
    except RenderError as error:
        assert error.code in ErrorCode
        return
    assert all(isinstance(time, (int, float)) and math.isfinite(time) and 0 <= time <= 1000.001 for time in local)


ESCAPED = {ord(letter): f"&#{ord(letter)};" for letter in '"&<>\x0b\x0c\r\n'}


STARTS = {
    "0.5": 0.5,
    "first": 1.0,
    "first + 0.25": 1.25,
    "first - 0.5": 0.5,
    "first - 5": 0.0,
    "nobody": 0.0,
    "first+0.25": 1.25,
    "first-name": 0.25,
    "": 0.0,
    "-2": 0.0,
}


def test_a_timing_expression_means_what_the_rules_say(opened, project) -> None:
    clips = "".join(
        f'<div id="self{number}" class="clip" data-start="{text}" data-duration="2"></div>' for number, text in enumerate(STARTS)
    )
    page = (
        "<!doctype html><style>@keyframes k{to{opacity:.5}} .clip{animation:k 100s linear both}</style>"
        '<div id="root" data-composition-id="root" data-no-timeline data-start="0" data-width="320" data-height="180" data-duration="3">'
        '<div id="first" class="clip" data-start="0.5" data-duration="0.5"></div>'
        f'<div id="first-name" class="clip" data-start="0" data-duration="0.25"></div>{clips}</div>'
    )
    with opened(project({"index.html": page})) as composition:

        def seen(number: int) -> tuple[float, str]:
            of = f"document.getElementById('self{number}')"
            return composition.ask(f"{of}.getAnimations()[0].currentTime"), composition.ask(f"getComputedStyle({of}).visibility")

        composition.capture(1.4)
        found = {expression: seen(number) for number, expression in enumerate(STARTS)}
        for number, (expression, start) in enumerate(STARTS.items()):
            assert found[expression] == (pytest.approx((1.4 - start) * 1000, abs=0.01), "visible"), expression
            if start > 0.1:
                composition.capture(start - 0.05)
                assert seen(number)[1] == "hidden", expression
