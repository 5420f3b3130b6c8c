"""Run by the function's Python with the task root as its only code: one event a line on standard input, one answer a line on standard output."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

from handler import handler

CONTEXT = SimpleNamespace(
    function_name="hyperframes-render",
    memory_limit_in_mb=3008,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render",
    aws_request_id="request-1",
)

answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    try:
        answer = {"result": handler(json.loads(line), CONTEXT)}
    except Exception as error:  # noqa: BLE001  # what Lambda itself does: any error's name is the answer
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), file=answers, flush=True)
