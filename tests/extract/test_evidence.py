"""What pages prove about a list, one condition a test (see the argument in `evidence.py`).

L is the list at the moment of its first page, at `START`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from oa_sync.client.paging import Place
from oa_sync.extract.lists.changes import listed
from oa_sync.extract.lists.evidence import MARGIN, Evidence, Seam, Window
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, row_of

SECOND = timedelta(seconds=1)


class Reader:
    """Gives pages of dated rows to an `Evidence`, a second apart."""

    def __init__(self, *loaded: str, keyed: bool = True, restored: str = "") -> None:
        self.evidence = Evidence(
            set(loaded).__contains__,
            keyed=keyed,
            may_be_restored=lambda row: row.key in restored,
        )
        self.now = START - SECOND

    def next(self, rows: dict[str, datetime], total: int | None, **place: Any) -> Seam | None:
        """The next page in turn."""
        return self._take(self.evidence.add_next, rows, total, place)

    def extra(self, rows: dict[str, datetime], total: int | None, **place: Any) -> Window:
        """A page from anywhere."""
        return self._take(self.evidence.add, rows, total, place)

    def _take(
        self,
        take: Callable[..., Any],
        rows: dict[str, datetime],
        total: int | None,
        place: dict[str, Any],
    ) -> Any:
        self.now += SECOND
        read = page(rows, total, **{"at": self.now, **place})
        return take(read, [listed(REPORTS, row) for row in read.rows])


def page(
    rows: dict[str, datetime],
    total: int | None,
    *,
    at: datetime = START,
    start: int | None = None,
    is_last: bool = False,
    is_full: bool = False,
) -> PageRead:
    found = [row_of(key, time) for key, time in rows.items()]
    return PageRead(found, total, start or 0, is_last, at, start is not None, is_full=is_full)


def window(*keys: str, total: int | None = 2, start: int | None = 0) -> Window:
    place = page(dict.fromkeys(keys, START), total, start=start).place
    return Window(place, frozenset(keys))


def old(*keys: str) -> dict[str, datetime]:
    return dict.fromkeys(keys, LONG_AGO)


def young(*keys: str) -> dict[str, datetime]:
    """Rows that may have been inserted while the list was read."""
    return dict.fromkeys(keys, START + 2 * SECOND)


# -- |T| = total proves T = L -----------------------------------------------------------------------


def test_as_many_rows_of_before_as_the_first_total_prove_that_all_were_seen() -> None:
    reader = Reader()
    reader.next(old("a", "b"), 3)
    assert not reader.evidence.proven
    reader.next(old("c"), 3)
    assert reader.evidence.proven


def test_the_total_of_the_first_page_counts_and_no_later_one() -> None:
    shrunk, grown = Reader(), Reader()
    shrunk.next(old("a"), 3)
    shrunk.next(old("b"), 2)
    assert not shrunk.evidence.proven, "c may have slipped through"
    grown.next(old("a"), 2)
    grown.next({**old("b"), **young("new")}, 3)
    assert grown.evidence.proven, "new was not in the list"


def test_more_rows_of_before_than_the_first_total_prove_nothing() -> None:
    """The total was too low, or a row has a wrong time: one that was counted may stand for one unseen."""
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next(old("b", "c"), 2)
    assert not reader.evidence.proven


def test_a_row_of_two_pages_counts_once() -> None:
    reader = Reader()
    reader.next(old("a", "b"), 3)
    reader.next(old("b"), 3)
    assert not reader.evidence.proven
    assert (reader.evidence.seen, reader.evidence.pages) == (2, 2)


def test_a_row_of_the_first_page_was_there_whatever_its_time() -> None:
    reader = Reader()
    reader.next(young("a"), 2)
    reader.next(old("b"), 2)
    assert reader.evidence.proven


def test_a_loaded_row_was_there_whatever_its_time() -> None:
    reader = Reader("b")
    reader.next(old("a"), 2)
    reader.next(young("b"), 2)
    assert reader.evidence.proven


@pytest.mark.parametrize(
    ("before", "proven"),
    [(MARGIN + SECOND, True), (MARGIN, False), (timedelta(0), False), (-SECOND, False)],
)
def test_a_row_that_is_not_loaded_was_there_if_its_time_lies_before_the_margin(
    before: timedelta, proven: bool
) -> None:
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next({"b": START - before}, 2)
    assert reader.evidence.proven is proven


def test_a_row_without_a_time_proves_nothing() -> None:
    evidence = Evidence(lambda _: False)
    for row in (row_of("a", LONG_AGO), {"id": "b", "updated_at": None}):
        evidence.add_next(replace(page({}, 2), rows=[row]), [listed(REPORTS, row)])
    assert evidence.seen == 2
    assert not evidence.proven


class WithoutDate(PageRead):
    """A page of a server that sends no `Date`."""

    @property
    def place(self) -> Place:
        return replace(super().place, server_date=None)


def test_without_the_servers_time_no_row_is_taken_to_be_older() -> None:
    evidence = Evidence(lambda _: False)
    for row in (row_of("a", LONG_AGO), row_of("b", LONG_AGO)):
        evidence.add_next(WithoutDate([row], 2, 0, False, START, True), [listed(REPORTS, row)])
    assert evidence.since is None
    assert not evidence.proven


def test_a_row_that_turns_out_older_on_a_later_page_is_counted_as_there() -> None:
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next(young("b"), 2)
    assert not reader.evidence.proven
    reader.extra(old("b"), 2)
    assert reader.evidence.proven
    assert reader.evidence.seen == 2


def test_a_row_that_was_there_stays_there_when_an_update_gives_it_a_new_time() -> None:
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next(old("b"), 2)
    reader.extra(young("b"), 2)
    assert reader.evidence.proven
    assert reader.evidence.seen == 2


# -- one page, no page, no total --------------------------------------------------------------------


def test_a_list_of_which_nothing_was_read_hides_nothing() -> None:
    assert Reader().evidence.proven
    assert Reader().evidence.missing == 0
    assert Reader().evidence.since is None


@pytest.mark.parametrize(("total", "proven"), [(2, True), (None, True), (3, False), (1, False)])
def test_a_single_page_is_the_list_as_it_was_at_one_moment(total: int | None, proven: bool) -> None:
    reader = Reader()
    reader.next(young("a", "b"), total)
    assert reader.evidence.proven is proven


def test_several_pages_without_a_total_prove_nothing_until_they_are_repeated() -> None:
    reader = Reader()
    reader.next(old("a"), None)
    reader.next(old("b"), None)
    assert (reader.evidence.proven, reader.evidence.missing) == (False, 0)
    reader.evidence.was_repeated()
    assert reader.evidence.proven


# -- a total that is too high -----------------------------------------------------------------------


def test_a_total_that_counts_rows_never_shown_proves_nothing_and_misses_nothing() -> None:
    reader = Reader()
    reader.next(old("a"), 5)
    reader.next(old("b"), 5)
    assert (reader.evidence.proven, reader.evidence.missing) == (False, 0)


def test_rows_are_missing_where_the_total_changed_although_it_may_be_too_high() -> None:
    reader = Reader()
    reader.next(old("a"), 5)
    reader.next(old("b"), 4)
    assert reader.evidence.missing == 3


def test_rows_are_missing_where_a_row_stood_on_two_pages() -> None:
    reader = Reader()
    reader.next(old("a", "b"), 5)
    reader.next(old("b"), 5)
    assert reader.evidence.missing == 3


# -- missing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [timedelta(0), 2 * SECOND])
def test_a_row_that_may_be_new_does_not_count_once_a_change_was_seen(after: timedelta) -> None:
    reader = Reader()
    reader.next(old("a", "b"), 4)
    reader.next({"new": START + after}, 4)
    assert reader.evidence.keys == {"a", "b", "new"}
    reader.next(old("c"), 3)
    assert reader.evidence.missing == 1


@pytest.mark.parametrize(("after", "missing"), [(timedelta(0), 0), (SECOND, 1)])
def test_in_a_quiet_list_only_a_row_that_is_certainly_new_does_not_count(
    after: timedelta, missing: int
) -> None:
    """The `Date` header tells seconds: a row of the same second may have been there."""
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next({"b": START + after}, 2)
    assert reader.evidence.steady
    assert reader.evidence.missing == missing


def test_never_less_than_nothing_is_missing() -> None:
    reader = Reader()
    reader.next(old("a"), 1)
    reader.next(old("b", "c"), 3)
    assert reader.evidence.missing == 0


# -- steady -----------------------------------------------------------------------------------------


def test_a_list_is_steady_while_one_total_is_told_and_no_row_comes_twice() -> None:
    steady, moved, twice = Reader(), Reader(), Reader()
    for reader, (key, total) in ((steady, ("b", 2)), (moved, ("b", 1)), (twice, ("a", 2))):
        reader.next(old("a"), 2)
        reader.next(old(key), total)
    assert [reader.evidence.steady for reader in (steady, moved, twice)] == [True, False, False]


def test_a_page_without_total_among_others_is_a_change() -> None:
    reader = Reader()
    reader.next(old("a"), 2)
    reader.next(old("b"), None)
    assert not reader.evidence.steady


# -- lists without keys -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("totals", "second", "proven"),
    [
        ((2, 2), ("b",), True),
        ((None, None), ("b",), True),
        ((3, 3), ("b",), False),
        ((2, 3), ("b",), False),
        ((3, 2), ("b",), False),
        ((3, 3), ("a", "b"), False),  # a row came twice: rows have shifted
    ],
)
def test_a_list_without_keys_is_proven_by_one_total_on_all_pages_and_as_many_rows(
    totals: tuple[int | None, int | None], second: tuple[str, ...], proven: bool
) -> None:
    reader = Reader(keyed=False)
    reader.next(young("a"), totals[0])
    reader.next(young(*second), totals[1])
    assert reader.evidence.proven is proven


# -- whether deletions explain what is missing ------------------------------------------------------


def read(*totals: int, seen: int = 1, news: bool = False) -> Evidence:
    """A list of which `seen` old rows stood on its first page, and whose total changed as told."""
    reader = Reader()
    reader.next(old(*(f"r{n}" for n in range(seen))), totals[0])
    for total in totals[1:]:
        reader.extra(young("new") if news else {}, total)
    return reader.evidence


def test_as_many_deletions_as_missing_rows_explain_them() -> None:
    assert read(3, 1).is_explained
    assert read(3, 2, 1).is_explained
    assert read(3, 3, 1).is_explained


def test_fewer_deletions_than_missing_rows_do_not() -> None:
    assert not read(3, 2).is_explained


def test_an_insertion_among_the_deletions_may_hide_more_of_them() -> None:
    assert not read(3, 1, 2, 1).is_explained
    assert not read(3, 4, 1).is_explained


def test_a_row_that_may_be_new_may_hide_a_deletion() -> None:
    assert not read(3, 1, news=True).is_explained


def test_where_nothing_is_missing_nothing_needs_an_explanation() -> None:
    assert read(1, 2, news=True).missing == 0
    assert read(1, 2, news=True).is_explained


def test_a_page_that_tells_no_total_says_nothing_of_deletions() -> None:
    reader = Reader()
    reader.next(old("a"), 3)
    reader.next({}, None)
    reader.next({}, 1)
    assert reader.evidence.is_explained


def test_totals_are_taken_in_the_order_in_which_they_were_received() -> None:
    """Pages that are read ahead come in turn, not in the order of their reading."""
    reader = Reader()
    reader.next(old("a"), 3, at=START)
    reader.next({}, 1, at=START + 3 * SECOND)
    reader.next({}, 2, at=START + 2 * SECOND)
    assert reader.evidence.missing == 2
    assert reader.evidence.is_explained


# -- seams ------------------------------------------------------------------------------------------


def test_seams_lie_between_pages_in_turn_and_behind_the_last_one() -> None:
    reader = Reader()
    assert list(reader.evidence.seams()) == []
    assert reader.next(old("a"), 3) is None
    reader.extra(old("x"), 3)
    seam = reader.next(old("b"), 3)
    first, last = reader.evidence.seams()
    assert first == seam
    assert (first.left.keys, first.right and first.right.keys) == ({"a"}, {"b"})
    assert (last.left.keys, last.right) == ({"b"}, None)
    assert reader.next(old("c"), 3) == list(reader.evidence.seams())[1]


def test_a_seam_is_open_unless_its_pages_share_a_row() -> None:
    assert Seam(window("a", "b"), window("c", "d")).is_open
    assert not Seam(window("a", "b"), window("b", "c")).is_open


@pytest.mark.parametrize(
    ("start", "total", "is_open"),
    [(8, 11, True), (8, 10, False), (8, 9, False), (None, 11, False), (8, None, False)],
)
def test_the_end_is_open_where_the_list_was_longer_than_its_last_page_reached(
    start: int | None, total: int | None, is_open: bool
) -> None:
    assert Seam(window("a", "b", start=start, total=total), None).is_open is is_open


def test_a_seam_is_shifted_where_the_total_changed_and_always_at_the_end() -> None:
    assert not Seam(window("a", total=5), window("b", total=5)).is_shifted
    assert Seam(window("a", total=5), window("b", total=6)).is_shifted
    assert Seam(window("a", total=5), window("b", total=4)).is_shifted
    assert Seam(window("a", total=5), None).is_shifted


@pytest.mark.parametrize(
    ("left", "right", "lost"),
    [
        (window("a", total=5, start=None), window("b", total=4, start=None), True),
        (window("a", total=5, start=0), window("b", total=4, start=1), False),
        (window("a", total=5, start=None), window("a", total=4, start=None), False),
        (window("a", total=5, start=None), window("b", total=5, start=None), False),
        (window("a", total=5, start=None), window("b", total=6, start=None), False),
        (window("a", total=None, start=None), window("b", total=4, start=None), False),
        (window("a", total=5, start=None), window("b", total=None, start=None), False),
        (window("a", total=5, start=None), None, False),
    ],
)
def test_a_seam_is_lost_soon_only_by_cursor_where_the_total_fell_and_no_row_is_shared(
    left: Window, right: Window | None, lost: bool
) -> None:
    assert Seam(left, right).is_lost_soon is lost
