"""A plan as a folder: blobs by digest, and `manifest.json`, written last."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from hyperframes_lambda.composition import ServedFile
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.plan import MANIFEST_NAME, Build, Manifest, PlanFile, blob_path, parse_manifest

_PLAN_AGAIN = "Plan again: start a new render, or delete the plan and retry."


def write_blobs(plan_dir: Path, files: Mapping[str, ServedFile]) -> dict[str, PlanFile]:
    """Store the content of `files` by digest, equal content once, and return the blob of each path."""
    return {path: _write_blob(plan_dir, file) for path, file in files.items()}


def _write_blob(plan_dir: Path, file: ServedFile) -> PlanFile:
    if file.content is None and file.path is not None:
        return _copy_blob(plan_dir, file.path, file.content_type)
    content = file.read()
    sha256 = hashlib.sha256(content).hexdigest()
    blob = plan_dir / blob_path(sha256)
    if not blob.is_file() or blob.stat().st_size != len(content):
        write_atomically(blob, content)
    return PlanFile(sha256=sha256, size=len(content), content_type=file.content_type)


def _copy_blob(plan_dir: Path, path: Path, content_type: str) -> PlanFile:
    """Store a file that may be larger than the memory."""
    sha256, size = file_sha256(path), path.stat().st_size
    blob = plan_dir / blob_path(sha256)
    if not blob.is_file() or blob.stat().st_size != size:
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(blob.name + ".part")
        try:
            shutil.copyfile(path, part)
            part.replace(blob)
        finally:
            part.unlink(missing_ok=True)
    return PlanFile(sha256=sha256, size=size, content_type=content_type)


def write_manifest(plan_dir: Path, manifest: Manifest) -> None:
    """Write the sealed manifest, which completes the plan."""
    write_atomically(plan_dir / MANIFEST_NAME, manifest.to_json().encode())


def read_manifest(plan_dir: Path, plan_hash: str | None = None) -> Manifest:
    """Read the folder's manifest; `PLAN_HASH_MISMATCH` when it is missing, damaged, or does not have the hash `plan_hash`."""
    try:
        text = (plan_dir / MANIFEST_NAME).read_bytes()
    except FileNotFoundError as error:
        raise RenderError(ErrorCode.PLAN_HASH_MISMATCH, f"{plan_dir} holds no plan", hint=_PLAN_AGAIN) from error
    manifest = parse_manifest(text)
    if plan_hash is not None and manifest.plan_hash != plan_hash:
        message = f"the event names plan {plan_hash[:12]}…, the manifest is plan {manifest.plan_hash[:12]}…"
        raise RenderError(ErrorCode.PLAN_HASH_MISMATCH, message, hint=_PLAN_AGAIN)
    return manifest


def require_build(manifest: Manifest, build: Build) -> None:
    """Refuse other tools than those of the plan: a chunk of another build would be visible in the video."""
    rows = (
        (ErrorCode.RENDERER_VERSION_MISMATCH, "renderer", manifest.build.renderer, build.renderer),
        (ErrorCode.FFMPEG_VERSION_MISMATCH, "ffmpeg", manifest.build.ffmpeg, build.ffmpeg),
        (ErrorCode.RUNTIME_ENV_MISMATCH, "browser", manifest.build.browser, build.browser),
        (ErrorCode.RUNTIME_ENV_MISMATCH, "HyperFrames runtime", manifest.build.runtime, build.runtime),
        (ErrorCode.RUNTIME_ENV_MISMATCH, "fonts", manifest.build.fonts or "none", build.fonts or "none"),
    )
    for code, what, planned, here in rows:
        if planned != here:
            message = f"planned with {what} {planned}, this is {here}"
            raise RenderError(code, message, hint="The deployment has changed since the plan was made. Start a new render.")


def verified_files(plan_dir: Path, files: Mapping[str, PlanFile], needed: Collection[str] | None = None) -> dict[str, tuple[Path, str]]:
    """Return blob and media type of each file by path, for the loopback server; `PLAN_ARTIFACT_DIGEST_MISMATCH` for a wrong blob.

    Only the blobs of `needed` files (default: all) must be present.
    """
    for path, file in files.items():
        if needed is not None and path not in needed:
            continue
        blob = plan_dir / blob_path(file.sha256)
        if not matches(blob, file.sha256):
            what = "is missing" if not blob.is_file() else "does not match its digest"
            message = f"the plan's copy of {path!r} (blob {file.sha256[:12]}…) {what}"
            raise RenderError(ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, message, hint=_PLAN_AGAIN)
    return {path: (plan_dir / blob_path(file.sha256), file.content_type) for path, file in files.items()}


def matches(path: Path, sha256: str) -> bool:
    """Whether the file at `path` exists and has the digest `sha256`."""
    return path.is_file() and file_sha256(path) == sha256


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
