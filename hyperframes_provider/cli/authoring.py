"""`check`, `info`, `snapshot`, `estimate`: inspect a project on this machine.

The engine does so in a separate process; this module shows its answer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from hyperframes_lambda.contract.authoring import (
    CheckReport,
    DeclaredVariable,
    Failure,
    Finding,
    MeasuredProject,
    Picture,
    ProjectInfo,
    RemoteAsset,
)
from hyperframes_lambda.contract.config import RenderConfig, fps_to_wire
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import MediaSource, MediaWindow
from hyperframes_provider.cli.aws import connect
from hyperframes_provider.cli.console import Console, seconds
from hyperframes_provider.cli.faults import FAILED, WrongRequest
from hyperframes_provider.cli.tools import bring
from hyperframes_provider.cli.values import render_config
from hyperframes_provider.client.aws.calls import run
from hyperframes_provider.client.execution.estimate import document
from hyperframes_provider.client.execution.estimate import estimate as expect
from hyperframes_provider.client.execution.report import dollars, size
from hyperframes_provider.client.request.concurrency import reconcile
from hyperframes_provider.client.stack.describe import describe_stack

_SNAPSHOT = "hyperframes-airflow snapshot PROJECT --at 1.5,3s"


def check(options: argparse.Namespace, console: Console) -> int:
    """Report a project's problems; exit with 1 if it will not render."""
    report = CheckReport.model_validate(_ask("check", options, console))
    for finding in report.findings:
        _show_finding(finding, console)
    verdict = "renders" if report.renders else "will not render"
    errors = sum(finding.severity == "error" for finding in report.findings)
    counts = f"{_count(errors, 'error')} · {_count(len(report.findings) - errors, 'warning')}"
    console.detail("check", f"{options.project} {verdict} · {counts}", f"in {seconds(report.seconds)}")
    console.result({"renders": report.renders, **report.model_dump(mode="json", by_alias=True)})
    return 0 if report.renders else FAILED


def info(options: argparse.Namespace, console: Console) -> int:
    """Describe a project."""
    found = ProjectInfo.model_validate(_ask("info", options, console))
    name = f"{found.composition_id} · " if found.composition_id else ""
    console.detail("project", f"{name}{found.entry} · {_count(found.files, 'file')} · {size(found.size)}")
    canvas = f"{found.width}\N{MULTIPLICATION SIGN}{found.height}"
    console.detail("video", f"{canvas} · {fps_to_wire(found.fps)} fps · {found.frames} frames · {found.duration:.3f} s")
    for variable in found.variables:
        console.detail("variable", _variable(variable))
    for label, windows in (("picture", found.videos), ("sound", found.audio)):
        for window in windows:
            console.detail(label, _window(window, found.sources[window.file]))
    for asset in found.remote:
        console.detail("remote", _remote(asset))
    console.result(found.model_dump(mode="json", by_alias=True))
    return 0


def estimate(options: argparse.Namespace, console: Console) -> int:
    """Estimate the time and cost of a render, on a named stack if given."""
    memory, coordinator, timeout, concurrency = options.memory_mb, None, options.timeout, options.concurrency
    if options.stack_name is not None:
        reach = connect(options)
        stack = describe_stack(reach, options.stack_name)
        memory, coordinator = stack.memory_mb, stack.coordinator_memory_mb
        timeout = int(stack.parameters.get("LambdaTimeoutSec", timeout))
        concurrency = concurrency or run(reach, reconcile(stack.function_arn, asked=None)).limit
    measured = MeasuredProject.model_validate(_ask("measure", options, console))
    found = expect(
        measured,
        render_config(options),
        memory_mb=memory,
        timeout=timeout,
        coordinator_memory_mb=coordinator,
        concurrency=concurrency,
        vcpu_factor=options.vcpu_factor,
    )
    console.detail("estimate", f"{_count(found.frames, 'frame')} · about {seconds(found.seconds)} · about {dollars(found.cost_usd)}")
    console.detail("chunks", found.sizing)
    for assumption in found.assumptions:
        console.detail("assumes", assumption)
    console.detail("next", f"hyperframes-airflow render {options.project} -o OUT.mp4")
    console.result(document(found, measured))
    return 0


def snapshot(options: argparse.Namespace, console: Console) -> int:
    """Write the frames at the given moments."""
    moments = [_moment(text) for text in options.at.split(",")]
    at = [argument for moment in moments for argument in ("--at", repr(moment))]
    answer = _ask("snapshot", options, console, *at, "--output", str(options.output))
    pictures = [Picture.model_validate(picture) for picture in answer]
    for picture in pictures:
        console.detail("snapshot", f"{picture.path} · frame {picture.frame} · {picture.time:.3f} s")
    console.result({"pictures": [picture.model_dump(mode="json", by_alias=True) for picture in pictures]})
    return 0


def _ask(verb: str, options: argparse.Namespace, console: Console, *arguments: str) -> Any:
    """Return the answer of the engine's verb; raise its failure as a `RenderError`."""
    if not options.project.is_dir():
        raise WrongRequest(
            f"PROJECT {options.project} is not a folder", hint=f"Name the folder with index.html: hyperframes-airflow {verb} PROJECT"
        )
    config: RenderConfig = render_config(options)
    bring(console)
    command = [sys.executable, "-m", "hyperframes_lambda.authoring", verb, str(options.project), "--config", json.dumps(config.to_wire())]
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise RuntimeError(f"the engine ended with exit code {done.returncode} and no answer") from error
    if done.returncode:
        failure = Failure.model_validate(answer)
        raise RenderError(ErrorCode(failure.code), failure.message, hint=failure.hint)
    return answer


def _show_finding(finding: Finding, console: Console) -> None:
    console.detail(finding.severity.value, f"{finding.code}: {finding.message}")
    for line in (finding.hint or "").splitlines():
        console.detail("", line)


def _moment(text: str) -> float:
    try:
        return float(text.strip().removesuffix("s"))
    except ValueError:
        raise WrongRequest(f"--at {text!r}: give seconds, such as 1.5 or 3s", hint=_SNAPSHOT) from None


def _variable(variable: DeclaredVariable) -> str:
    default = json.dumps(variable.default, ensure_ascii=False)
    options = f" of {', '.join(json.dumps(option, ensure_ascii=False) for option in variable.options)}" if variable.options else ""
    label = f" · {variable.label}" if variable.label else ""
    return f"{variable.id} · {variable.type}{options} · default {default}{label}"


def _window(window: MediaWindow, source: MediaSource) -> str:
    parts = [window.element, window.file, f"{window.start:.3f}\N{EN DASH}{window.end:.3f} s"]
    if window.media_start:
        parts.append(f"from {window.media_start:.3f} s")
    if window.rate != 1:
        parts.append(f"rate {window.rate:g}")
    if window.loop:
        parts.append("loop")
    stream = source.video
    parts.append(f"{stream.codec} {stream.width}\N{MULTIPLICATION SIGN}{stream.height}" if stream is not None else str(source.audio_codec))
    return " · ".join([*parts, f"{source.duration:.3f} s long"])


def _remote(asset: RemoteAsset) -> str:
    return " · ".join(
        [asset.url, str(asset.status), *_present(asset.content_type), *([size(asset.size)] if asset.size is not None else [])]
    )


def _present(*texts: str | None) -> Iterable[str]:
    return (text for text in texts if text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
