"""Which caption files a project has: those that its page names in `<track>` and those called `captions.…`."""

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
"""A `<track>` without a kind holds subtitles."""


def requested_captions(served: Mapping[str, ServedFile], config: RenderConfig) -> list[CaptionFile]:
    """The caption files of the compiled project `served`, if the configuration asks for them, each once, with their languages.

    A language is the `srclang` of a `<track>` or a part of the name, as in `captions.de.vtt`. A `<track>` on another host is left alone:
    captions are passed on as files of the project. `INVALID_CONFIG` when there are none, `ASSET_UNAVAILABLE` when a named one is missing.
    """
    if Sidecar.CAPTIONS not in config.sidecars:
        return []
    captions = _find(served, config.entry_file)
    if not captions:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            "config.sidecars: captions are asked for and the project has none",
            hint='Add a <track src="captions.en.vtt">, or a file called captions.vtt or captions.en.srt.',
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
