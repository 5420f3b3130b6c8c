"""CloudFormation's HTTP operations: moto's base class parses requests and writes answers, and nothing is decided here."""

from __future__ import annotations

import threading
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError
from flask import Flask
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.utils import convert_to_flask_response
from moto.moto_server.werkzeug_app import BackendRequest

from hyperframes_provider.local.cloudformation.answers import (
    describe_change_set,
    describe_event,
    describe_resource,
    describe_stack,
    summarize_template,
)
from hyperframes_provider.local.cloudformation.service import CloudFormation
from hyperframes_provider.local.cloudformation.stacks import Stack
from hyperframes_provider.local.cloudformation.submission import (
    ChangeSet,
    StackRequestError,
    Submission,
    check_submission,
    checked_template,
)
from hyperframes_provider.local.cloudformation.template import TemplateError
from hyperframes_provider.local.connections import Connections

_BODY_LIMIT_BYTES = 51_200
_PAGE = 100


class CloudFormationResponse(BaseResponse):
    """One request. It supports the operations of a deployment and refuses any other by name."""

    connections: ClassVar[Connections]
    _regions: ClassVar[dict[str, CloudFormation]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    @property
    def service(self) -> CloudFormation:
        """The stacks of the request's region."""
        with self._lock:
            if self.region not in self._regions:
                self._regions[self.region] = CloudFormation(self.connections, self.region)
            return self._regions[self.region]

    def call_action(self) -> Any:
        """Run the operation; refuse an unknown one instead of failing with a traceback."""
        try:
            return super().call_action()
        except NotImplementedError:
            error = StackRequestError("UnknownOperationException", f"The embedded endpoint does not support {self._get_action()}")
            return self.serialized(ActionResult(error))

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        self._refuse_failure_options()
        return ActionResult({"StackId": self.service.create_stack(self._get_param("StackName"), self._submission(None)).id})

    def update_stack(self) -> ActionResult:
        """UpdateStack."""
        self._refuse_failure_options()
        stack = self.service.stack(self._get_param("StackName"))
        self.service.update_stack(stack, self._submission(stack))
        return ActionResult({"StackId": stack.id})

    def delete_stack(self) -> ActionResult:
        """DeleteStack; a stack that does not exist is deleted already."""
        if stack := self.service.find(self._get_param("StackName")):
            self.service.delete_stack(stack)
        return EmptyResult()

    def create_change_set(self) -> ActionResult:
        """CreateChangeSet; the default kind is UPDATE, as on AWS."""
        self._refuse_failure_options()
        change_set = self.service.create_change_set(
            self._get_param("StackName"),
            self._get_param("ChangeSetName"),
            self._get_param("ChangeSetType", "UPDATE"),
            self._get_param("Description"),
            self._submission,
        )
        return ActionResult({"Id": change_set.id, "StackId": change_set.stack.id})

    def describe_change_set(self) -> ActionResult:
        """DescribeChangeSet."""
        return ActionResult(describe_change_set(self._change_set()))

    def execute_change_set(self) -> ActionResult:
        """ExecuteChangeSet."""
        self._refuse_failure_options()
        self.service.execute_change_set(self._change_set())
        return EmptyResult()

    def delete_change_set(self) -> ActionResult:
        """DeleteChangeSet."""
        self.service.delete_change_set(self._change_set())
        return EmptyResult()

    def describe_stacks(self) -> ActionResult:
        """DescribeStacks: one stack, or all that are not deleted."""
        name = self._get_param("StackName")
        stacks = [self.service.stack(name)] if name else [s for s in self.service.stacks() if s.status != "DELETE_COMPLETE"]
        return ActionResult({"Stacks": [describe_stack(stack) for stack in stacks]})

    def describe_stack_events(self) -> ActionResult:
        """DescribeStackEvents, newest first, in pages."""
        stack = self.service.stack(self._get_param("StackName"))
        events = list(reversed(stack.events))
        token, ids = self._get_param("NextToken"), [event.event_id for event in events]
        if token is not None and token not in ids:
            raise StackRequestError(f"Invalid NextToken {token}")
        start = 0 if token is None else ids.index(token) + 1
        answer: dict[str, Any] = {"StackEvents": [describe_event(stack, event) for event in events[start : start + _PAGE]]}
        if start + _PAGE < len(events):
            # The ID of the last event on this page: new events do not shift the next page.
            answer["NextToken"] = ids[start + _PAGE - 1]
        return ActionResult(answer)

    def describe_stack_resources(self) -> ActionResult:
        """DescribeStackResources."""
        stack = self.service.stack(self._get_param("StackName"))
        wanted = self._get_param("LogicalResourceId")
        found = [describe_resource(stack, r) for r in stack.resources.values() if wanted in (None, r.logical_id)]
        return ActionResult({"StackResources": found})

    def list_stack_resources(self) -> ActionResult:
        """ListStackResources."""
        stack = self.service.stack(self._get_param("StackName"))
        return ActionResult({"StackResourceSummaries": [describe_resource(stack, r) for r in stack.resources.values()]})

    def get_template(self) -> ActionResult:
        """GetTemplate, as submitted."""
        stack = self.service.stack(self._get_param("StackName"))
        return ActionResult({"TemplateBody": stack.template.body if stack.template else "", "StagesAvailable": ["Original"]})

    def get_template_summary(self) -> ActionResult:
        """GetTemplateSummary, for a body or a stack; `aws cloudformation deploy` calls it before an update."""
        name = self._get_param("StackName")
        try:
            template = self.service.stack(name).template if name else checked_template(self._template_body() or "")
        except TemplateError as error:
            raise StackRequestError(str(error)) from error
        return ActionResult(summarize_template(template) if template else {})

    def _submission(self, stack: Stack | None) -> Submission:
        tags = self._get_param("Tags")
        return check_submission(
            stack=stack,
            body=None if self._get_bool_param("UsePreviousTemplate", False) else self._template_body(),
            parameters={
                parameter["ParameterKey"]: None if parameter.get("UsePreviousValue") else parameter.get("ParameterValue", "")
                for parameter in self._get_param("Parameters", [])
            },
            tags={tag["Key"]: tag["Value"] for tag in tags} if tags else None,
            capabilities=list(self._get_param("Capabilities", [])),
        )

    def _template_body(self) -> str | None:
        body: str | None = self._get_param("TemplateBody")
        url = self._get_param("TemplateURL")
        if (body is None) == (url is None):
            raise StackRequestError("Exactly one of Template URL and Template Body must be specified.")
        if body is not None:
            if len(body.encode()) > _BODY_LIMIT_BYTES:
                raise StackRequestError(
                    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
                    f"Member must have length less than or equal to {_BODY_LIMIT_BYTES}"
                )
            return body
        bucket, key = _bucket_and_key(url)
        try:
            answer = self.connections.client("s3", self.region).get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise StackRequestError(f"S3 error: {error.response['Error'].get('Message')} ({url})") from error
        text: str = answer["Body"].read().decode()
        return text

    def _refuse_failure_options(self) -> None:
        """Refuse alternatives to the rollback of a failed stack, which nothing in this project uses."""
        if self._get_bool_param("DisableRollback", False) or self._get_param("OnStackFailure", "ROLLBACK") != "ROLLBACK":
            raise StackRequestError(
                "The embedded endpoint always rolls back a failed stack: it does not support DisableRollback and OnStackFailure"
            )

    def _change_set(self) -> ChangeSet:
        return self.service.change_set(self._get_param("ChangeSetName"), self._get_param("StackName"))


def application(connections: Connections) -> Flask:
    """Return the WSGI application of CloudFormation."""
    CloudFormationResponse.connections = connections
    app = Flask("cloudformation")
    app.request_class = BackendRequest
    app.add_url_rule("/", view_func=convert_to_flask_response(CloudFormationResponse.dispatch), methods=["GET", "POST"], endpoint="root")
    return app


def _bucket_and_key(url: str) -> tuple[str, str]:
    """Parse `https://BUCKET.s3….amazonaws.com/KEY`, `https://s3….amazonaws.com/BUCKET/KEY` or `http://ENDPOINT/BUCKET/KEY`."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    if host.endswith(".amazonaws.com") and not host.startswith("s3"):
        return host.split(".s3", 1)[0], path
    bucket, _, key = path.partition("/")
    return bucket, key
