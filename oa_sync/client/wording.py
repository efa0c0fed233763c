"""Text for messages: what may be shown, and how foreign text is made harmless."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from oa_sync.foreign_text import visible

PATH_TEXT = 200
NAME_TEXT = 60


def printable(text: str, limit: int) -> str:
    """`text` with every control or invisible character escaped, cut to `limit` characters."""
    escaped = visible(text[: limit + 1])
    return escaped if len(text) <= limit else escaped[:limit] + "…"


def named(names: Sequence[str], most: int) -> str:
    """The first `most` of `names`, such as keys of rows, each cut."""
    shown = ", ".join(printable(name, NAME_TEXT) for name in names[:most])
    return f"{shown}, …" if len(names) > most else shown


def describe(method: str, url: httpx.URL, base: httpx.URL, note: str | None) -> str:
    """How messages call a request: method, path below the base URL, and `note` (`page 7`).

    Never the host, the query or the fragment: all three can hold secrets.
    """
    prefix = base.path.rstrip("/") + "/"
    path = url.path.removeprefix(prefix) or "/"
    shown = f"{method} {printable(path, PATH_TEXT)}"
    return f"{shown} ({note})" if note else shown


def origin_text(url: httpx.URL) -> str:
    """Scheme, host and port of `url`, for a message; nothing else of it."""
    port = f":{url.port}" if url.port is not None else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return printable(f"{url.scheme}://{host}{port}", PATH_TEXT)
