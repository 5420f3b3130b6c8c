"""Which AWS a verb talks to: the one that the options name, else the embedded endpoint when it is up, else the account."""

from __future__ import annotations

import argparse
import os

from hyperframes_provider.cli.faults import WrongRequest
from hyperframes_provider.client.connect import Connect, connect_from_session, connect_local, is_loopback


def connect(options: argparse.Namespace) -> Connect:
    """The boto3 clients for the options."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    url = endpoint_url(options)
    if url is not None and is_loopback(url) and options.profile is None and options.region is None:
        return connect_local(url)
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
    except ProfileNotFound as error:
        raise WrongRequest(str(error), hint="Name a profile of the AWS configuration with --profile, or leave it out.") from error
    return connect_from_session(session, region_name=options.region, endpoint_url=url)


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
