"""The CDK construct: the template itself, with its parameters' values in it.

One synthesis serves all tests, and the CDK is imported by the tests that use it: both take seconds, the import in every process that
collects this file.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.stack import template as templates
from hyperframes_provider.client.stack.slim_zip import build_slim_zip
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, InvalidStackParameter, cfn_folder, load_template


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "handler.zip"
    build_slim_zip(path)
    return path


@pytest.fixture(scope="module")
def synthesised(code: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By stack: `studio` as a user makes it, `newer` of a template that has a parameter more."""
    from aws_cdk import App, Stack
    from aws_cdk import aws_sns as sns

    from hyperframes_provider import cdk
    from hyperframes_provider.cdk import HyperFramesRender

    app = App(outdir=str(tmp_path_factory.mktemp("cdk")))
    stack = Stack(app, "studio")
    topic = sns.Topic(stack, "Topic")
    render = HyperFramesRender(
        stack, "Render", code=code, lambda_memory_mb=4096, allowed_buckets="one,two", alarm_topic_arn=topic.topic_arn
    )
    render.bucket.grant_read(render.function)
    render.state_machine.grant_start_execution(render.function)

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("newer")
        for name in ("template.yaml", "render.asl.json"):
            shutil.copy(cfn_folder() / name, folder)
        body = (folder / "template.yaml").read_text()
        body = body.replace("Parameters:\n  ProjectName:", "Parameters:\n  NewWords:\n    {Type: String, Default: none}\n  ProjectName:", 1)
        (folder / "template.yaml").write_text(body.rstrip() + "\n  NewOutput:\n    Value: !Ref NewWords\n")
        for module in (templates, cdk):
            patch.setattr(module, "cfn_folder", lambda: folder)
        load_template.cache_clear()
        HyperFramesRender(Stack(app, "newer"), "Render", code="s3://bucket/handler.zip", new_words="hello")
    load_template.cache_clear()

    assembly = app.synth()
    return {name: dict(assembly.get_stack_by_name(name).template) for name in ("studio", "newer")}


@pytest.fixture(autouse=True, scope="module")
def _fresh_template() -> Iterator[None]:
    yield
    load_template.cache_clear()


def test_the_resources_are_those_of_the_template_with_the_parameters_in_their_places(synthesised) -> None:
    from cfnlint.decode import cfn_yaml

    made = synthesised["studio"]
    resources, written = made["Resources"], cfn_yaml.load(str(cfn_folder() / "template.yaml"))
    _, _, code = resources["RenderFunction"]["Properties"]["Code"]["Fn::If"]
    place = resources["RenderStateMachine"]["Properties"]["DefinitionS3Location"]
    (topic,) = (name for name in resources if resources[name]["Type"] == "AWS::SNS::Topic" and name not in written["Resources"])
    values: dict[str, Any] = {name: parameter.default for name, parameter in load_template().parameters.items()}
    values |= {"ProjectName": "studio", "LambdaMemoryMb": "4096", "AllowedBuckets": "one,two", "AlarmTopicArn": {"Ref": topic}}
    values |= dict(zip(PLACED_BY_DEPLOY, (code["S3Bucket"], code["S3Key"], place["Bucket"], place["Key"]), strict=True))

    for section in ("Resources", "Conditions", "Rules", "Outputs"):
        wanted = resolved(json.loads(json.dumps(written[section])), values)
        for name in wanted:
            assert resolved(made[section][name], values) == wanted[name], name

    # Beside them there is only what the user wrote.
    assert {resource["Type"] for name, resource in resources.items() if name not in written["Resources"]} <= {
        "AWS::SNS::Topic",
        "AWS::IAM::Policy",
        "AWS::CDK::Metadata",
    }
    assert not set(load_template().parameters) & set(made.get("Parameters", {}))


def resolved(value: Any, values: dict[str, Any]) -> Any:
    """The value in one spelling: parameters replaced, Fn::GetAtt as a list, scalars as text."""
    if isinstance(value, list):
        return [resolved(item, values) for item in value]
    if not isinstance(value, dict):
        return ("true" if value else "false") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value.get("DependsOn"), str):
        value = {**value, "DependsOn": [value["DependsOn"]]}
    if set(value) == {"Ref"}:
        return resolved(values[value["Ref"]], values) if value["Ref"] in values else value
    if set(value) == {"Fn::GetAtt"} and isinstance(value["Fn::GetAtt"], str):
        return {"Fn::GetAtt": value["Fn::GetAtt"].split(".", 1)}
    if set(value) == {"Fn::Sub"} and isinstance(value["Fn::Sub"], str):
        return {"Fn::Sub": re.sub(r"\$\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), value["Fn::Sub"])}
    inner = {name: resolved(item, values) for name, item in value.items()}
    return computed(inner) if len(inner) == 1 else inner


def computed(value: dict[str, Any]) -> Any:
    """Evaluate a function of text alone, because the CDK evaluates some of them in advance."""
    match value:
        case {"Fn::Split": [str(delimiter), str(text)]}:
            return text.split(delimiter)
        case {"Fn::Join": [str(delimiter), [*texts]]} if all(isinstance(text, str) for text in texts):
            return delimiter.join(texts)
        case {"Fn::Sub": [str(text), dict(names)]} if all(isinstance(name, str) for name in names.values()):
            filled = re.sub(r"\$\{(\w+)\}", lambda found: names.get(found[1], found[0]), text)
            return {"Fn::Sub": filled} if "${" in filled else filled
    return value


def test_a_new_parameter_of_the_template_needs_no_change_of_the_construct(synthesised) -> None:
    assert synthesised["newer"]["Outputs"]["NewOutput"] == {"Value": "hello"}
    _, _, code = synthesised["newer"]["Resources"]["RenderFunction"]["Properties"]["Code"]["Fn::If"]
    assert code == {"S3Bucket": "bucket", "S3Key": "handler.zip"}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"lambda_memory_mb": 1}, InvalidStackParameter, "LambdaMemoryMb: '1' is not accepted; accepted: 2048 to 10240"),
        ({"memory": 4096}, InvalidStackParameter, "memory: unknown parameter"),
        ({"code_bucket": "mine"}, InvalidStackParameter, "code_bucket: unknown parameter"),
        ({"code": None}, InvalidRequest, "hyperframes-airflow build"),
        ({"code": "s3://bucket"}, InvalidRequest, "names no object"),
    ],
)
def test_what_is_wrong_is_said_as_by_a_deploy(arguments, error, words: str) -> None:
    from aws_cdk import App, Stack

    from hyperframes_provider.cdk import HyperFramesRender

    with pytest.raises(error, match=words):
        HyperFramesRender(Stack(App(), "studio"), "Render", **{"code": "s3://bucket/handler.zip", **arguments})
