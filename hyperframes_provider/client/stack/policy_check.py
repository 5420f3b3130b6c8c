"""What a policy, or the caller, lacks of what a stack takes: read from a document, or simulated by IAM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest, typed_errors
from hyperframes_provider.client.stack.policies import Need


@dataclass(frozen=True)
class Missing:
    """What a policy or a caller does not have."""

    action: str
    resource: str
    reason: str
    """`not allowed`, or what stands against it."""

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}: {self.reason}"


def missing_in_policy(policy: Mapping[str, Any], needs: Iterable[Need]) -> list[Missing]:
    """What of `needs` the policy document does not give. Raises `InvalidRequest` for what is no policy.

    Statements under a condition count as giving nothing, but for the condition on `iam:PassedToService` that the printed policies have:
    whether it holds is known to AWS alone. One that denies counts in any case.
    """
    statements = _statements(policy)
    return [
        Missing(action, resource, reason)
        for need in needs
        for action in need.actions
        for resource in need.resources
        if (reason := _refusal(statements, need, action, resource)) is not None
    ]


def missing_for_caller(connect: Connect, needs: Iterable[Need]) -> list[Missing]:
    """What of `needs` the caller may not do, as IAM itself simulates it; the caller needs `iam:SimulatePrincipalPolicy` on itself.

    A pattern is tried with an example in the place of each `*`. The policies of resources and of the organisation, and the limits of a
    session, are not part of the simulation.
    """
    with typed_errors():
        principal = _principal(connect)
        iam = connect("iam")
        found: list[Missing] = []
        for need in needs:
            context = [
                {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [service], "ContextKeyType": "string"}
                for service in need.passed_to[:1]
            ]
            request: dict[str, Any] = {"PolicySourceArn": principal, "ActionNames": list(need.actions)}
            examples = {_example(resource): resource for resource in need.resources}
            if list(examples) != ["*"]:
                request["ResourceArns"] = list(examples)
            if context:
                request["ContextEntries"] = context
            for page in iam.get_paginator("simulate_principal_policy").paginate(**request):
                found += _denied(page["EvaluationResults"], examples)
        return found


def parse_policy(text: str) -> dict[str, Any]:
    """A policy document from a file. Raises `InvalidRequest`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"the policy is no JSON: {error}", hint="Pass the policy document itself, as IAM shows it.") from error
    _statements(document)
    policy: dict[str, Any] = document
    return policy


def _statements(policy: Any) -> list[Mapping[str, Any]]:
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    found = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(found, list) or not all(isinstance(one, Mapping) and one.get("Effect") in ("Allow", "Deny") for one in found):
        raise InvalidRequest("this is no policy document: it has no statements", hint="Pass the document with Version and Statement.")
    return found


def _refusal(statements: Sequence[Mapping[str, Any]], need: Need, action: str, resource: str) -> str | None:
    """Why the action is not allowed; None when it is."""
    if any(statement["Effect"] == "Deny" and _touches(statement, action, resource) for statement in statements):
        return "denied"
    conditional = False
    for statement in statements:
        if statement["Effect"] == "Allow" and _covers(statement, action, resource):
            if not statement.get("Condition") or _only_passes(statement["Condition"], need):
                return None
            conditional = True
    return "allowed under a condition only" if conditional else "not allowed"


def _only_passes(condition: Mapping[str, Any], need: Need) -> bool:
    """Whether it is the condition on who gets a role, and lets all of them have it that need it."""
    if set(condition) != {"StringEquals"} or set(condition["StringEquals"]) != {"iam:PassedToService"}:
        return False
    return bool(need.passed_to) and set(need.passed_to) <= set(_listed(condition["StringEquals"]["iam:PassedToService"]))


def _covers(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    return _element(statement, "Action", action, _within, ignore_case=True) and _element(statement, "Resource", resource, _within)


def _touches(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    return _element(statement, "Action", action, _meets, ignore_case=True) and _element(statement, "Resource", resource, _meets)


def _element(statement: Mapping[str, Any], name: str, wanted: str, matches: Any, *, ignore_case: bool = False) -> bool:
    wanted = wanted.lower() if ignore_case else wanted
    given, negated = statement.get(name), statement.get(f"Not{name}")
    patterns = [pattern.lower() if ignore_case else pattern for pattern in _listed(given if negated is None else negated)]
    if negated is None:
        return any(matches(pattern, wanted) for pattern in patterns)
    # Everything but these: `wanted` is meant when it lies outside all of them.
    return not any(_meets(pattern, wanted) for pattern in patterns)


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]  # a list of strings, as IAM has it


def _within(pattern: str, wanted: str) -> bool:
    """Whether everything that `wanted`, itself a pattern, stands for is also meant by `pattern`."""
    # A `*` of the wanted pattern can only be met by a `*`.
    return re.fullmatch("".join({"*": ".*", "?": "[^*]"}.get(part, re.escape(part)) for part in pattern), wanted, re.DOTALL) is not None


def _meets(pattern: str, wanted: str) -> bool:
    """Whether the two have anything in common, as far as one of them includes the other."""
    return _within(pattern, wanted) or _within(wanted, pattern)


def _principal(connect: Connect) -> str:
    """The user or role whose policies decide; a session of a role is not one."""
    arn = str(connect("sts").get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    # The role's path is not in the session's ARN.
    return str(connect("iam").get_role(RoleName=arn.split("/")[1])["Role"]["Arn"])


def _example(resource: str) -> str:
    return resource if resource == "*" else resource.replace("*", "example")


def _denied(results: Iterable[Mapping[str, Any]], resources: Mapping[str, str]) -> Iterator[Missing]:
    for result in results:
        decisions = result.get("ResourceSpecificResults") or [result]
        for one in decisions:
            decision = one.get("EvalResourceDecision") or one["EvalDecision"]
            example = one.get("EvalResourceName") or "*"
            if decision != "allowed":
                yield Missing(
                    result["EvalActionName"], resources.get(example, example), "denied" if decision == "explicitDeny" else "not allowed"
                )
