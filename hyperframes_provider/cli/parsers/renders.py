"""`render` and what concerns renders that are under way or done."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, composition, encoding, identity, positive


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    _render(verbs)
    _render_batch(verbs)
    _sites(verbs)
    progress = verbs.add("progress", "executions.progress", "say how far a render is", verbs.stack)
    identity(progress)
    progress.add_argument("--watch", action="store_true", help="until it ends; exits 1 when it fails")
    _list(verbs)
    _logs(verbs)
    identity(verbs.add("cancel", "executions.cancel", "stop a render and its running chunks", verbs.stack))
    identity(verbs.add("redrive", "executions.redrive", "go on with a render that failed, timed out or was stopped", verbs.stack))
    _download(verbs)


def _render(verbs: Verbs) -> None:
    render = verbs.add("render", "render.render", "render a project and wait for the video", verbs.stack)
    render.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    render.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.mp4, or other ending; FOLDER/ for frames; s3://…")
    composition(render)
    encoding(render)


def _render_batch(verbs: Verbs) -> None:
    text = "render a project once for each row of a file; what is finished is skipped the next time"
    batch = verbs.add("render-batch", "batch.render_batch", text, verbs.stack)
    batch.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    rows = "a .jsonl or .json file of {variables, config, output}, or a .csv file with a column for each variable"
    batch.add_argument("--rows", type=Path, required=True, metavar="FILE", help=rows)
    names = "names the outputs, such as videos/{row:04d}-{title}.mp4 or s3://…; default: in the stack's bucket, called after the render"
    batch.add_argument("-o", "--output", metavar="TEMPLATE", help=names)
    batch.add_argument("--results", type=Path, metavar="FILE", help="receives a line of JSON a row (default: ROWS.results.jsonl)")
    batch.add_argument("--max-running", type=positive, default=40, metavar="N", help="renders that run at once (default: 40)")
    composition(batch)
    encoding(batch)


def _sites(verbs: Verbs) -> None:
    sites = verbs.group("sites", "projects that lie on S3 for renders to use")
    create = sites.add("create", "sites.create", "upload a project; the second time nothing is uploaded", sites.stack)
    create.add_argument("project", metavar="PROJECT", help="the folder with index.html")
    create.add_argument("--entry-file", metavar="PATH", help="the page to open (default: index.html)")
    sites.add("list", "sites.list_", "say which there are: id, size, age, and the renders that use them", sites.stack)
    remove = sites.add("remove", "sites.remove", "delete a project; refused while a render runs that uses it", sites.stack)
    remove.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    remove.add_argument("--force", action="store_true", help="although a running render uses it")


def _list(verbs: Verbs) -> None:
    listing = verbs.add("list", "executions.list_", "say which renders there are, newest first", verbs.stack)
    statuses = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
    listing.add_argument("--status", type=str.upper, choices=statuses, metavar="STATUS", help=", ".join(statuses).lower())
    listing.add_argument("--limit", type=positive, default=20, metavar="N", help="default: 20")


def _logs(verbs: Verbs) -> None:
    logs = verbs.add("logs", "logs.logs", "print what the functions of a render logged, in the order of time", verbs.stack)
    identity(logs)
    logs.add_argument("--chunk", type=int, metavar="N", help="of this chunk only")
    logs.add_argument("--tail", type=positive, metavar="N", help="the last N lines only")
    logs.add_argument("--follow", action="store_true", help="go on until the render ends")


def _download(verbs: Verbs) -> None:
    download = verbs.add("download", "executions.download", "fetch what a render made with its sidecars, or an object from S3", verbs.stack)
    download.add_argument("what", metavar="ID|S3URI", help="a render, as for progress; or s3://bucket/key")
    download.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
