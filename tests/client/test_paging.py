from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from oa_sync.client import RetryPolicy
from oa_sync.client.paging import Page, fetch_page, pages
from oa_sync.definitions.model import (
    AutoPaginator,
    CursorPaginator,
    Endpoint,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePagePaginator,
)
from oa_sync.errors import (
    ApiError,
    InvalidResponseError,
    NotFoundError,
    RedirectRefusedError,
)
from tests.client.scripted import KEY, Reply, Script, ScriptedServer, Seen, api, in_turn, reply
from tests.support.clock import ManualClock

REPORTS = Endpoint(path="reports", data_selector="data")
BY_PAGE = PageNumberPaginator(
    base_page=1, size_param="per_page", size=100, total_path=None, total_rows_path="meta.total"
)
BY_OFFSET = OffsetPaginator(limit=100, total_path="meta.total")
BY_CURSOR = CursorPaginator(
    cursor_path="pagination.cursor",
    cursor_param="after",
    has_more_path="pagination.has_more",
    total_path="pagination.total",
    size_param="limit",
    size=100,
)


def rows(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": n} for n in range(first, first + count)]


def numbered(count: int, cap: int = 100, total: Callable[[], int] | None = None) -> Script:
    """A list of `count` rows by page number; `total` None: not told."""

    def script(seen: Seen) -> Reply:
        number, size = int(seen.query["page"]), min(cap, int(seen.query["per_page"]))
        first = (number - 1) * size
        body: dict[str, Any] = {"data": rows(first, max(0, min(size, count - first)))}
        if total is not None:
            body["meta"] = {"page": number, "per_page": size, "total": total()}
        return reply(body)

    return script


def read(
    script: Script,
    paginator: Paginator,
    endpoint: Endpoint = REPORTS,
    **options: Any,
) -> tuple[list[Page], list[Seen]]:
    async def run() -> tuple[list[Page], list[Seen]]:
        async with api(script, retry=RetryPolicy(max_tries=1)) as (server, client):
            found = [page async for page in pages(client, endpoint, paginator, **options)]
            return found, server.seen

    return asyncio.run(run())


def stops(
    script: Script,
    paginator: Paginator,
    match: str,
    endpoint: Endpoint = REPORTS,
    error: type[ApiError] = InvalidResponseError,
) -> tuple[int, int]:
    """The rows before the error, and the requests."""

    async def run() -> tuple[int, int]:
        got = 0
        async with api(script, retry=RetryPolicy(max_tries=1)) as (server, client):
            with pytest.raises(error, match=match):
                async for page in pages(client, endpoint, paginator):
                    got += len(page.rows)
            return got, len(server.seen)

    return asyncio.run(run())


def ids(found: list[Page]) -> list[int]:
    return [row["id"] for page in found for row in page.rows]


# --- page numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_with_a_total_no_request_is_sent_after_the_last_page(count: int, requests: int) -> None:
    found, seen = read(numbered(count, total=lambda: count), BY_PAGE)
    assert ids(found) == list(range(count))
    assert [s.query for s in seen] == [
        {"page": str(n), "per_page": "100"} for n in range(1, requests + 1)
    ]
    assert [page.is_last for page in found] == [False] * (requests - 1) + [True]
    assert {page.total for page in found} == {count}


def test_a_server_with_smaller_pages_loses_nothing() -> None:
    found, seen = read(numbered(73, cap=7, total=lambda: 73), BY_PAGE)
    assert ids(found) == list(range(73))
    assert len(seen) == 11
    assert {s.query["per_page"] for s in seen} == {"100"}
    assert {page.size for page in found} == {7}


def test_an_echoed_page_size_that_is_not_kept_loses_nothing() -> None:
    def script(seen: Seen) -> Reply:
        first = (int(seen.query["page"]) - 1) * 7
        meta = {"per_page": 100, "total": 20, "total_pages": 1}
        return reply({"data": rows(first, min(7, 20 - first)), "meta": meta})

    both = BY_PAGE.model_copy(update={"total_path": "meta.total_pages"})
    found, _ = read(script, both)
    assert ids(found) == list(range(20))


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (20, 2), (100, 2), (250, 4)])
def test_without_a_total_the_list_ends_at_an_empty_page(count: int, requests: int) -> None:
    found, seen = read(numbered(count), BY_PAGE)
    assert ids(found) == list(range(count))
    assert len(seen) == requests
    assert found[-1].is_last
    assert found[-1].total is None


def test_a_short_page_in_the_middle_is_not_taken_for_the_last() -> None:
    sizes = [100, 40, 100, 0]

    def script(seen: Seen) -> Reply:
        number = int(seen.query["page"])
        return reply({"data": rows(number * 1000, sizes[number - 1])})

    found, _ = read(script, BY_PAGE)
    assert len(ids(found)) == 240


def test_the_newest_total_counts() -> None:
    grows = iter([150, 250, 250])
    assert len(read(numbered(250, total=lambda: next(grows)), BY_PAGE)[1]) == 3
    shrinks = iter([250, 180])
    assert len(read(numbered(180, total=lambda: next(shrinks)), BY_PAGE)[1]) == 2


def test_a_total_below_the_rows_of_its_page_is_not_believed() -> None:
    found, _ = read(numbered(250, total=lambda: 0), BY_PAGE)
    assert ids(found) == list(range(250))


def test_a_total_that_is_never_reached_ends_at_the_empty_page() -> None:
    found, seen = read(numbered(150, total=lambda: 100_000), BY_PAGE)
    assert len(seen) == 3
    assert found[-1].is_last


def test_the_words_of_dlt_mean_what_they_mean_there() -> None:
    def script(seen: Seen) -> Reply:
        number = int(seen.query["page"])
        body = {"data": rows(number * 2, 2), "total": 4, "more": number < 2}
        return reply(body)

    def numbers(**words: Any) -> list[int]:
        return [page.number for page in read(script, PageNumberPaginator(**words))[0]]

    assert numbers() == [0, 1, 2, 3]
    assert numbers(base_page=1) == [1, 2, 3, 4]
    assert numbers(page=2) == [2, 3]
    assert numbers(maximum_page=3) == [0, 1, 2]
    assert numbers(total_path=None, has_more_path="more") == [0, 1, 2]


def test_a_server_that_ignores_the_page_number_is_found_out() -> None:
    script = in_turn(reply({"data": rows(0, 100), "meta": {"total": 5000}}))
    assert stops(script, BY_PAGE, "same rows .* may not know the parameter 'page'") == (100, 2)


def test_rows_pushed_onto_the_next_page_are_no_repetition() -> None:
    answers = [
        reply({"data": rows(0, 1), "meta": {"total": 2}}),
        reply({"data": rows(0, 1), "meta": {"total": 3}}),
        reply({"data": rows(1, 1), "meta": {"total": 3}}),
    ]
    found, _ = read(in_turn(*answers), BY_PAGE)
    assert ids(found) == [0, 0, 1]


def test_an_empty_page_that_promises_more_is_an_error() -> None:
    paginator = PageNumberPaginator(has_more_path="more", total_path=None)
    script = in_turn(reply({"data": rows(0, 2), "more": True}), reply({"data": [], "more": True}))
    assert stops(script, paginator, "says there are more.*`stop_after_empty_page: false`") == (2, 2)


def test_empty_pages_are_stepped_over_where_the_definition_says_so() -> None:
    paginator = PageNumberPaginator(
        base_page=1, total_path=None, total_rows_path="total", stop_after_empty_page=False
    )
    answers = [
        reply({"data": rows(0, 2), "total": 6}),
        reply({"data": [], "total": 6}),
        reply({"data": rows(4, 2), "total": 6}),
    ]
    found, seen = read(in_turn(*answers), paginator)
    assert ids(found) == [0, 1, 4, 5]
    assert len(seen) == 3


@pytest.mark.parametrize("concurrency", [2, 5, 50])
def test_pages_read_side_by_side_come_in_order_and_once(concurrency: int) -> None:
    found, seen = read(numbered(950, total=lambda: 950), BY_PAGE, concurrency=concurrency)
    assert ids(found) == list(range(950))
    assert sorted(int(s.query["page"]) for s in seen) == list(range(1, 11))
    assert [page.is_last for page in found] == [False] * 9 + [True]


def test_reading_ahead_is_bounded_and_follows_the_total() -> None:
    async def run() -> tuple[int, int]:
        total = iter([400] + [1500] * 19)
        async with api(numbered(1500, total=lambda: next(total))) as (server, client):
            found = [p async for p in pages(client, REPORTS, BY_PAGE, concurrency=3)]
            assert ids(found) == list(range(1500))
            return server.most_at_once, len(server.seen)

    most, requests = asyncio.run(run())
    assert 2 <= most <= 3
    assert requests == 15


def test_of_pages_read_side_by_side_the_newest_total_counts() -> None:
    """Page 2 is answered after page 3, when ten rows have left the list."""
    clock = ManualClock()
    asked: list[int] = []

    def script(seen: Seen) -> Reply:
        number = int(seen.query["page"])
        asked.append(number)
        if number == 2 and (3 not in asked or asked[-3:] != [2, 2, 2]):
            return reply({}, 500)
        if number == 2:
            clock.advance(60)
        total = 30 if number == 2 else 40
        return reply({"data": rows(number * 10, 10), "meta": {"total": total}})

    async def run() -> list[int]:
        patient = RetryPolicy(max_tries=1000, total=1e9)
        async with api(script, clock=clock, retry=patient) as (_, client):
            walk = pages(client, REPORTS, BY_PAGE, concurrency=2)
            return [page.number async for page in walk]

    assert asyncio.run(run()) == [1, 2, 3]
    assert 4 not in asked


def test_a_consumer_that_stops_pays_for_nothing_more_when_it_reads_in_turn() -> None:
    async def run() -> int:
        async with api(numbered(900, total=lambda: 900)) as (server, client):
            async with aclosing(pages(client, REPORTS, BY_PAGE)) as walk:
                async for _ in walk:
                    break
            return len(server.seen)

    assert asyncio.run(run()) == 1


def test_closing_a_walk_ends_what_it_reads_ahead_at_once() -> None:
    good = numbered(900, total=lambda: 900)

    def script(seen: Seen) -> Reply:
        return good(seen) if seen.query["page"] == "1" else Reply(b"", "hang")

    async def run() -> None:
        async with api(script) as (_, client):
            before = asyncio.all_tasks()
            async with aclosing(pages(client, REPORTS, BY_PAGE, concurrency=4)) as walk:
                await anext(walk)
                ahead = [t for t in asyncio.all_tasks() - before if "PageNumbers" in repr(t)]
            assert len(ahead) == 4
            assert all(task.done() for task in ahead)

    asyncio.run(run())


def test_a_page_that_fails_among_others_fails_in_its_place() -> None:
    good = numbered(900, total=lambda: 900)

    def script(seen: Seen) -> Reply:
        return reply({}, 500) if seen.query["page"] == "4" else good(seen)

    async def run() -> list[int]:
        got = []
        async with api(script, retry=RetryPolicy(max_tries=1)) as (_, client):
            with pytest.raises(ApiError, match=r"GET reports \(page 4\) answered 500"):
                async for page in pages(client, REPORTS, BY_PAGE, concurrency=4):
                    got.append(page.number)  # noqa: PERF401 - what came before the error stays
        return got

    assert asyncio.run(run()) == [1, 2, 3]


def test_a_page_can_be_read_again_alone() -> None:
    async def run() -> list[Page]:
        async with api(numbered(73, cap=7, total=lambda: 73)) as (_, client):
            return [await fetch_page(client, REPORTS, BY_PAGE, n, size=7) for n in (2, 10, 11)]

    second, tenth, last = asyncio.run(run())
    assert [row["id"] for row in second.rows] == list(range(7, 14))
    assert (second.is_last, tenth.is_last, last.is_last) == (False, False, True)
    assert len(last.rows) == 3


@pytest.mark.parametrize("total", [1, 3, 5])
@pytest.mark.parametrize(("count", "requests"), [(5, 3), (6, 4)])
def test_a_total_that_is_passed_ends_nothing(total: int, count: int, requests: int) -> None:
    """Capped or stale: a short page or an empty one is the end."""
    pagers: list[Paginator] = [
        BY_PAGE.model_copy(update={"size": 2}),
        BY_OFFSET.model_copy(update={"limit": 2}),
    ]
    scripts = [numbered(count, 2, total=lambda: total), offsets(count, 2, told=total)]
    for script, pager in zip(scripts, pagers, strict=True):
        found, seen = read(script, pager)
        assert ids(found) == list(range(count))
        # A total of all the rows is reached, and asks for no more.
        assert len(seen) == (3 if total == count else requests)


def more_by(sign: str, number: int, pages: int) -> dict[str, Any]:
    """What an answer says beside its total, by the kind of `sign`."""
    more = number < pages
    return {
        "pages": {"total_pages": pages},
        "flag": {"has_more": more},
        "link": {"links": {"next": f"/reports?page={number + 1}" if more else None}},
        "page": {"next_page": number + 1 if more else None},
    }[sign]


@pytest.mark.parametrize("sign", ["pages", "flag", "link", "page"])
@pytest.mark.parametrize(("count", "requests"), [(7, 1), (14, 3), (20, 3)])
def test_a_total_of_each_page_ends_no_list_that_says_there_is_more(
    count: int, requests: int, sign: str
) -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("offset", "0")) or (int(seen.query.get("page", "1")) - 1) * 7
        shown = rows(first, min(7, count - first))
        more = more_by(sign, first // 7 + 1, -(-count // 7))
        return reply({"data": shown, "meta": {"total": len(shown), **more}})

    pagers: list[Paginator] = [BY_PAGE.model_copy(update={"total_path": "meta.total_pages"})]
    if sign != "pages":
        pagers = [BY_PAGE, BY_OFFSET]
    for pager in pagers:
        found, seen = read(script, pager)
        assert (ids(found), len(seen)) == (list(range(count)), requests)


@pytest.mark.parametrize("behind", [200, 404])
def test_a_next_page_that_is_told_behind_the_last_one_is_looked_at_once(behind: int) -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("offset", "0")) or (int(seen.query.get("page", "1")) - 1) * 7
        shown = rows(first, max(0, min(7, 10 - first)))
        body = {"data": shown, "meta": {"total": 10, "next_page": first // 7 + 2}}
        return reply(body, status=200 if shown else behind)

    for pager in (BY_PAGE, BY_OFFSET):
        found, seen = read(script, pager)
        assert (ids(found), len(seen)) == (list(range(10)), 3)


@pytest.mark.parametrize("pages_told", [0, 1])
def test_a_number_of_pages_that_is_passed_ends_nothing(pages_told: int) -> None:
    """One page is what the server says, and what a definition that starts at page 2 has passed."""

    def script(seen: Seen) -> Reply:
        number = int(seen.query["page"])
        return reply({"data": rows(number * 2, 2 if number < 5 else 0), "pages": pages_told})

    pager = PageNumberPaginator(base_page=1, page=1 + pages_told, total_path="pages")
    assert len(read(script, pager)[1]) == 5 - pages_told


@pytest.mark.parametrize("beyond", ["404", "the last page"])
@pytest.mark.parametrize("by", ["page", "offset"])
def test_what_some_servers_answer_beyond_the_end_is_an_end(by: str, beyond: str) -> None:
    def script(seen: Seen) -> Reply:
        start = (int(seen.query["page"]) - 1) * 2 if by == "page" else int(seen.query["offset"])
        if start >= 6 and beyond == "404":
            return reply({"detail": "Invalid page."}, 404)
        return reply({"data": rows(min(start, 4), 2)})

    pager = (
        BY_PAGE.model_copy(update={"size": 2})
        if by == "page"
        else BY_OFFSET.model_copy(update={"limit": 2})
    )
    found, seen = read(script, pager)
    assert ids(found) == list(range(6))
    # A page that is not there is asked for once more; so is a full one that comes again, far away.
    assert len(seen) == 5


def test_a_page_that_is_missing_before_the_end_that_was_told_is_an_error() -> None:
    answers = in_turn(reply({"data": rows(0, 2), "pages": 3}), reply({}, 404))
    pager = PageNumberPaginator(base_page=1, total_path="pages")
    assert stops(answers, pager, "earlier pages of this list were there") == (2, 2)


# --- offsets ----------------------------------------------------------------------------------


def offsets(count: int, cap: int, *, total: bool = True, told: int | None = None) -> Script:
    def script(seen: Seen) -> Reply:
        first, size = int(seen.query["offset"]), min(cap, int(seen.query["limit"]))
        body: dict[str, Any] = {"data": rows(first, max(0, min(size, count - first)))}
        said = count if told is None else told
        return reply({**body, "meta": {"total": said}} if total else body)

    return script


@pytest.mark.parametrize(
    ("count", "cap", "requests"), [(0, 9, 1), (20, 7, 3), (21, 7, 3), (250, 100, 3)]
)
def test_offsets_advance_by_the_rows_that_came(count: int, cap: int, requests: int) -> None:
    found, seen = read(offsets(count, cap), BY_OFFSET)
    assert ids(found) == list(range(count))
    assert len(seen) == requests
    assert found[-1].is_last
    again, _ = read(offsets(count, cap, total=False), BY_OFFSET)
    assert ids(again) == list(range(count))


def test_a_page_at_an_offset_can_be_read_again_alone() -> None:
    async def run() -> Page:
        async with api(offsets(20, 7)) as (_, client):
            return await fetch_page(client, REPORTS, BY_OFFSET, 14)

    page = asyncio.run(run())
    assert (page.number, page.is_last, len(page.rows)) == (14, True, 6)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("by_offset", [False, True], ids=["page", "offset"])
def test_a_page_that_comes_again_in_a_list_that_moves_does_not_end_it(
    by_offset: bool, size: int
) -> None:
    """So many rows come in front that all rows of one page stand on the next one."""
    moved = 0

    def script(seen: Seen) -> Reply:
        nonlocal moved
        start = int(seen.query["at"]) * (1 if by_offset else size)
        moved = max(moved, size if start >= 3 * size else 0)
        first = start - moved
        return reply({"data": rows(max(0, first), max(0, min(size, 20 - first)))})

    paginator: Paginator = (
        OffsetPaginator(limit=size, offset_param="at", total_path=None)
        if by_offset
        else PageNumberPaginator(page_param="at", base_page=0, total_path=None)
    )
    found, _ = read(script, paginator)
    assert set(ids(found)) == set(range(20))


@pytest.mark.parametrize("by_offset", [False, True], ids=["page", "offset"])
def test_one_answer_that_repeats_the_page_before_loses_no_row(by_offset: bool) -> None:
    """A cache that mixes up two addresses once."""
    answers = 0

    def script(seen: Seen) -> Reply:
        nonlocal answers
        start = int(seen.query["at"]) * (1 if by_offset else 3)
        answers += start == 6
        start = 3 if start == 6 and answers == 1 else start
        return reply({"data": rows(start, max(0, min(3, 20 - start)))})

    paginator: Paginator = (
        OffsetPaginator(limit=3, offset_param="at", total_path=None)
        if by_offset
        else PageNumberPaginator(page_param="at", base_page=0, total_path=None)
    )
    found, _ = read(script, paginator)
    assert ids(found) == list(range(20))


@pytest.mark.parametrize(("count", "far"), [(21, 1), (20, 0)])
def test_the_last_page_once_more_ends_a_list_and_a_full_one_is_asked_for_far_away(
    count: int, far: int
) -> None:
    def script(seen: Seen) -> Reply:
        number = min(int(seen.query["page"]), (count - 1) // 7)
        return reply({"data": rows(number * 7, min(7, count - number * 7))})

    found, seen = read(script, PageNumberPaginator(base_page=0, total_path=None))
    assert ids(found) == list(range(count))
    assert len(seen) == 4 + far


# --- cursors ----------------------------------------------------------------------------------


def cursors(count: int, size: int, *, has_more: bool = True, total: bool = True) -> Script:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("after", "c0")[1:])
        more = first + size < count
        pagination: dict[str, Any] = {"cursor": f"c{first + size}" if more else None}
        if has_more:
            pagination["has_more"] = more
        if total:
            pagination["total"] = count
        return reply({"data": rows(first, min(size, count - first)), "pagination": pagination})

    return script


@pytest.mark.parametrize("has_more", [True, False])
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize(("count", "requests"), [(0, 1), (7, 1), (8, 2), (30, 5)])
def test_cursors_are_followed_to_the_end_and_no_further(
    count: int, requests: int, total: bool, has_more: bool
) -> None:
    found, seen = read(cursors(count, 7, has_more=has_more, total=total), BY_CURSOR)
    assert ids(found) == list(range(count))
    assert len(seen) == requests
    assert seen[0].query == {"limit": "100"}
    assert all(s.query["limit"] == "100" for s in seen)
    assert [page.is_last for page in found] == [False] * (requests - 1) + [True]


def test_a_total_ends_a_list_whose_cursor_never_does() -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("after", "0"))
        count = min(7, 20 - first)
        return page_of(first, count, cursor=str(first + count), total=20)

    found, seen = read(script, BY_CURSOR)
    assert ids(found) == list(range(20))
    assert len(seen) == 3


@pytest.mark.parametrize(("size", "total"), [(7, 7), (7, 14), (1, 1), (3, 9)])
def test_a_total_that_is_too_low_ends_no_list_that_gives_a_cursor(size: int, total: int) -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("after", "0"))
        count = min(size, 20 - first)
        more = first + count < 20
        return page_of(first, count, cursor=str(first + count) if more else None, total=total)

    assert ids(read(script, BY_CURSOR)[0]) == list(range(20))


@pytest.mark.parametrize("sizes", [[7, 4, 7, 2], [7, 6, 5], [0, 7, 3], [3, 7, 2, 7]])
def test_a_total_of_each_page_ends_no_list_whose_pages_differ(sizes: list[int]) -> None:
    """Servers that filter after paging send short and empty pages in the middle."""

    def script(seen: Seen) -> Reply:
        number = int(seen.query.get("after", "0"))
        cursor = str(number + 1) if number + 1 < len(sizes) else None
        return page_of(sum(sizes[:number]), sizes[number], cursor=cursor, total=sizes[number])

    assert ids(read(script, BY_CURSOR)[0]) == list(range(sum(sizes)))


def test_an_empty_list_that_gives_a_cursor_is_looked_behind_once() -> None:
    numbers = iter(range(1000))
    found, seen = read(lambda _: page_of(0, 0, cursor=f"c{next(numbers)}", total=0), BY_CURSOR)
    assert (ids(found), len(seen)) == ([], 2)


@pytest.mark.parametrize(
    ("behind", "requests"),
    [
        (lambda first: page_of(first, 0, cursor="0", total=14), 3),
        (lambda first: page_of(first, 0, cursor=None, total=14), 3),
        (lambda first: page_of(0, 7, cursor="7", total=14), 3),
        (lambda first: reply({"error": "no such cursor"}, status=404), 3),
    ],
    ids=["empty", "empty, no cursor", "the first page", "404"],
)
def test_what_lies_behind_a_cursor_of_the_last_page_is_looked_at_once(
    behind: Callable[[int], Reply], requests: int
) -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("after", "0"))
        return behind(first) if first == 14 else page_of(first, 7, cursor=str(first + 7), total=14)

    found, seen = read(script, BY_CURSOR)
    assert ids(found) == list(range(14))
    assert len(seen) == requests


@pytest.mark.parametrize("cursor", ["same", "0"])
def test_a_list_of_one_page_that_gives_a_cursor_is_one_page(cursor: str) -> None:
    found, seen = read(lambda _: page_of(0, 7, cursor=cursor, total=7), BY_CURSOR)
    assert ids(found) == list(range(7))
    assert len(seen) == 2


def page_of(first: int, count: int, **pagination: Any) -> Reply:
    return reply({"data": rows(first, count), "pagination": pagination})


@pytest.mark.parametrize(
    ("answers", "match", "before"),
    [
        ([page_of(0, 2, cursor="a", has_more=True), page_of(2, 2, cursor="a", has_more=True)], "used before", 4),
        ([page_of(0, 2, cursor="a", has_more=True), page_of(2, 0, cursor="b", has_more=True), page_of(2, 0, cursor="b", has_more=True)], "an empty page.*`has_more_path`", 2),
        ([page_of(0, 2, cursor=None, has_more=True)], "gives no cursor", 2),
        ([page_of(0, 2, cursor="a", has_more=True), page_of(0, 2, cursor="b", has_more=True)], "same rows", 2),
        ([page_of(0, 2, cursor={"a": 1}, has_more=True)], "cursor_path", 0),
    ],
)  # fmt: skip
def test_cursors_that_go_in_circles_are_an_error(
    answers: list[Reply], match: str, before: int
) -> None:
    assert stops(in_turn(*answers), BY_CURSOR, match) == (before, len(answers))


def test_a_cursor_that_never_ends_ends() -> None:
    numbers = iter(range(1000))

    def script(_: Seen) -> Reply:
        return page_of(0, 0, cursor=f"c{next(numbers)}")

    assert stops(script, BY_CURSOR, "empty page.*100th in a row") == (0, 100)
    ends = BY_CURSOR.model_copy(update={"stop_after_empty_page": True})
    assert len(read(script, ends)[1]) == 1


@pytest.mark.parametrize("has_more", [True, False])
@pytest.mark.parametrize("sizes", [[2, 0, 2], [0, 2, 2], [0, 0, 3], [2, *[0] * 60, 2]], ids=len)
@pytest.mark.parametrize("way", ["cursor", "link", "page", "offset"])
def test_empty_pages_in_the_middle_of_a_filtered_list_are_gone_through(
    way: str, sizes: list[int], has_more: bool
) -> None:
    """Servers that filter after paging, as DynamoDB does, say where the list goes on behind an empty page."""
    ways: dict[str, Paginator] = {
        "cursor": BY_CURSOR,
        "link": JsonLinkPaginator(next_url_path="pagination.link"),
        "page": PageNumberPaginator(
            total_path=None, has_more_path="pagination.has_more", stop_after_empty_page=False
        ),
        "offset": OffsetPaginator(
            limit=1,
            total_path=None,
            has_more_path="pagination.has_more",
            stop_after_empty_page=False,
        ),
    }
    if way in ("page", "offset") and not has_more:
        return

    def script(seen: Seen) -> Reply:
        number = int(seen.query.get("after", seen.query.get("page", "0")))
        if way == "offset":
            number = offsets.index(int(seen.query["offset"]))
        more = number + 1 < len(sizes)
        told: dict[str, Any] = {"cursor": str(number + 1) if more else None}
        told["link"] = f"?after={number + 1}" if more else None
        return page_of(
            sum(sizes[:number]), sizes[number], **told, **({"has_more": more} if has_more else {})
        )

    offsets = [sum(max(1, size) for size in sizes[:n]) for n in range(len(sizes))]
    found, seen = read(script, ways[way])
    assert ids(found) == list(range(sum(sizes)))
    assert len(seen) == len(sizes)


@pytest.mark.parametrize("way", ["link", "page", "offset"])
def test_empty_pages_that_lead_on_for_ever_end(way: str) -> None:
    numbers = iter(range(10_000))
    ways: dict[str, Paginator] = {
        "link": JsonLinkPaginator(next_url_path="pagination.link"),
        "page": PageNumberPaginator(
            total_path=None, has_more_path="pagination.has_more", stop_after_empty_page=False
        ),
        "offset": OffsetPaginator(
            limit=9,
            total_path=None,
            has_more_path="pagination.has_more",
            stop_after_empty_page=False,
        ),
    }

    def script(_: Seen) -> Reply:
        return page_of(0, 0, link=f"?after={next(numbers)}", has_more=True)

    assert stops(script, ways[way], "empty page.*100th in a row") == (0, 100)


@pytest.mark.parametrize("count", [0, 7, 14, 20])
def test_an_empty_page_that_gives_its_own_cursor_again_is_the_end(count: int) -> None:
    def script(seen: Seen) -> Reply:
        first = int(seen.query.get("after", "0"))
        size = max(0, min(7, count - first))
        return page_of(first, size, cursor=str(first + size))

    found, seen = read(script, BY_CURSOR)
    assert ids(found) == list(range(count))
    assert found[-1].is_last
    assert found[-1].is_end_told
    assert len(seen) == -(-count // 7) + (2 if count == 0 else 1)


# --- links ------------------------------------------------------------------------------------


def linking(where: str, link: Callable[[str, int], str]) -> Script:
    """Three pages of two rows; `link(host, number)` is how a page names the next one."""

    def script(seen: Seen) -> Reply:
        number = int(seen.query.get("p", "1"))
        url = link(f"http://{seen.headers['host']}", number + 1) if number < 3 else None
        body: dict[str, Any] = {"data": rows(number * 2, 2)}
        if where == "body":
            return reply({**body, "links": {"next": url}})
        headers: dict[str, Any] = (
            {"link": f'<{url}>; rel="next", </v1>; rel="first"'} if url else {}
        )
        return reply(body, **headers)

    return script


LINKS: list[Callable[[str, int], str]] = [
    lambda host, n: f"{host}/v1/reports?p={n}",
    lambda host, n: f"/v1/reports?p={n}",
    lambda host, n: f"?p={n}",
]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("where", ["body", "header"])
def test_links_are_followed_whatever_their_form(
    where: str, link: Callable[[str, int], str]
) -> None:
    paginator = (
        JsonLinkPaginator(next_url_path="links.next") if where == "body" else HeaderLinkPaginator()
    )
    found, seen = read(linking(where, link), paginator, params={"p": 1, "x": "y"})
    assert ids(found) == [2, 3, 4, 5, 6, 7]
    assert [s.target for s in seen] == [
        "/v1/reports?p=1&x=y",
        "/v1/reports?p=2",
        "/v1/reports?p=3",
    ]
    assert [page.is_last for page in found] == [False, False, True]


@pytest.mark.parametrize("where", ["body", "header"])
def test_a_link_to_another_host_is_not_followed(where: str) -> None:
    async def run() -> list[Seen]:
        async with ScriptedServer(in_turn(reply({"data": []}))) as elsewhere:
            script = linking(where, lambda _, n: f"{elsewhere.url}/v1/reports?p={n}")
            paginator = (
                JsonLinkPaginator(next_url_path="links.next")
                if where == "body"
                else HeaderLinkPaginator()
            )
            async with api(script) as (_, client):
                with pytest.raises(RedirectRefusedError, match="API key would go along"):
                    async for _ in pages(client, REPORTS, paginator):
                        pass
            return elsewhere.seen

    assert asyncio.run(run()) == []


def test_links_in_a_circle_are_an_error() -> None:
    script = linking("body", lambda host, n: f"{host}/v1/reports?p={1 if n == 3 else n}")
    paginator = JsonLinkPaginator(next_url_path="links.next")
    assert stops(script, paginator, "read before|same rows")[1] <= 4
    odd = in_turn(reply({"data": rows(0, 1), "links": {"next": 7}}))
    assert stops(odd, paginator, "next_url_path 'links.next' does not find text") == (0, 1)


def test_a_single_page_is_one_request() -> None:
    found, seen = read(
        numbered(500, total=lambda: 500), SinglePagePaginator(), params={"page": 1, "per_page": 5}
    )
    assert len(seen) == 1
    assert found[0].is_last


# --- auto -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (linking("header", LINKS[0]), 6),
        (linking("body", LINKS[1]), 6),
        (cursors(30, 7), 30),
        (in_turn(reply({"data": rows(0, 3)})), 3),
        (in_turn(reply(rows(0, 3))), 3),
        (in_turn(reply({"data": rows(0, 3), "meta": {"total_pages": 1, "next": None}})), 3),
    ],
    ids=["header", "body", "cursor", "single", "bare", "one page"],
)
def test_auto_finds_the_way_from_the_first_answer(script: Script, count: int) -> None:
    found, seen = read(script, AutoPaginator(), Endpoint(path="reports"))
    assert len(ids(found)) == count
    assert len(seen) == len(found)


@pytest.mark.parametrize("base", [0, 1])
def test_auto_counts_on_from_the_page_that_the_answer_names(base: int) -> None:
    def script(seen: Seen) -> Reply:
        number = int(seen.query.get("page", str(base)))
        meta = {"current_page": number, "total_pages": 3}
        return reply({"items": rows((number - base) * 2, 2), "meta": meta})

    found, seen = read(script, AutoPaginator(), Endpoint(path="reports"))
    assert ids(found) == [0, 1, 2, 3, 4, 5]
    assert [s.query.get("page") for s in seen] == [None, str(base + 1), str(base + 2)]


def test_auto_does_not_guess_where_pages_start() -> None:
    script = in_turn(reply({"items": rows(0, 2), "total_pages": 3}))
    assert stops(script, AutoPaginator(), "base_page", Endpoint(path="reports")) == (0, 1)


# --- what every list has in common --------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "selector", "match"),
    [
        ({"data": 5}, "data", r"GET reports \(page 1\): data_selector 'data' finds a number"),
        ({"data": {"id": 1}}, "data", "finds an object with the keys id"),
        ({"data": None}, "data", "finds null"),
        ({"rows": []}, "data", "finds nothing in an object with the keys rows"),
        ({"data": [2, 1]}, "data", "item 0 of the list .* is a number"),
        ([[1]], "$", "item 0 of the list .* is a list"),
        ({"id": 1}, None, "no list of objects in an object with the keys id"),
        ({"a": [{}], "b": [{}]}, None, "more than one list of objects"),
    ],
)
def test_rows_that_are_no_objects_are_an_error(body: Any, selector: str | None, match: str) -> None:
    endpoint = Endpoint(path="reports", data_selector=selector)
    assert stops(in_turn(reply(body)), BY_PAGE, match, endpoint) == (0, 1)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([{"id": 1}], "$"),
        ({"links": [{"href": "/"}], "data": [{"id": 1}]}, "data"),
        ({"errors": [], "users": [{"id": 1}]}, "users"),
        ({"result": {"items": [{"id": 1}], "tags": ["x"]}}, "result.items"),
        ({"a.b": [{"id": 1}]}, "['a.b']"),
    ],
)
def test_rows_are_found_without_a_selector(body: Any, path: str) -> None:
    found, _ = read(in_turn(reply(body)), SinglePagePaginator(), Endpoint(path="reports"))
    assert ids(found) == [1]
    assert found[0].rows_path == path
    assert [json.loads(row) for row in found[0].raw_rows()] == found[0].rows


TABLE = [[1, "a"], [2, "b"], [3, "c"]]
SUGGESTED = [{"name": "kind", "url": "/?kind=1"}]


@pytest.mark.parametrize(
    ("body", "candidates"),
    [
        ({"rows": TABLE, "suggested": SUGGESTED}, ["suggested (1 objects)", "rows (3 lists)"]),
        ({"rows": TABLE[:1], "suggested": SUGGESTED * 3}, ["suggested (3 ", "rows (1 lists)"]),
        ({"rows": TABLE, "suggested": []}, ["suggested (empty)", "rows (3 lists)"]),
        ({"table": {"cells": TABLE}, "hints": SUGGESTED}, ["hints (1 ", "table.cells (3 lists)"]),
        ({"rows": TABLE, "items": SUGGESTED}, ["items (1 objects)", "rows (3 lists)"]),
        ({"data": ["a", "b"], "hints": SUGGESTED}, ["hints (1 objects)", "data (2 values)"]),
    ],
)
def test_a_list_beside_one_that_is_likelier_to_be_the_rows_is_not_taken(
    body: Any, candidates: list[str]
) -> None:
    """As Datasette answers: its rows are arrays, and beside them stand suggestions."""
    endpoint = Endpoint(path="reports")
    for named in [*candidates, f"write data_selector: {candidates[0].partition(' ')[0]}"]:
        assert stops(in_turn(reply(body)), SinglePagePaginator(), re.escape(named), endpoint)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": 1}], "bbox": [[0, 1], [2, 3]]},
        {"users": [{"id": 1}, {"id": 2}], "corners": [[0, 1]]},
        {"users": [{"id": 1}], "tags": ["a", "b", "c"]},
        {"items": [], "columns": ["id", "name"]},
    ],
)
def test_other_lists_beside_the_rows_do_no_harm(body: Any) -> None:
    read(in_turn(reply(body)), SinglePagePaginator(), Endpoint(path="reports"))


def test_a_missing_list_is_told_from_a_missing_later_page() -> None:
    for status in (404, 405, 410):
        assert stops(in_turn(reply({}, status)), BY_PAGE, str(status), error=NotFoundError)[1] == 1
    answers = in_turn(reply({"data": rows(0, 2), "meta": {"total": 9}}), reply({}, 404))
    assert stops(answers, BY_PAGE, "page 2.*earlier pages of this list were there") == (2, 2)


def test_a_page_knows_when_and_what_it_was() -> None:
    body = b'{"data": [ {"id": 18446744073709551617,"x":1.50} , {"id":2}], "meta":{"total":2}}'
    found, _ = read(in_turn(reply(body, date="Mon, 02 Mar 2026 12:00:00 GMT")), BY_PAGE)
    (page,) = found
    assert page.body == body
    assert page.raw_rows() == [b'{"id": 18446744073709551617,"x":1.50}', b'{"id":2}']
    assert page.server_date is not None
    assert (page.server_date - page.received_at).total_seconds() == 3 * 3600
    assert KEY not in repr(page)


def test_parameters_and_path_of_the_endpoint_are_sent() -> None:
    endpoint = Endpoint(
        path="x/{id}", params={"sort": "name", "tag": ["a", "b"]}, data_selector="data"
    )
    _, seen = read(
        in_turn(reply({"data": []})), SinglePagePaginator(), endpoint, params={"q": 1}, path="x/7"
    )
    assert seen[0].target == "/v1/x/7?sort=name&tag=a&tag=b&q=1"


def test_a_list_behind_a_post_is_read() -> None:
    endpoint = Endpoint(path="search", method="POST", json={"filter": "f"}, data_selector="data")
    found, seen = read(numbered(150, total=lambda: 150), BY_PAGE, endpoint)
    assert len(ids(found)) == 150
    assert [(s.method, s.body) for s in seen] == [("POST", b'{"filter":"f"}')] * 2
