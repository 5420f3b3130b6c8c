"""AWS calls as values, so that one description of a conversation serves boto3 and aiobotocore alike.

A conversation is a generator: it yields a `Call`, or a list of independent ones, and is sent the response. `run` drives it with boto3,
`arun` with aiobotocore; the operators and the triggers therefore share every line that decides what to ask and what an answer means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from hyperframes_provider.client.aws.connect import Connect
from hyperframes_provider.client.aws.errors import typed_errors

T = TypeVar("T")

AsyncConnect = Callable[[str], Awaitable[Any]]
"""An open aiobotocore client for a service name."""

_AT_ONCE = 8
"""Calls of one list that `run` has under way at a time; botocore keeps ten connections a client."""


@dataclass(frozen=True)
class Call:
    """One request: the boto3 name of a service, of one of its methods, and the arguments."""

    service: str
    operation: str
    arguments: dict[str, Any]


Reply: TypeAlias = "dict[str, Any] | ClientError"
Steps: TypeAlias = Generator[Call | Sequence[Call], Any, T]
"""A conversation that ends in a `T`. A single call's error is thrown in; a list's errors are handed back in their places.

A response with a `Body` has it read: bytes instead of a stream.
"""


def run(connect: Connect, steps: Steps[T]) -> T:
    """Hold the conversation with boto3; errors that it does not handle leave as those of `client.errors`."""
    with typed_errors():
        try:
            request = next(steps)
            while True:
                try:
                    answer = _all(connect, request) if isinstance(request, Sequence) else _one(connect, request)
                except (ClientError, BotoCoreError) as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value


async def arun(connect: AsyncConnect, steps: Steps[T]) -> T:
    """Hold the conversation with aiobotocore; as `run` otherwise."""
    with typed_errors():
        try:
            request = next(steps)
            while True:
                try:
                    if isinstance(request, Sequence):
                        answer: Any = await asyncio.gather(*(_aone_or_error(connect, call) for call in request))
                    else:
                        answer = await _aone(connect, request)
                except (ClientError, BotoCoreError) as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value


def _one(connect: Connect, call: Call) -> dict[str, Any]:
    response: dict[str, Any] = getattr(connect(call.service), call.operation)(**call.arguments)
    if "Body" in response:
        response["Body"] = response["Body"].read()
    return response


def _all(connect: Connect, calls: Sequence[Call]) -> list[Reply]:
    if len(calls) < 2:
        return [_one_or_error(connect, call) for call in calls]
    with ThreadPoolExecutor(min(_AT_ONCE, len(calls))) as pool:
        return list(pool.map(lambda call: _one_or_error(connect, call), calls))


def _one_or_error(connect: Connect, call: Call) -> Reply:
    try:
        return _one(connect, call)
    except ClientError as error:
        return error


async def _aone(connect: AsyncConnect, call: Call) -> dict[str, Any]:
    client = await connect(call.service)
    response: dict[str, Any] = await getattr(client, call.operation)(**call.arguments)
    if "Body" in response:
        async with response["Body"] as stream:
            response["Body"] = await stream.read()
    return response


async def _aone_or_error(connect: AsyncConnect, call: Call) -> Reply:
    try:
        return await _aone(connect, call)
    except ClientError as error:
        return error
