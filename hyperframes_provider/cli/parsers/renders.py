"""`render` and what concerns renders that are under way or done."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, composition, encoding, identity


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _render(verbs)
    progress = verbs.add("progress", "executions.progress", "say how far a render is", verbs.stack)
    identity(progress)
    progress.add_argument("--watch", action="store_true", help="until it ends; exits 1 when it fails")
    identity(verbs.add("cancel", "executions.cancel", "stop a render and its running chunks", verbs.stack))
    _download(verbs)


def _render(verbs: Verbs) -> None:
    render = verbs.add("render", "render.render", "render a project and wait for the video", verbs.stack)
    render.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    render.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.mp4, or other ending; FOLDER/ for frames; s3://…")
    composition(render)
    encoding(render)


def _download(verbs: Verbs) -> None:
    download = verbs.add("download", "executions.download", "fetch an object from S3", verbs.aws)
    download.add_argument("uri", metavar="S3URI")
    download.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
