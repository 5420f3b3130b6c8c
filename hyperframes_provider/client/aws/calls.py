"""AWS calls as values, so that one description of a conversation serves boto3 and aiobotocore alike.

A conversation is a generator. It yields a `Call`, a list of independent calls or a `Pause`, and receives the response. `run` drives it
with boto3, `arun` with aiobotocore: operators and triggers share every line that decides what to ask and what an answer means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import typed_errors

T = TypeVar("T")

AsyncConnect = Callable[[str], Awaitable[Any]]
"""Return an open aiobotocore client for a service name."""

_AT_ONCE = 8
"""Calls of one list that `run` makes concurrently; botocore keeps ten connections per client."""

_TOKENS = {"nextToken": "nextToken", "NextToken": "NextToken", "NextContinuationToken": "ContinuationToken", "Marker": "Marker"}
"""Response field that announces another page, and the argument that requests it, for all services used here."""


@dataclass(frozen=True)
class Call:
    """One request: the boto3 names of a service and a method, and the arguments."""

    service: str
    operation: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Pause:
    """A wait before the conversation continues."""

    seconds: float


Reply: TypeAlias = "dict[str, Any] | ClientError"
Request: TypeAlias = Call | Sequence[Call] | Pause
Steps: TypeAlias = Generator[Request, Any, T]
"""A conversation that returns a `T`. The error of a single call is thrown in; the errors of a list are returned in their places.

A `Body` in a response arrives as bytes.
"""


def run(connect: Connect, steps: Steps[T], *, sleep: Callable[[float], None] = time.sleep) -> T:
    """Drive a conversation with boto3; raise the errors that it does not handle as those of `client.aws.errors`."""
    reply: Any = None
    with typed_errors():
        while True:
            try:
                request = _advance(steps, reply)
            except StopIteration as done:
                result: T = done.value
                return result
            reply = _answer(connect, request, sleep)


async def arun(connect: AsyncConnect, steps: Steps[T]) -> T:
    """Drive a conversation with aiobotocore; otherwise like `run`."""
    reply: Any = None
    with typed_errors():
        while True:
            try:
                request = _advance(steps, reply)
            except StopIteration as done:
                result: T = done.value
                return result
            reply = await _aanswer(connect, request)


def pages(call: Call, *, until: Callable[[list[dict[str, Any]]], bool] = lambda _: False) -> Steps[list[dict[str, Any]]]:
    """Return the pages of a paginated operation.

    :param until: called with the pages so far after each page; True skips the rest
    """
    found: list[dict[str, Any]] = []
    while True:
        page: dict[str, Any] = yield call
        found.append(page)
        following = {argument: page[field] for field, argument in _TOKENS.items() if page.get(field)}
        if until(found) or not following:
            return found
        call = Call(call.service, call.operation, {**call.arguments, **following})


def poll(look: Callable[[], Steps[T | None]], *, first: float, longest: float, deadline: float, late: Callable[[], Exception]) -> Steps[T]:
    """Repeat `look` after growing pauses until it returns a value.

    :param first: seconds before the second look
    :param longest: longest pause in seconds
    :param deadline: `time.monotonic()` past which no look may begin; the error that `late` makes is raised instead
    """
    pause = first
    while True:
        found = yield from look()
        if found is not None:
            return found
        if time.monotonic() + pause > deadline:
            raise late()
        yield Pause(pause)
        pause = min(longest, pause * 1.5)


def _advance(steps: Steps[T], reply: Any) -> Request:
    """Send a reply to the conversation, or throw it in if it is an error, and return the next request."""
    return steps.throw(reply) if isinstance(reply, (ClientError, BotoCoreError)) else steps.send(reply)


def _answer(connect: Connect, request: Request, sleep: Callable[[float], None]) -> Any:
    if isinstance(request, Pause):
        return sleep(request.seconds)
    if isinstance(request, Call):
        return _one(connect, request)
    if len(request) < 2:
        return _list([_one(connect, call) for call in request])
    with ThreadPoolExecutor(min(_AT_ONCE, len(request))) as pool:
        return _list(list(pool.map(lambda call: _one(connect, call), request)))


async def _aanswer(connect: AsyncConnect, request: Request) -> Any:
    if isinstance(request, Pause):
        return await asyncio.sleep(request.seconds)
    if isinstance(request, Call):
        return await _aone(connect, request)
    return _list(await asyncio.gather(*(_aone(connect, call) for call in request)))


def _list(replies: list[dict[str, Any] | ClientError | BotoCoreError]) -> Any:
    """Return the replies to a list of calls, or a fault that concerns all of them, such as a missing connection."""
    return next((reply for reply in replies if isinstance(reply, BotoCoreError)), replies)


def _one(connect: Connect, call: Call) -> dict[str, Any] | ClientError | BotoCoreError:
    try:
        response: dict[str, Any] = getattr(connect(call.service), call.operation)(**call.arguments)
        if "Body" in response:
            response["Body"] = response["Body"].read()
    except (ClientError, BotoCoreError) as error:
        return error
    return response


async def _aone(connect: AsyncConnect, call: Call) -> dict[str, Any] | ClientError | BotoCoreError:
    try:
        client = await connect(call.service)
        response: dict[str, Any] = await getattr(client, call.operation)(**call.arguments)
        if "Body" in response:
            async with response["Body"] as stream:
                response["Body"] = await stream.read()
    except (ClientError, BotoCoreError) as error:
        return error
    return response
