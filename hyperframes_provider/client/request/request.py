"""Render requests: validated, sized and named before anything is started or paid for."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from hyperframes_lambda.contract.config import RenderConfig, parse_config
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.events import CONCURRENCY_LIMIT, VARIABLES_REFERENCE, ExecutionInput
from hyperframes_lambda.contract.formats import OutputFormat, format_of
from hyperframes_provider.client.aws.errors import InvalidRequest, RequestTooLarge
from hyperframes_provider.client.aws.s3 import S3Location, parse_s3_uri
from hyperframes_provider.client.request import names
from hyperframes_provider.client.request.dialect import OWN, Dialect
from hyperframes_provider.client.request.project import Project, locate

INPUT_LIMIT = 262_144
"""Bytes of UTF-8 that Step Functions accepts as an execution's input and as the state between two steps."""

PLAN_RESERVE = 8_192
"""Bytes of that limit reserved for the plan's result, which travels beside the input, and for fields added just before the start."""

LARGEST_VARIABLES = 16 << 20
"""Bytes of variables, as JSON, that a render may have: every page receives them."""

EXPIRING_PREFIX = "renders/"
"""Prefix in the stack's bucket below which objects expire."""

_VARIABLES = "variables.json"
"""Name below the render's prefix: variables may be personal data, and expire with the render."""

_OTHER_MEDIA = frozenset({".mkv", ".avi", ".zip"})


@dataclass(frozen=True)
class RenderTarget:
    """The bucket and the state machine of a deployed stack."""

    bucket: str
    state_machine_arn: str
    function_arn: str = ""
    """Empty if only bucket and state machine are known."""
    dialect: Dialect = OWN
    """The kind of stack."""
    takes_limit: bool = False
    """Whether Plan on this stack accepts a concurrency limit. Stacks of the reference and old ones of ours do not."""

    @property
    def log_group(self) -> str:
        """Log group of the render function; empty while it is unknown."""
        return f"/aws/lambda/{self.function_arn.split(':function:')[-1]}" if self.function_arn else ""


@dataclass(frozen=True)
class PreparedRender:
    """A render that is ready to start."""

    target: RenderTarget
    render_id: str
    project: Project
    request: ExecutionInput
    warnings: tuple[str, ...]
    variables_json: bytes | None = None
    """Variables that are too large for the input: `upload` writes them to `variables`, and the input refers to that object."""

    def limited(self, concurrency: int | None) -> PreparedRender:
        """Return the same render with a concurrency limit. Its names stay, because they depend on the request alone."""
        if concurrency is None:
            return self
        config = {**self.request.config, CONCURRENCY_LIMIT: concurrency}
        return replace(self, request=self.request.model_copy(update={"config": config}))

    def input_json(self, generation: int) -> str:
        """Return the exact input of an execution; Step Functions treats a second start with the same name and input as the same start."""
        return input_json(self.target.dialect.input_of(self.request, generation))

    @property
    def variables(self) -> S3Location:
        """Location of variables that do not fit into the input."""
        return self.prefix / _VARIABLES

    @property
    def output_uri(self) -> str:
        """URI of the future output."""
        return self.request.output_s3_uri

    @property
    def prefix(self) -> S3Location:
        """Location of plan, chunks and live signals."""
        return parse_s3_uri(self.request.plan_output_s3_prefix, where="PlanOutputS3Prefix")


def merge_variables(config: Mapping[str, Any], variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `config` with the composition's variables; raise `INVALID_CONFIG` if it already has some."""
    if variables is None:
        return dict(config)
    if "variables" in config:
        raise RenderError(ErrorCode.INVALID_CONFIG, "variables: given twice, on their own and within config", hint="Give them once.")
    return {**config, "variables": variables}


def prepare(
    target: RenderTarget,
    *,
    project: str | os.PathLike[str] | Project,
    config: RenderConfig,
    output: str | None,
    label: str,
    identity: tuple[object, ...],
) -> PreparedRender:
    """Name and size a render. A local project is read; nothing is called or uploaded.

    :param project: a local folder, the `s3://….tar.gz` of a packed one or, for many renders of one project, the result of `locate`
    :param output: an S3 URI, or a key in the stack's bucket; default `outputs/<renderId>.mp4` there with the format's own ending, for HLS
        `outputs/<renderId>/index.m3u8`
    :param label: readable beginning of the name
    :param identity: anything besides project, configuration and output that distinguishes two renders; for a task, its key
    :raises InvalidRequest: the project, the output or the size of the input is not acceptable
    :raises RenderError: `INVALID_CONFIG`, if the target is a stack of another kind that cannot render this configuration
    """
    _check_finite(config.variables)
    located = project if isinstance(project, Project) else locate(project, bucket=target.bucket, entry=config.entry_file)
    wire = target.dialect.config(config)
    render = names.render_id(label, *identity, located.archive.uri, output, wire)
    destination = _output(output, target=target, config=config, render=render)
    target.dialect.check_places(bucket=target.bucket, project=located.archive.uri, output=destination.uri, output_format=config.format)
    try:
        request = ExecutionInput.model_validate(
            {
                "ProjectS3Uri": located.archive.uri,
                "PlanOutputS3Prefix": f"s3://{target.bucket}/{EXPIRING_PREFIX}{render}/",
                "OutputS3Uri": destination.uri,
                "Config": wire,
            }
        )
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['input']!r}: {fault['msg']}" for fault in error.errors())
        raise InvalidRequest(faults, hint="S3 URIs have at most 1200 characters, prefixes 1000.") from None
    variables_json = None
    if target.dialect.extensions:
        request, variables_json = _fitting(request)
    prepared = PreparedRender(target, render, located, request, _warnings(destination, target), variables_json)
    prepared.input_json(1)  # raises when it is too large
    return prepared


def _fitting(request: ExecutionInput) -> tuple[ExecutionInput, bytes | None]:
    """Return the request, and its variables separately if only they make it too large for Step Functions."""
    variables = request.config.get("variables")
    if not variables or _size(request.to_wire()) + PLAN_RESERVE <= INPUT_LIMIT:
        return request, None
    text = _json(variables).encode()
    if len(text) > LARGEST_VARIABLES:
        field, share = _largest({"variables": variables}, "Config.")
        raise RequestTooLarge(
            f"{field} makes the variables too large: {share:,} of {len(text):,} bytes; the limit is {LARGEST_VARIABLES:,}",
            hint="Move large data to a file in the project and let the page fetch it.",
        )
    config = {name: value for name, value in request.config.items() if name != "variables"}
    config[VARIABLES_REFERENCE] = f"{request.plan_output_s3_prefix}{_VARIABLES}"
    return request.model_copy(update={"config": config}), text


def input_json(request: ExecutionInput) -> str:
    """Return the execution's input as it is sent; `RequestTooLarge` names the largest field and the byte count."""
    wire = request.to_wire()
    text = _json(wire)
    size = _size(wire)
    if size + PLAN_RESERVE > INPUT_LIMIT:
        field, share = _largest(wire)
        raise RequestTooLarge(
            f"{field} makes the request too large: {share:,} of {size:,} bytes; Step Functions accepts {INPUT_LIMIT:,}, "
            f"of which the plan needs {PLAN_RESERVE:,}",
            hint="Move large data to a file in the project and let the page fetch it.",
        )
    return text


def _size(wire: Mapping[str, Any]) -> int:
    return len(_json(wire).encode())


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"config: not representable as JSON: {error}", hint="Remove NaN, infinities and lone surrogates.") from None
    return text


def _check_finite(variables: Mapping[str, Any]) -> None:
    """Refuse NaN and infinities, which the model would silently write as null."""
    try:
        json.dumps(variables, allow_nan=False, default=str)
    except ValueError as error:
        raise InvalidRequest(f"config.variables: {error}", hint="JSON has no NaN and no infinities.") from None


def _largest(wire: Mapping[str, Any], path: str = "") -> tuple[str, int]:
    """Return the dotted name and bytes of the largest field, descending while one member makes up most of its parent."""
    name, value = max(wire.items(), key=lambda item: len(_json(item[1]).encode()))
    size = len(_json(value).encode())
    dotted = f"{path}{name}"
    if isinstance(value, Mapping) and value:
        inner = _largest(value, f"{dotted}.")
        if inner[1] * 2 > size:
            return inner
    return dotted, size


def _output(output: str | None, *, target: RenderTarget, config: RenderConfig, render: str) -> S3Location:
    suffix = target.dialect.output_suffix(config.format)
    if output is None:
        # An HLS package consists of several files: it gets a folder.
        name = f"{render}/index" if config.format is OutputFormat.HLS else render
        return S3Location(target.bucket, f"outputs/{name}{suffix}")
    location = parse_s3_uri(output, where="output") if "://" in output else S3Location(target.bucket, output.lstrip("/"))
    if not location.key or location.key.endswith("/"):
        raise InvalidRequest(f"output: {output!r} names no object", hint=f"Pass the whole key, such as outputs/recap{suffix}.")
    found = posixpath.splitext(location.key)[1].lower()
    made = format_of(found)
    if (made is not None and made is not config.format) or found in _OTHER_MEDIA:
        raise InvalidRequest(
            f"output: {output!r} ends in {found}, but the format {config.format.value} makes {suffix}",
            hint=f"Use a name ending in {suffix}.",
        )
    return location


def _warnings(output: S3Location, target: RenderTarget) -> tuple[str, ...]:
    if output.bucket == target.bucket and output.key.startswith(EXPIRING_PREFIX):
        return (f"output {output.uri} is under {EXPIRING_PREFIX}, where objects expire: choose another prefix to keep the video",)
    return ()


def read_config(config: Mapping[str, Any] | None, variables: Mapping[str, Any] | None = None) -> RenderConfig:
    """Return the validated configuration; `INVALID_CONFIG` names each faulty field."""
    return parse_config(merge_variables(config or {}, variables))
