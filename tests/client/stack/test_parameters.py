"""Parameters are held to the template's own constraints before anything is created."""

from __future__ import annotations

from typing import Any

import pytest

from hyperframes_provider.client.stack.template import PLACED_BY_DEPLOY, InvalidStackParameter, Parameter, load_template

PLACES = dict.fromkeys(PLACED_BY_DEPLOY, "pending")


def resolve(**given: Any) -> dict[str, str]:
    return load_template().resolve({**PLACES, **given})


def test_defaults_are_filled_in() -> None:
    values = resolve()
    assert values["LambdaMemoryMb"] == "10240"
    assert values["ReservedConcurrency"] == "-1"
    assert values["AllowedBuckets"] == ""
    assert set(values) == set(load_template().parameters)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LambdaTimeoutSec", 60),
        ("LambdaTimeoutSec", "900"),
        ("LambdaMemoryMb", 2048),
        ("ReservedConcurrency", 0),
        ("ChromeSource", "chrome-headless-shell"),
        ("ProjectName", "Studio-2"),
        ("AllowedBuckets", "studio"),
        ("AllowedBuckets", "studio,studio-2.archive"),
        ("AlarmTopicArn", "arn:aws:sns:eu-west-1:123456789012:alarms"),
        ("NotificationTopicArn", "own"),
        ("CoordinatorMemoryMb", 2048),
        ("CoordinatorMemoryMb", 10240),
        ("KmsKeyArn", "arn:aws-cn:kms:cn-north-1:123456789012:key/0b1c2d3e-1111-2222-3333-444455556666"),
        ("LogRetentionDays", 1),
    ],
)
def test_accepted(name: str, value: object) -> None:
    assert resolve(**{name: value})[name] == str(value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LambdaTimeoutSec", 59, "LambdaTimeoutSec: '59' is not accepted; accepted: 60 to 900"),
        ("LambdaTimeoutSec", 901, "accepted: 60 to 900"),
        ("LambdaTimeoutSec", "fast", "accepted: a number"),
        ("LambdaTimeoutSec", "nan", "accepted: a number"),
        ("LambdaMemoryMb", 10241, "accepted: 2048 to 10240"),
        ("LambdaMemoryMb", 1769, "accepted: 2048 to 10240"),
        ("ReservedConcurrency", -2, "accepted: -1 to 10000"),
        ("ChunkInvocationAlarmThreshold", 0, "accepted: 1 or more"),
        ("ChromeSource", "firefox", "accepted: sparticuz, chrome-headless-shell"),
        ("ProjectName", "9lives", "accepted: 1 to 40 letters"),
        ("ProjectName", "x" * 41, "accepted: 1 to 40 letters"),
        ("AllowedBuckets", "a, b", "separated by commas and nothing else"),
        ("AllowedBuckets", "*", "separated by commas"),
        ("AlarmTopicArn", "alarms", "the ARN of an SNS topic"),
        ("CoordinatorMemoryMb", 1, "accepted: 0, or 2048 to 10240"),
        ("WebhookSecretArn", "secret", "the ARN of a Secrets Manager secret"),
        ("DashboardEnabled", "yes", "accepted: true, false"),
        ("CodeKey", "", "CodeBucket: requires CodeKey, and vice versa; give both or neither"),
        ("CodeKey", "x" * 1025, "accepted: 0 to 1024 characters"),
        ("LambdaMemoryMB", 4096, "LambdaMemoryMB: unknown parameter, did you mean LambdaMemoryMb?"),
        ("Colour", "red", "Colour: unknown parameter, known: AlarmTopicArn, AllowedBuckets"),
    ],
)
def test_refused(name: str, value: object, words: str) -> None:
    with pytest.raises(InvalidStackParameter) as caught:
        resolve(**{name: value})
    assert words in str(caught.value)
    assert "Nothing was created" in str(caught.value)


def test_all_faults_at_once() -> None:
    with pytest.raises(InvalidStackParameter) as caught:
        resolve(LambdaTimeoutSec=1, ChromeSource="x", Nope=1)
    assert len(caught.value.message.splitlines()) == 3


def test_a_value_that_is_missing() -> None:
    with pytest.raises(InvalidStackParameter, match="DefinitionBucket: a value is required; Bucket with the state machine's definition"):
        load_template().resolve({})


def test_every_default_satisfies_its_own_constraint() -> None:
    declared = load_template().parameters.values()
    assert [parameter.name for parameter in declared if parameter.default is not None and parameter.fault(parameter.default)] == []


@pytest.mark.parametrize(("low", "high", "words"), [(None, 5.0, "5 or less"), (1.0, None, "1 or more"), (1.0, 5.0, "1 to 5")])
def test_bounds_are_named(low: float | None, high: float | None, words: str) -> None:
    parameter = Parameter("P", "Number", None, (), None, low, high, None, None, "", None)
    assert parameter.fault("99" if high else "-99") == f"accepted: {words}"
    assert parameter.fault("3") is None
