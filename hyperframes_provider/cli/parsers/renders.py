"""`render`, and the verbs for running and finished renders."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, composition, encoding, identity, positive


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _render(verbs)
    _render_batch(verbs)
    _sites(verbs)
    progress = verbs.add("progress", "executions.progress", "report the progress of a render", verbs.stack)
    identity(progress)
    progress.add_argument("--watch", action="store_true", help="follow the render until it ends; exit with 1 if it fails")
    _list(verbs)
    _logs(verbs)
    identity(verbs.add("cancel", "executions.cancel", "stop a render and its running chunks", verbs.stack))
    identity(verbs.add("redrive", "executions.redrive", "continue a render that failed, timed out or was stopped", verbs.stack))
    _download(verbs)


def _render(verbs: Verbs) -> None:
    render = verbs.add("render", "render.render", "render a project and wait for the video", verbs.stack)
    render.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    render.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.mp4 or another extension; FOLDER/ for frames; s3://…")
    composition(render)
    encoding(render)


def _render_batch(verbs: Verbs) -> None:
    text = "render a project once for each row of a file; a repeated run skips finished rows"
    batch = verbs.add("render-batch", "batch.render_batch", text, verbs.stack)
    batch.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    rows = "a .jsonl or .json file of {variables, config, output}, or a .csv file with a column for each variable"
    batch.add_argument("--rows", type=Path, required=True, metavar="FILE", help=rows)
    names = (
        "template of the outputs, such as videos/{row:04d}-{title}.mp4 or s3://… (default: in the stack's bucket, named after the render)"
    )
    batch.add_argument("-o", "--output", metavar="TEMPLATE", help=names)
    batch.add_argument("--results", type=Path, metavar="FILE", help="file for one line of JSON per row (default: ROWS.results.jsonl)")
    batch.add_argument("--max-running", type=positive, default=40, metavar="N", help="simultaneous renders (default: 40)")
    composition(batch)
    encoding(batch)


def _sites(verbs: Verbs) -> None:
    sites = verbs.group("sites", "manage the projects that are uploaded to S3")
    create = sites.add("create", "sites.create", "upload a project, unless S3 already has it", sites.stack)
    create.add_argument("project", metavar="PROJECT", help="the folder with index.html")
    create.add_argument("--entry-file", metavar="PATH", help="the page to open (default: index.html)")
    sites.add("list", "sites.list_", "list the projects: id, size, age, and the renders that use them", sites.stack)
    remove = sites.add("remove", "sites.remove", "delete a project, unless a running render uses it", sites.stack)
    remove.add_argument("id", metavar="ID", help="id of the project, or its beginning")
    remove.add_argument("--force", action="store_true", help="delete even if a running render uses the project")


def _list(verbs: Verbs) -> None:
    listing = verbs.add("list", "executions.list_", "list renders, newest first", verbs.stack)
    statuses = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
    listing.add_argument("--status", type=str.upper, choices=statuses, metavar="STATUS", help=", ".join(statuses).lower())
    listing.add_argument("--limit", type=positive, default=20, metavar="N", help="number of renders (default: 20)")


def _logs(verbs: Verbs) -> None:
    logs = verbs.add("logs", "logs.logs", "print the log of a render's functions, in order of time", verbs.stack)
    identity(logs)
    logs.add_argument("--chunk", type=int, metavar="N", help="only the lines of this chunk")
    logs.add_argument("--tail", type=positive, metavar="N", help="only the last N lines")
    logs.add_argument("--follow", action="store_true", help="continue until the render ends")


def _download(verbs: Verbs) -> None:
    download = verbs.add("download", "executions.download", "download a render's output with its sidecars, or an S3 object", verbs.stack)
    download.add_argument("what", metavar="ID|S3URI", help="a render, as for progress, or s3://bucket/key")
    download.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
