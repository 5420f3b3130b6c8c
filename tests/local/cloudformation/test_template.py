"""Templates as values: short forms, conditions, intrinsic functions, order."""

from __future__ import annotations

from typing import Any

import pytest

from hyperframes_provider.local.cloudformation.intrinsics import NO_VALUE, Scope, evaluate, scope
from hyperframes_provider.local.cloudformation.parameters import resolve_parameters
from hyperframes_provider.local.cloudformation.template import TemplateError, creation_order, parse_template

SCOPE = Scope(
    parameters={"Name": "demo", "Empty": "", "Names": "a,b"},
    pseudo={"AWS::Region": "us-east-1"},
    resource=lambda name, attribute: f"<{name}{'.' + attribute if attribute else ''}>",
    conditions={"Yes": True, "No": False},
)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"Ref": "Name"}, "demo"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "AWS::NoValue"}, NO_VALUE),
        ({"Ref": "Bucket"}, "<Bucket>"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "<Bucket.Arn>"),
        ({"Fn::Sub": "${Name}/${Bucket.Arn}/${!Kept}/${AWS::Region}"}, "demo/<Bucket.Arn>/${Kept}/us-east-1"),
        ({"Fn::Sub": ["${Own}-${Name}", {"Own": {"Ref": "Bucket"}}]}, "<Bucket>-demo"),
        ({"Fn::Join": ["-", ["x", {"Ref": "Name"}, 3]]}, "x-demo-3"),
        ({"Fn::Split": [",", {"Ref": "Names"}]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::If": ["Yes", {"Ref": "Name"}, {"Fn::GetAtt": ["X", "Y"]}]}, "demo"),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": [1, {"Ref": "AWS::NoValue"}]}, {"b": [1]}),
        (True, True),
    ],
)
def test_intrinsic_functions(value: Any, result: Any) -> None:
    assert evaluate(value, SCOPE) == result


def test_short_forms_and_dates_in_yaml() -> None:
    template = parse_template("""
Parameters: {P: {Type: Number, Default: -1}}
Conditions:
  Given: !Not [!Equals [!Ref P, -1]]
  Both: !And [!Condition Given, !Equals [a, a]]
Resources:
  A: {Type: T, Properties: {X: !GetAtt B.Arn, Y: !Sub "${B}", V: 2012-10-17}}
  B: {Type: T, DependsOn: C}
  C: {Type: T, Condition: Both}
""")
    assert template.resources["A"].properties == {"X": {"Fn::GetAtt": ["B", "Arn"]}, "Y": {"Fn::Sub": "${B}"}, "V": "2012-10-17"}
    assert creation_order(template, {"A", "B", "C"}) == ["C", "B", "A"]
    for given, met in (({}, False), ({"P": "5"}, True)):
        made = scope(template, resolve_parameters(template, given), {}, SCOPE.resource)
        assert made.conditions == {"Given": met, "Both": met}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Resources: [", "Template format error"),
        ("just text", "unsupported structure"),
        ("Parameters: {}", "At least one Resources member"),
        ("Transform: AWS::Serverless-2016-10-31\nResources: {A: {Type: T}}", "Transform"),
        ("Resources: {A: {Properties: {}}}", "must contain a Type member"),
        ("Resources: {A: {Type: T, Typo: 1}}", "'Typo' of A"),
        ("Resources: {A: {Type: T}}\nOutputs: {O: {Value: !Ref Lost}}", r"\[Lost\] in the Outputs block, O"),
    ],
)
def test_malformed_templates_say_what_is_wrong(body: str, text: str) -> None:
    with pytest.raises(TemplateError, match=text):
        parse_template(body)


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        ({"AllowedPattern": "[a-z]+"}, "A", "must match pattern"),
        (
            {"AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"},
            "A",
            "Parameter P failed to satisfy constraint: small letters",
        ),
        ({"MinLength": 2}, "a", "at least 2"),
        ({"MaxLength": 2}, "aaa", "at most 2"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "a", "does not support"),
    ],
)
def test_parameter_bounds(spec: dict[str, Any], value: str, text: str) -> None:
    template = parse_template("Resources: {A: {Type: T}}")
    template.parameters["P"] = {"Type": "String", **spec}
    with pytest.raises(TemplateError, match=text):
        resolve_parameters(template, {"P": value})
