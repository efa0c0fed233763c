"""Hosts, as they are compared and told: what counts as this machine, and how a host is written."""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: the one place where plain HTTP is allowed.

    Decided by the address. Of names only `localhost` counts, which every machine has in its own table; names below
    it, such as `x.localhost`, are asked of a name server by many systems, and `127.evil.com` is a name like any other.
    """
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_public(host: str) -> bool:
    """Whether `host` is out on the internet: no address of it is this machine's or of a network around it (loopback,
    private, link-local, where clouds keep their metadata). A name is looked up; one without an address is public,
    because nothing can be sent to it."""
    address = _address(host)
    if address is not None:
        return address.is_global
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    addresses = (_address(str(each[4][0])) for each in found)
    return all(address is not None and address.is_global for address in addresses)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is, None for a name. IPv4 inside IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_port(port: int | None) -> bool:
    """Whether a connection can be made to `port` (None: the scheme's own). Parsers of URLs take any number."""
    return port is None or 0 < port < 65_536
