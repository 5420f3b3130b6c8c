"""Distributed Maps: an execution for every item, and their fate when one fails or the parent is stopped."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tests.local.deployed import Deployed, eventually, task

OFTEN = [{"ErrorEquals": ["FlakyError"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1.0}]


def distributed(body: dict[str, Any], bucket: str, key: str) -> dict[str, Any]:
    """Return a Map over the indices in an object; the Task `body` gets each as `$.chunk`."""
    return {
        "StartAt": "Chunks",
        "States": {
            "Chunks": {
                "Type": "Map",
                "Label": "chunks",
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": bucket, "Key": key},
                },
                "MaxConcurrencyPath": "$.parallel",
                "ItemSelector": {"chunk.$": "$$.Map.Item.Value", "parent.$": "$$.Execution.Name", "given.$": "$.given"},
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Chunk",
                    "States": {"Chunk": body},
                },
                "ResultPath": "$.chunks",
                "End": True,
            }
        },
    }


@pytest.fixture
def chunks(local_aws: Deployed):
    def put(count: int) -> str:
        key = f"chunks-{count}.json"
        local_aws.connect("s3").put_object(Bucket=local_aws.bucket, Key=key, Body=json.dumps(list(range(count))))
        return key

    return put


def start(local_aws: Deployed, name: str, body: dict[str, Any], key: str, *, parallel: int = 1000) -> str:
    machine = local_aws.machine(name, distributed(body, local_aws.bucket, key))
    return local_aws.start(machine, name=f"{name}-1", input=json.dumps({"parallel": parallel, "given": "this"}))


def test_every_item_is_an_execution_with_a_history_of_its_own(local_aws: Deployed, function: str, chunks) -> None:
    body = task(function, {"do": "echo", "chunk.$": "$.chunk", "parent.$": "$.parent", "given.$": "$.given"}, OutputPath="$.Payload")
    execution = start(local_aws, "sixty", body, chunks(60))
    ended = local_aws.finished(execution, 60)

    assert ended["status"] == "SUCCEEDED", ended
    assert [(chunk["chunk"], chunk["parent"], chunk["given"]) for chunk in json.loads(ended["output"])["chunks"]] == [
        (index, "sixty-1", "this") for index in range(60)
    ]
    kinds = Counter(event["type"] for event in local_aws.events(execution))
    assert (kinds["MapRunStarted"], kinds["MapRunSucceeded"], kinds["TaskScheduled"]) == (1, 1, 0)
    sfn = local_aws.connect("stepfunctions")
    (run,) = sfn.list_map_runs(executionArn=execution)["mapRuns"]
    assert ":mapRun:sixty/chunks:" in run["mapRunArn"]
    described = sfn.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (described["status"], described["executionArn"], described["maxConcurrency"]) == ("SUCCEEDED", execution, 1000)
    assert {name: count for name, count in described["itemCounts"].items() if count} == {"total": 60, "succeeded": 60}
    first, second = sfn.list_executions(mapRunArn=run["mapRunArn"], maxResults=40), None
    second = sfn.list_executions(mapRunArn=run["mapRunArn"], maxResults=40, nextToken=first["nextToken"])
    arns = {child["executionArn"] for page in (first, second) for child in page["executions"]}
    assert len(arns) == 60 and "nextToken" not in second
    child = local_aws.describe(min(arns))
    assert (child["status"], child["mapRunArn"]) == ("SUCCEEDED", run["mapRunArn"])
    assert json.loads(child["input"]).keys() == {"chunk", "parent", "given"}
    assert [event["type"] for event in local_aws.events(min(arns))][-2:] == ["TaskStateExited", "ExecutionSucceeded"]
    assert [item["name"] for item in sfn.list_executions(stateMachineArn=ended["stateMachineArn"])["executions"]] == ["sixty-1"]


def test_a_thousand_items_keep_their_order_and_are_listed_in_pages(local_aws: Deployed, chunks) -> None:
    execution = start(local_aws, "thousand-run", {"Type": "Pass", "End": True}, chunks(1000))
    ended = local_aws.finished(execution, 120)

    assert ended["status"] == "SUCCEEDED", ended
    assert [chunk["chunk"] for chunk in json.loads(ended["output"])["chunks"]] == list(range(1000)), ended
    sfn = local_aws.connect("stepfunctions")
    run = sfn.list_map_runs(executionArn=execution)["mapRuns"][0]["mapRunArn"]
    pages = sfn.get_paginator("list_executions").paginate(mapRunArn=run, statusFilter="SUCCEEDED", maxResults=300)
    assert [len(page["executions"]) for page in pages] == [300, 300, 300, 100]


def test_no_more_at_once_than_the_cores_and_the_path_allow(local_aws: Deployed, function: str, chunks) -> None:
    cores = os.cpu_count() or 1
    body = task(function, {"do": "sleep", "seconds": 0.4}, OutputPath="$.Payload", TimeoutSeconds=1)
    wide = local_aws.finished(start(local_aws, "wide-run", body, chunks(3 * cores)), 60)
    assert wide["status"] == "SUCCEEDED", wide
    narrow = local_aws.finished(start(local_aws, "narrow-run", body, chunks(4), parallel=1), 60)
    spans = sorted((item["started"], item["ended"]) for item in json.loads(narrow["output"])["chunks"])
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_child_that_fails_ends_the_run_and_keeps_its_reason(local_aws: Deployed, function: str, chunks) -> None:
    execution = start(local_aws, "failing-run", task(function, {"do": "fail", "how": "flaky"}, Retry=OFTEN), chunks(60))
    ended = local_aws.finished(execution)

    assert (ended["status"], ended["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    kinds = [event["type"] for event in local_aws.events(execution)]
    assert kinds[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]
    sfn = local_aws.connect("stepfunctions")
    (run,) = sfn.list_map_runs(executionArn=execution)["mapRuns"]
    failed = sfn.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
    child = local_aws.describe(failed[-1]["executionArn"])
    assert (child["error"], json.loads(child["cause"])["errorMessage"]) == ("FlakyError", "asked to fail: flaky")
    assert Counter(event["type"] for event in local_aws.events(child["executionArn"]))["TaskScheduled"] == 2
    counts = sfn.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    assert (counts["total"], counts["pending"], counts["running"], counts["succeeded"]) == (60, 0, 0, 0)


def test_an_item_list_that_is_not_there_is_an_error_of_its_own(local_aws: Deployed, function: str) -> None:
    ended = local_aws.finished(start(local_aws, "no-list", task(function, {"do": "echo"}), "no/such/list.json"))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ItemReaderFailed")


def test_stopping_the_parent_stops_the_children(local_aws: Deployed, chunks) -> None:
    name = local_aws.function("run-stoppable")
    execution = start(local_aws, "stopped-run", task(name, {"do": "sleep", "seconds": 1}), chunks(60))
    sfn = local_aws.connect("stepfunctions")
    run = eventually(lambda: sfn.list_map_runs(executionArn=execution)["mapRuns"])[0]["mapRunArn"]
    running = eventually(lambda: sfn.list_executions(mapRunArn=run, statusFilter="RUNNING")["executions"])
    sfn.stop_execution(executionArn=execution, error="RENDER_CANCELLED", cause="asked by the test")

    assert local_aws.describe(execution)["status"] == "ABORTED"
    assert local_aws.describe(running[0]["executionArn"])["status"] == "ABORTED"
    eventually(lambda: sfn.describe_map_run(mapRunArn=run)["status"] == "ABORTED")
    counts = sfn.describe_map_run(mapRunArn=run)["itemCounts"]
    assert (counts["running"], counts["pending"], counts["failed"]) == (0, 0, 0)
    assert counts["aborted"] <= (os.cpu_count() or 1)
