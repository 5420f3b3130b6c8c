"""`quotas`: the account's quotas, and their effect on renders."""

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
    """Print the quotas; a value without read permission says so."""
    reach = connect(options)
    function = describe_stack(reach, options.stack_name).function_arn
    found = run(reach, read_quotas(function, service_quotas=RenderClient(reach).has_console))
    for value in found.values:
        console.detail(value.service, f"{value.name}: {_shown(value)}")
    for sentence in found.meaning:
        console.detail("means", sentence)
    if any(value.problem.startswith("no permission") for value in found.values):
        console.detail("next", "hyperframes-airflow policies validate --render-only")
    console.result(asdict(found))
    return 0


def _shown(value: QuotaValue) -> str:
    if value.value is None:
        return value.problem
    return f"{value.value:,.0f}" + (", raised by AWS on request" if value.adjustable else "")
