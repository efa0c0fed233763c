"""A row that is deleted between its list and the request for its detail: an ordinary race, and no fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things

WAYS = ["page", "offset", "cursor"]
LATER = "2026-02-01T00:00:00.1Z"


def leaving(source: FaultyList, *keys: str) -> Any:
    """A detail route on which these rows are deleted when the first of them is asked for."""

    def answer(row: Body | None) -> Body | None:
        if row is not None and row["id"] in keys:
            source.rows[:] = [one for one in source.rows if one["id"] not in keys]
            return None
        return row

    return answer


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("place", [0, 1, 9, 10, 14, 24])
@pytest.mark.parametrize("by", WAYS)
def test_a_row_that_leaves_meanwhile_is_gone(
    by: str, place: int, is_first: bool, tmp_path: Path
) -> None:
    source = FaultyList(things(25), PAGERS[by], has_detail=True)
    with faulty_list(tmp_path, source):
        if not is_first:
            assert source.sync().exit_code == 0
            for n in (3, place):
                source.rows[n] = {**source.rows[n], "changed": LATER}
        source.server.asked.clear()
        source.detail = leaving(source, f"t{place:04d}")
        report = source.sync()
        assert report.exit_code == 0, report.error
        tally = report.tallies["things"]
        assert (tally.deleted, tally.backlog, tally.new) == ((0, 0, 24) if is_first else (1, 0, 0))
        assert source.living() == source.ids
        lists = [query for path, query in source.server.asked if path == "/things"]
        assert len(lists) - 3 in ((1, 2) if by == "cursor" else (1,))
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize("by", WAYS)
def test_a_few_rows_may_leave_and_many_may_not(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(40), PAGERS[by], has_detail=True)
    with faulty_list(tmp_path, source):
        source.detail = leaving(source, "t0004", "t0015", "t0033")
        assert source.sync().exit_code == 0
        assert source.living() == source.ids
        source.rows.extend(things(10, 100))
        source.server.asked.clear()
        source.detail = leaving(source, *(f"t010{n}" for n in (1, 3, 5, 7)))
        assert source.sync().exit_code == 1
        assert len([path for path, _ in source.server.asked if path == "/things"]) == 5, "no look"


@pytest.mark.parametrize("by", [*WAYS, "link"])
def test_a_row_that_the_list_still_shows_has_failed(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(30), PAGERS[by], has_detail=True)
    source.detail = lambda row: None if row is None or row["id"] == "t0007" else row
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            tally = report.tallies["things"]
            assert (report.exit_code, tally.deleted, tally.backlog) == (1, 0, 1)
            assert "though the list shows t0007" in str(report.error)
            assert source.living() == source.ids


@pytest.mark.parametrize("move", ["down", "off", "to the top"])
@pytest.mark.parametrize("by", WAYS)
def test_a_living_row_that_only_moved_is_never_gone(by: str, move: str, tmp_path: Path) -> None:
    """Its detail is broken, and the list changes before it is asked again."""
    source = FaultyList(things(30), PAGERS[by], has_detail=True)

    def broken(row: Body | None) -> Body | None:
        if row is not None and row["id"] == "t0007":
            if move == "to the top":
                source.rows.insert(0, source.rows.pop(source.rows.index(row_of(source))))
            else:
                source.rows[:0] = things(2 if move == "down" else 14, 500)
            return None
        return row

    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        for n in (3, 7):
            source.rows[n] = {**source.rows[n], "changed": LATER}
        source.detail = broken
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        assert "t0007" in source.living()


def row_of(source: FaultyList) -> Body:
    return next(row for row in source.rows if row["id"] == "t0007")


@pytest.mark.parametrize("by", WAYS)
def test_a_broken_route_and_an_empty_list_delete_nothing(by: str, tmp_path: Path) -> None:
    """No detail answers, so a 404 says nothing, whatever the list shows by then."""
    source = FaultyList(things(30), PAGERS[by], has_detail=True)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows[7] = {**source.rows[7], "changed": LATER}

        def broken(row: Body | None) -> None:
            source.fault = lambda body, query: {"data": [], "meta": {"total": 0, "next": None}}

        source.detail = broken
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        assert source.living() == source.ids


@pytest.mark.parametrize("by", WAYS)
def test_a_living_row_is_not_gone_because_another_one_went(by: str, tmp_path: Path) -> None:
    """The total fell, and the neighbours stand where they stood, with the row between them."""
    source = FaultyList(things(30), PAGERS[by], has_detail=True)

    def broken(row: Body | None) -> Body | None:
        if row is not None and row["id"] == "t0007":
            source.rows.pop()
            return None
        return row

    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        for n in (3, 7):
            source.rows[n] = {**source.rows[n], "changed": LATER}
        source.detail = broken
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        assert "t0007" in source.living()


@pytest.mark.parametrize("by", WAYS)
def test_where_no_detail_answers_a_404_says_nothing(by: str, tmp_path: Path) -> None:
    source = FaultyList(things(30), PAGERS[by], has_detail=True)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows[7] = {**source.rows[7], "changed": LATER}
        source.detail = leaving(source, "t0007")
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        source.detail = lambda row: row
        assert source.sync().tallies["things"].deleted == 1
        assert source.living() == source.ids
