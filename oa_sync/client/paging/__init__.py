"""Reading a whole list page by page, whatever way of paging the API has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from oa_sync.client.paging.api_list import ApiList
from oa_sync.client.paging.listing import Listing
from oa_sync.client.paging.numbered import Offsets, PageNumbers
from oa_sync.client.paging.onward import Onward
from oa_sync.client.paging.page import Page, Place
from oa_sync.client.response import Response
from oa_sync.client.session import ApiClient
from oa_sync.definitions.model import Endpoint, OffsetPaginator, PageNumberPaginator, Paginator

__all__ = ["ApiList", "Onward", "Page", "Place", "fetch_page", "pages"]


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
    """All pages of a list in order: `ApiList(…).pages(concurrency)`, for a caller that needs no more of
    the list."""
    opened = ApiList(client, endpoint, paginator, params, path=path, first=first, deadline=deadline)
    async with aclosing(opened.pages(concurrency)) as walk:
        async for page in walk:
            yield page


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
