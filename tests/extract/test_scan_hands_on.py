"""Whole rows go on while their list is still being read; what counts is the same as without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from oa_sync.extract.lists.changes import Change
from oa_sync.extract.lists.listing import OpenList
from oa_sync.extract.lists.reading import scan
from oa_sync.extract.lists.scan import Pending, Scan
from tests.extract.moving_list import REPORTS, MovingList, rows_of

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})


async def _only(source: OpenList) -> AsyncIterator[OpenList]:
    yield source


def read(source: MovingList) -> tuple[Scan, list[list[Pending]]]:
    """A scan that hands on after each page; the rows that went on with each."""
    result, taken = Scan(WITHOUT_DETAIL, {}), list[list[Pending]]()

    async def take(scan: Scan) -> None:
        taken.append(scan.take_full())

    asyncio.run(scan(result, _only(source), None, take))
    assert result.error is None
    return result, taken


def test_no_more_than_a_page_of_whole_rows_is_kept() -> None:
    result, taken = read(MovingList(rows_of(30), size=10))
    assert [len(rows) for rows in taken] == [10, 10, 10]
    assert not result.pending
    assert (result.new, result.changed, result.unchanged) == (30, 0, 0)


def test_a_row_that_comes_again_goes_on_again_only_when_it_has_changed() -> None:
    def change(source: MovingList) -> None:
        if source.requests == 1:
            source.insert(0)  # pushes the last row of page 1 onto page 2
            source.update(10)

    moved = MovingList(rows_of(30), size=10, change=change, at_once=1)
    result, taken = read(moved)
    again = [row for rows in taken[1:] for row in rows if row.change is Change.CHANGED]
    assert [row.listed.key for row in again] == [moved.rows[10]["id"]]
    assert again[0].known is not None
    assert len(result.handed_on) == len(result.seen) == result.new
    assert result.changed == 0
