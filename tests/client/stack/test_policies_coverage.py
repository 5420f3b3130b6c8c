"""Every call that CloudFormation makes for the stack's resources on the embedded endpoint, held against the printed policies.

It runs in this process and makes its resources over the public API, so its calls are seen; those of the verbs and the operator are held
against the policies in the provider's tests.
"""

from __future__ import annotations

from typing import Any

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.stack.delete import delete_stack
from hyperframes_provider.client.stack.deploy import deploy_stack
from hyperframes_provider.client.stack.needs import Scope
from hyperframes_provider.client.stack.policies import policy_of, service_needs, user_needs
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, load_template
from hyperframes_provider.local.cloudformation.service import CloudFormation
from hyperframes_provider.local.cloudformation.stacks import Stack
from hyperframes_provider.local.cloudformation.submission import check_submission
from hyperframes_provider.local.connections import Connections
from tests.cfn.test_options import EVERYTHING, eventually
from tests.recorded import recorded, refused

NAME = "hyperframes-policies"
SCOPE = Scope(NAME, "123456789012", "us-east-1", kms_key_arn=EVERYTHING["KmsKeyArn"], network=True)


def test_what_cloudformation_does_is_covered(endpoint: str, connect: Connect) -> None:
    deployed = deploy_stack(connect, NAME).outputs
    places = {key: deployed.parameters[key] for key in PLACED_BY_DEPLOY}
    delete_stack(connect, NAME)
    cloudformation = CloudFormation(Connections(endpoint), "us-east-1")

    def submission(**options: Any) -> Any:
        parameters = {"ProjectName": NAME, **places, **{key: str(value) for key, value in options.items()}}
        return check_submission(stack=None, body=load_template().body, parameters=parameters, tags=None, capabilities=["CAPABILITY_IAM"])

    def settled(stack: Stack, status: str) -> None:
        eventually(lambda: not stack.status.endswith("_IN_PROGRESS"))
        assert stack.status == status, [event.reason for event in stack.events if event.reason]

    with recorded() as calls:
        stack = cloudformation.create_stack(NAME, submission(**EVERYTHING))
        settled(stack, "CREATE_COMPLETE")
        cloudformation.update_stack(stack, submission())
        settled(stack, "UPDATE_COMPLETE")
        cloudformation.update_stack(stack, submission(**EVERYTHING, LambdaMemoryMb=4096))
        settled(stack, "UPDATE_COMPLETE")
        cloudformation.delete_stack(stack)
        settled(stack, "DELETE_COMPLETE")

    made = {f"{call.service}.{call.operation}" for call in calls}
    assert {"lambda.CreateFunction", "events.PutTargets", "sns.SetTopicAttributes", "logs.DisassociateKmsKey", "iam.PutRolePolicy"} <= made
    assert refused(calls, policy_of(service_needs(SCOPE))) == set()
    assert refused(calls, policy_of(user_needs(SCOPE, "deploy"))) == set()
    assert "lambda:CreateFunction" in {one.partition(" ")[0] for one in refused(calls, policy_of(user_needs(SCOPE, "render")))}
