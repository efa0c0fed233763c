"""`auto`: which way of paging the first answer shows. Costs no request.

The order is dlt's (rest_client/detector.py): a `Link` header, a URL of the next page in the body,
page numbers with a total, a cursor; else it is a single page. Unlike dlt, page numbers are only
counted on from the number that the answer itself names, because lists start at 0 or at 1.

What is not recognised is not nonexistent: an answer is a single page only if nothing in it speaks against
that, such as a total above its rows, a limit that its rows fill, or a field that names a next page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from oa_sync.client.paging.doubts import doubt, is_more_flag, is_token
from oa_sync.client.paging.envelope import (
    ABOUT_PAGING,
    HAS_MORE,
    ROW_COUNTS,
    Found,
    as_count,
    scalars,
    squashed,
)
from oa_sync.client.paging.links import header_link, listed_link, parsed_links
from oa_sync.client.paging.listing import Answer
from oa_sync.client.wording import printable
from oa_sync.definitions.model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePagePaginator,
)
from oa_sync.definitions.paths import format_path, select
from oa_sync.errors import IncompleteListError, InvalidResponseError
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode

_NEXT_URL = (
    *("next", "nexturl", "nextpageurl", "nextlink", "nextpage"),
    *("@odata.nextlink", "odata.nextlink", "@nextlink", "href", "url", "link"),
)
_INSIDE_NEXT = ("href", "url", "link")
"""Names that are a link of the next page only in an object `next`."""
_TOKENS = {
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "next_token": "next_token",
    "nextToken": "nextToken",
    "continuation_token": "continuation_token",
    "continuationToken": "continuationToken",
    "after": "after",
    "offset": "offset",
}
"""Fields of a cursor whose parameter is not called `cursor`, by the custom of their APIs."""
_CURSOR = (
    *("nextcursor", "cursor", "endcursor", "next"),
    *(squashed(name) for name in _TOKENS),
)
_HEADERS = ("Next-Page", "X-Next-Page", "X-Next")
_LINKS = ("links", "_links", "meta.links", "pagination.links")
_PAGE = ("page", "currentpage", "pagenumber")
_PAGES = ("totalpages", "pages", "pagecount", "lastpage")
_GOES_ON = frozenset({"next", "cursor", "continuation"})
_NOTHING = frozenset({"", "0", "null", "none", "false"})
_OF_OTHER_THINGS = frozenset({"rate", "ratelimit", "limit", "quota", "reset", "time", "timing"})
"""Words in the names of headers that tell a total, or a next one, of something else than rows."""
_NUMBER, _OF_ALL = re.compile(r"([0-9]{1,15})"), re.compile(r".*/([0-9]{1,15})")


def detect(answer: Answer) -> Paginator:
    """The paginator for the list whose first page `answer` is; never `auto`.

    Raises:
        InvalidResponseError: it names more pages than one, but not how to ask for them.
        IncompleteListError: it may have more, and not how to ask for it.
    """
    values = list(scalars(answer.document, answer.rows_path))
    found = (
        _by_header(answer)
        or _by_link(values)
        or _by_listed_link(answer)
        or _by_page_number(values, answer)
        or _by_cursor(values)
    )
    if found is None and (why := _doubt(values, answer)) is not None:
        raise IncompleteListError(
            f"{answer.what}: whether the list goes on after these {len(answer.rows)} rows is not clear: {why}."
            " Declare its paginator in the definition (page_number, offset, cursor, json_link or header_link), or"
            " single_page if this is the whole list"
        )
    return found or SinglePagePaginator()


def unused_next(answer: Answer, declared: Paginator) -> str | None:
    """What in `answer` says, in words, that its list goes on in another way than the one that is `declared`."""
    values = list(scalars(answer.document, answer.rows_path))
    others = (_by_header(answer), _by_link(values), _by_listed_link(answer), _by_cursor(values))
    for found in others:
        if found is not None and found != declared:
            words = {k: v for k, v in found.model_dump().items() if k in found.model_fields_set}
            return f"the answer fits {found.type} {words or ''}".rstrip()
    return _doubt(values, answer)


def tells_total(answer: Answer) -> bool:
    """Whether a total in `answer` is the number of its rows."""
    values = list(scalars(answer.document, answer.rows_path))
    keys = _first(values, ROW_COUNTS, _is_count)
    return keys is not None and dict(values)[keys] == len(answer.rows)


def _doubt(values: list[Found], answer: Answer) -> str | None:
    """What speaks against these rows being all."""
    return doubt(values, len(answer.rows), answer.rows_path) or _doubt_by_header(answer)


def _doubt_by_header(answer: Answer) -> str | None:
    """What a header says against these rows being all: a total, a range, or a place where to go on."""
    for name, value in answer.response.headers.items():
        words, text = set(name.lower().split("-")), value.strip()
        if words & _OF_OTHER_THINGS:
            continue
        if words & ABOUT_PAGING and (said := _doubt_in_header(text, answer)) is not None:
            return f"in the header {name}, {said}"
        number = most = None
        if words == {"content", "range"}:  # RFC 9110: items 0-9/45
            number, most = _OF_ALL.fullmatch(text), len(answer.rows)
        elif any(word.startswith("total") for word in words) or _counts_pages(words):
            of_pages = any("page" in word for word in words)
            number, most = _NUMBER.fullmatch(text), 1 if of_pages else len(answer.rows)
        is_more = number is not None and most is not None and int(number[1]) > most
        is_more = is_more or is_more_flag(name.lower().removeprefix("x-"), text)
        is_more = is_more or (_is_odd_link(name, text) and "next" in text.lower())
        if is_more or (words & _GOES_ON and text.lower() not in _NOTHING):
            return f"the header {name} is {printable(text, 40)}"
    return None


def _is_odd_link(name: str, text: str) -> bool:
    """Whether it is a `Link` header that is not in its form, so that nobody knows what it says."""
    return name.lower() == "link" and parsed_links(text.strip()) is None


def _counts_pages(words: set[str]) -> bool:
    return "pages" in words or {"page", "count"} <= words


def _doubt_in_header(text: str, answer: Answer) -> str | None:
    """What a header that holds a JSON object says against these rows being all."""
    try:
        values = list(scalars(decode(text.encode()), "$"))
    except InvalidJsonError:
        return None
    pages = _first(values, _PAGES, lambda _, value: (as_count(value) or 0) > 1)
    if pages is not None:
        return f"{format_path(pages)} says that there are {as_count(dict(values)[pages])} pages"
    return doubt(values, len(answer.rows), "$")


def _by_header(answer: Answer) -> HeaderLinkPaginator | PageNumberPaginator | None:
    if not _is_odd_link("link", answer.response.headers.get("link", "")) and header_link(
        answer, "next"
    ):
        return HeaderLinkPaginator()
    for name in _HEADERS:
        value = header_link(answer, "next", name)
        if value is not None and value.isdigit():
            first = int(value) - 1
            return PageNumberPaginator(base_page=min(first, 1), page=first, total_path=None)
        if value is not None:
            return HeaderLinkPaginator(header=name)
    return None


def _by_listed_link(answer: Answer) -> JsonLinkPaginator | None:
    found = (path for path in _LINKS if listed_link(select(answer.document, path, None)))
    path = next(found, None)
    return JsonLinkPaginator(next_url_path=path) if path else None


def _by_link(values: list[Found]) -> JsonLinkPaginator | None:
    def is_link(keys: tuple[str, ...], value: Any) -> bool:
        names_it = squashed(keys[-1]) not in _INSIDE_NEXT or _is_inside_next(keys)
        return isinstance(value, str) and value.startswith(("http", "/", "?")) and names_it

    keys = _first(values, _NEXT_URL, is_link)
    return JsonLinkPaginator(next_url_path=format_path(keys)) if keys else None


def _by_page_number(values: list[Found], answer: Answer) -> PageNumberPaginator | None:
    page, pages, rows = (_first(values, names, _is_count) for names in (_PAGE, _PAGES, ROW_COUNTS))
    if pages is None and (page is None or rows is None):
        return None
    found = dict(values)
    if page is None:
        assert pages is not None
        if int(found[pages]) <= 1:
            return None
        raise InvalidResponseError(
            f"{answer.what}: there are {int(found[pages])} pages, but whether they count from 0"
            " or 1 is not said; declare a paginator page_number with its base_page"
        )
    first = int(found[page])
    return PageNumberPaginator(
        base_page=min(first, 1),
        page=first,
        total_path=format_path(pages) if pages else None,
        total_rows_path=format_path(rows) if rows else None,
    )


def _by_cursor(values: list[Found]) -> CursorPaginator | None:
    keys = _first(values, _CURSOR, _is_cursor)
    if keys is None:
        return None
    has_more = _first(values, HAS_MORE, lambda _, value: isinstance(value, bool))
    rows = _first(values, ROW_COUNTS, _is_count)
    return CursorPaginator(
        cursor_path=format_path(keys),
        # The documented envelope of OpenAnalyst's cursor dialect; dlt's default otherwise.
        cursor_param="after"
        if keys == ("pagination", "cursor")
        else _TOKENS.get(keys[-1], "cursor"),
        has_more_path=format_path(has_more) if has_more else None,
        total_path=format_path(rows) if rows else None,
    )


def _is_cursor(keys: tuple[str, ...], value: Any) -> bool:
    """`after` is a cursor in an object `next` (HubSpot), `offset` where it is no number (Airtable)."""
    match squashed(keys[-1]):
        case "after" if not _is_inside_next(keys):
            return False
        case "offset" if len(keys) > 1 or not is_token(value):
            return False
    return bool(value) and type(value) in (str, int)


def _is_inside_next(keys: tuple[str, ...]) -> bool:
    return len(keys) > 1 and squashed(keys[-2]) == "next"


def _is_count(_: tuple[str, ...], value: Any) -> bool:
    return type(value) is int and value >= 0


def _first(
    values: list[Found],
    names: tuple[str, ...],
    fits: Callable[[tuple[str, ...], Any], bool],
) -> tuple[str, ...] | None:
    """The keys of the value that fits, by the order of `names`, then the least nested."""
    found = [
        (names.index(name), len(keys), keys)
        for keys, value in values
        if (name := squashed(keys[-1])) in names and fits(keys, value)
    ]
    return min(found)[2] if found else None
