"""What the ledger grants, denies and tells, one rule a test, at the value at which it decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from oa_sync.quota.headers import SHORT_WAIT, Reading
from oa_sync.quota.ledger import LARGEST_BATCH, Ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.schedule import spacing
from tests.support.clock import START, ManualClock

ME = 7
DAY = 86_400
UNLIMITED = Limits(None, None)


class WallClock(ManualClock):
    """A wall clock that can be set back."""

    offset = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.offset)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def waits(ledger: Ledger, limits: Limits, count: int) -> list[float]:
    """Seconds that each of `count` bookings waits."""
    return [ledger.reserve(ME, limits).slots[0].wait for _ in range(count)]


def spend(ledger: Ledger, limits: Limits, count: int) -> None:
    """Book `count` requests, which the limits allow at once."""
    assert len(ledger.reserve(ME, limits, count).slots) == count


# -- the account: where its number moves, an upgrade forgets what is spent ---------------------------


def test_the_account_of_a_key_is_that_of_earlier_versions(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "salt", lambda: bytes(range(16)))
    accounts = [ledger.account("oa_live_secret", ""), ledger.account(None, "https://a.example/")]
    assert accounts == [7_929_996_621_211_600_807, 8_810_238_452_529_125_550]
    assert max(accounts) < 2**63


# -- a grant ----------------------------------------------------------------------------------------


def test_a_grant_tells_the_wait_for_its_first_slot_and_what_the_day_has_left(
    ledger: Ledger,
) -> None:
    limits = Limits(4, 10)
    first, second = ledger.reserve(ME, limits, 4), ledger.reserve(ME, limits)
    assert (first.reason, first.wait_seconds, first.day_left, first.resets_at) == (
        "granted",
        0.0,
        6,
        None,
    )
    assert (second.allowed, second.wait_seconds, second.day_left) == (True, 60.9, 5)
    assert second.slots[0].wait == 60.9
    assert [slot.number for slot in (*first.slots, *second.slots)] == [1, 2, 3, 4, 5]


def test_a_booking_takes_what_the_day_has_left_beyond_the_share_and_no_more(
    ledger: Ledger,
) -> None:
    limits = Limits(None, 10)
    assert len(ledger.reserve(ME, limits, 9, keep=3).slots) == 7
    denied = ledger.reserve(ME, limits, keep=3)
    assert (denied.allowed, denied.reason, denied.day_left) == (False, "day", 3)
    assert denied.wait_seconds == DAY + 2
    assert len(ledger.reserve(ME, limits, 9).slots) == 3


def test_a_share_of_the_whole_day_is_denied_for_ever(ledger: Ledger) -> None:
    denied = ledger.reserve(ME, Limits(None, 5), keep=5)
    assert (denied.allowed, denied.wait_seconds, denied.resets_at) == (False, None, None)


def test_a_smaller_plan_than_was_spent_has_nothing_left_and_not_less_than_nothing(
    ledger: Ledger,
) -> None:
    spend(ledger, Limits(None, 10), 10)
    denied = ledger.reserve(ME, Limits(None, 5))
    assert (denied.allowed, denied.day_left) == (False, 0)
    assert ledger.usage(ME, Limits(None, 5)).left_today == 0


def test_the_wait_of_a_grant_is_that_of_its_first_slot(ledger: Ledger) -> None:
    grant = ledger.reserve(ME, Limits(600, None), 99)
    assert (grant.slots[0].wait, grant.wait_seconds) == (0.0, 0.0)
    assert grant.slots[-1].wait > 0.9


def test_no_booking_takes_more_than_a_batch(ledger: Ledger) -> None:
    grant = ledger.reserve(ME, UNLIMITED, LARGEST_BATCH + 1)
    assert (len(grant.slots), grant.day_left) == (LARGEST_BATCH, None)


# -- slots given back -------------------------------------------------------------------------------


def test_a_slot_is_given_back_once(ledger: Ledger) -> None:
    limits = Limits(4, 10)
    slots = ledger.reserve(ME, limits, 2).slots
    for _ in range(2):
        ledger.release(ME, limits, slots[:1])
    assert ledger.usage(ME, limits).used_day == 1


def test_slots_given_back_give_their_pace_back(ledger: Ledger) -> None:
    limits = Limits(30, None)
    slots = ledger.reserve(ME, limits, 10).slots
    ledger.release(ME, limits, slots)
    assert waits(ledger, limits, 11) == pytest.approx([0.0] * 10 + [spacing(30) / 1e6])


def test_only_the_last_numbers_are_given_again(ledger: Ledger) -> None:
    limits = Limits(4, None)
    slots = ledger.reserve(ME, limits, 4).slots
    ledger.release(ME, limits, [slots[1], slots[2], slots[3]])
    assert ledger.reserve(ME, limits).slots[0].number == 2
    ledger.release(ME, limits, slots[:1])
    assert ledger.reserve(ME, limits).slots[0].number == 3


def test_a_slot_is_taken_off_the_second_for_which_it_was_counted(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 5)
    slots = ledger.reserve(ME, limits, 2).slots
    clock.advance(100)
    spend(ledger, limits, 1)
    ledger.release(ME, limits, slots)
    assert ledger.usage(ME, limits).used_day == 1
    clock.advance(DAY + 2 - 100)
    assert ledger.usage(ME, limits).used_day == 1


# -- what the server says of the minute -------------------------------------------------------------

TEN = Limits(10, None)


@pytest.mark.parametrize(
    ("reset_in", "wait"), [(30.0, 31.0), (60.0, 61.0), (500.0, 61.0), (None, 61.0)]
)
def test_a_minute_that_others_have_spent_is_waited_for_a_second_beyond_its_reset_and_a_minute_at_most(
    ledger: Ledger, reset_in: float | None, wait: float
) -> None:
    ledger.correct(ME, TEN, Reading("minute", 0, reset_in))
    assert waits(ledger, TEN, 1) == [wait]


@pytest.mark.parametrize(("age", "others"), [(62, False), (63, True)])
def test_own_requests_explain_a_reading_until_the_server_has_certainly_forgotten_them(
    ledger: Ledger, clock: WallClock, age: int, others: bool
) -> None:
    """They count for 60.9 s here, and the answer may be two seconds old."""
    spend(ledger, TEN, 5)
    clock.advance(age)
    ledger.correct(ME, TEN, Reading("minute", 5, 30.0))
    assert (waits(ledger, TEN, 6)[5] > 0) is others


def test_an_equal_reading_is_believed_for_longer(ledger: Ledger, clock: WallClock) -> None:
    ledger.correct(ME, TEN, Reading("minute", 1, 30.0))
    clock.advance(10)
    ledger.correct(ME, TEN, Reading("minute", 1, 30.0))
    assert waits(ledger, TEN, 2) == [0.0, 31.0]


def test_a_higher_reading_is_believed_once_the_lower_one_has_ended(
    ledger: Ledger, clock: WallClock
) -> None:
    ledger.correct(ME, TEN, Reading("minute", 1, 5.0))
    clock.advance(6)
    ledger.correct(ME, TEN, Reading("minute", 5, 30.0))
    assert waits(ledger, TEN, 6) == [0.0] * 5 + [31.0]


def test_a_single_request_of_others_counts(ledger: Ledger) -> None:
    ledger.correct(ME, TEN, Reading("minute", 9, 30.0))
    assert waits(ledger, TEN, 10) == [0.0] * 9 + [31.0]
    limits = Limits(None, 100)
    ledger.correct(ME, limits, Reading("day", 89, None))
    assert ledger.usage(ME, limits).used_day == 11


def test_a_reading_of_a_window_without_limit_is_nothing(ledger: Ledger) -> None:
    ledger.correct(ME, Limits(None, 5), Reading("minute", 0, 30.0))
    ledger.correct(ME, TEN, Reading("day", 0, 30.0))
    assert waits(ledger, TEN, 1) == [0.0]
    assert ledger.usage(ME, Limits(None, 5)).used_day == 1


# -- what it says of the day ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reset_in", "ends"),
    [(3_600.0, 3_601), (None, DAY + 2), (float(DAY), DAY + 2), (DAY - 1.0, DAY)],
)
def test_requests_of_others_leave_the_rolling_day_when_the_server_frees_them(
    ledger: Ledger, clock: WallClock, reset_in: float | None, ends: int
) -> None:
    limits = Limits(None, 100)
    ledger.correct(ME, limits, Reading("day", 25, reset_in))
    clock.advance(ends - 1)
    assert ledger.usage(ME, limits).left_today == 25
    clock.advance(1)
    assert ledger.usage(ME, limits).left_today == 100


def test_requests_of_others_leave_a_calendar_day_at_its_midnight(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 100, "UTC")
    ledger.correct(ME, limits, Reading("day", 25, 3_600.0))
    clock.advance(15 * 3_600 + 59)
    assert ledger.usage(ME, limits).left_today == 25
    clock.advance(1)
    assert ledger.usage(ME, limits).left_today == 100


# -- a refusal --------------------------------------------------------------------------------------


def test_a_refusal_of_two_minutes_is_waited_for_and_a_longer_one_ends_the_day(
    ledger: Ledger,
) -> None:
    assert SHORT_WAIT == 120
    limits = Limits(30, 500)
    ledger.block(ME, limits, 120)
    assert waits(ledger, limits, 1) == [120.0]
    ledger.block(ME, limits, 121)
    denied = ledger.reserve(ME, limits)
    assert (denied.reason, denied.wait_seconds, denied.day_left) == ("blocked", 121.0, 499)
    assert denied.resets_at == at(121)


@pytest.mark.parametrize(
    ("spoken", "asked", "bound"),
    [
        (Limits(30, 500), Limits(30, 500), True),
        (Limits(30, 500), Limits(30, 499), True),
        (Limits(30, 500), Limits(30, 501), False),
        (Limits(30, 500), UNLIMITED, False),
        (Limits(30, None), Limits(120, 5_000), True),  # no plan is known to be larger
        (UNLIMITED, UNLIMITED, True),
    ],
)
def test_a_refusal_binds_every_plan_but_a_larger_one(
    ledger: Ledger, spoken: Limits, asked: Limits, bound: bool
) -> None:
    ledger.block(ME, spoken, 7_200)
    assert ledger.reserve(ME, asked).allowed is not bound
    assert ledger.usage(ME, asked).blocked_until == (at(7_200) if bound else None)


def test_a_refusal_ends_at_its_instant(ledger: Ledger, clock: WallClock) -> None:
    limits = Limits(None, 500)
    ledger.block(ME, limits, 7_200)
    clock.advance(7_200)
    assert ledger.usage(ME, limits).blocked_until is None
    assert waits(ledger, limits, 1) == [0.0]


@pytest.mark.parametrize(("seconds", "left"), [(120, 500), (121, 0)])
def test_during_a_long_refusal_nothing_is_left_of_the_day(
    ledger: Ledger, seconds: int, left: int
) -> None:
    limits = Limits(None, 500)
    ledger.block(ME, limits, seconds)
    usage = ledger.usage(ME, limits)
    assert (usage.left_today, usage.resets_at, usage.used_day) == (left, at(seconds), 0)
    ledger.block(ME, UNLIMITED, 7_200)
    assert ledger.usage(ME, UNLIMITED).left_today is None


# -- what is told -----------------------------------------------------------------------------------


def test_the_minute_that_is_told_is_one_of_60_seconds(ledger: Ledger, clock: WallClock) -> None:
    spend(ledger, TEN, 2)
    clock.advance(59)
    assert ledger.usage(ME, TEN).used_minute == 2
    clock.advance(1)
    assert ledger.usage(ME, TEN).used_minute == 0


def test_the_day_that_is_told_is_back_when_its_last_request_is(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 5)
    assert ledger.usage(ME, limits).full_at is None
    spend(ledger, limits, 2)
    clock.advance(60)
    spend(ledger, limits, 1)
    usage = ledger.usage(ME, limits)
    assert (usage.resets_at, usage.full_at) == (at(DAY + 2), at(60 + DAY + 2))
    unlimited = ledger.usage(ME, UNLIMITED)
    assert (unlimited.used_day, unlimited.resets_at, unlimited.full_at) == (3, None, None)


def test_more_than_now_is_allowed_when_the_oldest_request_leaves_or_enough_of_them(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 5)
    for _ in range(5):
        spend(ledger, limits, 1)
        clock.advance(60)
    assert ledger.usage(ME, limits).resets_at == at(DAY + 2)
    assert ledger.usage(ME, limits, keep=1).resets_at == at(60 + DAY + 2)
    assert ledger.usage(ME, limits, keep=4).resets_at == at(4 * 60 + DAY + 2)
    assert ledger.usage(ME, limits, keep=5).resets_at is None


@pytest.mark.parametrize(
    ("want", "keep", "instant"),
    [
        (2, 0, None),
        (3, 0, at(DAY + 2)),
        (6, 0, at(DAY + 2)),
        (7, 0, at(60 + DAY + 2)),
        (99, 0, at(60 + DAY + 2)),  # as many as a day does allow
        (2, 1, at(DAY + 2)),
        (6, 4, at(60 + DAY + 2)),
        (99, 4, at(60 + DAY + 2)),
        (1, 10, None),  # the day allows none
    ],
)
def test_so_many_are_allowed_when_as_many_have_left_the_day(
    ledger: Ledger, clock: WallClock, want: int, keep: int, instant: datetime | None
) -> None:
    limits = Limits(None, 10)
    spend(ledger, limits, 4)
    clock.advance(60)
    spend(ledger, limits, 4)
    assert ledger.allows_at(ME, limits, want, keep=keep) == instant


def test_what_has_left_the_day_since_is_allowed_now(ledger: Ledger, clock: WallClock) -> None:
    limits = Limits(None, 10)
    spend(ledger, limits, 10)
    clock.advance(DAY + 2)
    assert ledger.allows_at(ME, limits, 1) is None


def test_none_is_allowed_before_the_end_of_a_refusal(ledger: Ledger) -> None:
    limits = Limits(None, 10)
    ledger.block(ME, limits, 90)
    assert ledger.allows_at(ME, limits, 1) == at(90)
    spend(ledger, limits, 10)
    assert ledger.allows_at(ME, limits, 1) == at(90 + DAY + 2)
    assert ledger.allows_at(ME, UNLIMITED, 1) is None


def test_a_denial_by_the_calendar_waits_a_minute_longer_than_it_tells(ledger: Ledger) -> None:
    limits = Limits(None, 1, "UTC")
    spend(ledger, limits, 1)
    denied = ledger.reserve(ME, limits)
    assert denied.resets_at == datetime(2026, 3, 3, tzinfo=UTC)
    assert denied.wait_seconds == 15 * 3_600 + 60
    assert ledger.allows_at(ME, limits, 1) == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "reads",
    [lambda ledger: ledger.usage(ME, TEN), lambda ledger: ledger.allows_at(ME, TEN, 1)],
    ids=["usage", "allows_at"],
)
def test_whoever_only_reads_keeps_nothing_not_even_the_time(
    ledger: Ledger, clock: WallClock, reads: Callable[[Ledger], object]
) -> None:
    spend(ledger, TEN, 1)
    clock.advance(600)
    reads(ledger)
    with ledger._transaction(ME, None) as (book, _):
        assert book.state.clock == START.timestamp() * 1e6


# -- a clock that is set back -----------------------------------------------------------------------


def test_a_clock_set_back_keeps_what_is_left_of_a_refusal(ledger: Ledger, clock: WallClock) -> None:
    limits = Limits(30, 500)
    ledger.block(ME, limits, 100)
    clock.offset = -3_600
    assert waits(ledger, limits, 1) == [100.0]


def test_a_clock_set_back_keeps_what_is_left_of_others_minute(
    ledger: Ledger, clock: WallClock
) -> None:
    ledger.correct(ME, TEN, Reading("minute", 0, 30.0))
    clock.offset = -3_600
    assert waits(ledger, TEN, 1) == [31.0]


def test_a_clock_set_back_keeps_the_pace(ledger: Ledger, clock: WallClock) -> None:
    limits = Limits(30, None)
    spend(ledger, limits, 10)
    clock.offset = -3_600
    assert waits(ledger, limits, 1) == pytest.approx([spacing(30) / 1e6])


def test_a_clock_set_back_before_the_epoch_of_what_was_noted_leaves_nothing_negative(
    ledger: Ledger, clock: WallClock
) -> None:
    ledger.usage(ME, TEN)
    clock.offset = -3_600
    ledger.usage(ME, TEN)
    with ledger._transaction(ME, TEN.per_minute) as (book, _):
        state = book.state
        assert (state.pace, state.blocked_until, state.foreign_until) == (0, 0, 0)


def test_a_clock_that_goes_back_by_a_twentieth_of_a_second_was_not_set(
    ledger: Ledger, clock: WallClock
) -> None:
    ledger.release(ME, TEN, ())
    for offset, is_behind in ((-0.05, False), (-0.06, True)):
        clock.offset = offset
        ledger.release(ME, TEN, ())
        with ledger._transaction(ME, TEN.per_minute) as (book, _):
            assert book.state.clock == START.timestamp() * 1e6, "it never goes back"
            assert (book.behind is not None) is is_behind


@pytest.mark.parametrize("ahead", [DAY, DAY + 1, 4_000 * DAY])
def test_requests_stamped_a_day_ahead_or_more_count_as_spent_now(
    ledger: Ledger, clock: WallClock, ahead: int
) -> None:
    limits = Limits(None, 5)
    clock.offset = ahead
    spend(ledger, limits, 2)
    clock.offset = 0
    assert ledger.usage(ME, limits).full_at == at(DAY + 2)
