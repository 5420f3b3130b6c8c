"""Settings that each format accepts, and the errors about those that it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from hyperframes_lambda.contract.config import METADATA_NAMES, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import FORMATS, FRAME_RATES, SEGMENT_CONTENT_TYPES, Kind, OutputFormat, format_of
from hyperframes_lambda.contract.sizing import FrameCost, Machine, Sizing, Wishes, choose
from hyperframes_lambda.planning.sizing import planned_sizing


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"codec": "vp9"}, ["config.codec", "'vp9'", "h264 or h265"]),
        ({"format": "hls", "codec": "h265"}, ["config.codec", "accepted: h264"]),
        ({"format": "gif", "codec": "h264"}, ["config.codec", "gif"]),
        ({"crf": 52}, ["config.crf", "52", "h264: 0 to 51"]),
        ({"codec": "h265", "crf": 52}, ["config.crf", "h265: 0 to 51"]),
        ({"format": "webm", "crf": 64}, ["config.crf", "63"]),
        ({"format": "mov", "crf": 10}, ["config.crf", "prores", "mp4, webm, hls"]),
        ({"format": "mov", "bitrate": "8M"}, ["config.bitrate", "prores"]),
        ({"format": "jpeg", "bitrate": "8M"}, ["config.bitrate", "jpeg"]),
        ({"format": "wav", "crf": 10}, ["config.crf", "wav"]),
        ({"fps": 15}, ["config.fps", "15", "24, 25, 30"]),
        ({"format": "gif", "fps": 60}, ["config.fps", "60", "10, 12, 15, 20, 24, 25, 30, 50"]),
        ({"format": "gif", "fps": 30, "cfr": True}, ["config.cfr", "10, 20, 25 or 50"]),
        ({"cfr": "yes"}, ["config.cfr", "'yes'"]),
        ({"audio": "no"}, ["config.audio", "'no'"]),
        ({"format": "m4a", "audio": False}, ["config.audio", "m4a"]),
        ({"audioCodec": "pcm"}, ["config.audioCodec", "aac or opus"]),
        ({"format": "webm", "audioCodec": "aac"}, ["config.audioCodec", "accepted: opus"]),
        ({"format": "png", "audioCodec": "aac"}, ["config.audioCodec", "silent"]),
        ({"audioBitrate": "31k"}, ["config.audioBitrate", "'31k'", "32k to 512k"]),
        ({"audioBitrate": "1M"}, ["config.audioBitrate", "512k"]),
        ({"audioBitrate": 128}, ["config.audioBitrate", "128"]),
        ({"format": "mov", "audioBitrate": "64k"}, ["config.audioBitrate", "pcm"]),
        ({"metadata": {"titel": "x"}}, ["config.metadata.titel", "did you mean 'title'?", "copyright"]),
        ({"metadata": {"Title": "x"}}, ["config.metadata.Title", "did you mean 'title'?"]),
        ({"metadata": {"title": ""}}, ["config.metadata.title", "''"]),
        ({"metadata": {"title": 3}}, ["config.metadata.title", "3"]),
        ({"metadata": {"title": "x" * 1001}}, ["config.metadata.title", "1000"]),
        ({"metadata": {"title": "a\x00b"}}, ["config.metadata.title", "control characters"]),
        ({"format": "gif", "metadata": {"title": "x"}}, ["config.metadata", "mp4, webm, mov, m4a, wav"]),
        ({"frame": 3}, ["config.frame", "png, jpeg, webp"]),
        ({"format": "png", "frame": -1}, ["config.frame", "-1"]),
        ({"format": "png", "frame": 1.5}, ["config.frame", "1.5"]),
        ({"format": "png", "at": -0.1}, ["config.at", "-0.1"]),
        ({"format": "png", "at": float("inf")}, ["config.at", "inf"]),
        ({"format": "png", "frame": 1, "at": 1}, ["config.at", "frame and at exclude each other"]),
        ({"format": "gif", "gifLoop": 65_536}, ["config.gifLoop", "65536", "65535"]),
        ({"gifLoop": 1}, ["config.gifLoop", "accepted with gif"]),
        ({"format": "hls", "hlsSegmentSeconds": 0}, ["config.hlsSegmentSeconds", "0"]),
        ({"hlsSegmentSeconds": 2}, ["config.hlsSegmentSeconds", "accepted with hls"]),
        ({"audioCodek": "aac"}, ["config.audioCodek", "did you mean 'audioCodec'?"]),
        ({"gifloop": 1}, ["config.gifloop", "unknown field", "gif"]),
        ({"format": "mpeg"}, ["config.format", "'mpeg'", "webm", "m4a"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_what_a_format_does_not_accept_is_named_with_what_it_does(config: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RenderError) as caught:
        parse_config(config)
    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", list(OutputFormat))
def test_every_format_has_what_the_rest_of_the_engine_asks_it_for(name: OutputFormat) -> None:
    spec = name.spec
    assert format_of(spec.suffix.upper()) is name
    assert (spec.segment_suffix in SEGMENT_CONTENT_TYPES) is (spec.kind is not Kind.SOUND)
    assert bool(spec.codecs) is (spec.kind is Kind.VIDEO)
    config = parse_config({"format": name.value, "cfr": name is not OutputFormat.GIF})
    assert config.video_codec == (spec.codecs[0] if spec.codecs else None)
    assert config.sound_codec == (spec.audio_codecs[0] if spec.audio_codecs else None)
    assert len({other.suffix for other in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize(
    "config",
    [
        {"format": "mp4", "codec": "h265", "crf": 51, "audioCodec": "opus", "audioBitrate": "512k"},
        {"format": "webm", "crf": 63, "metadata": dict.fromkeys(METADATA_NAMES, "Größe\n👪\u200d")},
        {"format": "mov", "audioCodec": "aac", "cfr": True},
        {"format": "gif", "fps": 15, "gifLoop": 1},
        {"format": "hls", "hlsSegmentSeconds": 6, "bitrate": "8M"},
        {"format": "jpeg", "at": 1.5, "quality": "high"},
        {"format": "png", "frame": 3},
        {"format": "wav", "fps": "24000/1001"},
        {"audio": False},
    ],
    ids=lambda config: config.get("format", "mp4"),
)
def test_what_is_accepted_survives_the_wire(config: dict[str, Any]) -> None:
    read = parse_config(config)
    assert parse_config(json.loads(json.dumps(read.to_wire()))) == read
    assert {name: value for name, value in config.items() if name != "format"}.items() <= read.to_wire().items()


def cut(total: int) -> Sizing:
    return choose(total, 320 * 180, FrameCost(0.1, 0.1, 0.01), Machine.of_function(10_240, 900), Wishes())


@pytest.mark.parametrize(
    ("at", "fps", "frame"),
    [
        (0, Fraction(30), 0),
        (0.0333, Fraction(30), 0),
        (1 / 30, Fraction(30), 1),
        (0.7, Fraction(10), 7),
        (float(Fraction(1001, 30000) * 17), Fraction(30000, 1001), 17),
        (0.999, Fraction(24), 23),
    ],
)
def test_a_moment_is_the_frame_that_is_shown_then(at: float, fps: Fraction, frame: int) -> None:
    total, sizing = planned_sizing(parse_config({"format": "png", "at": at}), 24, fps, cut)
    assert (total, [(chunk.first, chunk.last) for chunk in sizing.chunks]) == (1, [(frame, frame)])
    assert (sizing.segment_frames, sizing.workers, sizing.max_parallel) == (1, 1, 1)


@pytest.mark.parametrize("fps", FRAME_RATES, ids=str)
def test_sound_alone_keeps_the_length_and_needs_no_chunks(fps: Fraction) -> None:
    total, sizing = planned_sizing(parse_config({"format": "wav"}), 240, fps, cut)
    assert (total, sizing.chunks) == (240, [])
