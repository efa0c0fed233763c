"""Reading a whole list page by page, whatever way of paging the API has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from oa_sync.client.paging.auto import detect
from oa_sync.client.paging.cursor import Cursors
from oa_sync.client.paging.links import linked_pages
from oa_sync.client.paging.listing import Answer, Listing
from oa_sync.client.paging.numbered import Offsets, PageNumbers
from oa_sync.client.paging.page import Page
from oa_sync.client.response import Response
from oa_sync.client.session import ApiClient
from oa_sync.definitions.model import (
    AutoPaginator,
    CursorPaginator,
    Endpoint,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)

__all__ = ["Page", "fetch_page", "pages"]


async def pages(
    client: ApiClient,
    endpoint: Endpoint,
    paginator: Paginator,
    params: Mapping[str, Any] | None = None,
    *,
    path: str | None = None,
    first: Response | None = None,
    concurrency: int = 1,
    deadline: float | None = None,
) -> AsyncGenerator[Page, None]:
    """All pages of a list in order, each read once, and none after the one that ends it.

    `params` are added to the endpoint's plain ones; `path` stands for the endpoint's where that has
    placeholders. `first` is an answer that already is the first page (see `oa_sync.client.dialect`).
    With `concurrency` above 1, up to that many pages by number are read ahead once the first one
    told how many rows there are; they are paid for even if the consumer stops. `deadline`, by the
    clock's `monotonic()`, bounds every request. A consumer that stops early closes the iterator
    (`contextlib.aclosing`).

    Raises:
        NotFoundError: the API has no such list; only before the first page.
        InvalidResponseError: a page without a list of objects, or paging that goes in circles.
        RedirectRefusedError: a link to the next page leaves the configured origin.
        BudgetExhausted, ApiError: as `ApiClient.request`.
    """
    listing = Listing(client, endpoint, params, path=path, deadline=deadline)
    answer = listing.answer(first, first.json()) if first is not None else None
    if isinstance(paginator, AutoPaginator):
        answer = answer or await listing.read({}, "page 1")
        paginator = detect(answer)
    walk = _walk(listing, paginator, answer, concurrency)
    try:
        async for page in walk:
            yield page
    finally:
        await walk.aclose()


async def fetch_page(
    client: ApiClient,
    endpoint: Endpoint,
    paginator: PageNumberPaginator | OffsetPaginator,
    number: int,
    params: Mapping[str, Any] | None = None,
    *,
    path: str | None = None,
    size: int = 0,
    deadline: float | None = None,
) -> Page:
    """One page alone: the one with this number, or the one that starts at this offset.

    `size` is the `Page.size` of an earlier page; without it, a short last page by number may not be
    known as the last. Raises as `pages`.
    """
    listing = Listing(client, endpoint, params, path=path, deadline=deadline)
    if isinstance(paginator, OffsetPaginator):
        return await Offsets(listing, paginator, size).page(number)
    return await PageNumbers(listing, paginator, size).page(number)


def _walk(
    listing: Listing, paginator: Paginator, first: Answer | None, concurrency: int
) -> AsyncGenerator[Page, None]:
    match paginator:
        case PageNumberPaginator():
            return PageNumbers(listing, paginator).pages(first, concurrency)
        case OffsetPaginator():
            return Offsets(listing, paginator).pages(first)
        case CursorPaginator():
            return Cursors(listing, paginator).pages(first)
        case AutoPaginator():
            raise AssertionError("auto is resolved before")
        case _:
            return linked_pages(listing, paginator, first)
