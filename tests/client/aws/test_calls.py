"""Conversations: pages, pauses, and errors that they decide about, over boto3 and aiobotocore alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hyperframes_provider.client.aws.calls import Call, Pause, Steps, arun, pages, poll, run
from hyperframes_provider.client.aws.errors import AccessDenied, ServiceError
from hyperframes_provider.client.execution.pace import Pace, patiently


class Service:
    """Answers one call after the other, from a list of responses and errors."""

    def __init__(self, *answers: dict[str, Any] | str) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def ask(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": ""}}, "Ask")
        return answer


def over_boto3(service: Service, steps: Steps[Any]) -> Any:
    return run(lambda _: service, steps, sleep=lambda _: None)


def over_aiobotocore(service: Service, steps: Steps[Any]) -> Any:
    class Client:
        async def ask(self, **arguments: Any) -> dict[str, Any]:
            return service.ask(**arguments)

    async def connect(_service: str) -> Client:
        return Client()

    return asyncio.run(arun(connect, steps))


CALL = Call("service", "ask", {"Prefix": "x"})
each_driver = pytest.mark.parametrize("drive", [over_boto3, over_aiobotocore])


@each_driver
@pytest.mark.parametrize(
    ("field", "argument"),
    [("nextToken", "nextToken"), ("NextToken", "NextToken"), ("NextContinuationToken", "ContinuationToken"), ("Marker", "Marker")],
)
def test_pages_are_walked_by_their_tokens(drive: Callable[..., Any], field: str, argument: str) -> None:
    service = Service({"n": 1, field: "a"}, {"n": 2, field: "b"}, {"n": 3})
    assert [page["n"] for page in drive(service, pages(CALL))] == [1, 2, 3]
    assert service.asked == [{"Prefix": "x"}, {"Prefix": "x", argument: "a"}, {"Prefix": "x", argument: "b"}]


def test_no_more_pages_are_asked_for_than_are_needed() -> None:
    service = Service({"n": 1, "nextToken": "a"}, {"n": 2, "nextToken": "b"})
    assert len(over_boto3(service, pages(CALL, until=lambda found: found[-1]["n"] == 2))) == 2
    assert service.answers == []


@each_driver
def test_a_conversation_decides_about_the_errors_of_its_calls(drive: Callable[..., Any]) -> None:
    def tolerant() -> Steps[str]:
        try:
            yield CALL
        except ClientError as error:
            yield Pause(0.0)
            return str(error.response["Error"]["Code"])
        return "answered"

    assert drive(Service("Odd"), tolerant()) == "Odd"
    with pytest.raises(AccessDenied):
        drive(Service("AccessDenied"), pages(CALL))


@each_driver
def test_errors_that_may_pass_are_waited_out_and_others_are_raised(drive: Callable[..., Any]) -> None:
    warnings: list[str] = []
    pace = Pace(1.0, spread=lambda: -1.0)  # no pauses
    found = drive(Service("Throttling", "Odd", {"n": 1}), patiently(lambda: pages(CALL), pace, warn=warnings.append))
    assert (found, len(warnings)) == ([{"n": 1}], 2)
    with pytest.raises(AccessDenied):
        drive(Service("AccessDenied"), patiently(lambda: pages(CALL), pace))
    with pytest.raises(ServiceError, match="Odd"):
        drive(Service(*["Throttling"] * 20, "Odd"), patiently(lambda: pages(CALL), pace))


def test_polling_keeps_its_pace_and_its_deadline() -> None:
    slept: list[float] = []

    def look() -> Steps[int | None]:
        answer = yield CALL
        return answer.get("n")

    def steps(deadline: float) -> Steps[int]:
        return poll(look, first=1.0, longest=2.0, deadline=deadline, late=lambda: TimeoutError("late"))

    service = Service({}, {}, {}, {"n": 4})
    assert run(lambda _: service, steps(float("inf")), sleep=slept.append) == 4
    assert slept == [1.0, 1.5, 2.0]
    with pytest.raises(TimeoutError, match="late"):
        run(lambda _: Service({}), steps(0.0), sleep=slept.append)
