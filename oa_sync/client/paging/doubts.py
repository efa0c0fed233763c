"""What in the envelope of a page speaks against its rows being the last ones.

Names are compared without case, `_` and `-`, because APIs spell them in every way. Names that mean little else
(`has_more`, `total`, all with `next` or `cursor` in them) count wherever they stand beside the rows. Names that
other things have too (`done`, `remaining`, `numFound`) count only beside the list, beside an object around it, or in
an object about paging that stands there: not in `rate_limit` or `stats`, and never inside rows. The most ambiguous
of them say nothing where another field says in so many words that the list ends.
"""

from __future__ import annotations

import re
from typing import Any

from oa_sync.client.paging.envelope import (
    ABOUT_PAGING,
    HAS_MORE,
    LOWER_BOUNDS,
    NEXT_ONES,
    Found,
    as_count,
    is_row_count,
    scalars,
    squashed,
)
from oa_sync.client.wording import printable
from oa_sync.definitions.paths import format_path, parse_path

_LIMITS = frozenset({"limit", "perpage", "pagesize", "maxresults"})
_SURELY_MORE = frozenset({*HAS_MORE, "more"})
_MORE = frozenset(
    {
        *("moreresults", "moreavailable", "morerecords", "moreitems", "moredata", "morepages"),
        *("hasmoreresults", "hasmoreitems", "hasmorerecords", "hasmoredata", "hasmorepages"),
        *("istruncated", "truncated", "exceededtransferlimit"),
    }
)
"""Flags that are true where more follows: of S3, Zoho, Git's trees, ArcGIS and others."""
_END = frozenset(
    {"done", "last", "islast", "lastpage", "islastpage", "isend", "nomore", "endofrecords"}
)
"""Flags that are false where more follows: of Salesforce, Spring, Jira, GBIF and others."""
_COUNTS = frozenset(
    {
        *("numfound", "recordstotal", "recordsfiltered", "totalelements", "totalrecords", "totalsize"),
        *("totalhits", "totalentries", "totalmatches", "nbhits", "@odata.count", "odata.count"),
    }
)  # fmt: skip
"""Counts of all rows: of Solr, DataTables, Spring, Salesforce, Algolia, OData and others."""
_BEFORE_FILTERING = {"recordstotal": "recordsfiltered"}
"""Counts that other filters than those of the list are left out of, where the second one stands beside them."""
_REMAINING = frozenset({"remaining", "remainingcount", "remainingitems", "remainingitemcount"})
_KEYS_OF_NEXT = frozenset(
    {
        *("after", "link", "href", "url", "uri", "cursor", "token", "marker", "key", "id"),
        *("offset", "page", "number", "start", "startat", "startindex", "from", "skip"),
    }
)
"""What in an object `next` names the page; such an object may have other words too, as `rel`."""
_PLACES = frozenset({"continue", "lastevaluatedkey"})
"""Where Kubernetes, MediaWiki and DynamoDB say where the list goes on, as a text or an object."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def doubt(values: list[Found], rows: int, rows_path: str) -> str | None:
    """What of `values`, which stand beside the list at `rows_path`, speaks against these `rows` being all."""
    around = parse_path(rows_path)[:-1]
    is_end_told = any(_tells_end(keys, value) for keys, value in values)
    for keys, value in values:
        is_beside = is_beside_rows(keys, around)
        if squashed(keys[-1]) in _LIMITS and type(value) is int and 0 < value == rows:
            return f"they are as many as {format_path(keys)} allows"
        said = _of_count(keys, value, rows, values, is_beside) or _of_flag(keys, value, is_beside)
        said = said or _of_place(keys, value)
        if said is None and is_beside and not is_end_told:
            said = _ambiguous(keys, value)
        if said is not None:
            return f"{format_path(keys)} {said}"
    return None


def says_more(document: Any, rows_path: str) -> bool:
    """Whether the envelope of `document` says that another page follows: a flag, or what that page is asked by."""
    if flags_more(document, rows_path):
        return True
    values = scalars(document, rows_path)
    return any(
        squashed(keys[-1]) in NEXT_ONES and value and not isinstance(value, bool)
        for keys, value in values
    )


def flags_more(document: Any, rows_path: str) -> bool:
    """Whether a flag in the envelope of `document` says that another page follows."""
    around = parse_path(rows_path)[:-1]
    values = scalars(document, rows_path)
    return any(
        _of_flag(keys, value, is_beside_rows(keys, around)) is not None for keys, value in values
    )


def is_more_flag(name: str, value: Any) -> bool:
    """Whether a flag of this name and value says that more follows, wherever it can only be about the list."""
    name, flag = squashed(name), as_flag(value)
    return (flag is True and name in _SURELY_MORE | _MORE) or (flag is False and name in _END)


def as_flag(value: Any) -> bool | None:
    """A truth value, also as text; None: it is none."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def is_beside_rows(keys: tuple[str, ...], around: tuple[str, ...]) -> bool:
    """Whether the value at `keys` stands in one of the objects `around` the list, or in one about paging there."""
    above = keys[:-1]
    while above and above != around[: len(above)] and squashed(above[-1]) in ABOUT_PAGING:
        above = above[:-1]
    return above == around[: len(above)]


def _of_count(
    keys: tuple[str, ...], value: Any, rows: int, values: list[Found], is_beside: bool
) -> str | None:
    """`hits.total.value` is a count by the name `total`."""
    name, above = squashed(keys[-1]), squashed(keys[-2]) if len(keys) > 1 else ""
    if name.endswith("relation") and value in LOWER_BOUNDS:
        counted = name.removesuffix("relation") or above
        return f"is {value}: there may be more" if _counts(counted, is_beside) else None
    count = as_count(value)
    if count is None:
        return None
    if name == "value" and _counts(above, is_beside):
        name = above
    if not _counts(name, is_beside) or count <= rows:
        return None
    filtered = _BEFORE_FILTERING.get(name)
    if filtered is not None and any(squashed(other[-1]) == filtered for other, _ in values):
        return None
    return f"says that there are {count}"


def _counts(name: str, is_beside: bool) -> bool:
    return is_row_count(name) or (is_beside and name in _COUNTS)


def _of_flag(keys: tuple[str, ...], value: Any, is_beside: bool) -> str | None:
    name = squashed(keys[-1])
    is_more = name in _SURELY_MORE or (is_beside and name in _MORE)
    return "is true" if is_more and as_flag(value) is True else None


def _of_place(keys: tuple[str, ...], value: Any) -> str | None:
    """A field that names the next page, or one in an object that does."""
    if not value or isinstance(value, bool):
        return None
    name = squashed(keys[-1])
    is_inside = name in _KEYS_OF_NEXT and any(squashed(key).startswith("next") for key in keys[:-1])
    is_place = any(squashed(key) in _PLACES for key in keys)
    if is_inside or is_place or "next" in name or "cursor" in name:
        return f"is {printable(str(value), 40)}"
    return None


def _ambiguous(keys: tuple[str, ...], value: Any) -> str | None:
    """What may be about something else: a flag of the end, rows that remain, a place in the form of a token."""
    name, count = squashed(keys[-1]), as_count(value)
    if as_flag(value) is False and name in _END:
        return "is false"
    if name in _REMAINING and count:
        return f"says that there are {count} more"
    if name in ("offset", "after") and is_token(value):
        return f"is {printable(value, 40)}"
    return None


def is_token(value: Any) -> bool:
    """Whether a place in a list is told by a text that only its server can read, no number and no date."""
    if not isinstance(value, str) or not value.strip() or value.strip().isdigit():
        return False
    return as_flag(value) is None and _DATE.match(value) is None


def _tells_end(keys: tuple[str, ...], value: Any) -> bool:
    name = squashed(keys[-1])
    if name in NEXT_ONES:
        return not value
    return as_flag(value) is (name in _END) and name in _SURELY_MORE | _MORE | _END
