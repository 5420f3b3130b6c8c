"""Caption files of a project: those that its page names in `<track>`, and those called `captions.…`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from hyperframes_lambda.composition.files import ServedFile
from hyperframes_lambda.composition.html import tokenize
from hyperframes_lambda.composition.source import is_local, resolve
from hyperframes_lambda.contract.config import RenderConfig, Sidecar
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import CaptionFile

CAPTION_SUFFIXES = (".vtt", ".srt")

_NAMED = re.compile(r"captions(?:[._-](?P<language>[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.(?:vtt|srt)", re.IGNORECASE)
_TRACK_KINDS = (None, "", "captions", "subtitles")
"""Kinds of `<track>` that are captions. One without a kind holds subtitles."""


def requested_captions(served: Mapping[str, ServedFile], config: RenderConfig) -> list[CaptionFile]:
    """Return the caption files of the compiled project `served` with their languages; none unless the configuration requests them.

    The language is the `srclang` of a `<track>` or part of the file name, as in `captions.de.vtt`. A `<track>` on another host is ignored,
    because captions are delivered as files of the project. Raise `INVALID_CONFIG` when there are none and `ASSET_UNAVAILABLE` when a file
    that a `<track>` names is missing.
    """
    if Sidecar.CAPTIONS not in config.sidecars:
        return []
    captions = _find(served, config.entry_file)
    if not captions:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            "config.sidecars requests captions, but the project has none",
            hint='Add a <track src="captions.en.vtt">, or a file named captions.vtt or captions.en.srt.',
        )
    return captions


def _find(files: Mapping[str, ServedFile], entry: str) -> list[CaptionFile]:
    page = files[entry].read().decode("utf-8", "replace")
    folder = str(PurePosixPath(entry).parent)
    found: dict[str, CaptionFile] = {}
    for tag in tokenize(page).starts("track"):
        source = tag.get("src")
        if source is None or not is_local(source) or tag.get("kind") not in _TRACK_KINDS:
            continue
        file = resolve(source, "" if folder == "." else folder)
        if file is None or file not in files:
            message = f"<track src={source!r}> in {entry}: the project has no such file"
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, message, hint="Put the captions beside the page, or remove the element.")
        if PurePosixPath(file).suffix.lower() in CAPTION_SUFFIXES:
            found.setdefault(file, CaptionFile(file=file, language=tag.get("srclang") or _language(file)))
    for path in files:
        if _NAMED.fullmatch(PurePosixPath(path).name):
            found.setdefault(path, CaptionFile(file=path, language=_language(path)))
    return list(found.values())


def _language(file: str) -> str | None:
    match = _NAMED.fullmatch(PurePosixPath(file).name)
    return match["language"] if match else None
