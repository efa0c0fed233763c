"""Whether a row has left the place where its list showed it, one condition a test (see `second_look.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from oa_sync.client.paging import Place
from oa_sync.extract.lists.second_look import Shown, has_left
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, row_of


def page(keys: str, start: int = 0, total: int | None = None, **more: Any) -> PageRead:
    """A page whose rows are the letters of `keys`, with room for no more."""
    return PageRead(
        [row_of(key, LONG_AGO) for key in keys], total, start, False, START, True, **more
    )


class Told:
    """A list that gives out `windows` for a place, else `first` as its first page; `asked`: for which places."""

    def __init__(self, windows: Sequence[PageRead] = (), first: Sequence[PageRead] = ()) -> None:
        self.windows, self.first = windows, first
        self.asked: list[Place] = []
        self.begun = 0
        self.without_total = "{type: auto}"

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        assert not ahead
        for each in self.first:
            self.begun += 1
            yield each

    async def across(self, left: Place, right: Place | None) -> Sequence[PageRead]:
        assert right is None
        self.asked.append(left)
        return self.windows


def left(opened: Told, key: str, *shown: PageRead, others: Sequence[Shown] = ()) -> bool:
    """Whether the row has left a list that showed these pages, of `reports`."""
    pages = [
        *others,
        *(Shown(opened, one.place, tuple(row["id"] for row in one.rows)) for one in shown),
    ]
    return asyncio.run(has_left(REPORTS, pages, key))


WHOLE = page("abcde", 10)
"""A page from the middle of a list, shown before."""


@pytest.mark.parametrize(
    ("window", "gone"),
    [
        ("abde", True),
        ("bd", True),
        # Other rows came or went beside it.
        ("bxd", True),
        # It is still there.
        ("bcd", False),
        # Both rows that stood beside it are needed.
        ("abx", False),
        ("xde", False),
        ("xyz", False),
    ],
)
def test_a_row_has_left_where_one_answer_shows_both_rows_beside_it_and_not_the_row(
    window: str, gone: bool
) -> None:
    assert left(Told([page(window, 11)]), "c", WHOLE) is gone


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [(9, 8, True), (9, 9, False), (9, 10, False), (None, 9, True), (9, None, True)],
)
def test_where_totals_are_told_the_total_has_fallen_too(
    before: int | None, now: int | None, gone: bool
) -> None:
    """Else the row may have been moved by a change."""
    shown, window = page("abcde", 10, before), page("bd", 11, now)
    assert left(Told([window]), "c", shown) is gone


def test_the_last_window_tells_the_total() -> None:
    shown = page("abcde", 10, 9)
    assert left(Told([page("ab", 9, 9), page("bd", 11, 8)]), "c", shown)
    assert not left(Told([page("ab", 9, 8), page("bd", 11, 9)]), "c", shown)


def test_a_row_that_no_page_showed_has_not_left_and_costs_no_request() -> None:
    opened = Told([page("ab", 10)])
    assert not left(opened, "x", WHOLE)
    assert opened.asked == []


def test_a_row_without_a_readable_key_says_nothing() -> None:
    window = replace(page("bd", 11), rows=[row_of("b", LONG_AGO), {}, row_of("d", LONG_AGO)])
    assert not left(Told([window]), "c", WHOLE)


# -- the rows beside it stand on other pages --------------------------------------------------------


@pytest.mark.parametrize(("window", "gone"), [("bd", True), ("d", False), ("b", False)])
@pytest.mark.parametrize(("one", "two"), [("abc", "def"), ("ab", "cdef")])
def test_a_row_beside_it_may_stand_on_the_page_before_or_behind(
    one: str, two: str, window: str, gone: bool
) -> None:
    shown = [page(one, 10), page(two, 10 + len(one))]
    opened = Told([page(window, 11)])
    assert left(opened, "c", *shown) is gone
    (asked,) = opened.asked
    assert (asked.start, asked.count) == (12, 0)


@pytest.mark.parametrize("rest", ["ef", ""])
def test_of_several_pages_the_next_one_counts(rest: str) -> None:
    shown = [page("ab", 10), page("cd", 12), page(rest, 14)]
    assert left(Told([page("ac", 11)]), "b", *shown)
    assert not left(Told([page("ae", 11)]), "b", *shown)


def test_the_first_row_of_a_page_stands_beside_the_second_one() -> None:
    assert left(Told([page("ac", 1)]), "b", page("abc", 0))
    assert not left(Told([page("xc", 1)]), "b", page("yx", 0), page("abc", 2))


def test_pages_of_other_lists_are_not_beside_it() -> None:
    other = Shown(Told(), page("xy", 8).place, ("x", "y"))
    opened = Told([page("bc", 0)])
    assert left(opened, "a", page("abc", 0), others=[other])


@pytest.mark.parametrize("empty", ["before", "behind"])
def test_an_empty_page_beside_it_is_an_edge(empty: str) -> None:
    if empty == "before":
        shown, key = [page(""), page("abc", 0)], "a"
    else:
        shown, key = [page("abc", 0), page("", 3)], "c"
    window = page("bc" if empty == "before" else "ab", 0, room=1)
    assert left(Told([window]), key, *shown)


# -- at an edge of the list -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "gone"),
    [(page("bc", 0), True), (page("bc", 1), False), (page("cd", 0), False)],
)
def test_before_the_first_row_the_answer_must_show_the_start(window: PageRead, gone: bool) -> None:
    assert left(Told([window]), "a", page("abcd", 0)) is gone


@pytest.mark.parametrize(
    ("window", "gone"),
    [
        (page("bc", 1, room=1), True),
        (replace(page("bc", 1), is_last=True), True),
        (replace(page("bc", 1), is_last=True, is_end_told=False), False),
        (page("bc", 1), False),
        (page("ab", 0, room=1), False),
    ],
)
def test_behind_the_last_row_the_answer_must_show_the_end(window: PageRead, gone: bool) -> None:
    assert left(Told([window]), "d", page("abcd", 0)) is gone


def test_the_first_window_shows_the_start_and_the_last_one_the_end() -> None:
    shown = page("abcd", 0)
    assert left(Told([page("bc", 0), page("d", 2)]), "a", shown)
    assert not left(Told([page("bc", 1), page("d", 0)]), "a", shown)
    assert left(Told([page("ab", 0), page("c", 2, room=1)]), "d", shown)
    assert not left(Told([page("ab", 0, room=1), page("c", 2)]), "d", shown)


def test_the_only_row_of_a_list_has_no_row_beside_it() -> None:
    opened = Told([page("", 0, room=1)])
    assert not left(opened, "a", page("a", 0))
    assert opened.asked == []


# -- how the list is read around it -----------------------------------------------------------------


@pytest.mark.parametrize(("key", "start"), [("a", 1), ("b", 1), ("c", 2), ("e", 4)])
def test_by_position_the_place_of_the_row_is_read(key: str, start: int) -> None:
    opened = Told([page("x", 0)])
    left(opened, key, page("abcde", 0))
    (asked,) = opened.asked
    assert (asked.start, asked.count) == (start, 0)


def by_cursor(keys: str, start: int) -> PageRead:
    return replace(page(keys, start), by_position=False)


@pytest.mark.parametrize(("key", "cursor"), [("d", "10"), ("e", "13"), ("a", "10"), ("b", "10")])
def test_by_cursor_the_page_of_the_row_is_read_and_for_its_first_row_the_page_before(
    key: str, cursor: str
) -> None:
    opened = Told([page("x", 0)])
    left(opened, key, by_cursor("abc", 10), by_cursor("def", 13))
    (asked,) = opened.asked
    assert asked.cursor == cursor


@pytest.mark.parametrize("cursor", [None, "0"])
def test_by_cursor_the_start_is_a_page_that_was_asked_for_without_one(cursor: str | None) -> None:
    class Started(PageRead):
        @property
        def place(self) -> Place:
            return replace(super().place, cursor=cursor)

    now = Started([row_of(key, LONG_AGO) for key in "bc"], None, 0, False, START, False)
    assert left(Told([now]), "a", by_cursor("abc", 0)) is (cursor is None)


def test_a_list_of_one_page_that_cannot_be_read_around_a_place_is_read_again() -> None:
    opened = Told(first=[page("abd", 0), page("e", 3)])
    assert left(opened, "c", page("abcd", 0))
    assert opened.begun == 1, "its first page is enough"
    assert not left(Told(), "c", page("abcd", 0)), "it gave none"


def test_a_list_of_more_pages_that_cannot_be_read_around_a_place_tells_nothing() -> None:
    opened = Told(first=[page("abd", 0)])
    assert not left(opened, "c", page("abcd", 0), page("ef", 4))
    assert opened.begun == 0
