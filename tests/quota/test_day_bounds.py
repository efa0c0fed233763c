"""Which requests count for which day, at the second at which that changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oa_sync.quota.headers import Reading
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import (
    CALENDAR_GUARD,
    DAY_SECONDS,
    ROLLING_GUARD,
    SECOND,
    Limits,
)
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.account_rows import ME, Rows
from tests.support.clock import ManualClock

MIDNIGHT = int(datetime(2026, 3, 3, tzinfo=UTC).timestamp())
BY_UTC = Limits(None, 5, "UTC")
ROLLING_DAY = Limits(None, 5)


class WallClock(ManualClock):
    """A wall clock that can be set."""

    def set(self, second: float) -> None:
        """Set it to an epoch second."""
        self._start += timedelta(seconds=second - self.now().timestamp())


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


def book(ledger: Ledger, limits: Limits, requests: int) -> int:
    """Book `requests`; how many were granted."""
    return sum(len(ledger.reserve(ME, limits, 1).slots) for _ in range(requests))


# -- the bounds -------------------------------------------------------------------------------------


def test_the_calendar_day_changes_a_minute_after_midnight_and_keeps_the_minute_before_it() -> None:
    changes = (MIDNIGHT + CALENDAR_GUARD) * SECOND
    yesterday = MIDNIGHT - DAY_SECONDS
    assert BY_UTC.day_floor(changes - 1) == yesterday - CALENDAR_GUARD - 1
    assert BY_UTC.day_floor(changes) == MIDNIGHT - CALENDAR_GUARD - 1


def test_a_rolling_day_keeps_a_second_for_a_day_and_two_seconds() -> None:
    now = MIDNIGHT * SECOND
    assert ROLLING_DAY.day_floor(now) == MIDNIGHT - DAY_SECONDS - ROLLING_GUARD
    assert ROLLING_DAY.counts_until(MIDNIGHT, now) == MIDNIGHT + DAY_SECONDS + ROLLING_GUARD


@pytest.mark.parametrize(
    ("second", "now"),
    [
        (0, -1),  # booked in the second of midnight, and the clock is a second back
        (0, 0),
        (0, 3600),
        (-1, CALENDAR_GUARD),  # before midnight, seen after it: it counts for both days
        (-1, 3600),
        (3600, -3600),
    ],
)
def test_a_request_counts_to_the_end_of_the_later_day_of_its_own_and_of_the_clocks(
    second: int, now: int
) -> None:
    ends = MIDNIGHT + DAY_SECONDS + CALENDAR_GUARD
    assert BY_UTC.counts_until(MIDNIGHT + second, (MIDNIGHT + now) * SECOND) == ends


def test_a_request_before_midnight_counts_for_its_own_day_while_that_lasts() -> None:
    ends = MIDNIGHT + CALENDAR_GUARD
    assert BY_UTC.counts_until(MIDNIGHT - 1, (MIDNIGHT + CALENDAR_GUARD - 1) * SECOND) == ends


# -- the ledger at these bounds ---------------------------------------------------------------------


def test_a_booking_in_the_second_of_midnight_counts_for_both_days_with_the_clock_a_second_back(
    ledger: SqliteLedger, clock: WallClock
) -> None:
    clock.set(MIDNIGHT - 3600)
    assert book(ledger, BY_UTC, 2) == 2
    clock.set(MIDNIGHT)
    assert book(ledger, BY_UTC, 1) == 1
    clock.set(MIDNIGHT - 1)
    usage = ledger.usage(ME, BY_UTC)
    assert usage.used_day == 3
    assert usage.full_at == datetime.fromtimestamp(MIDNIGHT + DAY_SECONDS + CALENDAR_GUARD, UTC)
    clock.set(MIDNIGHT + CALENDAR_GUARD)
    assert ledger.usage(ME, BY_UTC).used_day == 1, "the two of an hour before left with their day"


def test_a_clock_a_second_back_over_the_change_of_day_brings_the_old_days_requests_back(
    ledger: SqliteLedger, clock: WallClock
) -> None:
    clock.set(MIDNIGHT - 3600)
    assert book(ledger, BY_UTC, 3) == 3
    clock.set(MIDNIGHT + CALENDAR_GUARD)
    assert book(ledger, BY_UTC, 2) == 2
    clock.set(MIDNIGHT + CALENDAR_GUARD - 1)
    assert ledger.usage(ME, BY_UTC).used_day == 5
    assert book(ledger, BY_UTC, 1) == 0
    clock.set(MIDNIGHT + CALENDAR_GUARD)
    assert book(ledger, BY_UTC, 9) == 3


@pytest.mark.parametrize(("second", "left"), [(-CALENDAR_GUARD - 1, 5), (-CALENDAR_GUARD, 4)])
def test_the_first_second_that_counts_for_the_new_day_too_is_a_minute_before_midnight(
    ledger: SqliteLedger, clock: WallClock, second: int, left: int
) -> None:
    clock.set(MIDNIGHT + second)
    assert book(ledger, BY_UTC, 1) == 1
    clock.set(MIDNIGHT + CALENDAR_GUARD)
    assert ledger.usage(ME, BY_UTC).left_today == left


def test_a_request_that_left_the_day_is_not_taken_off_the_next_one_too(
    ledger: SqliteLedger, clock: WallClock
) -> None:
    """It stands in the last second that the first midnight takes off; the second begins behind it."""
    clock.set(MIDNIGHT - CALENDAR_GUARD - 1)
    assert book(ledger, BY_UTC, 2) == 2
    for day in range(2):
        clock.set(MIDNIGHT + day * DAY_SECONDS + CALENDAR_GUARD)
        assert ledger.usage(ME, BY_UTC).used_day == 0
    assert book(ledger, BY_UTC, 9) == 5


def test_a_rolling_day_is_advanced_second_by_second_without_taking_a_request_off_twice(
    ledger: SqliteLedger, clock: WallClock
) -> None:
    clock.set(MIDNIGHT)
    assert book(ledger, ROLLING_DAY, 2) == 2
    clock.set(MIDNIGHT + 1)
    assert book(ledger, ROLLING_DAY, 3) == 3
    used = []
    for second in range(-1, 4):
        clock.set(MIDNIGHT + DAY_SECONDS + ROLLING_GUARD + second)
        used.append(ledger.usage(ME, ROLLING_DAY).used_day)
    assert used == [5, 3, 0, 0, 0]


# -- what the server says ---------------------------------------------------------------------------


@pytest.mark.parametrize("remaining", [3, 4, 1_000])
def test_a_server_that_has_more_left_never_lowers_the_count_of_the_day(
    ledger: SqliteLedger, clock: WallClock, remaining: int
) -> None:
    """Five less two booked less what remains is no number of requests below zero."""
    assert book(ledger, ROLLING_DAY, 2) == 2
    ledger.correct(ME, ROLLING_DAY, Reading("day", remaining, None))
    assert ledger.usage(ME, ROLLING_DAY).used_day == 2
    assert book(ledger, ROLLING_DAY, 9) == 3


@pytest.mark.parametrize("remaining", [8, 9, 1_000])
def test_a_server_that_has_more_left_never_widens_the_minute(
    ledger: SqliteLedger, clock: WallClock, remaining: int
) -> None:
    limits = Limits(10, None)
    assert book(ledger, limits, 2) == 2
    ledger.correct(ME, limits, Reading("minute", remaining, 30.0))
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(9)]
    assert waits == pytest.approx([0.0] * 8 + [60.9])


# -- the rows of an account -------------------------------------------------------------------------


def test_what_is_spent_in_a_second_that_has_left_the_day_does_not_count() -> None:
    rows = Rows(day_floor=100)
    rows.book.spend(100, sent=2)
    assert rows.book.state.day_total == 0
    rows.book.spend(101, sent=2, observed=1)
    assert rows.book.state.day_total == 3


def test_what_was_spent_in_one_second_adds_up() -> None:
    rows = Rows()
    rows.book.spend(101, sent=2)
    rows.write()
    rows.book.spend(101, sent=1, observed=4)
    rows.book.spend(102, sent=1)
    rows.write()
    assert list(rows.book.day_buckets()) == [(101, 7), (102, 1)]


def test_a_second_in_which_all_was_given_back_is_not_told() -> None:
    rows = Rows()
    rows.book.spend(101, sent=2)
    rows.book.spend(101, sent=-2)
    rows.write()
    assert list(rows.book.day_buckets()) == []


def test_seconds_of_a_clock_that_was_not_set_are_gathered_into_one_and_earlier_ones_stay() -> None:
    rows = Rows()
    for second in (99, 100, 101):
        rows.book.spend(second, sent=1, observed=2)
    rows.write()
    rows.book.move_on(100 * SECOND, 500 * SECOND)
    assert list(rows.book.day_buckets()) == [(99, 3), (500, 6)]


def test_what_waits_keeps_its_wait_when_the_clock_is_set() -> None:
    rows = Rows(clock=50, latest=60, pace=70, blocked_until=51, foreign_until=50)
    rows.book.add_slots([(1, 10), (2, 20), (3, 30)])
    rows.write()
    rows.book.move_on(20, 1_050)
    state = rows.book.state
    assert (state.latest, state.pace, state.blocked_until) == (1_060, 1_070, 1_051)
    assert state.foreign_until == 50, "it was over"
    assert rows.book.instants(0, 9) == {1: 10, 2: 1_020, 3: 1_030}


def test_a_slot_given_back_is_missing_and_no_other() -> None:
    rows = Rows()
    rows.book.add_slots([(1, 10), (2, 20), (3, 30)])
    rows.write()
    assert rows.book.remove_slot(2) == 20
    assert rows.book.remove_slot(2) is None
    assert rows.book.instants(1, 3) == {1: 10, 3: 30}
    assert rows.book.instants(2, 2) == {}
    assert rows.book.count_since(10) == 1
