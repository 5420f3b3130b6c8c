"""The two operators against the embedded endpoint, reached through an Airflow connection."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from structlog.testing import capture_logs

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.stack.describe import describe_stack
from hyperframes_provider.operators.stack import HyperFramesDeleteStackOperator, HyperFramesDeployStackOperator

NAME = "hyperframes-operators"


@pytest.fixture(autouse=True)
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "connect" in request.fixturenames:
        extra = {"endpoint_url": request.getfixturevalue("endpoint"), "region_name": "us-east-1"}
        document = {"conn_type": "aws", "login": "local", "password": "local", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(document))


def deploy(**arguments: Any) -> dict[str, Any]:
    return HyperFramesDeployStackOperator(task_id="deploy", stack_name=NAME, **arguments).execute({})


def test_deploy_and_delete(connect: Connect) -> None:
    with capture_logs() as log:
        created = deploy(parameters={"LambdaMemoryMb": 3456}, tags={"team": "studio"})
    stack = describe_stack(connect, NAME)
    assert created | {"action": "created", "bucket": stack.bucket, "function_arn": stack.function_arn} == created
    assert created["state_machine_arn"] == stack.state_machine_arn
    assert created["code"].startswith("s3://hyperframes-code-")
    assert json.loads(json.dumps(created)) == created
    lines = [entry["event"] for entry in log]
    assert "RenderFunction (AWS::Lambda::Function) CREATE_COMPLETE" in lines
    assert lines[-1].startswith(f"stack {NAME} created · CREATE_COMPLETE · 18 resources")
    assert not [line for line in lines if "3456" in line]
    assert deploy(parameters={"LambdaMemoryMb": 3456})["action"] == "unchanged"

    deleted = HyperFramesDeleteStackOperator(task_id="delete", stack_name=NAME).execute({})
    assert deleted == {"action": "deleted", "stack_name": NAME, "kept_bucket": stack.bucket}
    absent = HyperFramesDeleteStackOperator(task_id="delete", stack_name=NAME).execute({})
    assert absent == {"action": "absent", "stack_name": NAME, "kept_bucket": None}


def test_a_wrong_parameter_fails_the_task_for_good(connect: Connect) -> None:
    with pytest.raises(AirflowFailException, match=r"InvalidStackParameter: LambdaTimeoutSec: '5' is not accepted"):
        deploy(parameters={"LambdaTimeoutSec": 5})


def test_a_failed_deploy_fails_the_task_with_the_reason(connect: Connect) -> None:
    logs = connect("logs")
    logs.create_log_group(logGroupName=f"/aws/lambda/{NAME}-render")
    with capture_logs() as log, pytest.raises(AirflowFailException, match=r"RenderFunctionLogGroup .* CREATE_FAILED: .*already exists"):
        deploy()
    assert [entry["log_level"] for entry in log if "CREATE_FAILED" in entry["event"]] == ["error"]
    logs.delete_log_group(logGroupName=f"/aws/lambda/{NAME}-render")
    assert HyperFramesDeleteStackOperator(task_id="delete", stack_name=NAME).execute({})["action"] == "deleted"


@pytest.mark.parametrize("operator", [HyperFramesDeployStackOperator, HyperFramesDeleteStackOperator])
def test_what_is_templated_exists(operator: type[HyperFramesDeployStackOperator | HyperFramesDeleteStackOperator]) -> None:
    task = operator(task_id="stack")
    assert {"stack_name", "aws_conn_id", "region_name"} <= set(task.template_fields)
    assert all(hasattr(task, name) for name in task.template_fields)


def test_default_args_and_partial_reach_the_arguments() -> None:
    task = HyperFramesDeployStackOperator(
        task_id="deploy", default_args={"stack_name": "studio", "region_name": "eu-west-1", "timeout": 60}
    )
    assert (task.stack_name, task.region_name, task.timeout) == ("studio", "eu-west-1", 60)
    HyperFramesDeployStackOperator.partial(task_id="deploy", timeout=60, tags={"a": "b"}, code="s3://b/k").expand(stack_name=["one", "two"])


def test_the_import_brings_no_heavy_package() -> None:
    script = (
        "import sys, hyperframes_provider.operators.stack\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'moto', 'playwright', 'ffmpeg', 'hyperframes_provider.local'}))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
