"""Deterministic names: the same attempt of the same task finds the same render, without anything having been stored.

A render's identity is its id, a readable slug and a UUIDv5 of everything that makes it this render and no other. Its executions are
numbered generations of that id: finished chunks lie under the id, so that a later generation does not render them again.
"""

from __future__ import annotations

import json
import re
import uuid

DEFAULT_STACK = "hyperframes"
"""The name of a stack, unless another one is given."""

_NAMESPACE = uuid.UUID("6f0b6e0c-9f9d-5f5c-8f0a-4e1f0b9d7c21")
_LONGEST_NAME = 80
"""Characters in the name of an execution."""
_LONGEST_SLUG = _LONGEST_NAME - len("-") - 36 - len("-g99999")


def render_id(label: str, *identity: object) -> str:
    """`<slug of label>-<UUIDv5 of identity>`, at most 73 characters; `identity` is anything that JSON can hold."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return f"{slug(label)}-{uuid.uuid5(_NAMESPACE, text)}"


def execution_name(render: str, generation: int) -> str:
    """Name of the execution: `<render id>-g<generation>`, generations counted from 1."""
    return f"{render}-g{generation}"


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN follows from the name: no call and no store is needed to find an execution again."""
    head, machine = state_machine_arn.split(":stateMachine:", 1)
    return f"{head}:execution:{machine}:{name}"


def render_id_of(name: str) -> str:
    """The render id in the name, or in the ARN, of an execution."""
    return re.sub(r"-g[0-9]+$", "", name.rsplit(":", 1)[-1])


def generation_of(name: str) -> int:
    """The generation in the name, or in the ARN, of an execution; 0 for one that was named by hand."""
    match = re.search(r"-g([0-9]+)$", name)
    return int(match[1]) if match else 0


def state_machine_arn(execution_arn: str) -> str:
    """The state machine of an execution."""
    head, rest = execution_arn.split(":execution:", 1)
    return f"{head}:stateMachine:{rest.rsplit(':', 1)[0]}"


def short_id(name: str) -> str:
    """The first eight digits of the render id's UUID, as the logs show it."""
    render = render_id_of(name)
    return render[-36:-28] if len(render) > 36 else render


def slug(label: str) -> str:
    """Lower-case letters, digits and single dashes; `render` when nothing is left of `label`."""
    text = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return text[:_LONGEST_SLUG].strip("-") or "render"
