"""One account's rows and its clock, one decision a test. All of it in memory; the stores have tests of their own."""

from __future__ import annotations

import pytest

from oa_sync.quota.book import State
from oa_sync.quota.limits import (
    CALENDAR_GUARD,
    DAY_SECONDS,
    ROLLING_GUARD,
    SECOND,
    WINDOW,
    Limits,
)
from oa_sync.quota.steps import Behind
from tests.support.account_rows import Rows
from tests.support.clock import START

NOW = int(START.timestamp())
"""What the machine's clock shows (epoch seconds)."""
DAY = DAY_SECONDS + ROLLING_GUARD
"""A request of so many seconds ago has left the day."""
ROLLING_DAY = Limits(None, 500)
UPDATE = "UPDATE oa_sync_quota_account"


def verbs(statements: list[str]) -> list[str]:
    """The table and what is done with it, a statement."""
    words = [sql.split() for sql in statements]
    return [" ".join(each[: 2 if each[0] == "UPDATE" else 3]) for each in words]


# -- the clock of the ledger and the machine's ------------------------------------------------------


def test_until_the_time_is_told_the_machines_clock_is_the_ledgers() -> None:
    book = Rows(clock=NOW * SECOND).book
    assert book.wall == NOW * SECOND


@pytest.mark.parametrize(
    ("ahead", "lag"),
    [(0, 0), (1, 0), (CALENDAR_GUARD, 0), (CALENDAR_GUARD + 1, 61), (36_000, 36_000)],
)
def test_a_machine_is_behind_only_by_more_than_clocks_differ(ahead: int, lag: int) -> None:
    book = Rows(clock=(NOW + ahead) * SECOND).book
    book.set_clock(ROLLING_DAY, NOW * SECOND)
    assert book.lag == lag
    assert book.wall == (NOW + ahead - lag) * SECOND
    assert book.state.day_floor == NOW + ahead - DAY


def test_what_left_the_day_before_the_clock_was_set_counts_again_when_it_is() -> None:
    """The machine ran for two days without the time. What it sent then was sent nobody knows when."""
    unset, ledgers = NOW - 9 * DAY, NOW - 7 * DAY
    rows = Rows(
        clock=ledgers * SECOND,
        day_floor=ledgers - DAY,
        behind=Behind(SECOND, SECOND, unset * SECOND),
    )
    rows.put({unset: 3, unset + 60: 4})
    rows.book.set_clock(ROLLING_DAY, NOW * SECOND)
    assert rows.book.day_total == 7
    assert list(rows.book.day_buckets()) == [(NOW, 7)]
    assert rows.book.behind is None


# -- stamps that move on ----------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["blocked_until", "foreign_until"])
def test_what_still_holds_moves_on_and_what_is_over_stays(until: str) -> None:
    for value, expected in ((49, 49), (50, 50), (51, 1_051)):
        book = Rows(clock=50, **{until: value}).book
        book.move_on(20, 1_050)
        assert getattr(book.state, until) == expected
        assert book.state.clock == 50, "whoever moves the stamps moves the clock"


def test_where_nothing_was_sent_since_no_second_is_made() -> None:
    rows = Rows(clock=600 * SECOND)
    rows.put({99: 1})
    rows.book.move_on(100 * SECOND, 900 * SECOND)
    assert rows.seconds() == [99]


# -- the day ----------------------------------------------------------------------------------------


def day(**state: int) -> Rows:
    """Requests in four seconds, of which the day counts the last two."""
    rows = Rows(day_floor=20, day_total=12, **state)
    rows.put({10: 1, 20: 2, 21: 4, 30: 8})
    return rows


@pytest.mark.parametrize(("floor", "total"), [(19, 14), (10, 14), (9, 15), (0, 15)])
def test_a_day_that_begins_earlier_counts_what_had_left_it(floor: int, total: int) -> None:
    book = day().book
    book.advance_day(floor)
    assert (book.state.day_floor, book.day_total) == (floor, total)


@pytest.mark.parametrize(("floor", "total"), [(21, 8), (29, 8), (30, 0), (99, 0)])
def test_a_day_that_begins_later_reads_what_leaves_it_alone(floor: int, total: int) -> None:
    """Counting the whole day anew would read up to 86,400 rows for each booking."""
    rows = day()
    rows.book.advance_day(floor)
    assert (rows.book.state.day_floor, rows.book.day_total) == (floor, total)
    assert [values[1:] for _, values in rows.asked] == [(20, floor)]


def test_a_day_that_stays_where_it_is_reads_nothing() -> None:
    rows = day()
    rows.book.advance_day(20)
    assert (rows.book.day_total, rows.asked) == (12, [])


@pytest.mark.parametrize(("floor", "total"), [(19, 14), (20, 12), (21, 8)])
def test_after_stamps_have_moved_the_day_is_counted_anew(floor: int, total: int) -> None:
    rows = day()
    rows.book.state.day_total = 999
    rows.book.advance_day(floor, recount=True)
    assert rows.book.day_total == total


def test_with_the_machine_far_behind_its_own_last_day_counts_too() -> None:
    """Seconds after the step back are no part of it: a clock that was ahead by mistake made them."""
    ahead = 10 * DAY
    ledgers = NOW + ahead
    rows = Rows(clock=ledgers * SECOND, day_floor=ledgers - DAY, day_total=96)
    rows.put({NOW - DAY: 1, NOW - DAY + 1: 2, NOW: 4, NOW + 1: 8})
    rows.put({ledgers - DAY: 16, ledgers - DAY + 1: 32, ledgers: 64})
    rows.book.set_clock(ROLLING_DAY, NOW * SECOND)
    assert rows.book.day_total == 2 + 4 + 32 + 64
    assert list(rows.book.day_buckets()) == [
        (ledgers - DAY + 1, 2),
        (ledgers - DAY + 1, 32),
        (ledgers, 4),
        (ledgers, 64),
    ], "both days are told by the ledger's clock, as if they were one"


def test_a_second_that_is_in_both_days_counts_once() -> None:
    ledgers = NOW + 3_600
    rows = Rows(clock=ledgers * SECOND, day_floor=ledgers - DAY, day_total=12)
    rows.put({NOW - DAY: 1, ledgers - DAY: 2, ledgers - DAY + 1: 4, NOW: 8})
    rows.book.set_clock(ROLLING_DAY, NOW * SECOND)
    assert rows.book.day_total == 14
    assert list(rows.book.day_buckets()) == [
        (ledgers - DAY + 1, 4),
        (NOW - DAY + 7_200, 2),
        (NOW, 8),
    ]


def test_with_the_clock_right_again_the_other_day_counts_no_more() -> None:
    ledgers = NOW + 10 * DAY
    noted = Behind(NOW * SECOND, NOW * SECOND)
    rows = Rows(clock=ledgers * SECOND, day_floor=ledgers - DAY, behind=noted)
    rows.put({NOW: 4})
    rows.book.set_clock(ROLLING_DAY, ledgers * SECOND)
    assert (rows.book.day_total, list(rows.book.day_buckets())) == (0, [])


# -- what is written --------------------------------------------------------------------------------


def test_a_clock_that_was_never_behind_costs_no_statement() -> None:
    rows = Rows(clock=NOW * SECOND, day_floor=NOW - DAY)
    rows.book.set_clock(ROLLING_DAY, NOW * SECOND)
    assert verbs(rows.write()) == [UPDATE]


def test_what_is_noted_of_a_clock_is_written_when_it_changes_and_removed_when_it_is_over() -> None:
    rows = Rows(clock=NOW * SECOND, day_floor=NOW - DAY)
    behind = Behind((NOW - 9) * SECOND, (NOW - 9) * SECOND)
    noted = "INSERT INTO oa_sync_quota_meta"
    for shown, expected, statements in (
        (NOW - 9, behind, [noted, UPDATE]),
        (NOW - 9, behind, [UPDATE]),
        (NOW - 8, Behind((NOW - 8) * SECOND, (NOW - 9) * SECOND), [noted, UPDATE]),
        (NOW + 2, None, ["DELETE FROM oa_sync_quota_meta", UPDATE]),
        (NOW + 2, None, [UPDATE]),
    ):
        rows.book.set_clock(ROLLING_DAY, shown * SECOND)
        assert verbs(rows.write()) == statements
        assert rows.book.behind == expected


def test_a_row_is_written_and_read_back_as_it_was() -> None:
    rows = Rows()
    state = State(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    rows.book.state = state
    rows.write()
    assert rows.book.state == state


def test_a_book_is_kept_unless_it_is_only_read() -> None:
    book = Rows().book
    assert book.keeps
    book.only_read()
    assert not book.keeps


# -- what is forgotten ------------------------------------------------------------------------------

SPAN = NOW // 180 * 180
"""Old rows go once in three minutes of the ledger's clock: here begin new ones."""


def forgetting(shown: int, *seconds: int) -> list[int]:
    """The seconds that are left of `seconds` when the ledger's clock comes to `shown`, three minutes later."""
    rows = Rows(clock=(shown - 180) * SECOND, day_floor=shown - 180 - DAY)
    rows.put(dict.fromkeys(seconds, 1))
    rows.book.set_clock(ROLLING_DAY, shown * SECOND)
    rows.write()
    return rows.seconds()


def test_old_rows_are_looked_for_once_in_three_minutes() -> None:
    rows = Rows(clock=SPAN * SECOND, day_floor=SPAN - DAY)
    rows.book.add_slots([(1, 0)])
    rows.write()
    rows.book.set_clock(ROLLING_DAY, (SPAN + 180) * SECOND - 1)
    assert verbs(rows.write()) == [UPDATE]
    assert rows.book.instants(1, 1) == {1: 0}
    rows.book.set_clock(ROLLING_DAY, (SPAN + 180) * SECOND)
    rows.write()
    assert rows.book.instants(1, 1) == {}


def test_a_slot_is_kept_for_three_windows() -> None:
    rows = Rows(clock=(NOW - 180) * SECOND)
    bound = NOW * SECOND - 3 * WINDOW
    rows.book.add_slots([(1, bound - 1), (2, bound), (3, NOW * SECOND)])
    rows.write()
    rows.book.set_clock(ROLLING_DAY, NOW * SECOND)
    rows.write()
    assert sorted(rows.book.instants(1, 3)) == [2, 3]


def test_a_second_is_kept_for_two_days() -> None:
    two_days_ago = NOW - 2 * DAY_SECONDS
    seconds = [two_days_ago - 1, two_days_ago, NOW - DAY_SECONDS, NOW]
    assert forgetting(NOW, *seconds) == seconds[1:]


def test_the_last_two_days_with_requests_are_kept_however_old_they_are() -> None:
    """A clock that leaps ahead by years makes no request older than it is."""
    last = NOW - 900 * DAY_SECONDS
    before = last - 5 * DAY_SECONDS
    begin = before - DAY_SECONDS + 1
    seconds = [begin - 1, begin, before, last - DAY_SECONDS + 1, last]
    assert forgetting(NOW, *seconds) == seconds[1:]


def test_a_second_just_before_the_last_day_with_requests_belongs_to_another_one() -> None:
    last = NOW - 900 * DAY_SECONDS
    before = last - DAY_SECONDS
    seconds = [before - DAY_SECONDS, before - DAY_SECONDS + 1, before, last]
    assert forgetting(NOW, *seconds) == seconds[1:]


@pytest.mark.parametrize("seconds", [[], [NOW - 900 * DAY_SECONDS]])
def test_an_account_with_one_day_or_none_forgets_none(seconds: list[int]) -> None:
    assert forgetting(NOW, *seconds) == seconds
