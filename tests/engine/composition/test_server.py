from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hyperframes_lambda.composition import serve


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    (tmp_path / "blob").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    with serve({"a b/ü.bin": (tmp_path / "blob", "application/octet-stream"), "gone": (tmp_path / "nothing", "text/plain")}) as base_url:
        parts = urlsplit(base_url)
        assert parts.hostname == "127.0.0.1"
        client = http.client.HTTPConnection(parts.hostname, parts.port or 0)
        yield client
        client.close()


def get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_a_file_is_served_with_its_type_and_one_connection_serves_many(connection: http.client.HTTPConnection) -> None:
    for _ in range(3):
        status, body, headers = get(connection, "/a%20b/%C3%BC.bin?v=1")
        assert (status, body, headers["Content-Type"]) == (200, b"0123456789", "application/octet-stream")


@pytest.mark.parametrize(
    ("header", "status", "body", "span"),
    [
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_byte_ranges(connection: http.client.HTTPConnection, header: str, status: int, body: bytes, span: str | None) -> None:
    answered, content, headers = get(connection, "/a%20b/%C3%BC.bin", {"Range": header})

    assert (answered, content, headers.get("Content-Range")) == (status, body, span)


@pytest.mark.parametrize("path", ["/", "/blob", "/../secret", "/a%20b/../../secret", "/%2e%2e/secret", "//etc/passwd", "/gone"])
def test_nothing_but_the_mapping_is_served(connection: http.client.HTTPConnection, path: str) -> None:
    status, body, _ = get(connection, path)

    assert (status, body) == (404, b"")
