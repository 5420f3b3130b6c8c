"""Which AWS a verb talks to: the one that the options name, else the embedded endpoint when it is up, else the account."""

from __future__ import annotations

import argparse
import os
import socket
from urllib.parse import urlsplit

from hyperframes_provider.cli.faults import WrongRequest
from hyperframes_provider.client.aws.connect import Connect, connect_from_session, connect_local, is_loopback
from hyperframes_provider.client.aws.errors import EndpointUnreachable


def connect(options: argparse.Namespace) -> Connect:
    """The boto3 clients for the options."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    url = endpoint_url(options)
    _require_answer(url)
    if url is not None and is_loopback(url) and options.profile is None and options.region is None:
        return connect_local(url)
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
    except ProfileNotFound as error:
        raise WrongRequest(str(error), hint="Name a profile of the AWS configuration with --profile, or leave it out.") from error
    return connect_from_session(session, region_name=options.region, endpoint_url=url)


def _require_answer(url: str | None) -> None:
    """Nobody listening on this machine is no passing fault: say so at once, instead of after botocore's retries."""
    if url is None or not is_loopback(url):
        return
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), timeout=5).close()
    except OSError as error:
        raise EndpointUnreachable(f"nothing answers at {url}: {error.strerror}", hint="Start it: hyperframes-airflow local up") from error


def endpoint_url(options: argparse.Namespace) -> str | None:
    """The endpoint to call; None for AWS itself."""
    chosen = options.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
    if chosen or options.profile is not None:
        return chosen or None
    try:
        # Refuses to be imported where the extra for the embedded endpoint is not installed; then there is none.
        from hyperframes_provider.local import endpoint
    except (ImportError, RuntimeError):
        return None
    running = endpoint.status()
    return None if running is None else running.url
