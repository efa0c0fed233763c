"""Hosts, as they are compared and told: what counts as this machine, and how a host is written."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine: the one place where plain HTTP is allowed.

    Decided by the address. Of names only `localhost` counts, which every machine has in its own table; names below
    it, such as `x.localhost`, are asked of a name server by many systems, and `127.evil.com` is a name like any other.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_port(port: int | None) -> bool:
    """Whether a connection can be made to `port` (None: the scheme's own). Parsers of URLs take any number."""
    return port is None or 0 < port < 65_536
