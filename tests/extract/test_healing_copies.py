"""Where a scan looks for rows that a list shows twice by itself, and behind its last page (see `healing.py`)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.extract.moving_list import LONG_AGO, START, PageRead, row_of
from tests.extract.test_healing import Case, Told
from tests.extract.test_healing import page as by_cursor

MOMENT = timedelta(seconds=1)


def page(keys: str, total: int, start: int, *, room: int = 0, told: bool = True) -> PageRead:
    """A page whose rows are the letters of `keys`; a capital may have come meanwhile."""
    rows = [row_of(key, START + MOMENT if key.isupper() else LONG_AGO) for key in keys]
    at = START + start * MOMENT
    return PageRead(rows, total, start, False, at, True, is_end_told=told, room=room)


# -- 4: seams whose pages share a row ---------------------------------------------------------------


def test_4_one_answer_that_shows_the_row_twice_ends_the_search() -> None:
    told = Told(windows=[[page("abbc", 5, 0)]], head=[page("ab", 5, 0)])
    case = Case(told, page("ab", 5, 0), page("bc", 5, 2), page("d", 5, 4))
    assert case.run() == [("head", "0"), ("0", "2")]
    assert case.evidence.copies == 1
    assert case.evidence.contradiction() is None


def test_4_only_seams_whose_pages_share_a_row_are_looked_into() -> None:
    told = Told(windows=[[page("cdde", 6, 2)]], head=[page("ab", 6, 0)])
    case = Case(told, page("ab", 6, 0), page("cd", 6, 2), page("de", 6, 4))
    assert case.run() == [("head", "0"), ("2", "4")]


def test_4_comes_last_where_a_row_may_be_new() -> None:
    told = Told(windows=[[page("bCd", 5, 2)], [page("abbC", 5, 0)]], head=[page("ab", 5, 0)])
    case = Case(told, page("ab", 5, 0), page("bC", 5, 2), page("d", 5, 4))
    assert case.run() == [("head", "0"), ("2", "4"), ("0", "2")]


def test_4_a_seam_is_looked_into_once() -> None:
    """The row has moved, so the list does not have it twice."""
    told = Told(windows=[[page("abc", 5, 0)], [page("cd", 5, 3)]], head=[page("ab", 5, 0)])
    case = Case(told, page("ab", 5, 0), page("bc", 5, 2), page("d", 5, 4))
    assert case.run() == [("head", "0"), ("0", "2"), ("2", "4")]
    assert case.evidence.contradiction() is not None


def test_4_no_further_seam_is_looked_into_once_the_copies_make_up_the_total() -> None:
    told = Told(windows=[[page("abbcc", 6, 0)]], head=[page("ab", 6, 0)])
    case = Case(told, page("ab", 6, 0), page("bc", 6, 2), page("cd", 6, 4))
    assert case.run() == [("head", "0"), ("0", "2")]
    assert case.evidence.contradiction() is None


def test_4_every_seam_is_looked_into_until_then() -> None:
    told = Told(windows=[[page("abbc", 6, 0)], [page("bccd", 6, 2)]], head=[page("ab", 6, 0)])
    case = Case(told, page("ab", 6, 0), page("bc", 6, 2), page("cd", 6, 4))
    assert case.run() == [("head", "0"), ("0", "2"), ("2", "4")]
    assert case.evidence.contradiction() is None


def test_4_a_list_that_cannot_be_crossed_is_asked_once() -> None:
    told = Told(windows=[[]], head=[page("abbc", 6, 0)])
    case = Case(told, page("ab", 6, 0), page("bc", 6, 2), page("cd", 6, 4))
    assert case.run() == [("head", "0"), ("0", "2"), ("head", "0")]


def test_4_nothing_is_looked_into_where_fewer_rows_came_than_the_total_says() -> None:
    told = Told(head=[by_cursor("ab", 6, 0, cursor=True)])
    case = Case(told, by_cursor("ab", 6, 0, cursor=True), by_cursor("bc", 6, 2, cursor=True))
    assert case.run() == [("head", "0")]


# -- behind the last page ---------------------------------------------------------------------------


def behind(*windows: PageRead) -> Case:
    """What is known after a look behind a list that says 5, and shows three rows and two copies."""
    told = Told(windows=[list(windows)])
    case = Case(told, page("aaab", 5, 0, told=False), page("c", 5, 4, told=False))
    assert case.evidence.is_end_open
    asyncio.run(case.healing.look_behind())
    assert told.asked == [("4", "end")]
    return case


@pytest.mark.parametrize(
    "windows",
    [
        [page("c", 5, 4, room=1)],
        [page("bc", 5, 3, room=1)],
        # By cursor two pages come, and the second one tells.
        [page("b", 5, 3), page("c", 5, 4, room=1)],
        [page("bc", 5, 3), page("c", 5, 4, room=1)],
    ],
)
def test_a_window_with_the_last_row_and_room_behind_it_shows_the_end(
    windows: list[PageRead],
) -> None:
    case = behind(*windows)
    assert not case.evidence.is_end_open
    assert case.evidence.contradiction() is None
    assert case.evidence.steady, "rows that were read again tell of no change"


@pytest.mark.parametrize(
    "windows",
    [
        [],
        [page("c", 5, 4)],
        [page("bc", 5, 3)],
        [page("c", 5, 4, room=1), page("c", 5, 4)],
        [page("bc", 5, 3, room=1), page("c", 5, 4)],
        # It does not touch the last page.
        [page("b", 5, 3, room=1)],
        [page("c", 5, 4, room=1), page("b", 5, 3, room=1)],
        # A row came to light.
        [page("cd", 5, 4, room=1)],
    ],
    ids=["none", "full", "two", "first", "first of two", "elsewhere", "second elsewhere", "more"],
)
def test_any_other_window_leaves_the_end_open(windows: list[PageRead]) -> None:
    case = behind(*windows)
    assert case.evidence.is_end_open
    assert case.evidence.contradiction() is not None
