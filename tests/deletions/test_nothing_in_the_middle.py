"""A page in the middle of a list that once answers that nothing is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import BY_LINK, PAGERS, Body, FaultyList, Told, faulty_list, things

CURSOR: Body = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"}
PAGE: Body = {**PAGERS["page"], "total_rows_path": None}
OFFSET: Body = {**PAGERS["offset"], "total_path": None}
GUIDED: dict[str, Body] = {
    "link": BY_LINK,
    "cursor": CURSOR,
    "cursor with a flag": {**CURSOR, "has_more_path": "meta.more"},
    "auto": {"type": "auto"},
}
PLACED: dict[str, Body] = {"page": PAGE, "offset": OFFSET}
WAYS = {**GUIDED, **PLACED}

NOTHING: dict[str, Callable[[], Any]] = {
    "null, total 0": lambda: {"data": None, "total": 0},
    "no list, total 0": lambda: {"total": 0},
    "empty, total 0": lambda: {"data": [], "total": 0},
    "empty, total 0, no more": lambda: {
        "data": [],
        "meta": {"total": 0, "next": None, "more": False},
    },
    "204": lambda: Told(None, 204),
}


def telling(source: FaultyList, envelope: str) -> Callable[[Body, dict[str, str]], Body]:
    """True pages, with a `total`, with a flag, or with neither in their envelope."""

    def page(body: Body, query: dict[str, str]) -> Body:
        following = body["meta"]["next"]
        if source.pager["type"] == "auto" and following is not None:
            following = f"/things?after={following}"
        meta: Body = {"next": following} if source.pager["type"] not in PLACED_TYPES else {}
        if envelope == "total":
            meta["total"] = len(source.rows)
        if envelope == "flag" or "has_more_path" in source.pager:
            meta["more"] = meta["has_more"] = following is not None
        return {"data": body["data"], "meta": meta}

    return page


PLACED_TYPES = ("page_number", "offset")


def start_of(query: dict[str, str]) -> int:
    """The first row that is asked for."""
    page = (int(query.get("page", "1")) - 1) * 10
    return int(query.get("after", query.get("offset", page)))


def answering(source: FaultyList, envelope: str, nothing: Any, *, times: int) -> Any:
    """As `telling`; the page from row 20 on answers `nothing` so often."""
    left, true = [times], telling(source, envelope)

    def page(body: Body, query: dict[str, str]) -> Any:
        if start_of(query) == 20 and left[0]:
            left[0] -= 1
            return nothing()
        return true(body, query)

    return page


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("envelope", ["total", "flag", "neither"])
@pytest.mark.parametrize("by", WAYS)
def test_it_is_asked_for_once_more(by: str, envelope: str, nothing: str, tmp_path: Path) -> None:
    source = FaultyList(things(34), WAYS[by])
    source.fault = telling(source, envelope)
    with faulty_list(tmp_path / "true", source):
        assert source.sync().exit_code == 0
        honest = len(source.asked())
    source = FaultyList(things(34), WAYS[by])
    source.fault = answering(source, envelope, NOTHING[nothing], times=1)
    with faulty_list(tmp_path / "once", source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        assert len(source.asked()) == honest + 1


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("by", WAYS)
def test_where_it_stays_so_and_a_total_said_more_the_list_has_failed(
    by: str, nothing: str, tmp_path: Path
) -> None:
    source = FaultyList(things(34), WAYS[by])
    source.fault = answering(source, "total", NOTHING[nothing], times=1_000)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert "34" in str(report.error)


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("by", WAYS)
def test_a_list_that_truly_ends_so_is_whole_for_one_request_more(
    by: str, nothing: str, tmp_path: Path
) -> None:
    """Its pages tell no total, and the last one is full."""
    source = FaultyList(things(20), WAYS[by])
    true = telling(source, "neither")

    def page(body: Body, query: dict[str, str]) -> Any:
        if not body["data"]:
            return NOTHING[nothing]()
        told = true(body, query)
        if "next" in told["meta"]:
            link = f"/things?after={start_of(query) + 10}"
            is_link = source.pager["type"] in ("json_link", "auto")
            told["meta"] |= {"next": link if is_link else str(start_of(query) + 10), "more": True}
        return told

    source.fault = page
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        assert len(source.asked()) == 4


@pytest.mark.parametrize("counts", ["count", "total", "none"])
@pytest.mark.parametrize("by", ["link", "cursor", "page", "offset"])
def test_an_empty_last_page_that_contradicts_nothing_is_believed_at_once(
    by: str, counts: str, tmp_path: Path
) -> None:
    """Totals of the rows of a page, and a total of a list beyond its end, may be 0 there."""
    source = FaultyList(things(20), WAYS[by])

    def page(body: Body, query: dict[str, str]) -> Body:
        start, rows = start_of(query), body["data"]
        url = f"/things?after={start + 10}" if by == "link" else str(start + 10)
        count = {"count": len(rows)} if counts == "count" else {}
        total = {"total": len(source.rows) if rows else 0} if counts == "total" else {}
        return {"data": rows, **count, **total, "meta": {"next": url if rows else None}}

    source.fault = page
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
        assert len(source.asked()) == 3


@pytest.mark.parametrize("by", ["link", "cursor", "page", "offset"])
def test_a_count_of_the_rows_of_an_empty_last_page_does_not_say_that_the_list_is_empty(
    by: str, tmp_path: Path
) -> None:
    """Beside it stands a number that counts rows which this key may not see."""
    source = FaultyList(things(20), WAYS[by])

    def page(body: Body, query: dict[str, str]) -> Body:
        start, rows = start_of(query), body["data"]
        url = f"/things?after={start + 10}" if by == "link" else str(start + 10)
        following = {"meta": {"next": url if rows else None}}
        return {"data": rows, "count": len(rows), "total_count": 25, **following}

    source.fault = page
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids


# -- 404 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [10, 20, 30])
@pytest.mark.parametrize("by", WAYS)
def test_a_page_that_is_once_not_found_ends_no_list(by: str, start: int, tmp_path: Path) -> None:
    source = FaultyList(things(34), WAYS[by])
    left, true = [True], telling(source, "neither")

    def page(body: Body, query: dict[str, str]) -> Any:
        if start_of(query) == start and left[0]:
            left[0] = False
            return None
        return true(body, query)

    source.fault = page
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == (by in GUIDED), (
            "a link or a cursor that leads nowhere is a failure"
        )
        assert by in GUIDED or source.living() == source.ids


@pytest.mark.parametrize("count", [20, 24])
@pytest.mark.parametrize("by", PLACED)
def test_a_list_that_ends_by_404_costs_one_request_more(
    by: str, count: int, tmp_path: Path
) -> None:
    source = FaultyList(things(count), WAYS[by])
    true = telling(source, "neither")
    source.fault = lambda body, query: true(body, query) if body["data"] else None
    with faulty_list(tmp_path, source):
        pages = -(-count // 10)
        for _ in range(2):
            source.server.asked.clear()
            assert source.sync().exit_code == 0
            assert source.living() == source.ids
            assert len(source.asked()) == pages + 2
