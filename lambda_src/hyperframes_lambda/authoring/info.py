"""`info`: size, duration, variables, media and remote files of a project."""

from __future__ import annotations

from pathlib import Path

from hyperframes_lambda.composition import declared
from hyperframes_lambda.composition.source import files_of
from hyperframes_lambda.contract.authoring import DeclaredVariable, ProjectInfo, RemoteAsset
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.plan import Manifest
from hyperframes_lambda.plan import plan


def info(project: Path, config: RenderConfig, work: Path) -> ProjectInfo:
    """Plan `project` in the folder `work` and describe it. Raise the errors of planning."""
    declaration = declared(project, config.entry_file)
    manifest = plan(project, config, work / "plan", scratch=work)
    files = files_of(project).values()
    return ProjectInfo(
        entry=manifest.entry,
        composition_id=declaration.composition_id,
        width=manifest.canvas.width,
        height=manifest.canvas.height,
        fps=manifest.fps,
        duration=float(manifest.total_frames / manifest.fps),
        frames=manifest.total_frames,
        files=len(files),
        size=sum(file.stat().st_size for file in files),
        variables=[
            DeclaredVariable(
                id=variable.id, type=variable.type, label=variable.label, default=variable.default, options=list(variable.options)
            )
            for variable in declaration.variables
        ],
        videos=manifest.clips,
        audio=manifest.audio,
        sources=manifest.sources,
        remote=_remote(manifest),
    )


def _remote(manifest: Manifest) -> list[RemoteAsset]:
    return [
        RemoteAsset(
            url=url,
            status=response.status,
            content_type=response.headers.get("content-type"),
            size=manifest.files[response.file].size if response.file is not None else None,
        )
        for url, response in sorted(manifest.remote.items())
    ]
