"""The seam into moto's CloudWatch Logs: the key of a log group can be changed, as it can on AWS. Nothing is encrypted here."""

from __future__ import annotations

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.responses import LogsResponse

from hyperframes_provider.local import requirements  # noqa: F401  (refuses any other moto before its internals are touched)


def install() -> None:
    """Must run before the first request to CloudWatch Logs."""
    LogsResponse.associate_kms_key = _associate_kms_key  # type: ignore[attr-defined]
    LogsResponse.disassociate_kms_key = _disassociate_kms_key  # type: ignore[attr-defined]


def _associate_kms_key(response: LogsResponse) -> str:
    return _set_key(response, response._get_param("kmsKeyId"))


def _disassociate_kms_key(response: LogsResponse) -> str:
    return _set_key(response, None)


def _set_key(response: LogsResponse, key: str | None) -> str:
    group = response.logs_backend.groups.get(response._get_param("logGroupName"))
    if group is None:
        raise ResourceNotFoundException
    group.kms_key_id = key
    return ""
