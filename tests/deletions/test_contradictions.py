"""A list that contradicts itself has failed: nothing is deleted, and the sync says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things


def start(body: Body, query: dict[str, str]) -> int:
    if "page" in query:
        return (int(query["page"]) - 1) * 10
    return int(query.get("offset", query.get("after", "0")))


def _empty_with_total(body: Body, query: dict[str, str]) -> Body:
    return {"data": [], "meta": {**body["meta"], "next": None}}


def _empty_after_page_2(body: Body, query: dict[str, str]) -> Body:
    return body if start(body, query) < 20 else _empty_with_total(body, query)


def _page_4_empty(body: Body, query: dict[str, str]) -> Body:
    return {**body, "data": []} if start(body, query) == 30 else body


def _short_pages_that_end(body: Body, query: dict[str, str]) -> Body:
    return {"data": body["data"][:7], "meta": {**body["meta"], "next": None}}


def _total_falls(body: Body, query: dict[str, str]) -> Body:
    meta = dict(body["meta"])
    if start(body, query) >= 10:
        meta |= {"total": 20, "next": None}
    return {**body, "meta": meta}


FAULTS: list[Callable[[Body, dict[str, str]], Any]] = [
    _empty_with_total,
    _empty_after_page_2,
    _page_4_empty,
    _short_pages_that_end,
    _total_falls,
]


BY_PAGES_TOLD = {
    "type": "page_number",
    "size_param": "size",
    "size": 10,
    "total_path": "meta.pages",
}
NO_TOTAL = {"type": "page_number", "size_param": "size", "size": 10}


def _nothing_at_all(body: Body, query: dict[str, str]) -> Body:
    """What a server that counts pages from 1 answers to page 0."""
    return {"data": [], "meta": {"total": 100, "pages": 10, "next": None}}


@pytest.mark.parametrize(
    "pager",
    [
        BY_PAGES_TOLD,
        {**BY_PAGES_TOLD, "total_path": "meta.total"},  # rows taken for pages, as dlt reads `total`
        NO_TOTAL,
        {"type": "offset", "limit": 10},
        {"type": "cursor", "cursor_path": "meta.next"},
    ],
    ids=["pages", "rows for pages", "undeclared", "offset", "cursor"],
)
def test_a_first_page_without_rows_is_no_empty_list_where_it_counts_some(
    pager: Any, tmp_path: Path
) -> None:
    source = FaultyList([], pager, fault=_nothing_at_all)
    with faulty_list(tmp_path, source) as lists:
        report = lists.sync()
    assert (report.status, report.exit_code) == ("failed", 1)
    assert report.error is not None
    assert report.error.code == "incomplete"
    assert "100" in str(report.error) or "10 pages" in str(report.error)
    assert "base_page: 1" in str(report.error) or pager["type"] != "page_number"


@pytest.mark.parametrize("empty", [3, 4, 9])
def test_a_page_without_rows_is_no_end_where_more_pages_are_told(
    empty: int, tmp_path: Path
) -> None:
    def fault(body: Body, query: dict[str, str]) -> Body:
        rows = [] if int(query["page"]) == empty else body["data"]
        return {"data": rows, "meta": {"pages": 10}}

    source = FaultyList(things(100), {**BY_PAGES_TOLD, "base_page": 1})
    source.fault = lambda body, query: {**body, "meta": {"pages": 10}}
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().status == "complete"
        source.fault = fault
        report = lists.sync()
        assert lists.living() == source.ids
        assert report.status == "failed"
        assert report.tallies["things"].deleted == 0


@pytest.mark.parametrize(
    "told",
    [
        {"total": 0, "pages": 0},
        {"total": 0, "pages": 1},
        {"pages": 1},
        {},
        {"count": 0, "seats": {"total": 5}},
    ],
)
def test_an_empty_list_may_have_a_page(told: Body, tmp_path: Path) -> None:
    """As Django and Laravel count."""
    source = FaultyList([], BY_PAGES_TOLD, fault=lambda body, query: {"data": [], "meta": told})
    if not told or "seats" in told:
        source.pager = NO_TOTAL
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().status == "complete"


def test_a_count_of_other_rows_is_no_total_where_the_definition_says_so(tmp_path: Path) -> None:
    pager = {**NO_TOTAL, "total_path": None}
    with faulty_list(tmp_path, FaultyList([], pager, fault=_nothing_at_all)) as lists:
        assert lists.sync().status == "complete"


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", ["page", "offset", "cursor"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
def test_a_list_below_its_own_total_has_failed_and_deletes_nothing(
    fault: Any, by: str, has_detail: bool, tmp_path: Path
) -> None:
    source = FaultyList(things(100), PAGERS[by], has_detail)
    with faulty_list(tmp_path, source):
        assert source.sync().status == "complete"
        source.fault = fault
        report = source.sync()
        whole = report.status == "complete"
        if whole:
            # What is asked for by size or position may be healed; then it is all there.
            assert report.tallies["things"].listed == 100
        else:
            assert (report.status, report.exit_code) == ("failed", 1)
            assert report.as_json()["error"]["code"] == "incomplete"
        assert report.tallies["things"].deleted == 0
        assert source.living() == source.ids
        source.fault = None
        source.rows.pop()
        assert source.sync().status == "complete"
        assert source.living() == source.ids


def test_both_numbers_are_told(tmp_path: Path) -> None:
    source = FaultyList(things(40), PAGERS["cursor"])
    source.fault = lambda body, q: {"data": body["data"], "meta": {"total": 323, "next": None}}
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 1
        assert "323 rows, and shows 10" in str(report.error)
        assert report.as_json()["resources"]["things"]["total"] == 323
        assert source.living() == {row["id"] for row in source.rows[:10]}, (
            "the rows that came are loaded"
        )


@pytest.mark.parametrize("by", ["page", "offset", "cursor"])
@pytest.mark.parametrize(("told", "rows"), [(13, 60), (11, 60), (49, 55)])
def test_a_total_that_is_too_small_cuts_nothing(
    by: str, told: int, rows: int, tmp_path: Path
) -> None:
    source = FaultyList(things(rows), PAGERS[by])
    source.fault = lambda body, q: {**body, "meta": {**body["meta"], "total": told}}
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.status == "complete", report.error
        assert source.living() == source.ids
        (warning,) = report.as_json()["warnings"]
        assert (warning["code"], warning["resource"]) == ("total", "things")


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", ["page", "offset", "cursor", "auto"])
def test_a_total_of_hidden_rows_fails_until_the_words_that_are_told_are_typed(
    by: str, has_detail: bool, tmp_path: Path
) -> None:
    """The total counts rows that this key may not see."""
    pager: Body = {"type": "auto"} if by == "auto" else PAGERS[by]
    source = FaultyList(things(34), pager, has_detail)

    def hidden(body: Body, query: dict[str, str]) -> Body:
        query = {("after" if name == "cursor" else name): at for name, at in query.items()}
        body = FaultyList(source.rows, pager).page(query)
        return {"data": body["data"], "meta": {**body["meta"], "total": len(source.rows) + 5}}

    source.fault = hidden
    with faulty_list(tmp_path / "first", source):
        for _ in range(2):
            report = source.sync()
            assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
            assert "39 rows, and shows 34" in str(report.error)
        told = re.search(r"`paginator: (.*)`", str(report.error))
        assert told is not None
    source.pager = yaml.safe_load(told[1])
    with faulty_list(tmp_path / "second", source):
        for _ in range(2):
            report = source.sync()
            assert report.exit_code == 0, report.error
            assert source.living() == source.ids
        source.rows.pop(7)
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 1)
        assert source.living() == source.ids


NO_ERRORS: dict[str, Any] = {
    "zeros": {"code": 0, "message": ""},
    "a word": {"code": 0, "message": "OK"},
    "a count": {"total": 0, "items": []},
    "text": "none",
    "zero": "0",
}


@pytest.mark.parametrize("kind", NO_ERRORS)
@pytest.mark.parametrize("name", ["error", "errors"])
def test_a_field_that_tells_of_no_error_is_none(name: str, kind: str, tmp_path: Path) -> None:
    source = FaultyList(things(12), PAGERS["page"])
    source.fault = lambda body, query: {**body, name: NO_ERRORS[kind]}
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert report.exit_code == 0, report.error
        assert source.living() == source.ids
    empty = FaultyList([], PAGERS["page"])
    empty.fault = lambda body, query: {"data": None, "total": 0, name: NO_ERRORS[kind]}
    with faulty_list(tmp_path / "empty", empty):
        report = empty.sync()
        assert report.exit_code == 0, report.error


ERRORS_BESIDE_ROWS: dict[str, Body] = {
    "count": {"errors": {"total": 1}},
    "errors": {"errors": [{"message": "shard 3 timed out"}]},
    "error": {"error": {"code": "PARTIAL"}},
    "success": {"success": False},
}


@pytest.mark.parametrize("kind", ERRORS_BESIDE_ROWS)
@pytest.mark.parametrize("by", PAGERS)
def test_a_list_that_tells_of_an_error_beside_its_rows_is_not_whole(
    by: str, kind: str, tmp_path: Path
) -> None:
    """All fits otherwise: one row of 12 is left out, and the total is that of the others."""
    source = FaultyList(things(12), PAGERS[by])
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows.append({"id": "new", "name": "new", "changed": "2026-02-01T00:00:00.1Z"})
        left_out = source.rows.pop(3)
        source.fault = lambda body, query: {**body, **ERRORS_BESIDE_ROWS[kind]}
        for _ in range(2):
            report = source.sync()
            assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
            assert "tells of an error beside its rows" in str(report.error)
            assert source.living() == {*source.ids, left_out["id"]}
        source.fault = lambda body, query: {**body, "errors": [], "error": None, "success": True}
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


def test_rows_may_be_errors(tmp_path: Path) -> None:
    source = FaultyList(
        things(5), definition={"endpoint": {"path": "things", "paginator": "single_page"}}
    )
    source.fault = lambda body, query: {"errors": body["data"]}
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert source.living() == source.ids
