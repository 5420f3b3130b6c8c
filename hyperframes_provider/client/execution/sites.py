"""Projects on S3, stored under the hash of their content. They never expire, and have to be removed explicitly."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hyperframes_provider.client.aws.calls import Call, Steps
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.aws.s3 import S3Location, list_objects, object_size
from hyperframes_provider.client.execution.executions import Execution, Status
from hyperframes_provider.client.execution.listing import describe_all, list_executions
from hyperframes_provider.client.request.names import short_id
from hyperframes_provider.client.request.project import ARCHIVE_SUFFIX, Upload, locate, upload
from hyperframes_provider.client.request.request import RenderTarget

SITES_PREFIX = "sites/"
LOOKED_AT = 200
"""Newest ended renders whose project is looked up, besides all running ones."""

_KEY = re.compile(rf"{SITES_PREFIX}(?P<id>[0-9a-f]{{8,64}})/project{re.escape(ARCHIVE_SUFFIX)}")


class SiteNotFound(InvalidRequest):
    """The stack's bucket has no project with this id."""


class SiteInUse(InvalidRequest):
    """A running render uses the project."""


@dataclass(frozen=True)
class Site:
    """A project on S3.

    `running` and `ended` are the short ids of renders that use it, newest first; ended ones are looked up among the newest `LOOKED_AT`.
    """

    id: str
    archive: S3Location
    bytes: int
    uploaded: datetime
    running: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


def site_id(archive: S3Location) -> str:
    """Return a project's id from its location; empty if it is not stored by content."""
    match = _KEY.fullmatch(archive.key)
    return match["id"] if match else ""


def create_site(connect: Connect, target: RenderTarget, folder: str | os.PathLike[str], *, entry: str = "index.html") -> Upload:
    """Upload the project in `folder` unless it is on S3; raises like `locate` and `upload` of `request.project`."""
    if not Path(folder).is_dir():
        raise InvalidRequest(
            f"project: {os.fspath(folder)} is not a folder", hint="Pass the folder: hyperframes-airflow sites create PROJECT"
        )
    return upload(connect, locate(folder, bucket=target.bucket, entry=entry))


def list_sites(target: RenderTarget) -> Steps[list[Site]]:
    """Return the projects in the stack's bucket, newest first, with the renders that use them."""
    sites = yield from _stored(target.bucket)
    users = yield from _users(target.state_machine_arn)
    return sorted((_with_users(site, users) for site in sites), key=lambda site: site.uploaded, reverse=True)


def remove_site(target: RenderTarget, wanted: str, *, force: bool = False) -> Steps[Site]:
    """Delete the project with this id, or the only one whose id begins like this, and return it.

    Raise `SiteInUse` while a running render uses it, unless `force`; `SiteNotFound` for an unknown id, `InvalidRequest` for an ambiguous
    one.
    """
    sites = [site for site in (yield from _stored(target.bucket)) if wanted and site.id.startswith(wanted)]
    if not sites:
        raise SiteNotFound(f"there is no project {wanted!r} in {target.bucket}", hint="Run `hyperframes-airflow sites list` to see them.")
    if len(sites) > 1:
        raise InvalidRequest(
            f"{wanted!r} begins the ids of {len(sites)} projects", hint="Type more of the id. To see them: hyperframes-airflow sites list"
        )
    site = _with_users(sites[0], (yield from _users(target.state_machine_arn, ended=0)))
    if site.running and not force:
        raise SiteInUse(
            f"project {site.id} is used by running renders: {', '.join(site.running)}",
            hint=f"Wait for it: hyperframes-airflow progress {site.running[0]} --watch; or remove it anyway with --force",
        )
    yield Call("s3", "delete_object", {"Bucket": site.archive.bucket, "Key": site.archive.key})
    if (yield from object_size(site.archive)) is not None:
        raise InvalidRequest(f"{site.archive.uri} still exists after its deletion", hint="Check the bucket's object lock and policy.")
    return site


def _stored(bucket: str) -> Steps[list[Site]]:
    found = yield from list_objects(S3Location(bucket, SITES_PREFIX))
    sites = ((S3Location(bucket, item["Key"]), item) for item in found)
    return [Site(site_id(archive), archive, int(item["Size"]), item["LastModified"]) for archive, item in sites if site_id(archive)]


def _users(state_machine_arn: str, *, ended: int = LOOKED_AT) -> Steps[list[Execution]]:
    """Return all running executions, and the newest `ended` ones that are not."""
    running = yield from list_executions(state_machine_arn, status=Status.RUNNING)
    newest = (yield from list_executions(state_machine_arn, most=ended)) if ended else []
    arns = dict.fromkeys(item.arn for item in (*running, *newest))
    return list((yield from describe_all(list(arns))).values())


def _with_users(site: Site, users: Iterable[Execution]) -> Site:
    mine = [user for user in users if user.request is not None and user.request.project_s3_uri == site.archive.uri]
    mine.sort(key=lambda user: user.started, reverse=True)
    running = tuple(short_id(user.name) for user in mine if not user.status.terminal)
    ended = tuple(short_id(user.name) for user in mine if user.status.terminal)
    return replace(site, running=running, ended=ended)
