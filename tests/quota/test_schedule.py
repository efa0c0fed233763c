"""The rule of the minute, one decision a test (see the argument in `schedule.py`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.quota.book import TABLES, Book
from oa_sync.quota.limits import GUARD, SECOND, WINDOW
from oa_sync.quota.schedule import (
    HORIZON,
    LATE,
    SMALLEST_BURST,
    book_slots,
    burst,
    next_slot,
    spacing,
)

NOW = 1_000_000 * SECOND


class Account:
    """A book in memory; its writes are carried out after each booking."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        for table in TABLES:
            connection.execute(table)

        def execute(sql: str, values: Sequence[object]) -> list[Any]:
            return connection.execute(sql, tuple(values)).fetchall()  # type: ignore[arg-type]

        self._execute = execute
        self.now = NOW

    def book(
        self, per_minute: int | None, want: int = 1, not_before: int = 0, **state: int
    ) -> list[float]:
        """Seconds from `NOW` of the slots that are booked; `state` is what the account's row says."""
        book = Book(1, self._execute)
        book.state = replace(book.state, clock=self.now, **state)
        slots = book_slots(book, per_minute, want, not_before)
        self.state = book.state
        for sql, values in book.close():
            self._execute(sql, values)
        self.numbers = [number for number, _ in slots]
        return [(instant - NOW) / SECOND for _, instant in slots]

    def days(self) -> list[tuple[int, int]]:
        """(second, requests sent)."""
        return self._execute("SELECT bucket, sent FROM oa_sync_quota_day ORDER BY bucket", ())


# -- the numbers of the argument --------------------------------------------------------------------


def test_the_guard_leaves_time_for_the_network_after_the_latest_use_of_a_slot() -> None:
    assert WINDOW == 60 * SECOND + GUARD
    assert LATE * SECOND < GUARD


@given(st.integers(1, 100_000))
def test_n_requests_at_an_even_pace_take_a_window_or_longer(per_minute: int) -> None:
    assert spacing(per_minute) * per_minute >= WINDOW
    assert (spacing(per_minute) - 1) * per_minute < WINDOW


@pytest.mark.parametrize(
    ("per_minute", "requests"),
    [(1, 1), (9, 9), (10, 10), (30, 10), (100, 10), (119, 11), (600, 60)],
)
def test_a_burst_is_ten_requests_or_a_tenth_of_the_limit_and_never_more_than_the_limit(
    per_minute: int, requests: int
) -> None:
    assert burst(per_minute) == requests
    assert SMALLEST_BURST == 10


# -- one slot: pace and window together -------------------------------------------------------------

GAP = spacing(30)
ALLOWED = 9 * GAP
"""By how much an account with 30 a minute may be ahead of its pace: the burst but for its first request."""


def test_an_idle_account_sends_now_and_its_pace_begins_now() -> None:
    assert next_slot(30, pace=0, earliest=NOW, window_free=0) == (NOW, NOW + GAP)


def test_idle_time_is_not_saved_up() -> None:
    _, pace = next_slot(30, pace=NOW - 1_000 * GAP, earliest=NOW, window_free=0)
    assert pace == NOW + GAP


def test_an_account_may_be_ahead_of_its_pace_by_a_burst_and_no_more() -> None:
    within = next_slot(30, pace=NOW + ALLOWED, earliest=NOW, window_free=0)
    beyond = next_slot(30, pace=NOW + ALLOWED + 1, earliest=NOW, window_free=0)
    assert within == (NOW, NOW + ALLOWED + GAP)
    assert beyond == (NOW + 1, NOW + ALLOWED + 1 + GAP)


def test_a_full_window_is_waited_for_and_the_wait_pays_back_the_burst() -> None:
    free = NOW + 50 * SECOND
    instant, pace = next_slot(30, pace=NOW, earliest=NOW, window_free=free)
    assert instant == free
    assert pace == free + ALLOWED + GAP, "or a second burst would follow"


def test_a_window_that_is_free_by_then_does_not_touch_the_pace() -> None:
    assert next_slot(30, pace=NOW, earliest=NOW, window_free=NOW) == (NOW, NOW + GAP)


def test_a_wait_for_the_window_never_takes_the_pace_back() -> None:
    far = NOW + 500 * SECOND
    instant, pace = next_slot(30, pace=far, earliest=NOW, window_free=far - ALLOWED + 1)
    assert (instant, pace) == (far - ALLOWED + 1, far + 1 + GAP)
    instant, pace = next_slot(30, pace=far, earliest=NOW, window_free=NOW + SECOND)
    assert (instant, pace) == (far - ALLOWED, far + GAP)


# -- a booking --------------------------------------------------------------------------------------


def test_every_slot_is_a_window_later_than_the_one_n_places_before_it() -> None:
    account = Account()
    instants = [account.book(20)[0] for _ in range(65)]
    assert instants == sorted(instants)
    ages = [later - earlier for earlier, later in zip(instants, instants[20:], strict=False)]
    assert min(ages) == pytest.approx(60.9)
    gaps = [later - earlier for earlier, later in pairwise(instants[20:])]
    assert gaps == pytest.approx([spacing(20) / SECOND] * 44), (
        "one by one, as the window and pace agree"
    )


def test_instants_never_decrease_although_the_clock_stands_still_or_a_slot_lies_ahead() -> None:
    account = Account()
    (ahead,) = account.book(30, not_before=NOW + 5 * SECOND)
    assert ahead == 5.0
    assert account.book(30)[0] >= 5.0
    assert account.state.latest >= NOW + 5 * SECOND


def test_only_the_first_slot_of_a_booking_may_lie_far_ahead() -> None:
    account = Account()
    slots = account.book(60, 99)
    gap = spacing(60) / SECOND
    assert slots == [0.0] * 10, "the eleventh would leave more than a second ahead"
    assert gap > HORIZON / SECOND
    assert account.book(60, 99) == pytest.approx([gap])


def test_a_slot_exactly_at_the_horizon_is_still_booked() -> None:
    assert Account().book(60, 99, latest=NOW + HORIZON) == [1.0] * 10


def test_no_more_slots_are_booked_than_are_wanted() -> None:
    assert Account().book(60, 3) == [0.0] * 3


def test_no_slot_lies_before_the_end_of_a_refusal() -> None:
    assert Account().book(60, 2, not_before=NOW + 30 * SECOND) == [30.0]


def test_an_account_without_a_minutes_limit_sends_at_once_or_after_a_refusal() -> None:
    account = Account()
    assert account.book(None, 3) == [0.0] * 3
    assert account.numbers == [1, 2, 3]
    assert account.book(None, 2, not_before=NOW + 7 * SECOND) == [7.0] * 2
    assert account.numbers == [4, 5]
    assert account.state.latest == NOW + 7 * SECOND
    assert account.state.seq == 5


def test_slots_are_counted_in_the_second_in_which_they_leave() -> None:
    account = Account()
    account.now += SECOND // 2
    slots = account.book(120, 20)
    seconds = sorted({int(slot) for slot in slots})
    assert seconds == [0, 1]
    assert account.days() == [
        (NOW // SECOND + second, sum(int(slot) == second for slot in slots)) for second in seconds
    ]


# -- requests of others in the same minute ----------------------------------------------------------


def foreign(count: int, *, seconds: float = 30) -> dict[str, int]:
    return {"foreign_count": count, "foreign_until": NOW + int(seconds * SECOND)}


def test_the_requests_of_others_leave_less_of_the_minute() -> None:
    account = Account()
    waits = [account.book(10, **foreign(7))[0] for _ in range(4)]
    assert waits == [0.0, 0.0, 0.0, 30.0]


def test_a_booking_of_several_counts_its_own_slots_with_those_of_others() -> None:
    assert Account().book(10, 5, **foreign(7)) == [0.0] * 3


def test_the_requests_of_others_count_until_the_server_frees_them() -> None:
    account = Account()
    assert [account.book(10, **foreign(7, seconds=0))[0] for _ in range(4)] == [0.0] * 4


def test_a_minute_that_others_have_filled_is_waited_for() -> None:
    assert Account().book(10, **foreign(10)) == [30.0]


def test_more_requests_of_others_than_the_own_limit_leave_nothing_and_not_less_than_nothing() -> (
    None
):
    """Counted under a plan of 120, and this command was given `--rpm 10`."""
    assert Account().book(10, **foreign(100)) == [30.0]


@pytest.mark.parametrize("others", [9, 10])
def test_own_requests_bind_although_those_of_others_end_sooner(others: int) -> None:
    account = Account()
    account.book(10, 10)
    (slot,) = account.book(10, **foreign(others, seconds=5))
    assert slot == pytest.approx(60.9)


def test_own_requests_that_age_before_those_of_others_end_make_room() -> None:
    account = Account()
    account.book(10, 2)
    (slot,) = account.book(10, **foreign(8, seconds=90))
    assert slot == pytest.approx(60.9), "the two, and not the 90 seconds"
