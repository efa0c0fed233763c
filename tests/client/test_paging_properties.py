"""Properties of paging, each against a real server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.client.paging import Page, pages
from oa_sync.definitions.model import (
    CursorPaginator,
    Endpoint,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)
from oa_sync.definitions.paths import format_path
from oa_sync.shape.lists import cut_list
from tests.client.scripted import Reply, Script, Seen, api, reply
from tests.support.properties import examples

LIST = Endpoint(path="reports", data_selector="data")
PAGINATORS: dict[str, Paginator] = {
    "page": PageNumberPaginator(
        base_page=1, size_param="size", size=10, total_path=None, total_rows_path="total"
    ),
    "offset": OffsetPaginator(limit=10, limit_param="size", total_path="total"),
    "cursor": CursorPaginator(
        cursor_path="next", size_param="size", size=10, total_path="total", has_more_path="more"
    ),
}


def served(ids: list[int], cap: int, *, told: bool, change: Any = None) -> Script:
    """The list `ids` in pages of at most `cap`; `change(ids)` runs after each answer."""

    def script(seen: Seen) -> Reply:
        query = seen.query
        size = min(cap, int(query["size"]))
        if "page" in query:
            first = (int(query["page"]) - 1) * size
        else:
            first = int(query.get("offset", query.get("cursor", "0")))
        end = first + size
        more = end < len(ids)
        body: dict[str, Any] = {"data": [{"id": i} for i in ids[first:end]]}
        body |= {"next": str(end) if more else None}
        body |= {"total": len(ids), "more": more} if told else {}
        if change is not None:
            change(ids)
        return reply(body)

    return script


def read(script: Script, paginator: Paginator, concurrency: int = 1) -> tuple[list[Page], int]:
    async def run() -> tuple[list[Page], int]:
        async with api(script) as (server, client):
            walk = pages(client, LIST, paginator, concurrency=concurrency)
            return [page async for page in walk], len(server.seen)

    return asyncio.run(run())


@examples(60)
@given(
    kind=st.sampled_from(sorted(PAGINATORS)),
    count=st.integers(0, 60),
    cap=st.integers(1, 12),
    told=st.booleans(),
    concurrency=st.integers(1, 4),
)
def test_every_row_comes_once_and_no_request_is_wasted(
    kind: str, count: int, cap: int, told: bool, concurrency: int
) -> None:
    ids = list(range(count))
    found, requests = read(served(ids, cap, told=told), PAGINATORS[kind], concurrency)
    assert [row["id"] for page in found for row in page.rows] == ids
    assert [page.is_last for page in found] == [False] * (len(found) - 1) + [True]
    fewest = max(1, -(-count // min(cap, 10)))
    extra = 1 if not told and kind != "cursor" and count else 0
    assert requests == len(found) == fewest + extra


@examples(60)
@given(
    kind=st.sampled_from(["page", "offset"]),
    count=st.integers(0, 40),
    cap=st.integers(1, 10),
    changes=st.lists(
        st.tuples(st.sampled_from(["insert", "append", "delete"]), st.integers(0, 50)), max_size=15
    ),
    concurrency=st.integers(1, 3),
)
@example(kind="page", count=25, cap=4, changes=[("append", 0)] * 9, concurrency=2)
@example(kind="offset", count=25, cap=4, changes=[("append", 0)] * 9, concurrency=3)
def test_a_list_that_changes_meanwhile_is_read_to_its_end(
    kind: str, count: int, cap: int, changes: list[tuple[str, int]], concurrency: int
) -> None:
    left, fresh = list(changes), iter(range(1000, 2000))

    def change(ids: list[int]) -> None:
        if not left:
            return
        how, where = left.pop(0)
        if how == "delete" and ids:
            ids.pop(where % len(ids))
        elif how != "delete":
            ids.insert(len(ids) if how == "append" else where % (len(ids) + 1), next(fresh))

    ids = list(range(count))
    found, requests = read(
        served(ids, cap, told=True, change=change), PAGINATORS[kind], concurrency
    )
    assert found[-1].is_last
    assert requests <= (count + len(changes)) // cap + 2 + concurrency
    if all(how == "append" for how, _ in changes):
        got = [row["id"] for page in found for row in page.rows]
        assert got[:count] == list(range(count))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@examples(300)
@given(
    path=st.lists(st.text('ab.{"\\é', min_size=1, max_size=3), max_size=3),
    rows=st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3), max_size=4),
    before=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
    after=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_the_spans_of_rows_are_exactly_their_bytes(
    path: list[str], rows: Any, before: Any, after: Any, indent: int | None, ascii_only: bool
) -> None:
    document: Any = rows
    for key in reversed(path):
        around = {k: v for k, v in before.items() if k != key}
        document = {**around, key: document, **{k: v for k, v in after.items() if k != key}}
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    found = cut_list(body, format_path(tuple(path)))
    assert [json.loads(row) for row in found] == rows
