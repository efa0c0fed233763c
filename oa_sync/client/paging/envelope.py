"""The envelope of a page: what stands in an answer beside its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oa_sync.client.wording import printable
from oa_sync.definitions.paths import format_path, parse_path

# dlt 1.31, rest_client/detector.py: RECORD_KEY_PATTERNS and NON_RECORD_KEY_PATTERNS.
RECORD_KEYS = (
    *("data", "items", "results", "entries", "records", "rows"),
    *("entities", "payload", "content", "objects", "values"),
)
OTHER_KEYS = frozenset({"meta", "metadata", "pagination", "links", "extras", "headers"})
ROW_COUNTS = ("total", "total_count", "totalcount", "total_items", "total_results", "total_rows")
LIMITS = ("limit", "per_page", "perpage", "page_size", "pagesize", "max_results", "maxresults")
HAS_MORE = ("has_more", "hasmore", "has_next", "has_next_page", "hasnextpage")
NEXT_ONES = (
    *(
        "next",
        "next_url",
        "nexturl",
        "next_page_url",
        "next_link",
        "nextlink",
        "next_page",
        "nextpage",
    ),
    *("next_cursor", "nextcursor", "@odata.nextlink", "odata.nextlink", "@nextlink"),
)
_DEEPEST = 3

Found = tuple[tuple[str, ...], Any]


def scalars(document: Any, rows_path: str, above: tuple[str, ...] = ()) -> Iterator[Found]:
    """The plain values of the envelope: everything but the rows and other lists."""
    if not isinstance(document, dict) or (above and above == parse_path(rows_path)):
        return
    for key, value in document.items():
        if isinstance(value, dict) and len(above) + 1 < _DEEPEST:
            yield from scalars(value, rows_path, (*above, key))
        elif not isinstance(value, dict | list):
            yield (*above, key), value


def is_row_count(name: str) -> bool:
    """Whether a field of this name counts the rows of the list."""
    return name.lower() in ROW_COUNTS or name.lower() == "count"


def says_more(document: Any, rows_path: str) -> bool:
    """Whether the envelope of `document` says that another page follows: a flag, or what that page is asked by."""
    for keys, value in scalars(document, rows_path):
        name = keys[-1].lower()
        if name in HAS_MORE and value is True:
            return True
        if name in NEXT_ONES and value and not isinstance(value, bool):
            return True
    return False


def doubt(values: list[Found], rows: int) -> str | None:
    """What of `values` speaks against these `rows` being all."""
    for keys, value in values:
        name, path = keys[-1].lower(), format_path(keys)
        is_number = type(value) is int
        if is_row_count(name) and is_number and value > rows:
            return f"{path} says that there are {value}"
        if name in LIMITS and is_number and 0 < value == rows:
            return f"they are as many as {path} allows"
        if (name in HAS_MORE or name == "more") and value is True:
            return f"{path} is true"
        if value and not isinstance(value, bool) and ("next" in name or "cursor" in name):
            return f"{path} is {printable(str(value), 40)}"
    return None
