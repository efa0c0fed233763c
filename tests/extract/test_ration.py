"""What one list may take of a budget, one condition a test (see `ration.py`)."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.client.paging import Onward
from oa_sync.definitions.model import SinglePagePaginator
from oa_sync.extract.lists.ration import (
    AHEAD_FROM,
    CHANGES,
    TRIED_AGAIN,
    Ration,
    Reached,
    fair_part,
)
from tests.extract.moving_list import START, PageRead


def onward(rows: int, size: int = 10) -> Onward:
    return Onward(SinglePagePaginator(), rows, rows, size)


def page(rows: int, total: int | None = None, *, size: int = 10, **more: Any) -> PageRead:
    """A page behind which so many `rows` have come."""
    more = {"onward": onward(rows, size), **more}
    return PageRead([{}] * size, total, rows - size, False, START, True, **more)


def read(ration: Ration, pages: int = 1_000, total: int | None = None) -> int:
    """How many pages of ten rows a ration lets be read, of a list with so many."""
    before = ration.start.rows if ration.start is not None else 0
    for number in range(1, pages):
        if not ration.goes_on(page(before + number * 10, total)):
            return number
    ration.goes_on(page(before + pages * 10, total, onward=None))
    return pages


def reached(
    pages: int, *, is_length: bool = True, budget: int = 10, at: int | None = None
) -> Reached:
    return Reached(pages, is_length, budget, None if at is None else onward(at))


# -- how many pages may be read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "others", "total", "pages"),
    [
        # It fits, beside the others.
        (10, [], 100, 10),
        (12, [2], 100, 10),
        # It does not.
        (9, [], 100, 9),
        (11, [2], 100, 9),
        # An equal part, and what smaller lists leave over.
        (11, [20], 100, 5),
        (12, [20, 20], 100, 4),
        (12, [2, 20], 100, 5),
        (12, [20, 2], 100, 5),
        (12, [4, 4], 100, 4),
        (12, [3, 20], 100, 4),
        # One page at least.
        (1, [20, 20], 100, 1),
        (0, [], 100, 1),
    ],
)
def test_a_list_that_does_not_fit_gets_its_part(
    left: int, others: list[int], total: int, pages: int
) -> None:
    ration = Ration(left, others=others)
    assert read(ration, 10, total) == pages
    assert ration.is_cut is ration.is_part is (pages < 10)
    assert ration.pages == pages


@pytest.mark.parametrize("pool", [1, 0, -3])
def test_a_fair_part_is_one_request_at_least(pool: int) -> None:
    assert fair_part(pool, [20, 20]) == 1


@pytest.mark.parametrize(
    ("details", "loaded", "pages"),
    [
        (None, 0, 20),
        # A half for details at most.
        (0, 0, 10),
        (100, 1_000, 10),
        # A quarter for rows that changed, and the details that are known to be needed.
        (0, 1_000, 15),
        (0, 1_001, 15),
        (2, 1_000, 13),
        (0, 997, 12),
    ],
)
def test_details_that_are_needed_get_their_part_first(
    details: int | None, loaded: int, pages: int
) -> None:
    assert CHANGES == 4
    assert read(Ration(20, details=details, loaded=loaded), total=1_000) == pages


def test_a_list_that_fits_leaves_details_what_is_left() -> None:
    assert read(Ration(20, details=0), 15, 150) == 15
    assert read(Ration(20, details=0, before=reached(30, at=10)), 14, 150) == 14


@pytest.mark.parametrize(("budget", "pages"), [(5, 20), (11, 15)])
def test_a_list_of_unknown_length_fits_as_far_as_it_is_read_from_its_top(
    budget: int, pages: int
) -> None:
    """With less than twice the budget of before it goes on in parts."""
    before = reached(2, is_length=False, budget=budget, at=10)
    assert read(Ration(20, details=0, before=before)) == pages


def test_a_list_without_total_that_did_not_fit_needs_details_too() -> None:
    before = reached(50, at=0)
    assert read(Ration(20, details=0, before=before)) == 15


@pytest.mark.parametrize(
    ("details", "loaded", "pages"), [(None, 0, 20), (0, 5, 20), (0, 0, 12), (7, 0, 12)]
)
def test_a_list_of_unknown_length_is_read_on_unless_its_details_are_all_to_come(
    details: int | None, loaded: int, pages: int
) -> None:
    """Two thirds of what the others leave then."""
    assert read(Ration(20, others=[2], details=details, loaded=loaded)) == pages
    assert read(Ration(1, others=[2], details=details, loaded=loaded)) == 1


def test_the_end_of_a_list_is_never_cut() -> None:
    ration = Ration(1)
    assert ration.goes_on(page(10, 100, onward=None))
    assert not ration.is_cut
    ration = Ration(1)
    last = page(10, 100)
    object.__setattr__(last, "is_last", True)
    assert ration.goes_on(last)
    assert not ration.is_part


# -- where it begins --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "others", "before", "at"),
    [
        # It does not fit.
        (9, [], reached(10, at=30), 30),
        (11, [2], reached(10, at=30), 30),
        # It fits now.
        (10, [], reached(10, at=30), None),
        (12, [2], reached(10, at=30), None),
        # Of unknown length: with twice the budget it is tried again.
        (19, [], reached(10, is_length=False, at=30), 30),
        (20, [], reached(10, is_length=False, at=30), None),
        (20, [], reached(21, is_length=False, at=30), 30),
        # It was read to its end.
        (9, [], reached(10), None),
        (9, [], None, None),
    ],
)
def test_a_list_that_did_not_fit_goes_on_where_it_ended_unless_it_fits_now(
    left: int, others: list[int], before: Reached | None, at: int | None
) -> None:
    assert TRIED_AGAIN == 2
    ration = Ration(left, others=others, before=before)
    assert (ration.start.at if ration.start is not None else None) == at
    assert ration.is_part is (at is not None)


def test_from_the_top_it_is_the_same_ration() -> None:
    ration = Ration(20, others=[20], details=0, loaded=5, before=reached(50, at=30))
    again = ration.from_the_top()
    assert again.start is None
    assert read(again, total=500) == read(ration, total=500) == 5
    untold = Ration(20, details=0, before=reached(50, at=30)).from_the_top()
    assert read(untold) == 15
    fresh = Ration(20, others=[2], details=0).from_the_top()
    assert read(fresh) == 12


def test_a_list_that_goes_on_and_would_fit_by_its_known_part_gets_its_part() -> None:
    """Nobody knows how much of it is left."""
    before = reached(15, is_length=False, budget=11, at=100)
    assert read(Ration(20, details=None, before=before)) == 20
    ration = Ration(20, others=[8], details=None, before=before)
    assert read(ration) == 12
    known = Ration(20, others=[3], before=reached(15, is_length=False, budget=5, at=100))
    assert known.start is None
    assert read(known, 30) == 17


@pytest.mark.parametrize(
    ("left", "before", "ahead"),
    [
        (AHEAD_FROM, None, True),
        (AHEAD_FROM - 1, None, False),
        (AHEAD_FROM, reached(10), False),
    ],
)
def test_pages_are_asked_for_ahead_where_they_are_unlikely_to_be_in_vain(
    left: int, before: Reached | None, ahead: bool
) -> None:
    assert Ration(left, before=before).may_read_ahead is ahead


# -- how far it is read -----------------------------------------------------------------------------


def test_of_a_list_of_which_nothing_was_read_nothing_is_told() -> None:
    assert Ration(5).reached() is None


@pytest.mark.parametrize(
    ("total", "pages", "is_length"),
    [
        (100, 10, True),
        (95, 10, True),
        (101, 11, True),
        (20, 3, False),
        (21, 3, True),
        (None, 3, False),
    ],
)
def test_a_part_is_told_with_the_length_that_the_total_says(
    total: int | None, pages: int, is_length: bool
) -> None:
    """A total that is not above the rows that came says nothing."""
    ration = Ration(2)
    ration.goes_on(page(10, total))
    ration.goes_on(page(20, total))
    assert ration.reached() == Reached(pages, is_length, 2, onward(20))


@pytest.mark.parametrize(
    ("before", "pages", "is_length"),
    [
        (reached(9, at=20), 9, True),
        (reached(9, is_length=False, at=20), 9, False),
        (reached(5, at=20), 5, True),
        (reached(4, at=20), 5, False),
    ],
)
def test_without_a_total_it_is_at_least_as_long_as_it_was_before(
    before: Reached, pages: int, is_length: bool
) -> None:
    ration = Ration(2, before=before)
    ration.goes_on(page(30))
    ration.goes_on(page(40))
    assert ration.reached() == Reached(pages, is_length, 2, onward(40))


@pytest.mark.parametrize(("at", "pages"), [(None, 2), (30, 5), (31, 6)])
def test_at_its_end_a_list_has_the_pages_before_and_those_that_were_read(
    at: int | None, pages: int
) -> None:
    before = None if at is None else reached(50, at=at)
    ration = Ration(4, before=before)
    ration.goes_on(page(10, 500))
    ration.goes_on(page(20, 500, onward=None))
    assert ration.reached() == Reached(pages, True, 4, None)


def test_a_list_that_ended_although_its_page_said_more_is_at_its_end() -> None:
    ration = Ration(4)
    ration.goes_on(page(10))
    ration.end()
    assert ration.reached() == Reached(1, True, 4, None)


def test_pages_of_one_row_are_counted_one_by_one() -> None:
    ration = Ration(4)
    ration.goes_on(page(1, 5, size=1))
    assert ration.reached() == Reached(5, True, 4, onward(1, 1))
    ration.end()
    assert ration.reached() == Reached(1, True, 4, None)


def test_empty_pages_count_as_pages_of_one_row() -> None:
    ration = Ration(4, before=reached(50, at=3))
    ration.goes_on(page(3, size=0))
    told = ration.reached()
    assert told is not None
    assert told.pages == 50
    ration.end()
    told = ration.reached()
    assert told is not None
    assert told.pages == 4


# -- as a fact --------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [reached(9, at=20), reached(9, is_length=False)])
def test_how_far_a_list_was_read_can_be_read_back(one: Reached) -> None:
    assert Reached.from_fact(one.as_fact()) == one


@pytest.mark.parametrize(
    "change", [{"pages": "9"}, {"pages": True}, {"budget": None}, {"budget": 1.5}, {"pages": 9.0}]
)
def test_what_home_holds_in_another_form_is_none(change: dict[str, Any]) -> None:
    fact = reached(9).as_fact()
    assert Reached.from_fact({**fact, **change}) is None
    for name in ("pages", "budget", "is_length", "onward"):
        assert Reached.from_fact({key: value for key, value in fact.items() if key != name}) is None
    for other in (None, [], "text", 1):
        assert Reached.from_fact(other) is None


def test_a_length_that_is_not_told_by_true_is_none() -> None:
    told = Reached.from_fact({**reached(9).as_fact(), "is_length": 1})
    assert told is not None
    assert told.is_length is False
