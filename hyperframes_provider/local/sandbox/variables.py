"""The environment variables of a function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE
from hyperframes_provider.local.sandbox.code import Code

TASK_ROOT = "/var/task"
LANGUAGE = "/var/lang"

_CERTIFICATES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Certificate settings: behind a company's own authority, remote files cannot be fetched without them. They hold no secrets."""

JAIL_VARIABLES: Mapping[str, str] = {
    "PATH": f"{LANGUAGE}/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": f"{LANGUAGE}/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:{TASK_ROOT}:{TASK_ROOT}/lib:/opt/lib",
    "LAMBDA_TASK_ROOT": TASK_ROOT,
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "PYTHONPATH": "/var/runtime",
    "PWD": TASK_ROOT,
    "SHLVL": "0",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
"""Variables of Lambda's Python runtime that are the same for every function. HOME and TMPDIR are not among them."""


def lambda_variables(name: str, handler: str, memory_mb: int, runtime: str, region: str, endpoint: str) -> dict[str, str]:
    """Return the variables that Lambda sets for a function, with placeholder credentials and the address of the endpoint."""
    return {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    }


def code_variables(code: Code, toolset: Path) -> dict[str, str]:
    """Return the remaining variables: Lambda's folders for complete code, this machine's settings for slim code."""
    if code.complete:
        return dict(JAIL_VARIABLES)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(code.folder),
        "LAMBDA_TASK_ROOT": str(code.folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        TOOLSET_VARIABLE: str(toolset),
        **{name: os.environ[name] for name in _CERTIFICATES if name in os.environ},
    }
