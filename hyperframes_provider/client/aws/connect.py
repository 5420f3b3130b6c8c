"""Access to AWS: one callable that turns a service name into a boto3 client.

Endpoint, credentials and region are decided here, or by the Airflow connection behind the hook, and nowhere else in `client/`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

Connect = Callable[[str], Any]
"""Return a boto3 client for a service name such as `"stepfunctions"`; the same client for the same name."""

LOCAL_REGION = "us-east-1"
"""Region of the embedded endpoint."""

_CONFIG = Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=10, read_timeout=60)


def connect_from_session(
    session: boto3.Session | None = None,
    *,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    config: Config | None = None,
) -> Connect:
    """Return a `Connect` over `session` (default: boto3's own chain of credentials) that builds each client once.

    A loopback `endpoint_url` needs neither credentials nor a region: the embedded endpoint checks neither, so fixed ones are used when
    none are configured. The returned callable is thread-safe.
    """
    session = session or boto3.Session(region_name=region_name)
    options: dict[str, Any] = {"config": _CONFIG.merge(config) if config else _CONFIG}
    if region_name is not None:
        options["region_name"] = region_name
    if endpoint_url is not None:
        options["endpoint_url"] = endpoint_url
        if is_loopback(endpoint_url):
            options.setdefault("region_name", session.region_name or LOCAL_REGION)
            if session.get_credentials() is None:
                options |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return cached(lambda service: session.client(service, **options))


def connect_local(endpoint_url: str) -> Connect:
    """Return a `Connect` to the embedded endpoint, with its region and fixed credentials whatever this machine has configured for AWS."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=LOCAL_REGION)
    return connect_from_session(session, region_name=LOCAL_REGION, endpoint_url=endpoint_url)


def cached(build: Connect) -> Connect:
    """Call `build` once for each service: building a boto3 client takes tens of milliseconds and is not thread-safe."""
    clients: dict[str, Any] = {}
    lock = threading.RLock()  # a signal handler (`on_kill`) may re-enter while a client is being built

    def connect(service: str) -> Any:
        with lock:
            if service not in clients:
                clients[service] = build(service)
            return clients[service]

    return connect


def is_loopback(endpoint_url: str | None) -> bool:
    """Whether `endpoint_url` names this machine, as that of the embedded endpoint does."""
    host = urlsplit(endpoint_url or "").hostname
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
