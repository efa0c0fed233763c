"""The headers of every request, and how URLs and headers are kept out of the logs."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager

from oa_sync._version import __version__
from oa_sync.errors import ConfigurationError
from oa_sync.process_wide import log_levels

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


def without_urls_and_headers_in_logs() -> AbstractContextManager[None]:
    """For the `with` block: httpx logs whole URLs at INFO and hpack whole headers at DEBUG, and both can hold
    the key."""
    return log_levels(logging.WARNING, "httpx", "httpcore", "hpack")
