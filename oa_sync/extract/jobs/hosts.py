"""Which hosts a signed URL may name.

The API tells the URL, and this machine fetches it. So the API, or whoever forges its answers, must not be
able to choose any address in this machine's network: the host has to be near the API's own, or be allowed
by name. The rule uses no list of public suffixes. It rather refuses too much, and the message names the
flag.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

import httpx

from oa_sync.addresses import is_loopback, is_port
from oa_sync.client.wording import origin_text
from oa_sync.errors import ConfigurationError, RedirectRefusedError

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_SECOND_LEVEL = 3
"""A second label of at most this many letters in a country's domain counts as `co`, `com`, `org` …"""


class DownloadHosts:
    """The hosts that may be asked: the API's, those beside or below it, and the `allowed` ones.

    `allowed`: names of hosts, or `*.` and a domain for every host in it. `base`: the API's URL.

    Raises ConfigurationError for an `allowed` that is no such name.
    """

    def __init__(self, base: httpx.URL, allowed: Collection[str] = ()) -> None:
        self._base = base
        self._exact = {base.host}
        self._domains = [domain] if (domain := _domain(base.host)) else []
        for name in allowed:
            host = name.strip().lower().removeprefix("*.")
            if not _HOST.fullmatch(host):
                raise ConfigurationError(
                    f"--download-host {name!r}: not a host name; write files.example.com, or"
                    " *.example.com for all below it"
                )
            if name.strip().startswith("*."):
                self._domains.append(host)
            else:
                self._exact.add(host)

    def check(self, text: str) -> httpx.URL:
        """The URL `text`, if it may be asked.

        Raises:
            RedirectRefusedError: it may not; the message has the origin and nothing else of the URL.
        """
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            url = None
        if url is None or not is_port(url.port):
            raise RedirectRefusedError("the download URL is not a URL; tell the vendor")
        where = origin_text(url)
        plain = url.scheme == "http" and is_loopback(url.host) and is_loopback(self._base.host)
        if not url.host or (url.scheme != "https" and not plain):
            raise RedirectRefusedError(
                f"the download URL is at {where}, which is not HTTPS; nothing was sent there"
            )
        if url.userinfo:
            raise RedirectRefusedError(f"the download URL at {where} has a user in it; not asked")
        if not self._may_be_asked(url.host):
            raise RedirectRefusedError(
                f"the download URL is at {where}, which is not the API's host or one beside it;"
                f" nothing was sent there. If the vendor keeps exports there: --download-host"
                f" {url.host}"
            )
        return url.copy_with(fragment=None)

    def _may_be_asked(self, host: str) -> bool:
        if host in self._exact:
            return True
        if is_loopback(host) or _is_address(host):
            return is_loopback(host) and is_loopback(self._base.host)
        return any(host == domain or host.endswith(f".{domain}") for domain in self._domains)


def _domain(host: str) -> str | None:
    """The domain whose hosts count as near to `host`; None for an address or a name without a dot."""
    if _is_address(host) or "." not in host:
        return None
    labels = host.split(".")
    parent = labels[1:]
    country = len(labels[-1]) == 2 and len(labels[-2]) <= _SECOND_LEVEL
    return ".".join(parent if len(parent) >= (3 if country else 2) else labels)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
