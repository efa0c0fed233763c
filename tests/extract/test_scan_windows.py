"""Windows across the seam of two pages, by every way of paging, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.client.paging import ApiList, Page
from oa_sync.client.paging.across import window_around
from oa_sync.definitions.model import (
    CursorPaginator,
    Endpoint,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)
from tests.client.scripted import Reply, Seen, api, reply

LIST = Endpoint(path="reports", data_selector="data")
NUMBERS = PageNumberPaginator(
    base_page=1, size_param="size", size=10, total_path=None, total_rows_path="total"
)
PAGINATORS: dict[str, Paginator] = {
    "page": NUMBERS,
    "offset": OffsetPaginator(limit=10, limit_param="size", total_path="total"),
    "cursor": CursorPaginator(
        cursor_path="next", size_param="size", size=10, total_path="total", has_more_path="more"
    ),
}


def serve(seen: Seen) -> Reply:
    """Rows 0 to 34, at most 10 a page; a link where nothing says how to page."""
    query = seen.query
    size = min(10, int(query.get("size", "10")))
    first = int(query.get("offset", query.get("cursor", "0")))
    if "page" in query:
        first = (int(query["page"]) - 1) * size
    end = min(first + size, 35)
    more = end < 35
    body: dict[str, Any] = {"data": [{"id": n} for n in range(first, end)], "total": 35}
    return reply(body | {"more": more, "next": f"{end}" if more else None})


def across(paginator: Paginator, seam: int) -> tuple[list[list[int]], bool]:
    """The ids of the windows across this seam of the four pages, and whether the last ends the list."""

    async def run() -> list[Page]:
        async with api(serve) as (_, client):
            opened = ApiList(client, LIST, paginator)
            places = [page.place async for page in opened.pages()]
            return await opened.across(places[seam], (*places[1:], None)[seam])

    windows = asyncio.run(run())
    return [[row["id"] for row in page.rows] for page in windows], windows[-1].is_last


@pytest.mark.parametrize("paginator", PAGINATORS.values(), ids=PAGINATORS.keys())
@pytest.mark.parametrize("seam", [0, 1, 2])
def test_a_window_holds_rows_of_both_pages(seam: int, paginator: Paginator) -> None:
    windows, _ = across(paginator, seam)
    place = (seam + 1) * 10
    assert {place - 2, place - 1, place, place + 1} <= set(windows[-1])
    assert len(windows) == (2 if isinstance(paginator, CursorPaginator) else 1)


@pytest.mark.parametrize("paginator", [NUMBERS, PAGINATORS["offset"]], ids=["page", "offset"])
def test_a_window_across_the_end_is_the_last_page(paginator: Paginator) -> None:
    windows, is_last = across(paginator, 3)
    assert windows[-1][-1] == 34
    assert windows[-1][0] < 34
    assert is_last


@pytest.mark.parametrize(
    "paginator",
    [
        PageNumberPaginator(base_page=1, total_path=None, total_rows_path="total"),
        CursorPaginator(cursor_path="next", has_more_path="more"),
        JsonLinkPaginator(next_url_path="link"),
    ],
    ids=["no size", "cursor without size", "links"],
)
def test_there_is_no_window_where_the_size_of_a_page_cannot_be_chosen(paginator: Paginator) -> None:
    async def run() -> list[Page]:
        async with api(serve) as (_, client):
            opened = ApiList(client, LIST, paginator)
            places = [page.place async for page in opened.pages()]
            return await opened.across(places[0], None)

    assert asyncio.run(run()) == []


@example(108, 4)
@example(1000, 100)  # the last assert at least once
@given(st.integers(1, 3000), st.integers(2, 120))
def test_a_page_around_a_place_exists_and_is_no_larger_than_allowed(place: int, most: int) -> None:
    found = window_around(place, most)
    if found is None:
        assert all(place % size == 0 for size in range(1, most + 1)), "each page ends there"
        return
    index, size = found
    assert size <= most
    assert index * size < place < (index + 1) * size
    if place >= most >= 12:
        assert min(place - index * size, (index + 1) * size - place) >= size // 4
