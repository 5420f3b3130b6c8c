"""Functions as processes, with Lambda's limits, failures and environment."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.connect import connect_from_session
from hyperframes_provider.local.processes import start_ticks
from tests.local.deployed import Deployed, eventually


def test_answer_is_the_handlers(local_aws: Deployed, function: str) -> None:
    assert local_aws.invoke(function, do="echo", value=[1, "é"]) == ({"do": "echo", "value": [1, "é"]}, None)


def test_a_warm_environment_is_used_again(local_aws: Deployed, function: str) -> None:
    first, _ = local_aws.invoke(function, do="describe")
    second, _ = local_aws.invoke(function, do="describe")
    assert first["pid"] == second["pid"] != local_aws.info.pid


def test_surroundings_are_lambdas(local_aws: Deployed) -> None:
    name = local_aws.function("surroundings", MemorySize=300, Timeout=7, Environment={"Variables": {"HYPERFRAMES_BUCKET": "b"}})
    seen, _ = local_aws.invoke(name, do="describe")
    environ = seen["environ"]
    assert environ["HYPERFRAMES_BUCKET"] == "b"
    assert environ["HYPERFRAMES_TOOLSET"] == "/of/this/machine/toolset.json"
    assert environ["NODE_EXTRA_CA_CERTS"] == "/of/this/machine/authority.pem"
    assert environ["AWS_ENDPOINT_URL"] == local_aws.info.url
    assert environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "300"
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert environ["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
    assert environ["TZ"] == ":UTC"
    assert (environ["LAMBDA_TASK_ROOT"], environ["PYTHONPATH"]) == (seen["cwd"], seen["cwd"])
    assert 6000 < seen["remaining_ms"] <= 7000
    assert int(seen["memory"]) == 300
    assert seen["arn"].endswith(":function:surroundings")
    assert seen["scratch_is_writable"]
    assert Path(environ["TMPDIR"]).is_relative_to(local_aws.state_dir)
    assert seen["code_modes"] == ["0o0"]


def test_no_credentials_of_this_machine_reach_the_function(local_aws: Deployed, function: str) -> None:
    seen, _ = local_aws.invoke(function, do="describe")
    assert seen["environ"]["AWS_SECRET_ACCESS_KEY"] == "local"
    assert "real-secret-of-this-machine" not in json.dumps(seen["environ"])


@pytest.mark.parametrize(
    ("event", "name", "text"),
    [
        ({"do": "fail", "how": "bad"}, "BadInputError", "asked to fail: bad"),
        ({"do": "exit", "status": 3}, "Runtime.ExitError", "exit status 3"),
        ({"do": "signal", "name": "SIGSEGV"}, "Runtime.ExitError", "signal: segmentation fault"),
        ({"do": "signal", "name": "SIGKILL"}, "Runtime.ExitError", "signal: killed"),
    ],
)
def test_failures_have_lambdas_names(local_aws: Deployed, function: str, event: dict[str, Any], name: str, text: str) -> None:
    payload, failed = local_aws.invoke(function, **event)
    assert failed == "Unhandled"
    assert payload["errorType"] == name
    assert text in payload["errorMessage"]


def test_a_handler_that_cannot_be_loaded_says_so(local_aws: Deployed) -> None:
    payload, failed = local_aws.invoke(local_aws.function("unloadable", Handler="nowhere.handler"), do="echo")
    assert failed == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"


def test_over_time_is_killed_with_everything_it_started(local_aws: Deployed) -> None:
    name = local_aws.function("slow", Timeout=2)
    s3 = local_aws.connect("s3")
    payload, failed = local_aws.invoke(name, do="detach", then="sleep", bucket=local_aws.bucket)
    assert (payload["errorType"], failed) == ("Sandbox.Timedout", "Unhandled")
    assert "Task timed out after 2.00 seconds" in payload["errorMessage"]
    detached = json.load(s3.get_object(Bucket=local_aws.bucket, Key="detached")["Body"])["pid"]
    assert start_ticks(detached) is None


def test_over_memory_in_a_child_is_killed(local_aws: Deployed) -> None:
    payload, _ = local_aws.invoke(local_aws.function("fat", MemorySize=192), do="allocate", mb=400, seconds=30)
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("signal: killed")


def test_shared_memory_counts_once(local_aws: Deployed) -> None:
    payload, failed = local_aws.invoke(local_aws.function("sharing", MemorySize=320), do="share", mb=120, processes=4, seconds=1.2)
    assert (payload, failed) == (120 << 20, None)


def test_reserved_concurrency_throttles(local_aws: Deployed) -> None:
    name = local_aws.function("narrow", reserved=1)
    answers: list[Any] = []
    holding = threading.Thread(target=lambda: answers.append(local_aws.invoke(name, do="sleep", seconds=2)))
    holding.start()
    # The SDK would wait and retry.
    once = connect_from_session(endpoint_url=local_aws.info.url, config=Config(retries={"total_max_attempts": 1}))("lambda")
    refused = eventually(lambda: _throttled(once, name), 10)
    holding.join()
    assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answers[0][1] is None


def _throttled(client: Any, name: str) -> ClientError | None:
    try:
        client.invoke(FunctionName=name, Payload=b'{"do":"echo"}')
    except client.exceptions.TooManyRequestsException as error:
        return error
    return None


def test_invocations_beyond_the_cores_wait_and_their_time_starts_when_they_do(local_aws: Deployed) -> None:
    cores = psutil.cpu_count()
    name = local_aws.function("queued", Timeout=2)
    answers: list[Any] = []
    invoking = [threading.Thread(target=lambda: answers.append(local_aws.invoke(name, do="sleep", seconds=1.2))) for _ in range(2 * cores)]
    for thread in invoking:
        thread.start()
    for thread in invoking:
        thread.join()
    assert [failed for _, failed in answers] == [None] * (2 * cores)
    moments = sorted((payload["started"], payload["ended"]) for payload, _ in answers)
    at_once = [sum(other[0] <= one[0] < other[1] for other in moments) for one in moments]
    assert max(at_once) <= cores
    assert len({payload["pid"] for payload, _ in answers}) <= cores


def test_new_configuration_and_new_code_take_effect(local_aws: Deployed) -> None:
    name = local_aws.function("changing")
    before, _ = local_aws.invoke(name, do="describe")
    client = local_aws.connect("lambda")
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"LATER": "1"}}, EphemeralStorage={"Size": 2048})
    after, _ = local_aws.invoke(name, do="describe")
    assert (before["environ"].get("LATER"), after["environ"]["LATER"]) == (None, "1")
    assert start_ticks(before["pid"]) is None
    assert client.get_function(FunctionName=name)["Configuration"]["EphemeralStorage"] == {"Size": 2048}
    client.delete_function(FunctionName=name)
    assert start_ticks(after["pid"]) is None


def test_log_group_has_start_output_end_and_report(local_aws: Deployed) -> None:
    name = local_aws.function("talking")
    local_aws.invoke(name, do="print", text="hello from inside")
    logs = local_aws.connect("logs")

    def lines() -> list[str]:
        found = [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
        return found if "hello from inside" in found else []

    written = eventually(lines)
    assert any(line.startswith("START RequestId: ") for line in written)
    assert any(line.startswith("END RequestId: ") for line in written)
    report = next(line for line in written if line.startswith("REPORT RequestId: "))
    assert "Memory Size: 512 MB" in report
    assert "Init Duration: " in report


def test_missing_code_is_the_callers_error(local_aws: Deployed) -> None:
    client = local_aws.connect("lambda")
    with pytest.raises(ClientError, match=r"absent\.zip does not exist") as refused:
        client.create_function(
            FunctionName="nothing",
            Runtime="python3.11",
            Role="arn:aws:iam::123456789012:role/test",
            Handler="app.handler",
            Code={"S3Bucket": local_aws.bucket, "S3Key": "absent.zip"},
        )
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"


def test_the_quota_of_concurrent_executions_is_what_this_machine_runs_at_once(local_aws: Deployed) -> None:
    limits = local_aws.connect("lambda").get_account_settings()["AccountLimit"]
    assert limits == {"ConcurrentExecutions": os.cpu_count(), "UnreservedConcurrentExecutions": os.cpu_count()}
