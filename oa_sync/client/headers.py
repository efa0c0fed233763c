"""The headers of every request, and how URLs and headers are kept out of the logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from oa_sync._version import __version__
from oa_sync.errors import ConfigurationError

_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def request_headers(extra: Mapping[str, str]) -> dict[str, str]:
    """The headers of every request: ours and those of the definition.

    Raises:
        ConfigurationError: one cannot be sent, or is the client's own. Never shows a value.
    """
    for name, value in extra.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"client.headers: {name!r} is not a header that can be sent; one line of printable"
                " ASCII, and a name of letters, digits and hyphens"
            )
        if name.lower() in _OURS:
            raise ConfigurationError(f"client.headers: {name} is set by the client; remove it")
    return {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": f"oa-sync/{__version__}",
        **extra,
    }


def keep_urls_and_headers_out_of_logs() -> None:
    """httpx logs whole URLs at INFO and hpack whole headers at DEBUG: both can hold the key."""
    for name in ("httpx", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.WARNING)
