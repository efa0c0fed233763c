"""Rows whose time is a day, an hour or a minute, or that of another zone: they stand in for no other row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oa_sync.clock import isoformat
from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things

LATER = timedelta(hours=6, minutes=17, seconds=23).total_seconds()
"""Seconds between two syncs."""

SPELLED: dict[str, Callable[[datetime], str]] = {
    "day": lambda at: at.strftime("%Y-%m-%dT00:00:00Z"),
    "day of the east": lambda at: f"{at - timedelta(days=1):%Y-%m-%d}T18:30:00Z",
    "hour": lambda at: at.strftime("%Y-%m-%dT%H:00:00Z"),
    "minute": lambda at: at.strftime("%Y-%m-%dT%H:%M:00Z"),
    "local time with a Z": lambda at: isoformat(at - timedelta(hours=5)),
    "half an hour behind": lambda at: isoformat(at - timedelta(hours=3, minutes=30)),
}


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", PAGERS)
@pytest.mark.parametrize("spelled", SPELLED)
def test_a_row_that_comes_meanwhile_stands_in_for_none_that_slipped_through(
    spelled: str, by: str, has_detail: bool, tmp_path: Path
) -> None:
    """Between two pages one row goes from those that were read and one comes at the end, so another is read by neither."""
    source = FaultyList(things(30), PAGERS[by], has_detail, has_clock=True)
    is_moved = False

    def move(body: Body, query: dict[str, str]) -> Any:
        nonlocal is_moved
        if not is_moved:
            is_moved = True
            del source.rows[2]
            new = SPELLED[spelled](source.clock.now())
            source.rows.append({"id": "new", "name": "new", "changed": new})
        return body

    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().exit_code == 0
        source.clock.advance(LATER)
        source.fault = move
        report = lists.sync()
        assert is_moved
        assert report.exit_code == 0, report.error
        assert lists.living() >= source.ids, "no living row is marked"
        source.fault = None
        assert lists.sync().exit_code == 0
        assert lists.living() == source.ids


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize(
    "changed", ["2026-03-02T14:03:07Z", "2026-03-02T15:16:00Z", "2026-02-28T00:00:00Z"]
)
def test_a_new_row_whose_time_is_over_costs_no_request(
    changed: str, has_detail: bool, tmp_path: Path
) -> None:
    """The list is read at 15:17:23."""
    source = FaultyList(things(30), has_detail=has_detail, has_clock=True)
    with faulty_list(tmp_path, source) as lists:
        assert lists.sync().exit_code == 0
        source.clock.advance(LATER)
        del source.rows[2]
        source.rows.append({"id": "new", "name": "new", "changed": changed})
        asked = len(lists.asked())
        report = lists.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 1)
        assert len(lists.asked()) - asked == 3 + has_detail
