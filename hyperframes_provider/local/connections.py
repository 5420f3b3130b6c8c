"""boto3 clients of the endpoint itself: CloudFormation creates resources, and Step Functions calls Lambda, over the public API."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"

_LONGEST_INVOCATION_SECONDS = 24 * 3600
"""An invocation may wait for a free core before its own time limit starts, and nothing else limits that wait."""


class Connections:
    """boto3 clients of the endpoint at `url`, one per service and region, shared by all threads. They never retry."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, region: str = REGION) -> Any:
        """Return the client of one service in one region."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._session.client(
                    service,
                    region_name=region,
                    endpoint_url=self.url,
                    config=Config(
                        parameter_validation=False,
                        retries={"total_max_attempts": 1},
                        connect_timeout=10,
                        read_timeout=_LONGEST_INVOCATION_SECONDS,
                        # Every Map iteration that waits holds one connection.
                        max_pool_connections=1024,
                    ),
                )
            return self._clients[service, region]
