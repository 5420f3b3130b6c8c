from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.contract.events import PlanResult
from hyperframes_lambda.contract.formats import OutputFormat
from hyperframes_provider.client.aws.errors import InvalidRequest, RequestTooLarge
from hyperframes_provider.client.request import names
from hyperframes_provider.client.request.request import INPUT_LIMIT, PLAN_RESERVE, PreparedRender, RenderTarget, prepare, read_config

TARGET = RenderTarget("renders-bucket", "arn:aws:states:us-east-1:123456789012:stateMachine:render")


@pytest.fixture
def request_of(tmp_path: Path):
    (tmp_path / "index.html").write_text("<p>")

    def make(*, config: dict[str, Any] | None = None, output: str | None = None, identity: tuple[object, ...] = ("dag", "task", "run", -1)):
        return prepare(TARGET, project=tmp_path, config=read_config(config), output=output, label="weekly_recap-render", identity=identity)

    return make


def test_the_input_is_what_the_contract_says(request_of) -> None:
    prepared: PreparedRender = request_of(config={"fps": 30, "chunk_size": 60, "variables": {"title": "Größe"}})

    wire = json.loads(prepared.input_json(1))
    assert wire == {
        "ProjectS3Uri": prepared.project.archive.uri,
        "PlanOutputS3Prefix": f"s3://renders-bucket/renders/{prepared.render_id}/",
        "OutputS3Uri": f"s3://renders-bucket/outputs/{prepared.render_id}.mp4",
        "Config": {"fps": 30, "chunkSize": 60, "variables": {"title": "Größe"}},
    }
    assert "Größe" in prepared.input_json(1)


def test_the_same_request_has_the_same_name_and_any_other_another(request_of) -> None:
    base = request_of()
    others = [
        *(request_of(identity=identity) for identity in [("x", "task", "run", -1), ("dag", "x", "run", -1), ("dag", "task", "x", -1)]),
        request_of(identity=("dag", "task", "run", 0)),
        request_of(output="outputs/recap.mp4"),
        request_of(config={"fps": 30}),
        request_of(config={"variables": {"title": "x"}}),
    ]

    assert request_of().render_id == base.render_id
    assert request_of(config={"quality": "standard"}).render_id == base.render_id
    assert len({base.render_id, *(other.render_id for other in others)}) == 1 + len(others)


@pytest.mark.parametrize("label", ["demo", "Ünïcode / 日本", "x" * 300, "", "--a__b--"])
def test_names_fit_step_functions_and_lead_back_to_their_render(label: str) -> None:
    render = names.render_id(label, "identity")
    name = names.execution_name(render, 12345)

    assert len(name) <= 80
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert names.render_id_of(name) == render
    arn = names.execution_arn(TARGET.state_machine_arn, name)
    assert arn == f"arn:aws:states:us-east-1:123456789012:execution:render:{name}"
    assert names.short_id(arn) == render[-36:-28]


@pytest.mark.parametrize(
    ("output", "config", "uri"),
    [
        ("outputs/demo.mp4", {}, "s3://renders-bucket/outputs/demo.mp4"),
        ("/outputs/demo.mp4", {}, "s3://renders-bucket/outputs/demo.mp4"),
        ("s3://studio/videos/recap.MP4", {}, "s3://studio/videos/recap.MP4"),
        ("videos/release-1.2", {}, "s3://renders-bucket/videos/release-1.2"),
        ("frames.tar", {"format": "png-sequence"}, "s3://renders-bucket/frames.tar"),
        ("film.webm", {"format": "webm"}, "s3://renders-bucket/film.webm"),
        ("poster.jpeg", {"format": "jpeg"}, "s3://renders-bucket/poster.jpeg"),
        ("live/film.m3u8", {"format": "hls"}, "s3://renders-bucket/live/film.m3u8"),
    ],
)
def test_an_output_is_a_uri_or_a_key_of_the_stack(output: str, config, uri: str, request_of) -> None:
    assert request_of(output=output, config=config).output_uri == uri


@pytest.mark.parametrize("name", list(OutputFormat))
def test_a_default_output_ends_as_its_format_does(name: OutputFormat, request_of) -> None:
    prepared = request_of(config={"format": name.value})
    folder = f"{prepared.render_id}/index" if name is OutputFormat.HLS else prepared.render_id
    assert prepared.output_uri == f"s3://renders-bucket/outputs/{folder}{name.spec.suffix}"
    others = {other.spec.suffix for other in OutputFormat} - {name.spec.suffix}
    for suffix in others | {".mkv"}:
        with pytest.raises(InvalidRequest, match=f"makes {name.spec.suffix}"):
            request_of(config={"format": name.value}, output=f"outputs/recap{suffix}")


@pytest.mark.parametrize(
    "output", ["s3://studio/", "videos/", "recap.mov", "frames.tar", "s3://S/x.mp4", "https://studio/recap.mp4", "é" * 2000]
)
def test_an_output_that_cannot_be_is_refused(output: str, request_of) -> None:
    with pytest.raises(InvalidRequest):
        request_of(output=output)


def test_an_output_that_would_expire_gets_a_warning(request_of) -> None:
    assert request_of(output="outputs/x.mp4").warnings == ()
    assert request_of(output="s3://elsewhere/renders/x.mp4").warnings == ()
    (warning,) = request_of(output="renders/x.mp4").warnings
    assert "objects expire" in warning


def metadata_of(size: int) -> dict[str, Any]:
    return {"variables": {"text": "é" * (size // 2) + "x" * (size % 2)}}


def test_variables_leave_the_input_from_the_byte_on_with_which_it_would_be_too_large(request_of) -> None:
    frame = len(request_of(config={"variables": {"text": ""}}).input_json(1).encode())
    room = INPUT_LIMIT - PLAN_RESERVE - frame

    fits = request_of(config=metadata_of(room))
    apart = request_of(config=metadata_of(room + 1))

    assert fits.variables_json is None
    assert len(fits.input_json(1).encode()) == INPUT_LIMIT - PLAN_RESERVE
    assert json.loads(apart.variables_json) == metadata_of(room + 1)["variables"]
    assert json.loads(apart.input_json(1))["Config"] == {"variablesS3Uri": f"s3://renders-bucket/renders/{apart.render_id}/variables.json"}
    assert apart.variables.uri == f"s3://renders-bucket/renders/{apart.render_id}/variables.json"


def test_the_result_of_the_largest_plan_finds_the_room_that_is_kept_for_it() -> None:
    text = "x" * 64
    plan = PlanResult(
        ManifestS3Uri="s3://" + "b" * 63 + "/" + "k" * 1131,
        plan_hash="0" * 64,
        chunk_count=1000,
        chunks=list(range(1000)),
        max_parallel_chunks=1000,
        total_frames=3_600_000,
        fps="30000/1001",
        duration=120_120.0,
        width=7680,
        height=4320,
        format="png-sequence",
        has_audio=True,
        renderer_version=text,
        browser_version=text,
        ffmpeg_version=text,
        runtime_version=text,
        reused=False,
        duration_ms=900_000,
    )
    assert len(json.dumps(plan.to_wire()).encode()) < PLAN_RESERVE


def test_other_large_variables_are_another_render(request_of) -> None:
    first, second = (request_of(config={"variables": {"text": letter * INPUT_LIMIT}}) for letter in "ab")

    assert first.render_id != second.render_id
    assert first.render_id == request_of(config={"variables": {"text": "a" * INPUT_LIMIT}}).render_id


def test_variables_over_the_limit_are_refused_naming_the_one_that_is_to_blame(request_of) -> None:
    variables = {"title": "x", "data": {"rows": [["x" * 1000] * 17000], "unit": "kg"}}

    with pytest.raises(RequestTooLarge, match=r"^Config\.variables\.data\.rows makes the variables too large: 17,"):
        request_of(config={"variables": variables})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_has_no_json_is_refused_before_it_is_sent(value: object, request_of) -> None:
    with pytest.raises((InvalidRequest, RenderError)):
        request_of(config={"variables": {"value": value}})


def test_variables_are_given_once() -> None:
    assert read_config({"fps": 30}, {"title": "x"}).variables == {"title": "x"}
    with pytest.raises(RenderError, match="given twice"):
        read_config({"variables": {}}, {"title": "x"})
