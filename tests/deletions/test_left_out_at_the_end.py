"""Servers that leave the field of the next page out at the end of a list, and faults that look like them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import BY_LINK, PAGERS, Body, FaultyList, faulty_list, things

CURSOR: Body = {"type": "cursor", "cursor_path": "meta.next", "cursor_param": "after"}
SIZED: Body = {**CURSOR, "size_param": "size", "size": 10}
AUTO: Body = {"type": "auto"}
WAYS: dict[str, Body] = {"cursor": CURSOR, "sized": SIZED, "link": BY_LINK, "auto": AUTO}
POSITIONS: dict[str, Body] = {
    "page": {**PAGERS["page"], "total_rows_path": None, "has_more_path": "meta.more"},
    "offset": {**PAGERS["offset"], "total_path": None, "has_more_path": "meta.more"},
}


def terse(source: FaultyList, also: Callable[[Body, dict[str, str]], Body] | None = None) -> Any:
    """A server that leaves out every field of paging that says null or false, and totals always."""

    def answer(body: Body, query: dict[str, str]) -> Body:
        following = body["meta"]["next"]
        if source.pager["type"] == "auto" and following is not None:
            following = f"/things?after={following}"
        meta = {"next": following, "more": True} if following is not None else {}
        told = {"data": body["data"], **({"meta": meta} if meta else {})}
        return also(told, query) if also is not None else told

    return answer


def is_from(start: int) -> Callable[[dict[str, str]], bool]:
    """Whether a query asks for the page of ten from this row on."""

    def asks(query: dict[str, str]) -> bool:
        at = query.get("after", query.get("offset", str((int(query.get("page", "1")) - 1) * 10)))
        return int(at) == start

    return asks


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", [*WAYS, *POSITIONS])
def test_a_list_that_shrinks_to_one_page_is_whole(
    by: str, has_detail: bool, tmp_path: Path
) -> None:
    source = FaultyList(things(12), {**WAYS, **POSITIONS}[by], has_detail)
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        for count in (11, 9, 8, 1):
            del source.rows[count:]
            report = source.sync()
            assert report.exit_code == 0, report.error
            assert source.living() == source.ids
        source.rows.extend(things(20, 100))
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize("count", [0, 1, 2, 7, 9])
@pytest.mark.parametrize("by", ["sized", "auto", *POSITIONS])
def test_a_list_of_one_page_is_whole_from_its_first_sync_on(
    by: str, count: int, tmp_path: Path
) -> None:
    source = FaultyList(things(count), {**WAYS, **POSITIONS}[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            assert report.exit_code == 0, report.error
            assert source.living() == source.ids
        source.rows.append({"id": "new", "name": "new"})
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize("by", WAYS)
def test_a_total_that_fits_proves_the_end(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(5), WAYS[by])
    source.fault = lambda body, query: {"data": body["data"], "total": len(source.rows)}
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 1


@pytest.mark.parametrize(
    ("by", "types"), [("cursor", "`size_param` and `size`"), ("link", "`paginator: auto`")]
)
def test_where_nothing_proves_the_end_the_message_says_what_to_type(
    by: str, types: str, tmp_path: Path
) -> None:
    source = FaultyList(things(5), WAYS[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        report = source.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert "meta.next" in str(report.error)
        assert types in str(report.error)
        assert "`paginator: single_page`" in str(report.error)
    typed = FaultyList(things(5), SIZED if by == "cursor" else AUTO)
    typed.fault = terse(typed)
    with faulty_list(tmp_path / "typed", typed):
        assert typed.sync().exit_code == 0
        typed.rows.extend(things(30, 5))
        assert typed.sync().exit_code == 0
        assert typed.living() == typed.ids


# -- what looks like it ------------------------------------------------------------------------------


def lost_once(source: FaultyList, start: int) -> Any:
    """The paging object is left out of one answer: the first one from row `start` on."""
    left = [True]

    def lose(body: Body, query: dict[str, str]) -> Body:
        if left[0] and is_from(start)(query):
            left[0] = False
            return {"data": body["data"]}
        return body

    return terse(source, lose)


@pytest.mark.parametrize("start", [0, 10, 20])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("by", WAYS)
def test_an_answer_that_lost_its_paging_cuts_nothing(
    by: str, is_first: bool, start: int, tmp_path: Path
) -> None:
    source = FaultyList(things(34), WAYS[by])
    with faulty_list(tmp_path, source):
        if not is_first:
            source.fault = terse(source)
            assert source.sync().exit_code == 0
            source.rows.extend(things(3, 100))
        source.fault = lost_once(source, start)
        report = source.sync()
        if report.exit_code == 0 and not (by == "auto" and is_first and start == 0):
            assert source.living() == source.ids
        assert report.tallies["things"].deleted == 0
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize("capped", [2, 3, 5])
@pytest.mark.parametrize("path", ["meta.nxt", "meta.next"], ids=["typo", "renamed"])
def test_a_server_that_gives_fewer_rows_than_asked_for_is_not_at_its_end(
    path: str, capped: int, tmp_path: Path
) -> None:
    """The page is shorter than was asked for, and the field is not there: the size alone proves nothing."""
    source = FaultyList(things(20), {**SIZED, "cursor_path": path})

    def small(body: Body, query: dict[str, str]) -> Body:
        rows = body["data"][:capped]
        end = int(query.get("after", 0)) + len(rows)
        name = "next" if path == "meta.nxt" else "onwards"
        return {"data": rows, "meta": {name: str(end)} if end < 20 else {}}

    source.fault = small
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")


def test_a_capped_server_that_lost_its_paging_once_is_not_at_its_end(tmp_path: Path) -> None:
    source = FaultyList(things(20), SIZED)
    answers = iter(range(100))

    def small(body: Body, query: dict[str, str]) -> Body:
        rows = body["data"][:4]
        end = int(query.get("after", 0)) + len(rows)
        return {"data": rows, **({"meta": {"next": str(end)}} if next(answers) else {})}

    source.fault = small
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 1


@pytest.mark.parametrize("by", WAYS)
def test_a_renamed_field_ends_no_list(by: str, tmp_path: Path) -> None:
    """Of a list that fills its first page just so."""
    source = FaultyList(things(34), WAYS[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.fault = lambda body, query: {"data": body["data"], "page": {"onwards": "10"}}
        assert source.sync().exit_code == 1
        assert len(source.living()) == 34


@pytest.mark.parametrize("by", ["cursor", "sized", "link"])
def test_a_page_of_one_row_is_full_where_such_pages_were_followed(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(3), WAYS[by], largest=1)
    whole = source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.fault = lambda body, query: {"data": whole(body, query)["data"]}
        assert source.sync().exit_code == 1
        assert source.living() == source.ids


@pytest.mark.parametrize("new", ["meta.onwards", "onwards"])
@pytest.mark.parametrize("by", WAYS)
def test_a_page_that_became_shorter_when_the_field_was_renamed_is_not_the_end(
    by: str, new: str, tmp_path: Path
) -> None:
    """In a list without a total and without details a second reading would say the same again."""
    source = FaultyList(things(15), WAYS[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0

        def renamed(body: Body, query: dict[str, str]) -> Body:
            rows, where = body["data"][:9], {"onwards": "9"}
            return {"data": rows, **(where if new == "onwards" else {"meta": where})}

        source.fault = renamed
        for _ in range(2):
            report = source.sync()
            assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
            assert f"new in it: {new}" in str(report.error)
            assert source.living() == source.ids


@pytest.mark.parametrize("by", WAYS)
def test_fields_that_were_there_before_do_not_speak_against_the_end(
    by: str, tmp_path: Path
) -> None:
    source = FaultyList(things(15), WAYS[by])
    source.fault = terse(source, lambda body, query: {**body, "asked_as": str(query)})
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        del source.rows[8:]
        for _ in range(2):
            assert source.sync().exit_code == 0
            assert source.living() == source.ids


def test_rows_that_a_silent_answer_leaves_out_need_another_proof(tmp_path: Path) -> None:
    """A list of two pages is cut to three rows, and its paging is lost with the others, once."""
    source = FaultyList(things(15), SIZED)
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        answers = iter(range(100))
        whole = terse(source)
        source.fault = lambda body, query: (
            whole(body, query) if next(answers) else {"data": body["data"][:3]}
        )
        report = source.sync()
        assert report.tallies["things"].deleted == 0
        assert source.living() == source.ids


# -- what it costs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", WAYS)
def test_a_short_page_at_the_end_costs_no_request(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(24), WAYS[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        source.sync()
        assert len(source.asked()) == 3
        del source.rows[4:]
        source.sync()
        source.server.asked.clear()
        assert source.sync().exit_code in (0, 1)
        assert len(source.asked()) <= 2


@pytest.mark.parametrize("by", WAYS)
def test_a_last_page_that_is_full_is_asked_for_once_more(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(20), WAYS[by])
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 3
        assert source.living() == source.ids


def test_a_list_of_one_page_is_read_in_two_as_long_as_no_longer_page_was_seen(
    tmp_path: Path,
) -> None:
    source = FaultyList(things(6), SIZED)
    source.fault = terse(source)
    with faulty_list(tmp_path, source):
        source.sync()
        assert [query.get("size") for _, query in source.server.asked] == ["10", "5", "5"]
        source.rows.pop()
        source.server.asked.clear()
        source.sync()
        source.rows.pop()
        source.server.asked.clear()
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 2, "one more, for one row is absent"
        source.server.asked.clear()
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 1
