"""`quotas`: what the account allows, and what that means for renders."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.renders import RenderClient
from hyperframes_provider.client.stack.describe import describe_stack
from hyperframes_provider.client.stack.quotas import QuotaValue, read_quotas


def quotas(options: argparse.Namespace, console: Console) -> int:
    """Print them; a value that may not be asked for says so."""
    reach = connect(options)
    function = describe_stack(reach, options.stack_name).function_arn
    found = run(reach, read_quotas(function, service_quotas=RenderClient(reach).has_console))
    if not console.as_json:
        for value in found.values:
            console.line(value.service, f"{value.name}: {_shown(value)}")
        for sentence in found.meaning:
            console.line("means", sentence)
        if any(value.problem.startswith("no permission") for value in found.values):
            console.line("next", "hyperframes-airflow policies validate --render-only")
    console.result(asdict(found))
    return 0


def _shown(value: QuotaValue) -> str:
    if value.value is None:
        return value.problem
    return f"{value.value:,.0f}" + (", AWS raises it on request" if value.adjustable else "")
