"""The Python packages of the bundle: fetched by pip for the function's Python, checked against the lock, reduced to what a render uses."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path

from hyperframes_provider.bundle.elf import is_elf, without_symbols
from hyperframes_provider.bundle.errors import BundleError
from hyperframes_provider.client.aws.zips import Entry
from hyperframes_provider.toolset.fetch import pip_download, run_client
from hyperframes_provider.toolset.installed import sha256_of
from hyperframes_provider.toolset.part import Registry

PYTHON = "3.13"
"""The function's runtime."""

LOCK = "requirements.txt"

FETCHING = "fetching-"
"""Prefix of the folder in which the packages are assembled."""

_TAGS = (f"--python-version={PYTHON}", "--implementation=cp", f"--abi=cp{PYTHON.replace('.', '')}", "--abi=abi3", "--abi=none")

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

_USED_DATA = ("s3/*", "sts/*", "endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json")
"""The data that botocore needs for S3 and to start."""

_LEFT_OUT = (
    "*.dist-info/RECORD",
    "*.dist-info/WHEEL",
    "*.pyi",
    "*.c",
    "*.cc",
    "*.cpp",
    "*.h",
    "*.hpp",
    "*/tests/*",
    "boto3/examples/*",
    "boto3/data/[!s]*",
    "botocore/data/*",
    # Documentation pages of a web API.
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*",
    # Another Node runs the driver; its viewers, installers and types are for developers.
    "playwright/driver/node",
    "playwright/driver/LICENSE",
    "playwright/driver/package/bin/*",
    "playwright/driver/package/types/*",
    "playwright/driver/package/lib/vite/*",
    "playwright/driver/package/lib/tools/skills/*",
)
"""Files that no render loads. Packages keep their licences and metadata."""


@dataclass(frozen=True)
class Wheel:
    """A package from the registry."""

    name: str
    version: str
    licence: str
    sha256: str
    path: Path


def fetch_wheels(cache: Path) -> list[Wheel]:
    """Return the locked packages, fetching them into the folder `cache` if missing; raise `BundleError` or `ToolsetError`."""
    lock = lock_text()
    folder = cache / f"wheels-{hashlib.sha256(lock.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _download(lock, folder)
    allowed = set(_HASH.findall(lock))
    wheels = [_wheel(path, allowed) for path in sorted(folder.glob("*.whl"))]
    wanted = len(re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE))
    if len(wheels) != wanted:
        raise BundleError(f"{folder} has {len(wheels)} of {wanted} packages", hint=f"Remove it and build again: rm -r {folder}")
    return wheels


def wheel_entries(wheel: Wheel) -> Iterator[Entry]:
    """Yield the files of the package for the top folder of the ZIP, native ones without symbols."""
    with zipfile.ZipFile(wheel.path) as archive:
        for info in archive.infolist():
            if not info.is_dir() and not _left_out(info.filename):
                content = archive.read(info)
                yield Entry(_installed_name(info.filename), without_symbols(content) if is_elf(content) else content, deflate=True)


def lock_text() -> str:
    """Return the text of the lock."""
    return files(__package__).joinpath(LOCK).read_text(encoding="utf-8")


def _download(lock: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=FETCHING, dir=folder.parent) as name:
        scratch = Path(name)
        target = scratch / "wheels"
        (scratch / LOCK).write_text(lock, encoding="utf-8")
        command = [*pip_download(target), *_TAGS, "--require-hashes", f"--requirement={scratch / LOCK}"]
        run_client(command, scratch, name="Python packages", what="the locked packages", registry=Registry.PYPI)
        try:
            target.rename(folder)
        except OSError:
            if not folder.is_dir():  # or another build was faster
                raise
            shutil.rmtree(target)


def _wheel(path: Path, allowed: set[str]) -> Wheel:
    sha256 = sha256_of(path)
    if sha256 not in allowed:
        raise BundleError(f"{path} is not one of the locked packages", hint=f"Remove it and build again: rm {path}")
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1)
        metadata = Parser().parsestr(archive.read(name).decode())
    classifiers = metadata.get_all("Classifier", ())
    licence = metadata["License-Expression"] or metadata["License"] or ""
    if not licence or "\n" in licence:
        licence = next((line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")), "")
    return Wheel(metadata["Name"], metadata["Version"], licence, sha256, path)


def _left_out(name: str) -> bool:
    data = name.removeprefix("botocore/data/")
    if data != name and any(fnmatchcase(data, pattern) for pattern in _USED_DATA):
        return False
    return any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT)


def _installed_name(name: str) -> str:
    """Return the path at which pip installs a file of the wheel; some lie in `<package>.data/purelib/`."""
    first, _, rest = name.partition("/")
    kind, _, inner = rest.partition("/")
    return inner if first.endswith(".data") and kind in ("purelib", "platlib") else name
