"""Identity of a render request, and the reuse of a plan made for the same one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hyperframes_lambda.composition.source import files_of
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import RenderError
from hyperframes_lambda.contract.plan import PROTOCOL, Build, Manifest
from hyperframes_lambda.machine.plan_folder import read_manifest


def reusable(plan_dir: Path, config: RenderConfig, build: Build, project_sha256: str) -> Manifest | None:
    """Return the plan in `plan_dir` if it is for exactly this project, configuration and build; None for a damaged or different one."""
    try:
        manifest = read_manifest(plan_dir)
    except RenderError:
        return None
    same = (manifest.protocol, manifest.project_sha256, manifest.config, manifest.build) == (PROTOCOL, project_sha256, config, build)
    return manifest if same else None


def project_digest(project_dir: Path) -> str:
    """Return the SHA-256 over names and contents of a project's files."""
    digest = hashlib.sha256()
    for name, path in files_of(project_dir).items():
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
