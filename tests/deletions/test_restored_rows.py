"""Rows that come into a list with an old time while it is read (a restored backup, an import): they stand in for no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things

OLD = "2026-01-01T00:00:00.1Z"


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", PAGERS)
@pytest.mark.parametrize("which", ["never loaded", "loaded and deleted", "the newest, deleted"])
def test_a_restored_row_stands_in_for_none_that_slipped_through(
    which: str, by: str, has_detail: bool, tmp_path: Path
) -> None:
    """Between two pages one row goes from those that were read and one comes at the end, so another is read by neither."""
    source = FaultyList(things(30), PAGERS[by], has_detail)
    restored: Body = {"id": "restored", "name": "restored", "changed": OLD}
    if which == "the newest, deleted":
        restored["changed"] = "2026-01-02T05:00:00Z"
    is_moved = False

    def move(body: Body, query: dict[str, str]) -> Any:
        nonlocal is_moved
        if not is_moved:
            is_moved = True
            del source.rows[2]
            source.rows.append(restored)
        return body

    with faulty_list(tmp_path, source) as lists:
        if which != "never loaded":
            source.rows.append(restored)
            assert lists.sync().exit_code == 0
            source.rows.remove(restored)
        assert lists.sync().exit_code == 0
        source.fault = move
        report = lists.sync()
        assert is_moved
        assert report.exit_code == 0, report.error
        assert lists.living() >= source.ids, "no living row is marked"
        source.fault = None
        assert lists.sync().exit_code == 0
        assert lists.living() == source.ids


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
def test_new_rows_with_times_of_today_cost_no_request(has_detail: bool, tmp_path: Path) -> None:
    source = FaultyList(things(30), has_detail=has_detail)
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().exit_code == 0
        del source.rows[2]
        source.rows.append({"id": "new", "name": "new", "changed": "2026-01-02T06:00:00Z"})
        asked = len(lists.asked())
        report = lists.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 1)
        assert len(lists.asked()) - asked == 3 + has_detail
