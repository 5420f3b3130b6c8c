"""Files of npm packages, fetched by this machine's npm client: the source of what the content networks serve.

An archive is kept by name and exact version, with the digest that npm checked, and is read without unpacking.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import subprocess
import tarfile
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import semantic_version  # type: ignore[import-untyped]  # ships no type information

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.toolset import Npm

REACH_SECONDS = 4.0
"""Longest wait for the registry's first answer. Later ones, from a registry known to be reachable, may take `_FETCH_SECONDS`."""
_FETCH_SECONDS = 120.0
_LARGEST_UNPACKED = 1 << 30

_NAME = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-zA-Z0-9~-][a-zA-Z0-9._~-]*")
_VERSION = re.compile(r"[0-9A-Za-z^~*=<>][0-9A-Za-z.+*-]*")
_ARCHIVE = re.compile(r"\.(tgz|tar|tar\.gz)$", re.IGNORECASE)
"""Checked by hand to keep paths, URLs and archives from npm; npm itself matches ranges and tags."""


class Package:
    """The files of a package at one exact version."""

    def __init__(self, name: str, version: str, archive: Path) -> None:
        self.name = name
        self.version = version
        self._tar = tarfile.open(archive)  # noqa: SIM115 - `close` closes it
        self._lock = threading.Lock()
        # The top folder is `package`, except in archives made by hand.
        self._members = {member.name.partition("/")[2]: member for member in self._tar if member.isfile()}

    @property
    def spec(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def paths(self) -> list[str]:
        """Paths of the files, sorted."""
        return sorted(self._members)

    def __contains__(self, path: str) -> bool:
        """Whether the package has the file."""
        return path in self._members

    def close(self) -> None:
        """Close the archive."""
        self._tar.close()

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; `KeyError` when the package lacks it."""
        with self._lock:
            file = self._tar.extractfile(self._members[path])
            if file is None:
                raise KeyError(path)
            return file.read()

    def json(self, path: str) -> dict[str, Any]:
        """Return the JSON object in a file; an empty one when the file is missing or holds something else."""
        try:
            found = json.loads(self.read(path))
        except (KeyError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class Registry:
    """The packages that a plan takes from the registry. Safe to use from several threads; one npm runs at a time."""

    def __init__(self, npm: Npm, scratch: Path) -> None:
        self._npm = npm
        self._scratch = scratch
        self._lock = threading.RLock()
        self._packages: dict[tuple[str, str], Package] = {}
        self._missing: dict[tuple[str, str], RenderError] = {}
        self._reached = False
        self._unreachable: RenderError | None = None

    def package(self, name: str, version: str) -> Package:
        """Return the package at the newest version that `version` (`3`, `^3.1`, `latest`, `3.12.5`) allows.

        Raise `ASSET_UNAVAILABLE` when the registry lacks the package or version or cannot be reached, and `ASSET_FETCH_FAILED` when it
        fails after an earlier answer.
        """
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version) or _ARCHIVE.search(version):
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{name}@{version} is not the name of an npm package")
        with self._lock:
            asked = (name, version)
            if asked in self._missing:
                raise self._missing[asked]
            try:
                if asked not in self._packages:
                    self._packages[asked] = self._find(name, version)
            except RenderError as error:
                self._missing[asked] = error
                raise
            return self._packages[asked]

    def close(self) -> None:
        """Close every package."""
        for package in self._packages.values():
            package.close()

    def _find(self, name: str, version: str) -> Package:
        kept = self._kept(name, version) if semantic_version.validate(version) else None
        if kept is None:
            version = self._newest(name, version)
            kept = self._kept(name, version) or self._fetch(name, version)
        return Package(name, version, self._unpacked(kept))

    def _newest(self, name: str, version: str) -> str:
        found = self._run(["view", f"{name}@{version}", "version", "--json"], name, version)
        versions = [found] if isinstance(found, str) else found
        if not isinstance(versions, list) or not versions:
            raise _not_there(name, version)
        return max((str(version) for version in versions), key=semantic_version.Version)

    def _kept(self, name: str, version: str) -> Path | None:
        """Return the archive kept by an earlier plan; None when it is missing or damaged."""
        archive = self._archive(name, version)
        try:
            expected = archive.with_suffix(".integrity").read_text()
            found = _integrity(archive)
        except OSError:
            return None
        return archive if hmac.compare_digest(found, expected) else None

    def _fetch(self, name: str, version: str) -> Path:
        with tempfile.TemporaryDirectory(dir=self._made(self._scratch)) as folder:
            answer = self._run(["pack", f"{name}@{version}", f"--pack-destination={folder}", "--json"], name, version)
            # npm has checked the archive against this digest of the registry.
            packed = answer[0] if isinstance(answer, list) and answer else next(iter(answer.values())) if isinstance(answer, dict) else {}
            archives = list(Path(folder).glob("*.tgz"))
            if len(archives) != 1:
                raise RenderError(ErrorCode.ASSET_FETCH_FAILED, f"npm produced {len(archives)} archives for {name}@{version}")
            integrity = _integrity(archives[0])
            if not hmac.compare_digest(integrity, str(packed.get("integrity"))):
                raise RenderError(ErrorCode.ASSET_FETCH_FAILED, f"npm's archive of {name}@{version} does not match its reported digest")
            archive = self._archive(name, version)
            self._made(archive.parent)
            _copy_atomically(archives[0], archive)
        part = archive.with_suffix(f".{os.getpid()}.part")
        part.write_text(integrity)
        part.replace(archive.with_suffix(".integrity"))
        return archive

    def _archive(self, name: str, version: str) -> Path:
        return self._npm.packages / f"{name.replace('/', '+')}@{version}.tgz"

    def _unpacked(self, archive: Path) -> Path:
        """Return the archive decompressed, so that files can be read from the middle of it."""
        handle, plain = tempfile.mkstemp(suffix=".tar", dir=self._made(self._scratch))
        size = 0
        try:
            with gzip.open(archive) as packed, os.fdopen(handle, "wb") as file:
                while block := packed.read(1 << 20):
                    size += len(block)
                    if size > _LARGEST_UNPACKED:
                        raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"{archive.name} unpacks to more than {_LARGEST_UNPACKED >> 20} MB")
                    file.write(block)
        except (EOFError, gzip.BadGzipFile) as error:
            raise RenderError(ErrorCode.ASSET_FETCH_FAILED, f"{archive.name} is damaged: {error}") from error
        return Path(plain)

    def _run(self, arguments: list[str], name: str, version: str) -> Any:
        """Run npm and return the JSON that it prints."""
        if self._unreachable is not None:
            raise self._unreachable
        seconds = _FETCH_SECONDS if self._reached else REACH_SECONDS
        command = [
            str(self._npm.node),
            str(self._npm.cli),
            *arguments,
            # A private cache works with an empty or read-only home.
            f"--cache={self._made(self._scratch) / 'npm'}",
            "--ignore-scripts",
            "--no-update-notifier",
            "--loglevel=silent",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=300",
            f"--fetch-timeout={round(seconds * 1000)}",
        ]
        # npm reads the package.json of the folder it runs in.
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            try:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env={**os.environ, "TMPDIR": folder},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=seconds,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise self._unreached(name, version, "no answer" if isinstance(error, subprocess.TimeoutExpired) else str(error)) from error
        answer = _json(done.stdout)
        if not done.returncode and answer is not None:
            self._reached = True
            return answer
        fault = answer.get("error", {}) if isinstance(answer, dict) else {}
        if fault.get("code") in ("E404", "ETARGET", "ENOVERSIONS"):
            self._reached = True
            raise _not_there(name, version)
        if fault.get("code") == "E403":
            raise RenderError(ErrorCode.ASSET_UNAVAILABLE, f"the npm registry refuses {name}@{version}: {fault.get('summary')}")
        raise self._unreached(name, version, str(fault.get("summary") or f"npm exited with code {done.returncode}"))

    def _unreached(self, name: str, version: str, why: str) -> RenderError:
        if self._reached:
            return RenderError(ErrorCode.ASSET_FETCH_FAILED, f"the npm registry failed at {name}@{version}: {why}")
        self._unreachable = RenderError(ErrorCode.ASSET_UNAVAILABLE, f"the npm registry cannot be reached: {why}")
        return self._unreachable

    def _made(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _not_there(name: str, version: str) -> RenderError:
    return RenderError(ErrorCode.ASSET_UNAVAILABLE, f"the npm registry has no {name}@{version}")


def _integrity(archive: Path) -> str:
    with archive.open("rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


def _copy_atomically(source: Path, target: Path) -> None:
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(source.read_bytes())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _json(text: str) -> Any:
    with suppress(ValueError):
        return json.loads(text)
    return None
