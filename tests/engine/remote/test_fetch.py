"""Hosts and amounts that a render may fetch, and its errors when it cannot."""

from __future__ import annotations

import datetime
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.remote import addresses, fetch
from hyperframes_lambda.remote.addresses import is_allowed, refusal
from hyperframes_lambda.remote.fetch import Fetcher, HostUnreachable
from tests.engine.remote.origin_server import Reply, Route, serve_origin


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "this machine"),
        ("127.255.0.9", "this machine"),
        ("0.0.0.0", "this machine"),
        ("::1", "this machine"),
        ("::", "this machine"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("fd12::1", "private"),
        ("100.64.0.1", "inner network"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("192.0.2.7", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "metadata"),
        ("64:ff9b::169.254.169.254", "metadata"),
        ("2002:7f00:1::", "this machine"),
        ("::10.0.0.1", "private"),
    ],
)
def test_an_address_that_is_not_public_is_refused_by_its_kind(address: str, kind: str) -> None:
    assert kind in str(refusal(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:8.8.8.8"])
def test_a_public_address_is_not_refused(address: str) -> None:
    assert refusal(address) is None


@given(st.ip_addresses())
def test_every_address_is_judged(address: Any) -> None:
    kind = refusal(str(address))

    assert kind is None or kind
    if address.is_private or address.is_multicast or address.is_link_local or address.is_loopback:
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or getattr(address, "teredo", None)
        assert kind is not None or inner


@pytest.mark.parametrize(
    ("host", "port", "allowed", "answer"),
    [
        ("assets.internal", 80, ["assets.internal"], True),
        ("ASSETS.internal", 80, ["assets.Internal"], True),
        ("assets.internal", 8080, ["assets.internal:8080"], True),
        ("assets.internal", 80, ["assets.internal:8080"], False),
        ("evil-assets.internal", 80, ["assets.internal"], False),
        ("fd00::1", 80, ["fd00::1"], True),
        ("fd00::1", 80, ["[fd00::1]:80"], True),
        ("10.0.0.1", 80, [], False),
    ],
)
def test_a_host_is_allowed_by_name_with_any_port_or_with_this_one(host: str, port: int, allowed: list[str], answer: bool) -> None:
    assert is_allowed(host, port, allowed) is answer


def test_what_is_not_public_is_not_even_connected_to(tmp_path: Path) -> None:
    with serve_origin({"/secret": Reply(b"secret")}) as origin, pytest.raises(RenderError) as failure:
        Fetcher(tmp_path, environ={}).get(f"{origin.url}/secret")

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert [word for word in (f"{origin.url}/secret", "127.0.0.1", "this machine", "allowedHosts") if word not in str(failure.value)] == []
    assert origin.asked == []


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "file:///etc/passwd", "gopher://example.com", "http://", "http://example.com:99999/"]
)
def test_only_http_is_spoken(tmp_path: Path, url: str) -> None:
    with pytest.raises(RenderError) as failure:
        Fetcher(tmp_path, environ={}).get(url)

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE


def test_a_name_is_resolved_once_and_the_vetted_address_is_the_one_connected_to(tmp_path: Path, resolver: Callable[..., list[str]]) -> None:
    with serve_origin({"/a": Reply(b"one"), "/b": Reply(b"two")}) as origin:
        asked = resolver({"assets.test": [["127.0.0.1"], ["10.0.0.1"]]})
        fetcher = Fetcher(tmp_path, allowed_hosts=["assets.test"], environ={})
        first, second = (fetcher.get(f"http://assets.test:{origin.port}/{path}") for path in "ab")

    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"one", b"two")
    assert asked == ["assets.test"]
    assert {headers["host"] for _, headers in origin.asked} == {f"assets.test:{origin.port}"}


def test_a_public_name_with_a_private_address_is_refused(tmp_path: Path, resolver: Callable[..., list[str]]) -> None:
    resolver({"rebound.test": [["10.0.0.1", "fd00:ec2::254"]]})

    with pytest.raises(RenderError) as failure:
        Fetcher(tmp_path, environ={}).get("https://rebound.test/x.js")

    assert "rebound.test (10.0.0.1) is a private address" in str(failure.value)


ANSWERS: dict[str, tuple[Route, ErrorCode, list[str], int]] = {
    "server error": (Reply(status=503), ErrorCode.ASSET_FETCH_FAILED, ["503"], 2),
    "too many requests": (Reply(status=429), ErrorCode.ASSET_FETCH_FAILED, ["429"], 2),
    "broken off": (Reply(b"x" * 1000, cut=10), ErrorCode.ASSET_FETCH_FAILED, ["broke off"], 2),
    "no answer": (Reply(never=True), ErrorCode.ASSET_FETCH_FAILED, ["timed out"], 2),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_may_pass_is_tried_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.3)
    route, code, words, tries = ANSWERS[case]
    with serve_origin({"/file.js": route}) as origin, pytest.raises(RenderError) as failure:
        Fetcher(tmp_path, allowed_hosts=[origin.host], environ={}).get(f"{origin.url}/file.js")

    assert failure.value.code is code
    assert [word for word in [f"{origin.url}/file.js", *words] if word not in str(failure.value)] == []
    assert origin.count("/file.js") == tries


@pytest.mark.parametrize("first", [Reply(status=502), Reply(b"x" * 1000, cut=10)])
def test_a_second_attempt_that_succeeds_is_enough(tmp_path: Path, first: Reply) -> None:
    with serve_origin({"/file.js": lambda number: first if number == 1 else Reply(b"done")}) as origin:
        fetched = Fetcher(tmp_path, allowed_hosts=[origin.host], environ={}).get(f"{origin.url}/file.js")

    assert (fetched.status, fetched.path.read_bytes()) == (200, b"done")


@pytest.mark.parametrize("status", [301, 302, 403, 404, 410])
def test_redirects_and_refusals_are_answers(tmp_path: Path, status: int) -> None:
    routes = {"/file.js": Reply(status=status, headers={"Location": "/elsewhere"}), "/elsewhere": Reply(b"x")}
    with serve_origin(routes) as origin:
        fetched = Fetcher(tmp_path, allowed_hosts=[origin.host], environ={}).get(f"{origin.url}/file.js")

    assert fetched.status == status
    assert fetched.headers["location"] == "/elsewhere"
    assert origin.count("/elsewhere") == 0


def test_a_host_that_refuses_connections_is_asked_once_and_remembered(tmp_path: Path) -> None:
    with serve_origin({}) as origin:
        pass
    fetcher = Fetcher(tmp_path, allowed_hosts=[origin.host], environ={})

    for _ in range(2):
        with pytest.raises(HostUnreachable) as failure:
            fetcher.get(f"{origin.url}/file.js")
        # No host has answered in this run, so there is no network and no use in a retry.
        assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
        assert f"{origin.url}/file.js" in str(failure.value)


def test_a_connection_that_fails_while_others_work_may_be_tried_again(tmp_path: Path) -> None:
    with serve_origin({}) as closed:
        pass
    with serve_origin({"/x": Reply(b"x")}) as origin:
        fetcher = Fetcher(tmp_path, allowed_hosts=[origin.host, closed.host], environ={})
        fetcher.get(f"{origin.url}/x")
        with pytest.raises(HostUnreachable) as failure:
            fetcher.get(f"{closed.url}/x")

    assert failure.value.code is ErrorCode.ASSET_FETCH_FAILED


def test_an_unknown_host_is_named(tmp_path: Path, resolver: Callable[..., list[str]]) -> None:
    resolver({})

    with pytest.raises(HostUnreachable) as failure:
        Fetcher(tmp_path, environ={}).get("https://nowhere.test/a.png")

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert "unknown host nowhere.test" in str(failure.value)


def test_a_name_server_that_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silence = threading.Event()

    def say_nothing(*_arguments: object, **_options: object) -> list[object]:
        silence.wait()
        return []

    monkeypatch.setattr(addresses.socket, "getaddrinfo", say_nothing)
    monkeypatch.setattr(fetch, "REACH_SECONDS", 0.2)
    fetcher, started = Fetcher(tmp_path, environ={}), time.monotonic()

    for _ in range(3):
        with pytest.raises(HostUnreachable, match="name server"):
            fetcher.get("https://slow.test/a.png")
    silence.set()

    assert time.monotonic() - started < 2


LIMITS = {"LARGEST_BODY": "is larger than 0 MB", "LARGEST_TOTAL": "exceeds the 0 MB", "MOST_REQUESTS": "exceeds the 3 remote requests"}


@pytest.mark.parametrize("limit", LIMITS)
def test_size_and_number_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(fetch, limit, {"LARGEST_BODY": 3000, "LARGEST_TOTAL": 3000, "MOST_REQUESTS": 3}[limit])
    sizes = [2900, 2900] if limit == "LARGEST_TOTAL" else [100, 100, 100, 4000]
    with serve_origin({f"/{number}": Reply(b"x" * size) for number, size in enumerate(sizes)}) as origin:
        fetcher = Fetcher(tmp_path, allowed_hosts=[origin.host], environ={})
        with pytest.raises(RenderError, match=LIMITS[limit]) as failure:
            for number in range(len(sizes)):
                fetcher.get(f"{origin.url}/{number}")

    assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE
    assert f"{origin.url}/{len(sizes) - 1}" in str(failure.value)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_a_certificate_is_checked_against_the_name_although_the_address_is_connected_to(
    tmp_path: Path, resolver: Callable[..., list[str]]
) -> None:
    authority = certificate(tmp_path, "assets.test")
    with serve_origin({"/a": Reply(b"secure")}, certificate=authority) as origin:
        resolver({name: [["127.0.0.1"]] * 2 for name in ("assets.test", "other.test")})
        trusted, allowed = {"REQUESTS_CA_BUNDLE": str(authority)}, ["assets.test", "other.test"]
        fetched = Fetcher(tmp_path, allowed_hosts=allowed, environ=trusted).get(f"https://assets.test:{origin.port}/a")
        for environ, name in (({}, "assets.test"), (trusted, "other.test")):
            with pytest.raises(RenderError, match="no trusted certificate") as failure:
                Fetcher(tmp_path, allowed_hosts=allowed, environ=environ).get(f"https://{name}:{origin.port}/a")
            assert failure.value.code is ErrorCode.ASSET_UNAVAILABLE

    assert fetched.path.read_bytes() == b"secure"


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for `name`, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "authority.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return path


def test_a_proxy_of_the_environment_is_used_and_told_the_name(tmp_path: Path) -> None:
    with serve_origin({"http://assets.test/a.txt": Reply(b"by proxy")}) as proxy:
        fetched = Fetcher(tmp_path, environ={"http_proxy": proxy.url}).get("http://assets.test/a.txt")

    assert fetched.path.read_bytes() == b"by proxy"


def test_a_proxy_is_not_asked_for_private_addresses_and_not_for_excluded_hosts(tmp_path: Path) -> None:
    with serve_origin({"/a": Reply(b"direct")}) as origin, serve_origin({}) as proxy:
        environ = {"http_proxy": proxy.url, "no_proxy": "example.org, 127.0.0.1"}
        assert Fetcher(tmp_path, allowed_hosts=[origin.host], environ=environ).get(f"{origin.url}/a").path.read_bytes() == b"direct"
        with pytest.raises(RenderError, match="metadata"):
            Fetcher(tmp_path, environ=environ).get("http://169.254.169.254/latest/meta-data")

    assert proxy.asked == []


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make names mean addresses: for each name what it answers the first time, the second time…; returns the names asked for."""
    real = socket.getaddrinfo

    def install(names: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def answer(host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
            if host.replace(".", "").isdigit():
                return list(real(host, port, *arguments, **options))
            asked.append(host)
            if host not in names:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(0, 0, 0, "", (address, port)) for address in names[host][asked.count(host) - 1]]

        monkeypatch.setattr(addresses.socket, "getaddrinfo", answer)
        return asked

    return install
