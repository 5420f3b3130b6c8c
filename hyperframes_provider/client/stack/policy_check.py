"""Missing permissions of a policy document, or of the caller as IAM simulates them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperframes_provider.client.aws.calls import Call, pages, run
from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import InvalidRequest, typed_errors
from hyperframes_provider.client.stack.needs import Need


@dataclass(frozen=True)
class Missing:
    """A permission that a policy or a caller lacks."""

    action: str
    resource: str
    reason: str
    """`not allowed`, or the obstacle."""

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}: {self.reason}"


def missing_in_policy(policy: Mapping[str, Any], needs: Iterable[Need]) -> list[Missing]:
    """Return the needs that a policy document does not meet; raise `InvalidRequest` if it is not a policy.

    A statement with a condition allows nothing, because only AWS knows whether it holds; the condition on `iam:PassedToService` that the
    printed policies have is the exception. A statement that denies always counts.
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
    """Return the needs that the caller does not meet in IAM's simulation; the caller needs `iam:SimulatePrincipalPolicy` on itself.

    A pattern is tested with an example in place of each `*`. The simulation excludes the policies of resources and of the organisation,
    and the limits of a session.
    """
    with typed_errors():
        principal = _principal(connect)
    found: list[Missing] = []
    for need in needs:
        request: dict[str, Any] = {"PolicySourceArn": principal, "ActionNames": list(need.actions)}
        examples = {_example(resource): resource for resource in need.resources}
        if list(examples) != ["*"]:
            request["ResourceArns"] = list(examples)
        if need.passed_to:
            service = {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [need.passed_to[0]], "ContextKeyType": "string"}
            request["ContextEntries"] = [service]
        for page in run(connect, pages(Call("iam", "simulate_principal_policy", request))):
            found += _denied(page["EvaluationResults"], examples)
    return found


def parse_policy(text: str) -> dict[str, Any]:
    """Parse a policy document; raise `InvalidRequest` if it is not one."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"the policy is not JSON: {error}", hint="Pass the policy document itself, as IAM shows it.") from error
    _statements(document)
    policy: dict[str, Any] = document
    return policy


def _statements(policy: Any) -> list[Mapping[str, Any]]:
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    found = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(found, list) or not all(isinstance(one, Mapping) and one.get("Effect") in ("Allow", "Deny") for one in found):
        raise InvalidRequest("this is not a policy document: it has no statements", hint="Pass the document with Version and Statement.")
    return found


def _refusal(statements: Sequence[Mapping[str, Any]], need: Need, action: str, resource: str) -> str | None:
    """Return why the action is not allowed, None if it is."""
    if any(statement["Effect"] == "Deny" and _matches(statement, action, resource, _meets) for statement in statements):
        return "denied"
    conditional = False
    for statement in statements:
        if statement["Effect"] == "Allow" and _matches(statement, action, resource, _within):
            if not statement.get("Condition") or _only_passes(statement["Condition"], need):
                return None
            conditional = True
    return "allowed only under a condition" if conditional else "not allowed"


def _only_passes(condition: Mapping[str, Any], need: Need) -> bool:
    """Whether the condition only restricts the receivers of a role, and admits all that need it."""
    if set(condition) != {"StringEquals"} or set(condition["StringEquals"]) != {"iam:PassedToService"}:
        return False
    return bool(need.passed_to) and set(need.passed_to) <= set(_listed(condition["StringEquals"]["iam:PassedToService"]))


def _matches(statement: Mapping[str, Any], action: str, resource: str, how: Callable[[str, str], bool]) -> bool:
    return _element(statement, "Action", action, how, ignore_case=True) and _element(statement, "Resource", resource, how)


def _element(statement: Mapping[str, Any], name: str, wanted: str, how: Callable[[str, str], bool], *, ignore_case: bool = False) -> bool:
    wanted = wanted.lower() if ignore_case else wanted
    given, negated = statement.get(name), statement.get(f"Not{name}")
    patterns = [pattern.lower() if ignore_case else pattern for pattern in _listed(given if negated is None else negated)]
    if negated is None:
        return any(how(pattern, wanted) for pattern in patterns)
    # A negated element matches whatever lies outside all of its patterns.
    return not any(_meets(pattern, wanted) for pattern in patterns)


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]  # a list of strings, as IAM has it


def _within(pattern: str, wanted: str) -> bool:
    """Whether `pattern` matches everything that `wanted`, itself a pattern, matches."""
    # Only a `*` matches a `*` of the wanted pattern.
    return re.fullmatch("".join({"*": ".*", "?": "[^*]"}.get(part, re.escape(part)) for part in pattern), wanted, re.DOTALL) is not None


def _meets(pattern: str, wanted: str) -> bool:
    """Whether one of the two patterns includes the other."""
    return _within(pattern, wanted) or _within(wanted, pattern)


def _principal(connect: Connect) -> str:
    """Return the ARN of the user or role whose policies apply, for a session that of its role."""
    arn = str(connect("sts").get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    # The session's ARN lacks the role's path.
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
