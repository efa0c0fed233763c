"""Rows that a list shows twice by itself, and lists that show fewer rows than they say (see `evidence.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.extract.lists.changes import listed
from oa_sync.extract.lists.evidence import Evidence, Seam, Window
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, row_of
from tests.extract.test_evidence import SECOND, window


class Reader:
    """Gives pages to an `Evidence`, a second apart; a row is one letter, and may stand twice on a page."""

    def __init__(self, *, loaded: str = "") -> None:
        self.evidence = Evidence(set(loaded).__contains__)
        self.now = START - SECOND

    def next(self, rows: str, total: int | None, **place: Any) -> Evidence:
        """The next page in turn."""
        read = self._page(rows, total, place)
        self.evidence.add_next(read, [listed(REPORTS, row) for row in read.rows])
        return self.evidence

    def extra(self, rows: str, total: int | None, **place: Any) -> Window:
        """A page from anywhere."""
        read = self._page(rows, total, place)
        return self.evidence.add(read, [listed(REPORTS, row) for row in read.rows])

    def _page(self, rows: str, total: int | None, place: dict[str, Any]) -> PageRead:
        self.now += SECOND
        found = [row_of(key, LONG_AGO) for key in rows]
        return PageRead(found, total, 0, False, self.now, True, **place)


def read(*pages: str, total: int | None, **place: Any) -> Evidence:
    """What `pages` show that were read in turn, with one total on all."""
    reader = Reader()
    for rows in pages:
        reader.next(rows, total, **place)
    return reader.evidence


# -- which rows count as copies ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "copies"),
    [
        (["ab", "cd"], 0),
        # One answer shows it twice, or more often.
        (["aab"], 1),
        (["aaab"], 2),
        (["aabb"], 2),
        # It may have moved from one page to the other.
        (["ab", "bc"], 0),
        # Two answers show the same two.
        (["aab", "aac"], 1),
        (["aab", "aaac"], 2),
        (["aaab", "aac"], 2),
        (["aab", "ccd"], 2),
    ],
)
def test_a_row_counts_as_a_copy_as_often_as_one_answer_shows_it_again(
    pages: list[str], copies: int
) -> None:
    assert read(*pages, total=None).copies == copies


def test_copies_in_a_single_page_prove_nothing() -> None:
    """Its total may count distinct rows, of which one is not shown."""
    assert read("abc", total=3).proven
    assert not read("aab", total=3).proven
    assert not read("aab", total=2).proven


@pytest.mark.parametrize("told", [True, False])
def test_a_single_page_without_total_is_the_whole_list_where_its_end_is_told(told: bool) -> None:
    assert read("ab", total=None, is_end_told=told).proven is told


@pytest.mark.parametrize(("total", "missing"), [(3, 0), (4, 0), (5, 1)])
def test_copies_are_not_missing(total: int, missing: int) -> None:
    reader = Reader()
    reader.next("aab", total)
    reader.next("c", total)
    reader.extra("c", total)  # else it counts as a total that is too high
    assert reader.evidence.missing == missing


@pytest.mark.parametrize(
    ("pages", "total", "may_have"),
    [
        (["ab", "bc"], 4, True),
        (["ab", "bc"], 3, False),
        (["ab", "bc"], 5, False),
        (["ab", "bc"], None, False),
    ],
)
def test_rows_of_two_pages_may_be_copies_where_so_many_rows_came_as_the_total_says(
    pages: list[str], total: int | None, may_have: bool
) -> None:
    assert read(*pages, total=total).may_have_copies is may_have


def test_rows_of_two_pages_are_no_copies_where_the_total_changed() -> None:
    reader = Reader()
    reader.next("ab", 4)
    assert not reader.next("bc", 3).may_have_copies


def test_only_pages_in_turn_count_as_rows_that_came() -> None:
    reader = Reader()
    reader.next("ab", 4)
    reader.extra("ab", 4)
    assert not reader.evidence.may_have_copies


def test_a_row_that_may_have_come_meanwhile_is_unclear() -> None:
    reader = Reader()
    assert not reader.next("a", 2).has_unclear
    young = PageRead([row_of("b", START)], 2, 0, True, START, True)
    reader.evidence.add_next(young, [listed(REPORTS, row) for row in young.rows])
    assert reader.evidence.has_unclear


# -- whether rows lie behind the last page ----------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "total", "is_open"),
    [
        (["aab", "c"], 4, True),
        (["aaab", "c"], 4, True),
        # Enough distinct rows came.
        (["aab", "c"], 3, False),
        (["aab", "c"], 2, False),
        # Not even with the copies.
        (["aab", "c"], 5, False),
        (["aab", "c"], None, False),
        (["ab", "c"], 4, False),
    ],
)
def test_the_end_is_open_where_only_the_copies_reach_the_total(
    pages: list[str], total: int | None, is_open: bool
) -> None:
    assert read(*pages, total=total, is_end_told=False).is_end_open is is_open
    assert not read(*pages, total=total).is_end_open, "the server said that it ends"


def test_the_last_page_in_turn_tells_of_the_end() -> None:
    for told in (True, False):
        reader = Reader()
        reader.next("aab", 4, is_end_told=not told)
        reader.next("c", 4, is_end_told=told)
        reader.extra("c", 4, is_end_told=not told)
        assert reader.evidence.is_end_open is not told


@pytest.mark.parametrize(("first", "second"), [(4, 5), (5, 4)])
def test_the_lowest_total_says_whether_it_is_reached(first: int, second: int) -> None:
    reader = Reader()
    reader.next("aab", first, is_end_told=False)
    assert reader.next("c", second, is_end_told=False).is_end_open


def test_once_the_end_was_seen_it_is_open_no_longer_and_what_was_read_again_is_no_change() -> None:
    reader = Reader()
    reader.next("aab", 4, is_end_told=False)
    reader.next("c", 4, is_end_told=False)
    behind = [reader.extra("c", 4)]
    assert not reader.evidence.steady
    reader.evidence.end_was_seen(behind)
    assert not reader.evidence.is_end_open
    assert reader.evidence.steady


def test_nothing_is_shared_behind_the_last_page() -> None:
    assert not Seam(window("a"), None).is_shared
    assert Seam(window("a", "b"), window("b")).is_shared


# -- an empty page and the totals -------------------------------------------------------------------


def test_an_empty_page_behind_pages_without_total_is_no_change_whatever_it_tells() -> None:
    reader = Reader()
    reader.next("ab", None)
    reader.next("cd", None)
    assert reader.next("", 4).steady


def test_an_empty_page_without_total_behind_pages_that_tell_one_is_a_change() -> None:
    reader = Reader()
    reader.next("ab", 4)
    reader.next("cd", 4)
    assert not reader.next("", None).steady


def test_a_page_with_rows_and_a_total_behind_pages_without_is_a_change() -> None:
    reader = Reader()
    reader.next("ab", None)
    assert not reader.next("cd", 4).steady


# -- a list that contradicts itself -----------------------------------------------------------------


def test_a_list_without_total_contradicts_nothing() -> None:
    assert Evidence(set().__contains__).contradiction() is None
    assert read("ab", "bc", total=None).contradiction() is None


@pytest.mark.parametrize(
    ("pages", "total", "words"),
    [
        (["ab", "c"], 3, None),
        (["ab", "c"], 2, None),
        (["ab", "c"], 4, "it says that it has 4 rows, and shows 3"),
        (["ab", "bc"], 4, "it says that it has 4 rows, and shows 3 (4 came, some of them twice)"),
        (["aab", "c"], 4, None),
        (["aab", "c"], 5, "it says that it has 5 rows, and shows 3 (4 came, some of them twice)"),
        (["aaab", "c"], 5, None),
    ],
)
def test_fewer_rows_than_the_total_says_are_a_contradiction_and_copies_are_rows(
    pages: list[str], total: int, words: str | None
) -> None:
    assert read(*pages, total=total).contradiction() == words


def test_rows_that_were_found_again_do_not_make_one_say_that_rows_came_twice() -> None:
    reader = Reader()
    reader.next("ab", 5)
    reader.extra("cd", 5)
    assert reader.evidence.contradiction() == "it says that it has 5 rows, and shows 4"


@pytest.mark.parametrize(("set_aside", "is_one"), [(0, True), (1, True), (2, False), (3, False)])
def test_rows_that_could_not_be_taken_are_rows(set_aside: int, is_one: bool) -> None:
    assert (read("ab", "c", total=5).contradiction(set_aside) is not None) is is_one


def test_copies_before_an_open_end_took_the_place_of_the_last_rows() -> None:
    """One row behind the end is set aside; then no row is left to be shown."""
    open_end = read("aab", "c", total=4, is_end_told=False)
    assert open_end.contradiction() is not None
    assert open_end.contradiction(set_aside=1) is None
    assert read("aaab", "c", total=5, is_end_told=False).contradiction(set_aside=1) is not None


def test_rows_that_were_deleted_before_they_were_read_are_missing_rightly() -> None:
    for totals in ((5, 4), (4, 5)):
        reader = Reader()
        reader.next("ab", totals[0])
        assert reader.next("cd", totals[1]).contradiction() is None
    assert reader.next("", 6).contradiction() is None


@pytest.mark.parametrize(
    ("totals", "fell"),
    [
        ([100, 80], None),
        ([100, 79], (100, 79)),
        ([90, 100, 79], (100, 79)),
        ([100, 79, 100], (100, 79)),
        ([79, 100], None),
        ([5, 0], (5, 0)),
        ([0], None),
        ([0, 0], None),
    ],
)
def test_a_list_collapsed_that_became_shorter_by_more_than_a_share(
    totals: list[int], fell: tuple[int, int] | None
) -> None:
    reader = Reader()
    for total in totals:
        reader.next("", total)
    assert reader.evidence.collapsed == fell
    if fell is not None:
        told = f"its total fell from {fell[0]} to {fell[1]} while it was read"
        assert reader.evidence.contradiction() == told


def test_a_list_that_did_not_collapse_is_judged_by_its_rows() -> None:
    assert read("ab", total=2).contradiction() is None
