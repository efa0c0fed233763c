"""Reading a list once more across a seam: the place where one page ended and the next one began.

Rows that are inserted or deleted between the reading of two pages can hide a row in their seam. A
window that holds rows of both pages shows what lies between them, for one request (two by cursor),
because it is a piece of the list as it was at one moment. A window by page number needs another size
than the pages, so that the seam is in its middle: the 67 rows of page 2 at 67 a page are rows 67 to
133, around the seam at 100.
"""

from __future__ import annotations

from contextlib import aclosing

from oa_sync.client.paging.cursor import Cursors
from oa_sync.client.paging.listing import Listing
from oa_sync.client.paging.numbered import Offsets, PageNumbers
from oa_sync.client.paging.page import Page, Place
from oa_sync.definitions.model import (
    CursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)


async def across(
    listing: Listing, paginator: Paginator, left: Place, right: Place | None
) -> list[Page]:
    """Pages; the last one spans the seam between the pages at `left` and `right` (None: the end).

    Empty where this way of paging cannot do it: links, or a page size that cannot be chosen. Where the
    two pages disagree about the place of the seam, the one that was read later counts.

    Raises:
        BudgetExhausted, ApiError: as `ApiClient.request`.
    """
    size = max(left.size, right.size if right else 0)
    match paginator:
        case PageNumberPaginator() if paginator.size_param is not None:
            return await _by_number(listing, paginator, _seam(left, right), size)
        case OffsetPaginator():
            first = max(paginator.offset, _seam(left, right) - size // 2)
            window = paginator.model_copy(update={"limit": size})
            return [await Offsets(listing, window, size).page(first)]
        case CursorPaginator() if paginator.size_param is not None:
            return await _by_cursor(listing, paginator, left, size)
        case _:
            return []


def _seam(left: Place, right: Place | None) -> int:
    assert left.start is not None
    if right is None or right.start is None or right.received_at <= left.received_at:
        return left.start + left.count
    return right.start


async def _by_number(
    listing: Listing, paginator: PageNumberPaginator, place: int, size: int
) -> list[Page]:
    found = window_around(place, size)
    if found is None:
        return []
    index, rows = found
    numbers = PageNumbers(listing, paginator.model_copy(update={"size": rows}), rows)
    return [await numbers.page(paginator.base_page + index)]


def window_around(place: int, most: int) -> tuple[int, int] | None:
    """Index (from 0) and size of the page, of at most `most` rows, that has row `place` and the row
    before it nearest to its middle; None where no page has both."""

    def margin(size: int) -> int:
        return min(place % size, size - place % size)

    size = max(range(most // 2 + 1, most + 1), key=margin, default=0)
    return (place // size, size) if size and place % size else None


async def _by_cursor(
    listing: Listing, paginator: CursorPaginator, left: Place, size: int
) -> list[Page]:
    """Two pages of two thirds of the size, from where `left` began: the second spans its end."""
    window = paginator.model_copy(update={"size": -(-2 * size // 3)})
    found: list[Page] = []
    async with aclosing(Cursors(listing, window).pages(None, start=left.cursor)) as pages:
        async for page in pages:
            found.append(page)
            if len(found) == 2:
                break
    return found
