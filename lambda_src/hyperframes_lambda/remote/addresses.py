"""Network addresses that a render may reach: public ones, and hosts that the configuration allows.

A composition is untrusted; it must not see the network of the machine that renders it.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_METADATA = frozenset(
    {"169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23"}
)
"""Metadata addresses of the clouds, which hand out credentials. One is public; the others are listed for a clearer message."""

_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""IPv6 networks whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215, RFC 4291)."""


def refusal(address: str) -> str | None:
    """Return the kind of an address that a render may not reach, such as `a private address`; None for a public address."""
    parsed = ip_address(address.partition("%")[0])
    inner = _inner(parsed)
    if inner is not None:
        return refusal(str(inner)) or (None if parsed.is_global else "a reserved address")
    if str(parsed) in _METADATA:
        return "a cloud's metadata address"
    if parsed.is_loopback or parsed.is_unspecified:
        return "this machine"
    if parsed.is_multicast:
        return "a multicast address"
    if parsed.is_link_local:
        return "a link-local address"
    if not parsed.is_global:
        return "a private address" if parsed.is_private else "an address of a provider's inner network"
    return None


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that receives packets sent to this IPv6 address."""
    if isinstance(address, IPv4Address):
        return None
    for network in _TRANSLATED:
        # ::1 and :: translate to nothing.
        if address in network and int(address) > 0xFFFF:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def is_allowed(host: str, port: int, allowed: Iterable[str]) -> bool:
    """Whether `allowed` lists the host, either without a port or with this one."""
    names = {name.lower() for name in allowed}
    shown = f"[{host}]" if ":" in host else host
    return bool({host.lower(), shown.lower(), f"{shown.lower()}:{port}"} & names)


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of `host`. Raise `OSError` when it has none, `TimeoutError` when the answer takes longer than `seconds`.

    The system's resolver cannot be interrupted and takes up to half a minute without a network, so a thread asks it and is abandoned if
    it takes too long.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            answers.put(error)
        except UnicodeError:
            answers.put(OSError(f"{host!r} is not a host name"))
        else:
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer from the name server within {seconds:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer
