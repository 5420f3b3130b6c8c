"""Run by the function's Python with the task root as its only code: one event a line on stdin, one answer a line on stdout."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace


def main() -> None:
    # The function's log goes to what is stdout when the handler is imported.
    answers, sys.stdout = sys.stdout, sys.stderr
    from handler import handler

    context = SimpleNamespace(
        function_name="hyperframes-render",
        memory_limit_in_mb=3008,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:hyperframes-render",
        aws_request_id="request-1",
        get_remaining_time_in_millis=lambda: 900_000,
    )
    for line in sys.stdin:
        try:
            answer = {"result": handler(json.loads(line), context)}
        except Exception as error:  # noqa: BLE001  # what Lambda itself does: any error's name is the answer
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
