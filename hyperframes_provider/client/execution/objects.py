"""Downloads from S3."""

from __future__ import annotations

import gzip
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from hyperframes_lambda.contract.formats import OutputFormat, base_name
from hyperframes_provider.client.aws.archives import tarfile
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.aws.s3 import is_missing, parse_s3_uri
from hyperframes_provider.client.execution.result import RenderResult

_FRAME_NAME = re.compile(r"[0-9]{6,}\.png")


def fetch_object(connect: Connect, uri: str, path: Path) -> Path:
    """Download `uri` to `path`, which appears once it is complete; raise `InvalidRequest` if there is no such object."""
    location = parse_s3_uri(uri, where="download")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        connect("s3").download_file(location.bucket, location.key, str(partial))
        partial.replace(path)
    except ClientError as error:
        if not is_missing(error):
            raise
        hint = (
            "An embedded endpoint that was restarted has forgotten its objects. To find finished videos: hyperframes-airflow local status"
        )
        raise InvalidRequest(f"there is no object {uri}", hint=hint) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


@dataclass(frozen=True)
class Fetched:
    """The files that `fetch_render` wrote."""

    files: list[Path]
    """The file at the path, then those beside it; for frames, their folder."""
    sidecars: dict[str, Path]
    """Paths by name, as in `RenderResult.sidecars`."""


def fetch_render(connect: Connect, result: RenderResult, path: Path, made: OutputFormat) -> Fetched:
    """Download a render's output to `path`, and its sidecars to the same folder.

    A png-sequence is unpacked into the folder `path`, unless that ends in `.tar`. The files of an HLS package lie side by side.
    """
    if made is OutputFormat.PNG_SEQUENCE and path.suffix != ".tar":
        files = [fetch_frames(connect, result.output_uri, path)]
    elif made is OutputFormat.HLS:
        files = fetch_package(connect, result.output_uri, path)
    elif made is OutputFormat.PNG_SEQUENCE and result.output_uri.endswith(".gz"):
        files = [_fetch_unpacked(connect, result.output_uri, path)]
    else:
        files = [fetch_object(connect, result.output_uri, path)]
    return Fetched(files, fetch_sidecars(connect, result.sidecars, result.output_uri, files[0]))


def fetch_sidecars(connect: Connect, sidecars: Mapping[str, str], output_uri: str, path: Path) -> dict[str, Path]:
    """Download the sidecars of `output_uri` to the folder of `path`, with the same endings, and return their paths by name."""
    remote, local = base_name(output_uri.rpartition("/")[2]), base_name(path.name)
    return {
        name: fetch_object(connect, uri, path.with_name(local + uri.rpartition("/")[2].removeprefix(remote)))
        for name, uri in sidecars.items()
    }


def fetch_frames(connect: Connect, uri: str, folder: Path) -> Path:
    """Download a png-sequence and unpack it into `folder`; remove numbered frames of a longer earlier render, keep other files."""
    with tempfile.TemporaryDirectory(prefix="hyperframes-frames-") as scratch:
        archive = fetch_object(connect, uri, Path(scratch) / "frames.tar")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
            names = set(tar.getnames())
    for stale in folder.iterdir():
        if _FRAME_NAME.fullmatch(stale.name) and stale.name not in names:
            stale.unlink()
    return folder


def _fetch_unpacked(connect: Connect, uri: str, path: Path) -> Path:
    """Download a `.tar.gz`, as a stack of the reference makes it, and decompress it to the requested `.tar`."""
    partial = fetch_object(connect, uri, path.with_name(f".{path.name}.gz"))
    try:
        with gzip.open(partial) as compressed, partial.with_suffix(".part").open("wb") as archive:
            shutil.copyfileobj(compressed, archive)
        return partial.with_suffix(".part").replace(path)
    finally:
        partial.unlink()


def fetch_package(connect: Connect, uri: str, path: Path) -> list[Path]:
    """Download the HLS package with the master playlist `uri` to `path`, which appears last, and to files beside it; return all of them.

    The files are named after `path`, in the playlists as well, so that two packages may share a folder.
    """
    with tempfile.TemporaryDirectory(prefix="hyperframes-hls-") as scratch:
        renamed = _Renamed(base_name(uri.rpartition("/")[2]), base_name(path.name))
        master = fetch_object(connect, uri, Path(scratch) / "master.m3u8").read_text("utf-8")
        fetched: list[Path] = []
        for playlist in _named_in(master):
            media = fetch_object(connect, _beside(uri, playlist), Path(scratch) / "media.m3u8").read_text("utf-8")
            fetched += [fetch_object(connect, _beside(uri, name), path.with_name(renamed(name))) for name in _named_in(media)]
            fetched.append(_write(path.with_name(renamed(playlist)), renamed.within(media)))
        return [_write(path, renamed.within(master)), *fetched]


@dataclass(frozen=True)
class _Renamed:
    """New names for the files of a package, derived from that of its master playlist."""

    before: str
    after: str

    def __call__(self, name: str) -> str:
        return self.after + name.removeprefix(self.before) if name.startswith(f"{self.before}-") else name

    def within(self, playlist: str) -> str:
        text = re.sub(r'(?<=URI=")[^"]+', lambda found: self(found[0]), playlist)
        return "".join(line if line.startswith("#") else self(line) for line in text.splitlines(keepends=True))


def _named_in(playlist: str) -> list[str]:
    names = re.findall(r'URI="([^"]+)"', playlist) + [line for line in playlist.splitlines() if line and not line.startswith("#")]
    return [name for name in names if "/" not in name]


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, "utf-8")
    return partial.replace(path)


def _beside(uri: str, name: str) -> str:
    return f"{uri.rpartition('/')[0]}/{name}"
