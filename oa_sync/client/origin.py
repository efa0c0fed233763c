"""Which URLs requests may go to: those of the configured origin, over HTTPS or to loopback.

httpx and requests both send an `X-API-Key` on to a redirect's target, and httpx sends every header to
the host of an absolute link, whatever its `base_url`. So no request ever goes to another scheme, host
or port, and `Credential` checks the origin once more before it signs.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx

from oa_sync.addresses import is_loopback, is_port
from oa_sync.client.wording import origin_text, printable
from oa_sync.errors import ConfigurationError, InvalidRequestError, RedirectRefusedError

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOT_IN_A_PATH = re.compile(r"[\x00-\x20\x7f\\?#]")


def base_url(text: str) -> httpx.URL:
    """The base URL of a client, without a closing slash.

    Raises:
        ConfigurationError: not a URL, not HTTPS (plain HTTP is for loopback hosts), or with a user,
            query or fragment in it. The message does not repeat the URL, which may hold a secret.
    """
    try:
        url = httpx.URL(text.strip().rstrip("/"))
    except httpx.InvalidURL:
        raise ConfigurationError("base URL: not a URL; use https://host[:port][/path]") from None
    if url.scheme not in ("http", "https") or not url.host or not is_port(url.port):
        raise ConfigurationError("base URL: not an http(s) URL; use https://host[:port][/path]")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ConfigurationError(
            f"base URL: {origin_text(url)} is plain HTTP, which would send the key unencrypted;"
            " use https:// (http:// works for localhost, 127.0.0.0/8 and [::1] only)"
        )
    if url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            "base URL: a user, a query or a fragment in it; use https://host[:port][/path]"
        )
    return url


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether scheme, host and port are equal; default ports count as written out."""
    return _origin(one) == _origin(other)


def below(base: httpx.URL, path: str) -> httpx.URL:
    """The URL of `path` (percent-encoded where needed) below `base`.

    Raises:
        InvalidRequestError: `path` would climb out of the base URL, or carries a query or fragment.
    """
    climbs = any(unquote(part) in (".", "..") for part in path.split("/"))
    if climbs or _NOT_IN_A_PATH.search(path):
        raise InvalidRequestError(
            f"path {printable(path, 200)!r}: dot segments, blanks, backslashes, ? and # cannot"
            " stand in it; percent-encode the values that it is made of"
        )
    try:
        return httpx.URL(f"{base}/{path.lstrip('/')}")
    except httpx.InvalidURL:
        raise InvalidRequestError(
            f"path {printable(path, 200)!r} ({len(path):,} characters) makes no URL; such an id cannot be asked"
            " for"
        ) from None


def is_absolute(path_or_url: str) -> bool:
    """Whether the text names a scheme and a host itself."""
    return _ABSOLUTE.match(path_or_url) is not None


def linked(base: httpx.URL, current: httpx.URL, link: str, what: str) -> httpx.URL:
    """The URL that the server means by `link` in its answer from `current`.

    A server behind a proxy that ends TLS often writes http:// for its own address. Where host and port are
    those of `base`, https:// is meant and taken: nothing is ever sent unencrypted for it.

    Raises:
        RedirectRefusedError: it leaves the origin of `base`, or carries a user.
    """
    try:
        url = current.join(link)
    except (httpx.InvalidURL, ValueError):
        raise RedirectRefusedError(
            f"{what} answered with a link that is not a URL; tell the vendor"
        ) from None
    is_same_server = url.host == base.host and url.port in (base.port, base.port or 443)
    if is_same_server and (base.scheme, url.scheme) == ("https", "http"):
        url = url.copy_with(scheme="https", port=base.port)
    if not same_origin(base, url) or url.userinfo:
        raise RedirectRefusedError(
            f"{what} points to {origin_text(url)}, which is not the configured host; nothing was"
            " sent there, because the API key would go along; if that host is right, set it as the"
            " base URL"
        )
    return url.copy_with(fragment=None)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port if url.port is not None else default
