"""Which proxy of the environment a request goes through: `HTTPS_PROXY`, `ALL_PROXY`, but for `NO_PROXY`.

httpx reads the same variables, but for all hosts at once: an entry of `NO_PROXY` that it cannot read, or a
kind of proxy that it cannot speak, is an error even where the host of the request needs neither
(encode/httpx#3221).
"""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Callable
from types import TracebackType
from urllib.request import getproxies

import httpx

from oa_sync.addresses import is_port
from oa_sync.errors import ConfigurationError


def proxy_for(url: httpx.URL) -> str | None:
    """The address of the proxy for `url`, or None. Plain HTTP is for loopback, and never goes to a proxy,
    which would get the key and the data.

    Raises:
        ConfigurationError: the address cannot be used. It may hold a password, so it is not repeated.
    """
    if url.scheme != "https":
        return None
    proxies = getproxies()
    name = "https" if "https" in proxies else "all"
    proxy = proxies.get(name)
    if not proxy or _is_excepted(url, proxies.get("no", "")):
        return None
    variable = f"{name.upper()}_PROXY"
    try:
        address = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
    except httpx.InvalidURL:
        address = None
    if address is None or not address.host or not is_port(address.port):
        raise ConfigurationError(
            f"{variable} is not a URL; use http://host:port, or name {url.host} in NO_PROXY"
        )
    scheme = address.scheme
    if scheme in ("socks5", "socks5h") and importlib.util.find_spec("socksio") is None:
        raise ConfigurationError(
            f"{variable} names a SOCKS proxy, which needs one more package: pip install"
            f" 'httpx[socks]'; or name {url.host} in NO_PROXY"
        )
    if scheme not in ("http", "https", "socks5", "socks5h"):
        raise ConfigurationError(
            f"{variable}: a proxy is http://, https:// or socks5://; correct it, or name"
            f" {url.host} in NO_PROXY"
        )
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(url: httpx.URL, entries: str) -> bool:
    """Whether `entries`, the words of `NO_PROXY`, name the host of `url`: as `*`, an address, a network, a
    name, or a domain with all names below it; with a port or without. What cannot be read names nothing."""
    return any(_names(entry.strip().lower(), url) for entry in entries.split(",") if entry.strip())


def _names(entry: str, url: httpx.URL) -> bool:
    if entry == "*":
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        address = None
    host, port = _split(entry)
    if port is not None and port != (url.port or 443):
        return False
    if address is not None:
        try:
            return address in ipaddress.ip_network(host, strict=False)
        except ValueError:
            return False
    domain = host.removeprefix("*").lstrip(".").rstrip(".")
    name = url.host.lower().rstrip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry: `name`, `name:443`, `[::1]`, `[::1]:443`, `::1`, `fd00::/8`."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isdecimal() else None


class ProxiedByHost(httpx.AsyncBaseTransport):
    """A transport that takes, for each request, the proxy of its host. `make` builds one for a proxy."""

    def __init__(self, make: Callable[[str | None], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._made: dict[str | None, httpx.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`. Raises as the transports do, and ConfigurationError for a wrong proxy."""
        proxy = proxy_for(request.url)
        if proxy not in self._made:
            self._made[proxy] = self._make(proxy)
        return await self._made[proxy].handle_async_request(request)

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._made.values():
            await transport.aclose()
