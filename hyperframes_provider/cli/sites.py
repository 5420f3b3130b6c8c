"""`sites create|list|remove`: uploaded projects."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, age
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.execution import sites
from hyperframes_provider.client.execution.report import size
from hyperframes_provider.client.execution.sites import Site
from hyperframes_provider.client.renders import RenderClient


def create(options: argparse.Namespace, console: Console) -> int:
    """Upload a project unless S3 has it."""
    reach = connect(options)
    target = RenderClient(reach).target(options.stack_name)
    done = sites.create_site(reach, target, options.project, entry=options.entry_file or "index.html")
    identity = sites.site_id(done.archive)
    console.line("site", f"{identity} · {size(done.size)}", "uploaded" if done.uploaded else "already uploaded")
    console.detail("next", f"hyperframes-airflow render {done.archive.uri} -o OUT.mp4 --stack-name {options.stack_name}")
    console.result({"id": identity, "uri": done.archive.uri, "bytes": done.size, "uploaded": done.uploaded})
    return 0


def list_(options: argparse.Namespace, console: Console) -> int:
    """List the projects, and the renders that use them."""
    reach = connect(options)
    found = run(reach, sites.list_sites(RenderClient(reach).target(options.stack_name)))
    now = datetime.now(UTC)
    for site in found:
        console.detail("site", f"{site.id} · {size(site.bytes)} · {age(site.uploaded, now)} old · {_used(site)}")
    if not found:
        console.detail("site", "none; upload one: hyperframes-airflow sites create PROJECT")
    console.result({"sites": [_document(site, now) for site in found]})
    return 0


def remove(options: argparse.Namespace, console: Console) -> int:
    """Delete one project."""
    reach = connect(options)
    site = run(reach, sites.remove_site(RenderClient(reach).target(options.stack_name), options.id, force=options.force))
    console.result({"removed": site.id, "uri": site.archive.uri, "bytes": site.bytes}, f"removed {site.archive.uri} · {size(site.bytes)}")
    return 0


def _used(site: Site) -> str:
    if site.running:
        return f"used by running {', '.join(site.running)}"
    return f"last used by {site.ended[0]}" if site.ended else f"used by none of the last {sites.LOOKED_AT} renders"


def _document(site: Site, now: datetime) -> dict[str, object]:
    return {
        "id": site.id,
        "uri": site.archive.uri,
        "bytes": site.bytes,
        "uploaded": site.uploaded.isoformat(),
        "age_seconds": round((now - site.uploaded).total_seconds()),
        "running": site.running,
        "ended": site.ended,
    }
