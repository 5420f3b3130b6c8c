"""A sub-composition declares on its own root that it has no timeline, as in the reference. Its host need not repeat it."""

from __future__ import annotations

import pytest

from hyperframes_lambda.contract.errors import ErrorCode, RenderError

ENTRY = """<!doctype html><html><body>
<div data-composition-id="main" data-no-timeline data-start="0" data-duration="1" data-width="320" data-height="180">
<div class="clip" data-composition-id="late" data-composition-src="late.html" data-start="0" data-duration="1"></div></div></body></html>"""
LATE = '<template id="late-template"><div data-composition-id="late" data-width="320" data-height="180" %s><p>late</p></div></template>'


def test_the_word_of_a_sub_compositions_root_counts(project, opened) -> None:
    with opened(project({"index.html": ENTRY, "late.html": LATE % "data-no-timeline"})):
        pass


def test_without_it_the_missing_timeline_is_named(project, opened) -> None:
    with pytest.raises(RenderError) as raised, opened(project({"index.html": ENTRY, "late.html": LATE % ""})):
        pass
    assert raised.value.code is ErrorCode.COMPOSITION_NOT_READY
    assert 'window.__timelines["late"]' in str(raised.value)
