"""CloudFormation for the stack's own template: change sets, stacks, rollback, and the refusals that a deployment must handle."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from hyperframes_provider.local.cloudformation.resources import RESOURCE_TYPES, ResourceType
from hyperframes_provider.local.cloudformation.stacks import (
    Change,
    ChangeFailedError,
    Rollback,
    Stack,
    StackResource,
    delete_resource,
    deletion_order,
    preview,
    transform,
)
from hyperframes_provider.local.cloudformation.submission import ChangeSet, StackRequestError, Submission
from hyperframes_provider.local.cloudformation.template import TemplateError
from hyperframes_provider.local.connections import ACCOUNT_ID, Connections

_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_UPDATABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})

_log = logging.getLogger(__name__)


class CloudFormation:
    """All stacks of one region. Requests are checked at once; the work happens in a thread that reports by status and events."""

    def __init__(self, connections: Connections, region: str) -> None:
        self.region = region
        self._connections = connections
        self._types: dict[str, ResourceType] = {}
        self._lock = threading.RLock()
        self._stacks: dict[str, Stack] = {}
        self._change_sets: dict[str, ChangeSet] = {}

    def stacks(self) -> list[Stack]:
        """Return all stacks, newest first, including deleted ones."""
        with self._lock:
            return sorted(self._stacks.values(), key=lambda stack: stack.created, reverse=True)

    def stack(self, name_or_id: str) -> Stack:
        """Return a stack by ID, or by name unless it is deleted. Raise `StackRequestError`."""
        found = self.find(name_or_id) or self._stacks.get(name_or_id)
        if found is None:
            raise StackRequestError(f"Stack with id {name_or_id} does not exist")
        return found

    def find(self, name_or_id: str) -> Stack | None:
        """Return a stack by ID or name; None if it does not exist or is deleted."""
        return next((stack for stack in self.stacks() if name_or_id in (stack.id, stack.name) and stack.status != "DELETE_COMPLETE"), None)

    def change_sets(self, stack: Stack) -> list[ChangeSet]:
        """Return the stack's change sets."""
        with self._lock:
            return [change_set for change_set in self._change_sets.values() if change_set.stack is stack]

    def change_set(self, name_or_id: str, stack_name: str | None) -> ChangeSet:
        """Return a change set by ID, or by its name and its stack's. Raise `StackRequestError`."""
        with self._lock:
            if name_or_id in self._change_sets:
                return self._change_sets[name_or_id]
            for change_set in self._change_sets.values():
                if change_set.name == name_or_id and stack_name in (change_set.stack.name, change_set.stack.id):
                    return change_set
        raise StackRequestError("ChangeSetNotFound", f"ChangeSet [{name_or_id}] does not exist")

    def create_stack(self, name: str, submission: Submission) -> Stack:
        """Start the creation of a stack. Raise `StackRequestError` if the name is taken."""
        with self._lock:
            if self.find(name) is not None:
                raise StackRequestError("AlreadyExistsException", f"Stack [{name}] already exists")
            stack = self._draft(name)
            self._stacks[stack.id] = stack
            self._begin(stack, "CREATE_IN_PROGRESS", submission)
        self._work(stack, lambda: self._create(stack, submission))
        return stack

    def update_stack(self, stack: Stack, submission: Submission) -> None:
        """Start the update of a stack. Raise `StackRequestError` if its status forbids it or nothing would change."""
        with self._lock:
            _check_updatable(stack)
            if not self._differs(stack, submission, self._preview(stack, submission)):
                raise StackRequestError("No updates are to be performed.")
            before = self._begin(stack, "UPDATE_IN_PROGRESS", submission)
        self._work(stack, lambda: self._update(stack, submission, before))

    def create_change_set(
        self, stack_name: str, name: str, kind: str, description: str | None, submit: Callable[[Stack | None], Submission]
    ) -> ChangeSet:
        """Compute a change; `submit` checks the request against the current stack. Raise `StackRequestError`."""
        with self._lock:
            stack = self.find(stack_name)
            if kind == "CREATE":
                if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                    raise StackRequestError(f"Stack [{stack_name}] already exists and cannot be created again with the changeSet [{name}].")
            elif stack is None:
                raise StackRequestError(f"Stack [{stack_name}] does not exist")
            else:
                _check_updatable(stack)
            if stack is not None and any(existing.name == name for existing in self.change_sets(stack)):
                raise StackRequestError("AlreadyExistsException", f"ChangeSet {name} cannot be created due to a name collision")
            submission = submit(stack)
            target = stack or self._draft(stack_name)
            changes = self._preview(target, submission)
            if stack is None:
                self._stacks[target.id] = target
                target.set_status("REVIEW_IN_PROGRESS", "User Initiated")
            usable = kind == "CREATE" or self._differs(target, submission, changes)
            change_set = ChangeSet(
                id=f"arn:aws:cloudformation:{self.region}:{ACCOUNT_ID}:changeSet/{name}/{uuid.uuid4()}",
                name=name,
                kind=kind,
                stack=target,
                submission=submission,
                changes=changes,
                status="CREATE_COMPLETE" if usable else "FAILED",
                execution_status="AVAILABLE" if usable else "UNAVAILABLE",
                reason=None if usable else _NO_CHANGES,
                description=description,
            )
            self._change_sets[change_set.id] = change_set
            return change_set

    def execute_change_set(self, change_set: ChangeSet) -> None:
        """Start the execution of a change set. Raise `StackRequestError` if it failed or was executed, or if the stack is busy."""
        stack, submission = change_set.stack, change_set.submission
        with self._lock:
            if change_set.status != "CREATE_COMPLETE" or change_set.execution_status != "AVAILABLE":
                state = change_set.status if change_set.status != "CREATE_COMPLETE" else change_set.execution_status
                raise StackRequestError(
                    "InvalidChangeSetStatus", f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{state}]"
                )
            if change_set.kind == "UPDATE":
                _check_updatable(stack)
            elif stack.status != "REVIEW_IN_PROGRESS":
                raise StackRequestError(f"Stack [{stack.name}] is in {stack.status} state and cannot be created.")
            for other in self.change_sets(stack):
                if other is not change_set:
                    # The others describe changes to a state that ends now.
                    del self._change_sets[other.id]
            change_set.execution_status = "EXECUTE_IN_PROGRESS"
            stack.change_set_id = change_set.id
            before = self._begin(stack, f"{change_set.kind}_IN_PROGRESS", submission)

        def work() -> None:
            done = self._create(stack, submission) if change_set.kind == "CREATE" else self._update(stack, submission, before)
            change_set.execution_status = "EXECUTE_COMPLETE" if done else "EXECUTE_FAILED"

        self._work(stack, work)

    def delete_change_set(self, change_set: ChangeSet) -> None:
        """Delete a change set. Raise `StackRequestError` while it is being executed."""
        with self._lock:
            if change_set.execution_status == "EXECUTE_IN_PROGRESS":
                raise StackRequestError("InvalidChangeSetStatus", f"ChangeSet [{change_set.id}] cannot be deleted while it is executed")
            self._change_sets.pop(change_set.id, None)

    def delete_stack(self, stack: Stack) -> None:
        """Start the deletion of a stack, unless it is deleted. Raise `StackRequestError` while it is being changed."""
        with self._lock:
            if stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
                return
            if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
                raise StackRequestError(f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
            stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
        self._work(stack, lambda: self._delete(stack))

    def _create(self, stack: Stack, submission: Submission) -> bool:
        try:
            self._transform(stack, submission)
        except ChangeFailedError as error:
            stack.set_status("ROLLBACK_IN_PROGRESS", f"{_blame('create', error)} Rollback requested by user.")
            stack.outputs = []
            failed = error.rollback.undo()
            stack.set_status("ROLLBACK_FAILED" if failed else "ROLLBACK_COMPLETE", _failures("delete", failed))
            return False
        stack.set_status("CREATE_COMPLETE")
        return True

    def _update(self, stack: Stack, submission: Submission, before: Submission) -> bool:
        outputs = stack.outputs
        try:
            rollback = self._transform(stack, submission)
        except ChangeFailedError as error:
            stack.set_status("UPDATE_ROLLBACK_IN_PROGRESS", _blame("update", error))
            failed = error.rollback.undo()
            _adopt(stack, before)
            stack.outputs = outputs
            stack.set_status("UPDATE_ROLLBACK_FAILED" if failed else "UPDATE_ROLLBACK_COMPLETE", _failures("update", failed))
            return False
        stack.set_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._tidy(stack, submission, rollback)
        stack.set_status("UPDATE_COMPLETE")
        return True

    def _transform(self, stack: Stack, submission: Submission) -> Rollback:
        rollback = transform(stack, submission.template, submission.parameters, self._type)
        taken = {
            output["ExportName"] for other in self.stacks() if other is not stack for output in other.outputs if "ExportName" in output
        }
        if clash := sorted(output["ExportName"] for output in stack.outputs if output.get("ExportName") in taken):
            raise ChangeFailedError(f"Export with name {clash[0]} is already exported by another stack", rollback)
        return rollback

    def _tidy(self, stack: Stack, submission: Submission, rollback: Rollback) -> None:
        for old in reversed(rollback.replaced):
            delete_resource(stack, old, self._type, old.replace_policy)
        unwanted = {change.logical_id for change in self._preview(stack, submission) if change.action == "Remove"}
        for resource in [resource for resource in deletion_order(stack) if resource.logical_id in unwanted]:
            # As on AWS, failed deletions leave resources behind, and the update counts as complete.
            delete_resource(stack, resource, self._type, resource.deletion_policy)
            _forget(stack, resource)

    def _delete(self, stack: Stack) -> bool:
        failed = []
        for resource in deletion_order(stack):
            if delete_resource(stack, resource, self._type, resource.deletion_policy):
                _forget(stack, resource)
            else:
                failed.append(resource.logical_id)
        if failed:
            stack.set_status("DELETE_FAILED", _failures("delete", failed))
            return False
        stack.outputs = []
        stack.deleted = datetime.now(UTC)
        stack.set_status("DELETE_COMPLETE")
        return True

    def _type(self, name: str) -> ResourceType:
        if name not in self._types:
            self._types[name] = RESOURCE_TYPES[name](self._connections, self.region)
        return self._types[name]

    def _preview(self, stack: Stack, submission: Submission) -> list[Change]:
        try:
            return preview(stack, submission.template, submission.parameters, self._type)
        except TemplateError as error:
            raise StackRequestError(str(error)) from error

    def _differs(self, stack: Stack, submission: Submission, changes: list[Change]) -> bool:
        if stack.template is None or changes or submission.tags != stack.tags:
            return True
        return submission.template.outputs != stack.template.outputs

    def _draft(self, name: str) -> Stack:
        if not _STACK_NAME.fullmatch(name):
            raise StackRequestError(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        return Stack(
            id=f"arn:aws:cloudformation:{self.region}:{ACCOUNT_ID}:stack/{name}/{uuid.uuid4()}",
            name=name,
            region=self.region,
            status="REVIEW_IN_PROGRESS",
        )

    def _begin(self, stack: Stack, status: str, submission: Submission) -> Submission:
        """Adopt a submission; return the previous state for a rollback."""
        before = Submission(stack.template or submission.template, stack.parameters, stack.tags, stack.capabilities)
        if status == "UPDATE_IN_PROGRESS":
            stack.updated = datetime.now(UTC)
        _adopt(stack, submission)
        stack.set_status(status, "User Initiated")
        return before

    def _work(self, stack: Stack, work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                # A defect here must not look like a deployment that never ends.
                _log.exception("stack %s", stack.name)
                stack.set_status(f"{stack.status.split('_')[0]}_FAILED", f"Internal error of the embedded endpoint: {error!r}")
                raise

        threading.Thread(target=run, name=f"stack-{stack.name}", daemon=True).start()


def _forget(stack: Stack, resource: StackResource) -> None:
    stack.resources = {name: other for name, other in stack.resources.items() if name != resource.logical_id}


def _adopt(stack: Stack, submission: Submission) -> None:
    stack.template, stack.parameters, stack.tags = submission.template, submission.parameters, submission.tags
    stack.capabilities = submission.capabilities


def _blame(verb: str, error: ChangeFailedError) -> str:
    return f"The following resource(s) failed to {verb}: [{error.resource}]." if error.resource else f"{error}."


def _failures(verb: str, names: list[str]) -> str | None:
    return f"The following resource(s) failed to {verb}: [{', '.join(names)}]. " if names else None


def _check_updatable(stack: Stack) -> None:
    if stack.status not in _UPDATABLE:
        raise StackRequestError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
