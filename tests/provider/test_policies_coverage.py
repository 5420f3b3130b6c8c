"""Every call that the verbs and the operator make from deploying to destroying, held against the printed policies."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from hyperframes_provider.cli import main
from hyperframes_provider.client.stack.needs import Scope
from hyperframes_provider.client.stack.policies import policy_of, user_needs
from hyperframes_provider.operators.render import HyperFramesRenderOperator
from tests.recorded import Call, recorded, refused

NAME = "hyperframes-policies"
SCOPE = Scope(NAME, "123456789012", "us-east-1")
DEPLOYED = Scope("hyperframes-provider-tests", "123456789012", "us-east-1")


def actions(calls: list[Call]) -> set[str]:
    return {f"{call.service}.{call.operation}" for call in calls}


def test_the_verbs(aws: Any, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "handler.zip"
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(Path(__file__).with_name("tiny_renderer.py"), "handler.py")
        archive.writestr("of_this_test", "so that it is uploaded")

    def run(*arguments: str, ends: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*arguments, "--stack-name", NAME, "--endpoint-url", aws.endpoint_url, "--json"]) == ends
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"variables": {"title": "one"}}\n{"variables": {"title": "two"}}\n')

    with recorded() as deploying:
        output = f"s3://{run('deploy', '--code', str(code))['bucket']}/outputs/out.mp4"
        run("deploy", "--code", str(code), "--parameter", "LambdaMemoryMb=2048", "--parameter", "CoordinatorMemoryMb=2048")
    with recorded() as rendering:
        run("render", str(project), "-o", output, "--var", "chunks=2")
        run("download", output, "-o", str(tmp_path / "out.mp4"))
        run("progress", "latest")
        failing = json.dumps({"code": "COMPOSITION_ERROR", "times": 9})
        run("render", str(project), "-o", output, "--var", f"fail={failing}", ends=1)
        run("progress", "latest", "--watch", ends=1)
        run("cancel", "latest", ends=1)  # it has ended already
        run("logs", "latest")
        run("redrive", "latest")
        run("progress", "latest", "--watch", ends=1)
        run("list")
        run("quotas")
        run("render-batch", str(project), "--rows", str(rows), "-o", f"{output.removesuffix('.mp4')}-{{title}}.mp4")
        site = run("sites", "create", str(project))
        run("sites", "list")
        run("sites", "remove", str(site["id"]))
    with recorded() as destroying:
        run("destroy")

    assert {"cloudformation.ExecuteChangeSet", "s3.PutObject"} <= actions(deploying)
    assert {"stepfunctions.StartExecution", "stepfunctions.GetExecutionHistory", "logs.FilterLogEvents"} <= actions(rendering)
    assert {"stepfunctions.RedriveExecution", "stepfunctions.ListExecutions", "s3.DeleteObject"} <= actions(rendering)
    assert refused([*deploying, *destroying], policy_of(user_needs(SCOPE, "deploy"))) == set()
    assert refused(rendering, policy_of(user_needs(SCOPE, "render"))) == set()
    assert refused([*deploying, *rendering, *destroying], policy_of(user_needs(SCOPE))) == set()
    with_role = policy_of(user_needs(SCOPE, "deploy", service_role_arn="arn:aws:iam::123456789012:role/deploy"))
    assert refused([*deploying, *destroying], with_role) == set()
    assert refused(deploying, policy_of(user_needs(SCOPE, "render"))) != set()
    assert refused(destroying, policy_of(user_needs(SCOPE, "render"))) != set()


def test_the_operator(aws: Any, project: Path, context: Callable[..., dict[str, Any]]) -> None:
    def operator(**variables: Any) -> HyperFramesRenderOperator:
        return HyperFramesRenderOperator(
            task_id="render",
            stack_name=DEPLOYED.stack_name,
            project=str(project),
            variables=variables,
            deferrable=False,
            poll_interval=0.5,
            **({"wait_for_completion": False} if "seconds" in variables else {}),
        )

    with recorded() as calls:
        operator(rows="x" * 300_000).execute(context())
        with pytest.raises(AirflowFailException):
            operator(fail={"code": "COMPOSITION_ERROR", "times": 9}).execute(context(task_id="failing"))
        running = operator(seconds=5)
        running.execute(context(task_id="running"))
        running.on_kill()
    assert {"stepfunctions.StartExecution", "stepfunctions.StopExecution", "logs.FilterLogEvents", "s3.PutObject"} <= actions(calls)
    assert refused(calls, policy_of(user_needs(DEPLOYED, "render"))) == set()
