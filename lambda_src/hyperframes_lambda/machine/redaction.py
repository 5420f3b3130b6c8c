"""Redaction of log lines and error messages: values of variables, and credentials in URLs.

It applies where text leaves the function: to every log line as it is written, and to every error as it is raised.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

MASK = "***"

_SHORTEST_TEXT, _SHORTEST_NUMBER = 4, 6
"""Minimum lengths in characters. Shorter values (`red`, `42`) reveal nothing, and hiding them would garble unrelated messages."""
_OPENING = 12
"""Characters that identify a long value, because messages truncate what they quote; in a URL, the characters behind the host."""
_TO_HOST = re.compile(r"[^/?#@]{1,12}://[^/?#@\s]*(?![^/?#\s]*@)")
"""Start of a URL that other URLs share; one with user info shares nothing."""

_OWN = {
    *("level", "location", "timestamp", "service", "cold_start", "xray_trace_id", "exception_name"),
    *("function_name", "function_memory_size", "function_arn", "function_request_id"),
    *("action", "execution", "render", "chunk"),
}
"""Fields that identify a log line. They contain no secrets, and readers search for them."""

_FORMS: tuple[Callable[[str], str], ...] = (
    str,
    lambda value: json.dumps(value)[1:-1],
    lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    lambda value: repr(value)[1:-1],
    html.escape,
    quote,
    partial(quote, safe=""),
)
"""Notations in which a value may appear."""

_END = r"\s\"'<>\\"
_USER_INFO = re.compile(rf"(?<=://)[^{_END}/?#]+@")
_QUERY = re.compile(rf"\?(?=[^{_END}?#=&]+=)[^{_END}]*")
_QUERY_VALUE = re.compile(r"=[^&#]*")
_CREDENTIAL = re.compile(rf"(?i)\b(x-amz-\w+|signature|awsaccesskeyid|\w*token|\w*secret|\w*password|api_?key|sig)=[^&#{_END}]+")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")


class Redactor:
    """Replaces the values of one invocation's variables by the variables' names."""

    def __init__(self) -> None:
        self._values: list[tuple[str, int, str]] = []
        """A notation of a value, the number of characters that identify it, and its replacement."""

    def forget(self) -> None:
        """Forget the variables, before the next invocation of the sandbox."""
        self._values = []

    def learn(self, variables: object) -> None:
        """Hide the values of `variables`, of any shape, from now on."""
        values: dict[str, tuple[str, int, str]] = {}
        for path, value in _leaves("variables", variables):
            shared = _TO_HOST.match(value)
            for form in _FORMS:
                opening = _OPENING + (len(form(shared.group())) if shared else 0)
                values.setdefault(form(value), (form(value), opening, f"[{path}]"))
        # The longest first, because a value may be part of another.
        self._values = sorted(values.values(), key=lambda known: -len(known[0]))

    def text(self, text: str) -> str:
        """Return `text` without values and credentials."""
        for known in self._values:
            text = _hide(text, *known)
        text = _USER_INFO.sub(f"{MASK}@", text)
        text = _QUERY.sub(lambda query: _QUERY_VALUE.sub(f"={MASK}", query.group()), text)
        text = _CREDENTIAL.sub(lambda found: f"{found.group(1)}={MASK}", text)
        text = _AUTHORIZATION.sub(lambda found: f"{found.group(1)} {MASK}", text)
        return _ACCESS_KEY.sub(MASK, text)


redactor = Redactor()
"""The redactor of this process, which runs one invocation at a time."""


def redacted_json(record: Mapping[str, Any]) -> str:
    """Serialise a log record with its texts redacted; names, numbers and the logger's own fields stay."""
    return json.dumps({name: value if name in _OWN else _redacted(value) for name, value in record.items()}, default=str)


def _redacted(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _redacted(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return redactor.text(str(value))


def redact_other_loggers() -> None:
    """Redact what libraries log through the handlers that the runtime has installed."""
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, _Filter) for known in handler.filters):
            handler.addFilter(_Filter())


_FORMATTER = logging.Formatter()


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - no render fails for a library's faulty log call
            message = f"{record.msg!r}, logged with arguments that do not fit it"
        record.msg, record.args = redactor.text(message), ()
        if record.exc_info:
            record.exc_text, record.exc_info = redactor.text(_FORMATTER.formatException(record.exc_info)), None
        return True


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{path}.{name}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}.{index}", item)
    elif isinstance(value, str):
        if len(value) >= _SHORTEST_TEXT:
            yield path, value
    elif not isinstance(value, bool) and value is not None and len(str(value)) >= _SHORTEST_NUMBER:
        yield path, str(value)


def _hide(text: str, value: str, enough: int, name: str) -> str:
    """Replace every occurrence of `value`, or of at least its first `enough` characters, by `name`."""
    opening, pieces, rest = value[:enough], [], text
    while (start := rest.find(opening)) >= 0:
        end = start + len(opening)
        while end < len(rest) and end - start < len(value) and rest[end] == value[end - start]:
            end += 1
        pieces += [rest[:start], name]
        rest = rest[end:]
    return "".join(pieces) + rest
