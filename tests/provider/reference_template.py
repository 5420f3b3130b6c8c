"""A template that deploys what a stack of the reference renderer is to its users: three outputs, and a state machine that speaks alike.

Both plan protocols are told apart by `PlanProtocol`, absent meaning v2; the whole state is the execution's output.
"""

from __future__ import annotations

import json
from typing import Any

from hyperframes_provider.client.request.reference_stack import REFERENCE

FINAL = sorted(name for name in ("PLAN_HASH_MISMATCH", "PLAN_ARTIFACT_DIGEST_MISMATCH", "S3_URI_NOT_ALLOWED", "FONT_FETCH_FAILED"))
assert all(REFERENCE.is_final(name) for name in FINAL)


def template(code_bucket: str, code_key: str) -> str:
    """CloudFormation, as JSON. Waits between attempts are shorter than the reference's."""
    role = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    resources = {
        "RenderBucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
        "RenderRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": role}},
        "RenderFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": {"Fn::Sub": "${ProjectName}-render"},
                "Runtime": "python3.13",
                "Handler": "handler.handler",
                "Role": {"Fn::GetAtt": ["RenderRole", "Arn"]},
                "Code": {"S3Bucket": code_bucket, "S3Key": code_key},
                "MemorySize": {"Ref": "LambdaMemoryMb"},
                "Timeout": 60,
                "Environment": {"Variables": {"HYPERFRAMES_RENDER_BUCKET": {"Ref": "RenderBucket"}}},
            },
        },
        "RenderStateMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": {"Fn::Sub": "${ProjectName}-render"},
                "RoleArn": {"Fn::GetAtt": ["RenderRole", "Arn"]},
                "DefinitionString": json.dumps(_definition()),
                "DefinitionSubstitutions": {"Function": {"Fn::GetAtt": ["RenderFunction", "Arn"]}},
            },
        },
    }
    values = {
        "RenderBucketName": {"Ref": "RenderBucket"},
        "RenderStateMachineArn": {"Ref": "RenderStateMachine"},
        "RenderFunctionArn": {"Fn::GetAtt": ["RenderFunction", "Arn"]},
    }
    return json.dumps(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": {
                "ProjectName": {"Type": "String", "Default": "hyperframes"},
                "LambdaMemoryMb": {"Type": "Number", "Default": 2048},
            },
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in values.items()},
        }
    )


def _definition() -> dict[str, Any]:
    v2 = ("PlanV2ManifestS3Uri", "PlanV2ArtifactS3Prefix", "PlanHash")
    planned = (*v2, "ChunkCount", "Format", "HasAudio")
    chunk = {name: f"$.{name}" for name in ("ChunkIndex", *v2, "ChunkOutputS3Prefix", "Format")}
    items = {"ChunkIndex": "$$.Map.Item.Value", "ChunkOutputS3Prefix": "$.PlanOutputS3Prefix"}
    items |= {name: f"$.Plan.{name}" for name in (*v2, "Format")}
    finished = {"ChunkS3Uris": "$.Chunks[*].ChunkS3Uri", "OutputS3Uri": "$.OutputS3Uri"}
    finished |= {name: f"$.Plan.{name}" for name in (*v2, "Format")}
    start = {name: f"$.{name}" for name in ("ProjectS3Uri", "PlanOutputS3Prefix", "Config")}
    return {
        "StartAt": "SelectPlanProtocol",
        "States": {
            "SelectPlanProtocol": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.PlanProtocol", "IsPresent": True, "Next": "UnsupportedPlanProtocol"}],
                "Default": "PlanV2",
            },
            "UnsupportedPlanProtocol": {"Type": "Fail", "Error": "PLAN_PROTOCOL_UNSUPPORTED"},
            "PlanV2": _task("plan", start, planned, ResultPath="$.Plan", Next="BuildChunkList"),
            "BuildChunkList": {
                "Type": "Pass",
                "Parameters": {"ChunkIndexes.$": "States.ArrayRange(0, States.MathAdd($.Plan.ChunkCount, -1), 1)"},
                "ResultPath": "$.Iterator",
                "Next": "RenderChunksV2",
            },
            "RenderChunksV2": {
                "Type": "Map",
                "ItemsPath": "$.Iterator.ChunkIndexes",
                "MaxConcurrencyPath": "$.Plan.ChunkCount",
                "ItemSelector": _paths(items),
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "RenderChunkV2",
                    "States": {"RenderChunkV2": _task("renderChunk", chunk, ("ChunkS3Uri", "ChunkIndex", "Sha256"), End=True)},
                },
                "ResultPath": "$.Chunks",
                "Next": "AssembleV2",
            },
            "AssembleV2": _task(
                "assemble",
                finished,
                ("OutputS3Uri", "FramesEncoded", "FileSize"),
                more={"AudioS3Uri": None},
                ResultPath="$.Output",
                End=True,
            ),
        },
    }


def _task(
    action: str, given: dict[str, str], kept: tuple[str, ...], *, more: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    protocol = {"PlanProtocol": "v2"} if action == "plan" else {}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {
            "FunctionName": "${Function}",
            "Payload": {"Action": action, "PlanProtocol": "v2", **(more or {}), **_paths(given)},
        },
        "ResultSelector": protocol | {f"{name}.$": f"$.Payload.{name}" for name in kept},
        "Retry": [
            {"ErrorEquals": FINAL, "MaxAttempts": 0},
            {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 4, "BackoffRate": 1.0},
        ],
        **fields,
    }


def _paths(values: dict[str, str]) -> dict[str, str]:
    return {f"{name}.$": path for name, path in values.items()}
