"""The Lambda entry: dispatch an event to its role, and give every known error its code as class name.

The roles are functions over local folders; the modules beside this one bring the folders from S3 and take the results back.
"""

from __future__ import annotations

import atexit
import itertools
import time
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

from hyperframes_lambda.browser import kept_driver
from hyperframes_lambda.contract.errors import ErrorCode, RenderError, named_error
from hyperframes_lambda.contract.events import AssembleEvent, PlanEvent, RenderChunkEvent, Result, parse_event
from hyperframes_lambda.entry import telemetry
from hyperframes_lambda.entry.assemble import run_assemble
from hyperframes_lambda.entry.invocation import Invocation, logger
from hyperframes_lambda.entry.plan import run_plan
from hyperframes_lambda.entry.render_chunk import run_render_chunk
from hyperframes_lambda.entry.storage import Storage
from hyperframes_lambda.machine import workspace
from hyperframes_lambda.machine.redaction import redact_other_loggers, redactor
from hyperframes_lambda.machine.tools import discard_unpacked

redact_other_loggers()

_invocations = itertools.count()


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run the role that `event` names; return its result as the wire's JSON object.

    An error of the table is raised as a class named like its code, because Lambda reports that name and Step Functions matches it; its
    message begins with the role. Any other error keeps its class. No message carries a variable's value or a credential.
    """
    started = time.monotonic()
    redactor.forget()
    invocation = Invocation(cold=next(_invocations) == 0, ends=started + context.get_remaining_time_in_millis() / 1000)
    try:
        with workspace.workspace() as work:
            result = _run(event, invocation, work)
    except RenderError as error:
        logger.error("failed", extra={"code": error.code, "cause": str(error)})
        telemetry.record_failure(invocation.role, error, time.monotonic() - started, render=invocation.render)
        if error.code in (ErrorCode.CHROME_UNAVAILABLE, ErrorCode.FFMPEG_UNAVAILABLE):
            _discard_tools()
        # A traceback prints the cause as well, and the original's text is not redacted.
        raise wire_error(error, invocation.label).with_traceback(error.__traceback__) from None
    except Exception as error:
        telemetry.record_failure(invocation.role, error, time.monotonic() - started, render=invocation.render)
        redacted = redactor.text(str(error))
        if redacted == str(error):
            raise
        raise named_error(type(error).__name__, redacted).with_traceback(error.__traceback__) from None
    result = result.model_copy(update={"duration_ms": round((time.monotonic() - started) * 1000), "cold_start": invocation.cold})
    telemetry.record(result, render=invocation.render)
    answer: dict[str, Any] = result.to_wire()
    logger.info("done", extra={"result": answer})
    return answer


def stay_ready() -> None:
    """Start now what takes long to start, and keep it until this process ends, for all of its invocations."""
    lasting = ExitStack()
    try:
        lasting.enter_context(kept_driver(lasting.enter_context(workspace.workspace())))
    except RenderError as error:
        # The invocation meets the same error and reports it.
        logger.warning("cannot start the driver ahead of the first invocation", extra={"cause": str(error)})
    atexit.register(lasting.close)


def wire_error(error: RenderError, label: str) -> Exception:
    """`error` as an exception whose class is named like the code and whose message begins with `label`."""
    return named_error(error.code.value, redactor.text(f"{label}: {error}"))


def _run(event: dict[str, Any], invocation: Invocation, work: Path) -> Result:
    parsed = parse_event(event)
    logger.append_keys(action=parsed.action, execution=parsed.execution_name)
    invocation.role = parsed.action
    storage = _storage()
    match parsed:
        case PlanEvent():
            return run_plan(parsed, storage, work, invocation)
        case RenderChunkEvent():
            return run_render_chunk(parsed, storage, work, invocation)
        case AssembleEvent():
            return run_assemble(parsed, storage, work, invocation)


@lru_cache(maxsize=1)
def _storage() -> Storage:
    """One client for all invocations of the sandbox."""
    return Storage.from_environment()


def _discard_tools() -> None:
    """Make the next invocation unpack the tools again. An error here is only logged, so that it does not hide the one that led to it."""
    try:
        discard_unpacked()
    except (RenderError, OSError) as error:
        logger.warning("cannot remove the unpacked tools", extra={"cause": str(error)})
