"""`invoke`: run the built ZIP on one event in the sandbox, and report the time and memory that it took."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import FAILED, WrongRequest
from hyperframes_provider.cli.values import pairs

if TYPE_CHECKING:
    from hyperframes_provider.client.aws.connect import Connect
    from hyperframes_provider.client.stack.sample_events import SampleEvent
    from hyperframes_provider.local.functions.environment import FunctionConfig, InvocationResult
    from hyperframes_provider.local.sandbox.code import Code
    from hyperframes_provider.local.sandbox.enclosure import Enclosure

_UP = "hyperframes-airflow local up"
_NAME = "invoke"
_SCRATCH_BUCKET = "hyperframes-invoke"
"""Created on the embedded endpoint if no stack is deployed there."""

_FIRST_FRAME = "first frame"
"""The handler logs this message with its first frame."""


def invoke(options: argparse.Namespace, console: Console) -> int:
    """Run the function; exit with 1 if it fails."""
    from hyperframes_lambda.contract.toolset import cache_home
    from hyperframes_provider.client.aws.connect import connect_local
    from hyperframes_provider.client.stack.sample_events import load_event
    from hyperframes_provider.local.sandbox.code import kept

    given = pairs(options.set, "--set", "hyperframes-airflow invoke --event plan --set Project=my-project")
    own = pairs(options.env, "--env", "hyperframes-airflow invoke --event plan --env LOG_LEVEL=DEBUG")
    if not options.code.is_file():
        raise WrongRequest(f"--code: the file {options.code} does not exist", hint="Build it: hyperframes-airflow build -o handler.zip")
    sample = load_event(options.event)
    url = _endpoint_url()
    values = _values(connect_local(url), sample, given)
    event = sample.filled(values)
    with kept(options.code, cache_home() / "invoke") as (code, scratch):
        config = _config(options, code, url, _settings(options, values.get("Bucket"), sample.buckets) | own)
        run = _run(config, scratch, event, console)
    _tell(run, options, code, console)
    return FAILED if run.result.failed else 0


def _endpoint_url() -> str:
    from hyperframes_provider.client.aws.connect import is_loopback
    from hyperframes_provider.local import endpoint

    chosen = os.environ.get("AWS_ENDPOINT_URL")
    if chosen:
        if not is_loopback(chosen):
            raise WrongRequest(f"AWS_ENDPOINT_URL={chosen} is not on this machine, and the sandbox reaches no other host", hint=_UP)
        return chosen
    running = endpoint.status()
    if running is None:
        raise WrongRequest("the embedded endpoint is not up, and the function needs it", hint=f"Start it: {_UP}")
    return running.url


def _values(connect: Connect, sample: SampleEvent, given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the event's names: those given, and those that can be found."""
    from hyperframes_provider.client.request.project import locate, upload

    values = dict(given)
    unknown = sorted(values.keys() - set(sample.names))
    if unknown:
        names = ", ".join(sample.names) or "none"
        raise WrongRequest(
            f"--set {unknown[0]}: {sample.path} has no such name", hint=f"Its names: {names}. Help: hyperframes-airflow invoke --help"
        )
    wanted = set(sample.names)
    if wanted & {"Bucket", "Project", "PlanHash", "Output"} and "Bucket" not in values:
        values["Bucket"] = _bucket(connect)
    values.setdefault("Render", _NAME)
    values.setdefault("Chunk", "0")
    if "Output" in wanted:
        values.setdefault("Output", f"s3://{values['Bucket']}/outputs/{values['Render']}.mp4")
    if "PlanHash" in wanted and "PlanHash" not in values:
        values["PlanHash"] = _plan_hash(connect, values["Bucket"], values["Render"])
    if "Project" in values and not values["Project"].startswith("s3://"):
        project = locate(values["Project"], bucket=values["Bucket"], entry="index.html")
        values["Project"] = upload(connect, project).archive.uri
    return values


def _bucket(connect: Connect) -> str:
    """Return the bucket of the deployed stack, else create one."""
    from hyperframes_provider.client.request.names import DEFAULT_STACK
    from hyperframes_provider.client.stack.describe import StackNotFound, describe_stack

    try:
        return describe_stack(connect, DEFAULT_STACK).bucket
    except StackNotFound:
        connect("s3").create_bucket(Bucket=_SCRATCH_BUCKET)
        return _SCRATCH_BUCKET


def _plan_hash(connect: Connect, bucket: str, render: str) -> str:
    from botocore.exceptions import ClientError

    from hyperframes_lambda.contract.plan import parse_manifest

    key = f"renders/{render}/plan/manifest.json"
    try:
        return parse_manifest(connect("s3").get_object(Bucket=bucket, Key=key)["Body"].read()).plan_hash
    except ClientError as error:
        raise WrongRequest(
            f"the plan s3://{bucket}/{key} does not exist", hint="Plan first: hyperframes-airflow invoke --event plan --set Project=FOLDER"
        ) from error


def _settings(options: argparse.Namespace, bucket: str | None, named: list[str]) -> dict[str, str]:
    """Return the environment variables that the stack's template sets for the function."""
    buckets = [*([bucket] if bucket else []), *named]
    return {
        "HYPERFRAMES_BUCKET": buckets[0] if buckets else "",
        "HYPERFRAMES_ALLOWED_BUCKETS": ",".join(buckets[1:]),
        "HYPERFRAMES_CHROME_SOURCE": "sparticuz",
        "HYPERFRAMES_CHUNK_MEMORY_MB": str(_memory_mb(options)),
        "HYPERFRAMES_CHUNK_TIMEOUT_SEC": f"{_timeout(options):g}",
        "POWERTOOLS_SERVICE_NAME": "hyperframes",
        "LOG_LEVEL": "INFO",
    }


def _memory_mb(options: argparse.Namespace) -> int:
    return int(options.memory_mb or _default("LambdaMemoryMb"))


def _timeout(options: argparse.Namespace) -> float:
    return float(options.timeout or _default("LambdaTimeoutSec"))


def _default(parameter: str) -> str:
    from hyperframes_provider.client.stack.template import load_template

    return str(load_template().parameters[parameter].default)


def _config(options: argparse.Namespace, code: Code, url: str, settings: Mapping[str, str]) -> FunctionConfig:
    from hyperframes_provider.client.aws.connect import LOCAL_REGION
    from hyperframes_provider.local.functions.environment import FunctionConfig
    from hyperframes_provider.local.sandbox.enclosure import Isolation
    from hyperframes_provider.local.sandbox.variables import code_variables, lambda_variables
    from hyperframes_provider.toolset import toolset_path

    handler, runtime = "handler.handler", "python3.13"
    variables = {
        **lambda_variables(_NAME, handler, _memory_mb(options), runtime, LOCAL_REGION, url),
        **code_variables(code, toolset_path()),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{_NAME}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{_NAME}",
        **settings,
    }
    return FunctionConfig(
        arn=f"arn:aws:lambda:{LOCAL_REGION}:123456789012:function:{_NAME}",
        handler=handler,
        code=code,
        memory_mb=_memory_mb(options),
        timeout=_timeout(options),
        variables=tuple(sorted(variables.items())),
        runtime=runtime,
        tmp_mb=options.tmp_mb,
        isolation=Isolation(options.isolation),
    )


@dataclass
class _Run:
    """An invocation, ready to report."""

    result: InvocationResult
    enclosure: Enclosure
    first_frame_ms: float | None
    """Milliseconds since the environment started."""
    looked_at: int | None
    """Number of files and folders compared outside /tmp; None without a comparison."""
    changed: list[str]


@dataclass
class _Log:
    """Passes the function's output on, and notes the time of the first frame."""

    console: Console
    started: float = field(default_factory=time.monotonic)
    first_frame_ms: float | None = None

    def __call__(self, line: str) -> None:
        if self.first_frame_ms is None and _message(line) == _FIRST_FRAME:
            self.first_frame_ms = (time.monotonic() - self.started) * 1000
        self.console.say(line)


def _message(line: str) -> str:
    if not line.startswith("{"):
        return ""
    try:
        return str(json.loads(line).get("message"))
    except ValueError:
        return ""


def _run(config: FunctionConfig, scratch: Path, event: Any, console: Console) -> _Run:
    from hyperframes_provider.local.functions.environment import Environment

    log = _Log(console)
    environment = Environment(config, {}, log, scratch_dir=scratch)
    with contextlib.closing(environment), _outside(environment.enclosure) as outside:
        log.started = environment.started
        result = environment.invoke(json.dumps(event).encode())
        changed = outside.changed() if outside else []
    return _Run(result, environment.enclosure, log.first_frame_ms, outside.count if outside else None, changed)


@contextlib.contextmanager
def _outside(enclosure: Enclosure) -> Iterator[Any]:
    outside = enclosure.outside()
    with outside or contextlib.nullcontext():
        yield outside


def _tell(run: _Run, options: argparse.Namespace, code: Code, console: Console) -> None:
    usage, interpreter = run.result.usage, run.enclosure.interpreter
    payload = json.loads(run.result.payload or b"null")
    python: dict[str, Any] = {"version": None, "runtime": None, "matches": None, "reason": ""}
    if interpreter is not None:
        python = {
            "version": interpreter.version,
            "runtime": f"python{interpreter.wanted}",
            "matches": interpreter.matches,
            "reason": interpreter.reason,
            "substituted": [path.name.partition(".")[0] for path in run.enclosure.substitutes.found],
        }
    document = {
        "ok": not run.result.failed,
        "answer": None if run.result.failed else payload,
        "error": payload if run.result.failed else None,
        "code": {"path": options.code, "complete": code.complete},
        "isolation": run.enclosure.isolation.value,
        "isolation_reason": run.enclosure.reason,
        "interpreter": python,
        "init_ms": _rounded(usage.init_ms),
        "duration_ms": _rounded(usage.duration_ms),
        "first_frame_ms": _rounded(run.first_frame_ms),
        "memory_mb": _memory_mb(options),
        "peak_memory_mb": round(usage.memory_bytes / 2**20),
        "tmp_mb": options.tmp_mb,
        "peak_tmp_mb": round(usage.tmp_bytes / 2**20),
        "written_outside_tmp": run.changed if run.looked_at is not None else None,
        "files_compared": run.looked_at,
    }
    if not console.as_json:
        _print(document, run, console)
    console.result(document)


def _print(document: Mapping[str, Any], run: _Run, console: Console) -> None:
    interpreter = run.enclosure.interpreter
    python = "the Python of this environment" if interpreter is None else f"Python {interpreter.version}"
    if interpreter is not None and not interpreter.matches:
        python += f" instead of {interpreter.wanted}: {interpreter.reason}"
    walls = f" ({run.enclosure.reason})" if run.enclosure.reason else ""
    console.line("failed" if run.result.failed else "answer", json.dumps(document["error"] or document["answer"], ensure_ascii=False))
    console.line("sandbox", f"isolation {run.enclosure.isolation}{walls} · {python}")
    first = f" · first frame {document['first_frame_ms']} ms after the start" if run.first_frame_ms is not None else ""
    console.line("time", f"init {document['init_ms']} ms · duration {document['duration_ms']} ms{first}")
    console.line("memory", f"{document['peak_memory_mb']} MB of {document['memory_mb']} MB at most")
    console.line("/tmp", f"{document['peak_tmp_mb']} MB of {document['tmp_mb']} MB at most")
    if run.looked_at is None:
        console.line("outside", "not compared: without isolation the function can write wherever this user can")
    else:
        console.line("outside", ", ".join(run.changed) or f"nothing written: {run.looked_at} files and folders are unchanged")


def _rounded(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)
