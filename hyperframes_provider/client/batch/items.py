"""Rows of a batch, prepared as renders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from hyperframes_provider.client.aws.calls import Steps
from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.aws.s3 import object_version, parse_s3_uri
from hyperframes_provider.client.batch.rows import InvalidBatch, PlannedRow, RowFault
from hyperframes_provider.client.request.project import Project, locate
from hyperframes_provider.client.request.request import PreparedRender, RenderTarget, prepare


@dataclass(frozen=True)
class BatchItem:
    """A row that is ready to start."""

    row: PlannedRow
    prepared: PreparedRender


def prepare_batch(
    target: RenderTarget,
    rows: Sequence[PlannedRow],
    *,
    project: str | os.PathLike[str],
    label: str,
    identity: tuple[object, ...] = ("batch",),
) -> list[BatchItem]:
    """Name and size every render of the batch. A local project is read once for each entry page; nothing is started.

    Raise `InvalidBatch` with every unacceptable row, and like `locate` for a fault of the project itself.
    """
    located: dict[str, Project] = {}
    items: list[BatchItem] = []
    faults: list[RowFault] = []
    names_taken: dict[str, int] = {}
    for row in rows:
        entry = row.config.entry_file
        if entry not in located:
            located[entry] = locate(project, bucket=target.bucket, entry=entry)
        # The path is part of the identity: the same video at two places is two renders.
        try:
            prepared = prepare(
                target, project=located[entry], config=row.config, output=row.remote, label=label, identity=(*identity, str(row.path or ""))
            )
        except InvalidRequest as error:
            faults.append(RowFault(row.number, error.message))
            continue
        first = names_taken.setdefault(prepared.render_id, row.number)
        if first != row.number:
            faults.append(RowFault(row.number, f"it is the same as row {first}"))
        items.append(BatchItem(row, prepared))
    if faults:
        raise InvalidBatch(faults)
    return items


def project_version(project: str | os.PathLike[str]) -> Steps[str]:
    """Return the version of an archive on S3, for the `identity` of its batch: the same URI may hold another project tomorrow.

    Empty for a local project, which is identified by its content.
    """
    if not str(project).startswith("s3://"):
        return ""
    return (yield from object_version(parse_s3_uri(str(project), where="project"))) or ""
