"""Deterministic names: every attempt of a task finds the same render without any stored state.

A render id is a readable slug and a UUIDv5 of everything that identifies the render. Executions are numbered generations of that id.
Finished chunks are stored under the id, so that a later generation does not render them again.
"""

from __future__ import annotations

import json
import re
import uuid

DEFAULT_STACK = "hyperframes"
"""The name of a stack, unless another one is given."""

_NAMESPACE = uuid.UUID("6f0b6e0c-9f9d-5f5c-8f0a-4e1f0b9d7c21")
_LONGEST_NAME = 80
"""Characters that Step Functions allows in an execution's name."""
_LONGEST_SLUG = _LONGEST_NAME - len("-") - 36 - len("-g99999")


def render_id(label: str, *identity: object) -> str:
    """Return `<slug of label>-<UUIDv5 of identity>`, at most 73 characters; `identity` is anything that JSON can hold."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return f"{slug(label)}-{uuid.uuid5(_NAMESPACE, text)}"


def execution_name(render: str, generation: int) -> str:
    """Return `<render id>-g<generation>`; generations are counted from 1."""
    return f"{render}-g{generation}"


def execution_arn(state_machine_arn: str, name: str) -> str:
    """Return an execution's ARN. It follows from the name, so no call is needed to find an execution again."""
    head, machine = state_machine_arn.split(":stateMachine:", 1)
    return f"{head}:execution:{machine}:{name}"


def render_id_of(name: str) -> str:
    """Return the render id in an execution's name or ARN."""
    return re.sub(r"-g[0-9]+$", "", name.rsplit(":", 1)[-1])


def generation_of(name: str) -> int:
    """Return the generation in an execution's name or ARN; 0 for one that was named by hand."""
    match = re.search(r"-g([0-9]+)$", name)
    return int(match[1]) if match else 0


def state_machine_arn(execution_arn: str) -> str:
    """Return the ARN of an execution's state machine."""
    head, rest = execution_arn.split(":execution:", 1)
    return f"{head}:stateMachine:{rest.rsplit(':', 1)[0]}"


def short_id(name: str) -> str:
    """Return the first eight digits of the render id's UUID, as logs show it."""
    render = render_id_of(name)
    return render[-36:-28] if len(render) > 36 else render


def slug(label: str) -> str:
    """Return `label` reduced to lower-case letters, digits and single dashes; `render` if nothing remains."""
    text = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return text[:_LONGEST_SLUG].strip("-") or "render"
