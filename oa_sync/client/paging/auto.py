"""`auto`: which way of paging the first answer shows. Costs no request.

The order is dlt's (rest_client/detector.py): a `Link` header, a URL of the next page in the body,
page numbers with a total, a cursor; else it is a single page. Unlike dlt, page numbers are only
counted on from the number that the answer itself names, because lists start at 0 or at 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oa_sync.client.paging.links import header_link
from oa_sync.client.paging.listing import Answer
from oa_sync.definitions.model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePagePaginator,
)
from oa_sync.definitions.paths import format_path, parse_path
from oa_sync.errors import InvalidResponseError

_NEXT_URL = ("next", "next_url", "nexturl", "next_page_url", "next_link", "nextlink", "href", "url")
_CURSOR = ("next_cursor", "nextcursor", "cursor", "end_cursor", "endcursor", "next")
_PAGE = ("page", "current_page", "currentpage", "page_number", "pagenumber")
_PAGES = ("total_pages", "totalpages", "pages", "page_count", "pagecount", "last_page")
_ROWS = ("total", "total_count", "totalcount", "total_items", "total_results", "total_rows")
_HAS_MORE = ("has_more", "hasmore", "has_next", "has_next_page", "hasnextpage")
_DEEPEST = 3

_Found = tuple[tuple[str, ...], Any]


def detect(answer: Answer) -> Paginator:
    """The paginator for the list whose first page `answer` is; never `auto`.

    Raises:
        InvalidResponseError: it names more pages than one, but not how to ask for them.
    """
    if header_link(answer, "next"):
        return HeaderLinkPaginator()
    scalars = list(_scalars(answer.document, answer.rows_path))
    return (
        _by_link(scalars)
        or _by_page_number(scalars, answer)
        or _by_cursor(scalars)
        or SinglePagePaginator()
    )


def _by_link(scalars: list[_Found]) -> JsonLinkPaginator | None:
    def is_link(keys: tuple[str, ...], value: Any) -> bool:
        inside_next = len(keys) > 1 and keys[-2].lower() == "next"
        names_it = keys[-1].lower() not in ("href", "url") or inside_next
        return isinstance(value, str) and value.startswith(("http", "/", "?")) and names_it

    keys = _first(scalars, _NEXT_URL, is_link)
    return JsonLinkPaginator(next_url_path=format_path(keys)) if keys else None


def _by_page_number(scalars: list[_Found], answer: Answer) -> PageNumberPaginator | None:
    page, pages, rows = (_first(scalars, names, _is_count) for names in (_PAGE, _PAGES, _ROWS))
    if pages is None and (page is None or rows is None):
        return None
    values = dict(scalars)
    if page is None:
        assert pages is not None
        if int(values[pages]) <= 1:
            return None
        raise InvalidResponseError(
            f"{answer.what}: there are {int(values[pages])} pages, but whether they count from 0"
            " or 1 is not said; declare a paginator page_number with its base_page"
        )
    first = int(values[page])
    return PageNumberPaginator(
        base_page=min(first, 1),
        page=first,
        total_path=format_path(pages) if pages else None,
        total_rows_path=format_path(rows) if rows else None,
    )


def _by_cursor(scalars: list[_Found]) -> CursorPaginator | None:
    keys = _first(scalars, _CURSOR, lambda _, value: bool(value) and type(value) in (str, int))
    if keys is None:
        return None
    has_more = _first(scalars, _HAS_MORE, lambda _, value: isinstance(value, bool))
    rows = _first(scalars, _ROWS, _is_count)
    return CursorPaginator(
        cursor_path=format_path(keys),
        # The documented envelope of OpenAnalyst's cursor dialect; dlt's default otherwise.
        cursor_param="after" if keys == ("pagination", "cursor") else "cursor",
        has_more_path=format_path(has_more) if has_more else None,
        total_path=format_path(rows) if rows else None,
    )


def _is_count(_: tuple[str, ...], value: Any) -> bool:
    return type(value) is int and value >= 0


def _first(
    scalars: list[_Found],
    names: tuple[str, ...],
    fits: Callable[[tuple[str, ...], Any], bool],
) -> tuple[str, ...] | None:
    """The keys of the value that fits, by the order of `names`, then the least nested."""
    found = [
        (names.index(keys[-1].lower()), len(keys), keys)
        for keys, value in scalars
        if keys[-1].lower() in names and fits(keys, value)
    ]
    return min(found)[2] if found else None


def _scalars(document: Any, rows_path: str, above: tuple[str, ...] = ()) -> Iterator[_Found]:
    """The plain values of the envelope: everything but the rows and other lists."""
    if not isinstance(document, dict) or (above and above == parse_path(rows_path)):
        return
    for key, value in document.items():
        if isinstance(value, dict) and len(above) + 1 < _DEEPEST:
            yield from _scalars(value, rows_path, (*above, key))
        elif not isinstance(value, dict | list):
            yield (*above, key), value
