"""Values that never reach a log line or an error message, and text that stays readable."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.entry import handler as handler_module
from hyperframes_lambda.entry.handler import wire_error
from hyperframes_lambda.machine.redaction import Redactor, redact_other_loggers, redacted_json, redactor


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    redactor.forget()
    yield
    redactor.forget()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("GET https://cdn.example/a.js failed (404)", "GET https://cdn.example/a.js failed (404)"),
        ("https://studio:pass@cdn.example/a.js", "https://***@cdn.example/a.js"),
        ("https://studio:p@ss@cdn.example/a.js", "https://***@cdn.example/a.js"),
        (
            "https://cdn.example/a.mp4?X-Amz-Signature=abc&Expires=1 (403)",
            "https://cdn.example/a.mp4?X-Amz-Signature=***&Expires=*** (403)",
        ),
        ("'https://cdn.example/css2?family=Inter&display=swap'", "'https://cdn.example/css2?family=***&display=***'"),
        ("assets/film.mp4?token=abc#t=2", "assets/film.mp4?token=***#t=***"),
        ("Signature=abc&x=1", "Signature=***&x=1"),
        ("access_token=abc", "access_token=***"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("AKIAABCDEFGHIJKLMNOP signed it", "*** signed it"),
        ("why? because a == b", "why? because a == b"),
        ("s3://bucket/renders/r1/plan/manifest.json does not exist", "s3://bucket/renders/r1/plan/manifest.json does not exist"),
        ("frames 120 to 239 of 240 at 30000/1001", "frames 120 to 239 of 240 at 30000/1001"),
    ],
)
def test_credentials_in_urls(text: str, told: str) -> None:
    assert redactor.text(text) == told


@pytest.mark.parametrize(
    "text",
    [
        'the title "Loss & <gain>" is too long',
        "escaped: Loss &amp; &lt;gain&gt;",
        "in a path: Loss%20%26%20%3Cgain%3E",
        json.dumps({"message": 'a "Loss & <gain>"'}),
    ],
)
def test_a_variable_s_value_in_every_form(text: str) -> None:
    redactor.learn({"rows": [{"title": "Loss & <gain>"}]})
    told = redactor.text(text)
    assert "Loss" not in told and "gain" not in told
    assert "[variables.rows.0.title]" in told


def test_a_quoted_beginning_of_a_long_value_is_hidden_too() -> None:
    redactor.learn({"text": "It was the best of times, it was the worst of times"})
    assert redactor.text("variables.text: 'It was the best of ti…' is too long") == "variables.text: '[variables.text]…' is too long"


def test_what_says_nothing_stays() -> None:
    redactor.learn({"on": True, "shade": "red", "count": 42, "nothing": None, "card": 4111111111111111})
    assert redactor.text("frame 42 is red: True, None, 4111111111111111") == "frame 42 is red: True, None, [variables.card]"


def test_the_next_invocation_knows_nothing_of_the_last_one() -> None:
    redactor.learn({"title": "Weekly recap"})
    redactor.forget()
    assert redactor.text("Weekly recap") == "Weekly recap"


@given(st.text(min_size=4, max_size=60), st.text(max_size=40), st.text(max_size=40))
def test_no_value_survives_wherever_it_stands(value: str, before: str, after: str) -> None:
    known = Redactor()
    known.learn({"v": value})
    # The name that takes its place may happen to have it in it.
    assert value not in known.text(before + value + after).replace("[variables.v]", "")


def test_a_log_line_stays_json() -> None:
    redactor.learn({"title": 'say "hello"\nto all'})
    record = {"message": 'page: say "hello"\nto all', "url": "https://a:b@c.example/d?e=f\nnext"}
    assert json.loads(redacted_json(record)) == {"message": "page: [variables.title]", "url": "https://***@c.example/d?e=***\nnext"}


def test_a_log_line_keeps_its_names_its_numbers_and_whose_it_is() -> None:
    """Values that stand there by chance garble nothing: readers find the lines of a render by these fields."""
    redactor.learn({"a": "weekly-recap", "b": "true", "c": 123456, "d": "level", "e": "renderChunk", "f": "cause"})
    own = {
        "level": "level",
        "location": "level:123456",
        "timestamp": "123456",
        "service": "weekly-recap",
        "function_name": "weekly-recap-f",
    }
    own |= {"action": "renderChunk", "execution": "weekly-recap-g1", "render": "renders/weekly-recap/", "chunk": 123456, "cold_start": True}
    told = {
        "message": "failed",
        "cause": "of weekly-recap",
        "result": {"level": ["weekly-recap", 123456, True, None]},
        "error": KeyError("weekly-recap"),
    }
    assert json.loads(redacted_json(own | told)) == own | {
        "message": "failed",
        "cause": "of [variables.a]",
        "result": {"level": ["[variables.a]", 123456, True, None]},
        "error": "'[variables.a]'",
    }


@pytest.mark.parametrize("write", [str, json.dumps, quote, lambda text: quote(text, safe="")])
def test_a_url_is_known_by_what_is_behind_its_host(write: Callable[[str], str]) -> None:
    redactor.learn({"film": "https://cdn.example/films/launch-day.mp4"})
    assert write("https://cdn.example/fonts/inter.woff2") == redactor.text(write("https://cdn.example/fonts/inter.woff2"))
    assert write("https://cdn.example.org") == redactor.text(write("https://cdn.example.org"))
    for quoted in ("https://cdn.example/films/launch-day.mp4", "https://cdn.example/films/launch-d"):
        told = redactor.text(write(quoted))
        assert "[variables.film]" in told and "cdn.example" not in told and "launch" not in told


def test_a_url_with_user_info_is_hidden_from_there_on() -> None:
    redactor.learn({"film": "https://studio:password@cdn.example/launch-day.mp4"})
    assert redactor.text("https://studio:passw…") == "[variables.film]…"


def test_an_error_on_the_wire() -> None:
    redactor.learn({"title": "Weekly recap"})
    error = wire_error(
        RenderError(ErrorCode.COMPOSITION_ERROR, "Weekly recap: https://a:b@c.example", hint="Look at Weekly recap."), "Plan"
    )
    assert type(error).__name__ == "COMPOSITION_ERROR"
    assert str(error) == "Plan: [variables.title]: https://***@c.example\nLook at [variables.title]."


def test_an_error_that_nobody_foresaw_keeps_its_class_and_loses_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(
        function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn", aws_request_id="r", get_remaining_time_in_millis=lambda: 1000
    )
    event = {"Action": "plan", "ProjectS3Uri": "s3://bucket/p.tar.gz", "PlanOutputS3Prefix": "s3://bucket/renders/r/"}

    def fail(*_: object) -> None:
        redactor.learn({"title": "Weekly recap"})
        raise LookupError("Weekly recap at https://a:b@c.example")

    monkeypatch.setattr(handler_module, "_run", fail)
    with pytest.raises(Exception, match="variables") as caught:
        handler_module.handler(event, context)
    assert (type(caught.value).__name__, str(caught.value)) == ("LookupError", "[variables.title] at https://***@c.example")
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_libraries_log_through_it(caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        redact_other_loggers()
        redact_other_loggers()
        assert len(handler.filters) == 1
        record = logging.LogRecord("urllib3", logging.WARNING, "", 0, "Retrying %s", ("/a?X-Amz-Signature=abc",), None)
        assert handler.filter(record)
        assert record.getMessage() == "Retrying /a?X-Amz-Signature=***"

        redactor.learn({"title": "Weekly recap"})
        try:
            raise LookupError("Weekly recap at https://a:b@c.example")
        except LookupError:
            failed = logging.LogRecord("urllib3", logging.ERROR, "", 0, "gone", (), sys.exc_info())
        assert handler.filter(failed)
        told = handler.format(failed)
        assert told.startswith("gone\nTraceback") and told.endswith("LookupError: [variables.title] at https://***@c.example")

        wrong = logging.LogRecord("urllib3", logging.ERROR, "", 0, "Weekly recap: %d of %d", ("some",), None)
        assert handler.filter(wrong)
        assert handler.format(wrong) == "'[variables.title]: %d of %d', logged with arguments that do not fit it"
    finally:
        logging.getLogger().removeHandler(handler)
        for known in logging.getLogger().handlers:
            known.filters.clear()
