"""The AWS that a verb calls: the one named by the options, else the embedded endpoint if it runs, else the account."""

from __future__ import annotations

import argparse
import os
import socket
from urllib.parse import urlsplit

from hyperframes_provider.cli.faults import WrongRequest
from hyperframes_provider.client.aws.connect import Connect, connect_from_session, connect_local, is_loopback
from hyperframes_provider.client.aws.errors import EndpointUnreachable


def connect(options: argparse.Namespace) -> Connect:
    """Return the boto3 clients for the options."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    url = endpoint_url(options)
    _require_answer(url)
    if url is not None and is_loopback(url) and options.profile is None and options.region is None:
        return connect_local(url)
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
    except ProfileNotFound as error:
        raise WrongRequest(str(error), hint="Give --profile a profile of the AWS configuration, or omit it.") from error
    return connect_from_session(session, region_name=options.region, endpoint_url=url)


def _require_answer(url: str | None) -> None:
    """Raise at once, without botocore's retries, if nothing listens on this machine."""
    if url is None or not is_loopback(url):
        return
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), timeout=5).close()
    except OSError as error:
        raise EndpointUnreachable(f"nothing answers at {url}: {error.strerror}", hint="Start it: hyperframes-airflow local up") from error


def endpoint_url(options: argparse.Namespace) -> str | None:
    """Return the endpoint to call, or None for AWS itself."""
    chosen = options.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
    if chosen or options.profile is not None:
        return chosen or None
    try:
        # Cannot be imported without the extra `local`; then no embedded endpoint runs either.
        from hyperframes_provider.local import endpoint
    except (ImportError, RuntimeError):
        return None
    running = endpoint.status()
    return None if running is None else running.url
