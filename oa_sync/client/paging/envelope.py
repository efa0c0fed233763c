"""The envelope of a page: what stands in an answer beside its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oa_sync.definitions.paths import parse_path

# dlt 1.31, rest_client/detector.py: RECORD_KEY_PATTERNS and NON_RECORD_KEY_PATTERNS.
RECORD_KEYS = (
    *("data", "items", "results", "entries", "records", "rows"),
    *("entities", "payload", "content", "objects", "values"),
)
OTHER_KEYS = frozenset({"meta", "metadata", "pagination", "links", "extras", "headers"})
ABOUT_PAGING = frozenset(
    {"meta", "metadata", "pagination", "paging", "page", "pageinfo", "responsemetadata"}
)
"""Names of objects about paging, as `squashed`. So are all names that follow."""
ROW_COUNTS = ("total", "totalcount", "totalitems", "totalresults", "totalrows")
HAS_MORE = ("hasmore", "hasnext", "hasnextpage")
NEXT_ONES = (
    *("next", "nexturl", "nextpageurl", "nextlink", "nextpage", "nextcursor"),
    *("@odata.nextlink", "odata.nextlink", "@nextlink"),
)
LOWER_BOUNDS = frozenset({"gte", "gt"})
"""What stands as `relation` beside a total of Elasticsearch's that stopped counting."""
_DEEPEST = 3

Found = tuple[tuple[str, ...], Any]


def squashed(name: str) -> str:
    """`name` without what APIs spell in different ways: case, `_` and `-`."""
    return name.lower().replace("_", "").replace("-", "")


def scalars(document: Any, rows_path: str) -> Iterator[Found]:
    """The plain values of the envelope: everything but the rows and other lists, at most three levels below the
    objects that are around the rows."""
    yield from _scalars(document, parse_path(rows_path), (), 1)


def _scalars(
    document: Any, rows: tuple[str, ...], above: tuple[str, ...], depth: int
) -> Iterator[Found]:
    if not isinstance(document, dict) or (above and above == rows):
        return
    for key, value in document.items():
        keys = (*above, key)
        if isinstance(value, dict):
            below = 1 if keys == rows[: len(keys)] else depth + 1
            if below <= _DEEPEST:
                yield from _scalars(value, rows, keys, below)
        elif not isinstance(value, list):
            yield keys, value


def is_row_count(name: str) -> bool:
    """Whether a field of this name counts the rows of the list."""
    return squashed(name) in ROW_COUNTS or squashed(name) == "count"


def as_count(value: Any) -> int | None:
    """A count (of rows, of pages), also as text or as `35.0`; None: negative or no number."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def is_lower_bound(document: Any, path: str) -> bool:
    """Whether the answer says of the count at `path` that there may be more: `{"value": 20, "relation": "gte"}`."""
    *above, name = parse_path(path) or ("",)
    for key in above:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, dict):
        return False
    names = ("relation", f"{squashed(name)}relation")
    return any(
        isinstance(value, str) and value in LOWER_BOUNDS and squashed(key) in names
        for key, value in document.items()
    )
