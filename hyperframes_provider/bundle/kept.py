"""The bundle of this installation, built once and kept in the user cache; the default code of a deploy to AWS."""

from __future__ import annotations

import hashlib
import zlib
from importlib.resources import files
from pathlib import Path

from hyperframes_lambda.contract.toolset import cache_home
from hyperframes_provider.bundle.build import LOCK, as_bundle_errors, build_bundle
from hyperframes_provider.bundle.tools import BUNDLED_PARTS
from hyperframes_provider.bundle.wheels import lock_text
from hyperframes_provider.client.stack.slim_zip import engine_entries
from hyperframes_provider.toolset.installed import sha256_of
from hyperframes_provider.toolset.report import SetupReporter
from hyperframes_provider.toolset.setup import locked

_KEPT = 2
"""Number of ZIPs to keep, because each has 150 MB."""


def ensure_bundle(progress: SetupReporter | None = None) -> Path:
    """Return the path of the ZIP, building it if this installation has not; raise `BundleError` on failure."""
    folder = cache_home() / "bundle" / "zips"
    path = folder / f"{_key()}.zip"
    with as_bundle_errors(), locked(folder / LOCK, "build"):
        for left in folder.glob(".*.zip.*"):  # from killed builds
            left.unlink(missing_ok=True)
        if not _is_sound(path):
            report = build_bundle(path, progress)
            _digest(path).write_text(report.sha256, encoding="ascii")
        _remove_older(folder, path)
    return path


def _key() -> str:
    """Return a digest of everything that determines the bytes of the ZIP."""
    digest = hashlib.sha256(f"{zlib.ZLIB_RUNTIME_VERSION}\n{BUNDLED_PARTS}\n{lock_text()}".encode())
    for entry in sorted(engine_entries(), key=lambda entry: entry.name):
        digest.update(f"{entry.name} {entry.size}\n".encode())
        digest.update(entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes())
    for package in ("hyperframes_provider.bundle", "hyperframes_provider.toolset"):
        for source in sorted(files(package).iterdir(), key=lambda found: found.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    for room, name in (("stack", "slim_zip.py"), ("aws", "zips.py")):
        digest.update(files(f"hyperframes_provider.client.{room}").joinpath(name).read_bytes())
    return digest.hexdigest()[:32]


def _is_sound(path: Path) -> bool:
    try:
        return sha256_of(path) == _digest(path).read_text(encoding="ascii")
    except OSError:
        return False


def _digest(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _remove_older(folder: Path, used: Path) -> None:
    others = sorted((path for path in folder.glob("*.zip") if path != used), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT - 1 :]:
        path.unlink(missing_ok=True)
        _digest(path).unlink(missing_ok=True)
