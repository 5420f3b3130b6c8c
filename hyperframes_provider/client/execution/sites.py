"""Projects that lie on S3 under their content's hash, for the renders that use them. They never expire: removing one is a decision."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.aws.s3 import S3Location, object_size
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.listing import Listed, describe_all, list_executions
from hyperframes_provider.client.request.names import short_id
from hyperframes_provider.client.request.project import ARCHIVE_SUFFIX, Upload, locate, upload
from hyperframes_provider.client.request.request import RenderTarget

SITES_PREFIX = "sites/"
LOOKED_AT = 200
"""Ended renders whose project is looked up, newest first, besides all that run."""

_KEY = re.compile(rf"{SITES_PREFIX}(?P<id>[0-9a-f]{{8,64}})/project{re.escape(ARCHIVE_SUFFIX)}")


class SiteNotFound(InvalidRequest):
    """No project of this id lies in the stack's bucket."""


class SiteInUse(InvalidRequest):
    """A running render needs the project."""


@dataclass(frozen=True)
class Site:
    """A project on S3.

    `running` and `ended` are the short ids of renders that use it, newest first: all that run, and those among the newest `LOOKED_AT`.
    """

    id: str
    archive: S3Location
    bytes: int
    uploaded: datetime
    running: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


def site_id(archive: S3Location) -> str:
    """The id of a project from where it lies; empty when it was not put there by content."""
    match = _KEY.fullmatch(archive.key)
    return match["id"] if match else ""


def create_site(connect: Connect, target: RenderTarget, folder: str | os.PathLike[str], *, entry: str = "index.html") -> Upload:
    """Put the project in `folder` on S3 unless it is there already; raises what `locate` and `upload` of `client.project` do."""
    if not Path(folder).is_dir():
        raise InvalidRequest(f"project: {os.fspath(folder)} is no folder", hint="hyperframes-airflow sites create PROJECT, the folder")
    return upload(connect, locate(folder, bucket=target.bucket, entry=entry))


def list_sites(target: RenderTarget) -> Steps[list[Site]]:
    """The projects in the stack's bucket, newest first, and what uses them."""
    sites = yield from _stored(target.bucket)
    users = yield from _users(target.state_machine_arn)
    return sorted((_with_users(site, users) for site in sites), key=lambda site: site.uploaded, reverse=True)


def remove_site(target: RenderTarget, wanted: str, *, force: bool = False) -> Steps[Site]:
    """Delete the project of this id, or of the only id that begins so, and return what it was.

    `SiteInUse` while a render runs that uses it, unless `force`; `SiteNotFound` for an unknown id, `InvalidRequest` for an ambiguous one.
    """
    sites = [site for site in (yield from _stored(target.bucket)) if wanted and site.id.startswith(wanted)]
    if not sites:
        raise SiteNotFound(
            f"there is no project {wanted!r} in {target.bucket}", hint="Which there are, says: hyperframes-airflow sites list"
        )
    if len(sites) > 1:
        raise InvalidRequest(f"{wanted!r} begins the ids of {len(sites)} projects", hint="Type more of it: hyperframes-airflow sites list")
    site = _with_users(sites[0], (yield from _users(target.state_machine_arn, ended=0)))
    if site.running and not force:
        raise SiteInUse(
            f"project {site.id} is used by running renders: {', '.join(site.running)}",
            hint=f"Wait for it: hyperframes-airflow progress {site.running[0]} --watch; or remove it all the same with --force",
        )
    yield Call("s3", "delete_object", {"Bucket": site.archive.bucket, "Key": site.archive.key})
    if (yield from object_size(site.archive)) is not None:
        raise InvalidRequest(f"{site.archive.uri} is still there after its deletion", hint="Look at the bucket's object lock and policy.")
    return site


def _stored(bucket: str) -> Steps[list[Site]]:
    arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": SITES_PREFIX}
    found: list[Site] = []
    while True:
        answer = yield Call("s3", "list_objects_v2", arguments)
        for item in answer.get("Contents", ()):
            archive = S3Location(bucket, item["Key"])
            if site_id(archive):
                found.append(Site(site_id(archive), archive, int(item["Size"]), item["LastModified"]))
        if not answer.get("IsTruncated"):
            return found
        arguments = {**arguments, "ContinuationToken": answer["NextContinuationToken"]}


def _users(state_machine_arn: str, *, ended: int = LOOKED_AT) -> Steps[list[Execution]]:
    """All running executions, and the newest `ended` that are not."""
    running = yield from list_executions(state_machine_arn, status=Status.RUNNING)
    newest: list[Listed] = []
    if ended:
        newest = yield from list_executions(state_machine_arn, most=ended)
    arns = dict.fromkeys(item.arn for item in (*running, *newest))
    return list((yield from describe_all(list(arns))).values())


def _with_users(site: Site, users: Iterable[Execution]) -> Site:
    mine = [user for user in users if user.request is not None and user.request.project_s3_uri == site.archive.uri]
    mine.sort(key=lambda user: user.started, reverse=True)
    running = tuple(short_id(user.name) for user in mine if not user.status.terminal)
    ended = tuple(short_id(user.name) for user in mine if user.status.terminal)
    return Site(site.id, site.archive, site.bytes, site.uploaded, running, ended)
