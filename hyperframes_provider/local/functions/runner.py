"""moto's function objects as processes: configuration, code, log streams and environments."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from moto.awslambda.models import LambdaFunction
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import LogsBackend

from hyperframes_provider.local.functions.environment import Environment, FunctionConfig
from hyperframes_provider.local.functions.pool import LambdaPool
from hyperframes_provider.local.sandbox.code import Code, unpack
from hyperframes_provider.local.sandbox.variables import code_variables, lambda_variables
from hyperframes_provider.toolset import toolset_path


class Runner:
    """The pool of the endpoint at `url`, and the configuration of its functions; ZIPs are unpacked below `code_dir`."""

    def __init__(self, url: str, code_dir: Path) -> None:
        self._url = url
        self._code_dir = code_dir
        self._unpacking = threading.Lock()
        self._functions: dict[str, LambdaFunction] = {}
        self.pool = LambdaPool(os.cpu_count() or 1, self._start)

    def config(self, function: LambdaFunction) -> FunctionConfig:
        """Return the function's current configuration, to which a warm environment must be equal."""
        self._functions[function.function_arn] = function
        code = self._unpack(function)
        variables = {
            **lambda_variables(
                function.function_name, str(function.handler), int(function.memory_size), str(function.run_time), function.region, self._url
            ),
            **code_variables(code, toolset_path()),
            # At most one environment runs per core, so each has one vCPU, whatever its memory would give it on Lambda.
            "HYPERFRAMES_CHUNK_VCPUS": "1",
            **{name: str(value) for name, value in function.environment_vars.items()},
        }
        return FunctionConfig(
            arn=function.function_arn,
            handler=str(function.handler),
            code=code,
            memory_mb=int(function.memory_size),
            timeout=float(function.timeout),
            variables=tuple(sorted(variables.items())),
            runtime=str(function.run_time),
            tmp_mb=int(function.ephemeral_storage),
        )

    def _start(self, config: FunctionConfig) -> Environment:
        function = self._functions[config.arn]
        group = function.logs_group_name
        stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        logs = function.logs_backend
        logs.ensure_log_group(group)
        logs.create_log_stream(group, stream)
        log = log_to(logs, group, stream)
        return Environment(config, {"AWS_LAMBDA_LOG_GROUP_NAME": group, "AWS_LAMBDA_LOG_STREAM_NAME": stream}, log)

    def _unpack(self, function: LambdaFunction) -> Code:
        digest = hashlib.sha256(function.code_sha_256.encode()).hexdigest()[:16]
        with self._unpacking:
            return unpack(io.BytesIO(function.code_bytes), self._code_dir / digest)


def log_to(logs: LogsBackend, group: str, stream: str) -> Callable[[str], None]:
    """Return a thread-safe function that writes a line to the stream; as on AWS, lines for a deleted one are dropped."""
    writing = threading.Lock()

    def log(line: str) -> None:
        with writing, contextlib.suppress(ResourceNotFoundException):
            logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}])

    return log
