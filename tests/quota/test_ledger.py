"""The rules of counting, the same in both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oa_sync.quota.account import quota_status
from oa_sync.quota.headers import Reading
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.postgres_ledger import PostgresLedger
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import START, ManualClock

DAY = 86_400.0
ME = 7


class WallClock(ManualClock):
    """A wall clock that can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.offset)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture(params=["sqlite", "postgres"])
def another(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[Callable[[], Ledger]]:
    """Opens the same store once more."""
    opened: list[Ledger] = []
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None

    def open_one() -> Ledger:
        store: Ledger = (
            PostgresLedger(url, clock) if url else SqliteLedger(tmp_path / "quota.sqlite3", clock)
        )
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def ledger(another: Callable[[], Ledger]) -> Ledger:
    return another()


def spend(ledger: Ledger, limits: Limits, requests: int, *, keep: int = 0) -> int:
    """Book `requests` at once; how many were granted."""
    granted = 0
    while granted < requests:
        grant = ledger.reserve(ME, limits, requests - granted, keep=keep)
        if not grant.allowed:
            break
        granted += len(grant.slots)
    return granted


def test_the_account_is_the_same_for_the_same_key_and_says_nothing_about_it(
    ledger: Ledger, another: Callable[[], Ledger]
) -> None:
    account = ledger.account("oa_live_secret", "https://one.example")
    assert account == another().account("oa_live_secret", "https://two.example")
    assert account != ledger.account("oa_live_other", "https://one.example")
    assert ledger.account(None, "https://a.example/") == ledger.account(None, "https://a.example")
    assert ledger.account(None, "https://a.example") != ledger.account(None, "https://b.example")


def test_a_spent_day_is_spent_for_everyone(ledger: Ledger, another: Callable[[], Ledger]) -> None:
    limits = Limits(None, 5)
    assert spend(ledger, limits, 9) == 5
    denied = another().reserve(ME, limits)
    assert not denied.allowed
    assert denied.reason == "day"
    assert denied.day_left == 0
    assert denied.wait_seconds == pytest.approx(DAY + 2, abs=1)
    assert denied.resets_at == START + timedelta(seconds=DAY + 2)
    assert another().reserve(ME + 1, limits).allowed


def test_the_day_frees_as_its_requests_age(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(None, 5)
    spend(ledger, limits, 3)
    clock.advance(3600)
    spend(ledger, limits, 2)
    clock.advance(DAY - 3600)
    assert spend(ledger, limits, 9) == 0
    clock.advance(2)
    assert spend(ledger, limits, 9) == 3
    usage = ledger.usage(ME, limits)
    assert (usage.used_day, usage.left_today) == (5, 0)
    assert usage.resets_at == START + timedelta(hours=25, seconds=2)
    assert usage.full_at == START + timedelta(seconds=2 * DAY + 4)


def test_requests_in_one_second_age_by_the_last_of_them(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(None, 1)
    clock.advance(0.95)
    spend(ledger, limits, 1)
    clock.advance(DAY + 0.6)
    assert spend(ledger, limits, 1) == 0
    clock.advance(0.5)
    assert spend(ledger, limits, 1) == 1


def test_the_share_for_others_is_not_touched(ledger: Ledger) -> None:
    limits = Limits(None, 500)
    assert spend(ledger, limits, 600, keep=50) == 450
    assert ledger.usage(ME, limits).left_today == 50


def test_a_day_that_others_spent_beyond_the_share_says_when_enough_is_back(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(None, 10)
    for _ in range(10):
        spend(ledger, limits, 1)
        clock.advance(60)
    denied = ledger.reserve(ME, limits, keep=4)
    # Ten are spent and six may be: five must age before one more is allowed.
    assert denied.resets_at == START + timedelta(seconds=4 * 60 + DAY + 2)


def test_a_calendar_day_begins_at_midnight_of_its_time_zone(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(None, 3, "Europe/Berlin")
    assert spend(ledger, limits, 9) == 3
    denied = ledger.reserve(ME, limits)
    assert denied.resets_at == datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    assert denied.wait_seconds == 14 * 3600 + 60
    clock.advance(14 * 3600 + 59)
    assert spend(ledger, limits, 1) == 0
    clock.advance(1)
    assert spend(ledger, limits, 9) == 3


def test_requests_around_midnight_count_for_both_days(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(None, 3, "UTC")
    clock.advance(15 * 3600 - 30)
    assert spend(ledger, limits, 2) == 2
    clock.advance(120)
    assert spend(ledger, limits, 9) == 1


def test_a_new_slot_waits_for_the_slot_n_before_it(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(4, None)
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(6)]
    assert waits == pytest.approx([0, 0, 0, 0, 60.9, 60.9 + 15.225])


def test_slots_follow_the_order_of_asking_even_where_others_were_given_back(
    ledger: Ledger,
) -> None:
    limits = Limits(4, None)
    slots = [ledger.reserve(ME, limits).slots[0] for _ in range(5)]
    ledger.release(ME, limits, slots[1:3])
    assert ledger.reserve(ME, limits).slots[0].wait >= slots[4].wait > 60


def test_only_the_first_slot_of_a_booking_lies_far_ahead(ledger: Ledger) -> None:
    limits = Limits(600, None)
    assert len(ledger.reserve(ME, limits, 99).slots) == 60 + 9
    assert len(ledger.reserve(ME, limits, 99).slots) == 1


def test_slots_given_back_are_free_again(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(4, 10)
    slots = [ledger.reserve(ME, limits).slots[0] for _ in range(4)]
    ledger.release(ME, limits, slots[2:])
    usage = ledger.usage(ME, limits)
    assert (usage.used_minute, usage.used_day) == (2, 2)
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(3)]
    assert waits == pytest.approx([0, 0, 60.9])


def test_a_slot_given_back_from_the_middle_never_makes_room_too_early(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(3, None)
    first = ledger.reserve(ME, limits).slots[0]
    clock.advance(30)
    for _ in range(2):
        ledger.reserve(ME, limits)
    ledger.release(ME, limits, [first])
    # Two requests are 0 s old: one more may leave now, the next when these are a window old.
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(2)]
    assert waits[0] <= 60.9 - 30
    assert waits[1] >= 60.9


def test_a_clock_set_back_keeps_the_minutes_age_and_does_not_stall(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(4, None)
    spend(ledger, limits, 4)
    clock.advance(20)
    ledger.release(ME, limits, ())  # a booking notes the time; who only reads does not
    clock.offset = -3600
    # 20 s have passed since the four; going back proves no more than that.
    assert ledger.reserve(ME, limits).slots[0].wait == pytest.approx(40.9)


def test_a_clock_set_back_gives_no_second_day(ledger: Ledger, clock: WallClock) -> None:
    limits = Limits(None, 5)
    spend(ledger, limits, 5)
    for jump in (-5.0, -3600.0, -DAY, -10 * DAY):
        clock.offset = jump
        assert spend(ledger, limits, 1) == 0


def test_a_clock_that_was_ahead_for_a_while_forgets_nothing(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 5)
    spend(ledger, limits, 3)
    clock.offset = DAY + 100
    assert ledger.usage(ME, limits).used_day == 0
    clock.offset = 0
    assert spend(ledger, limits, 9) == 2


def test_requests_stamped_far_in_the_future_age_from_when_the_clock_is_right_again(
    ledger: Ledger, clock: WallClock
) -> None:
    limits = Limits(None, 5)
    clock.offset = 3650 * DAY
    spend(ledger, limits, 5)
    clock.offset = 0
    assert spend(ledger, limits, 1) == 0
    clock.advance(DAY + 2)
    assert spend(ledger, limits, 9) == 5


def test_others_spending_the_minute_is_counted_until_the_server_frees_it(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(10, None)
    spend(ledger, limits, 2)
    ledger.correct(ME, limits, Reading("minute", 3, 30.0))
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(4)]
    assert waits == pytest.approx([0, 0, 0, 31])


def test_an_older_and_higher_reading_does_not_undo_a_lower_one(ledger: Ledger) -> None:
    limits = Limits(10, None)
    ledger.correct(ME, limits, Reading("minute", 1, 30.0))
    ledger.correct(ME, limits, Reading("minute", 8, 5.0))
    waits = [ledger.reserve(ME, limits).slots[0].wait for _ in range(2)]
    assert waits == pytest.approx([0, 31])


def test_others_spending_the_day_is_counted(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(None, 100)
    spend(ledger, limits, 10)
    ledger.correct(ME, limits, Reading("day", 25, None))
    assert quota_status(ledger, ME, limits).left_today == 25
    ledger.correct(ME, limits, Reading("day", 25, None))
    assert quota_status(ledger, ME, limits).left_today == 25


def test_others_requests_leave_the_day_when_the_server_frees_it(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(None, 100)
    ledger.correct(ME, limits, Reading("day", 25, 3600.0))
    clock.advance(3600)
    assert ledger.usage(ME, limits).left_today == 25
    clock.advance(2)
    assert ledger.usage(ME, limits).left_today == 100


@pytest.mark.parametrize("window", ["minute", "day"])
def test_the_server_never_gives_more_than_the_plan(ledger: Ledger, window: str) -> None:
    limits = Limits(5, 5)
    spend(ledger, limits, 5)
    reading = Reading("minute" if window == "minute" else "day", 1_000, 10.0)
    ledger.correct(ME, limits, reading)
    usage = ledger.usage(ME, limits)
    assert (usage.used_day, usage.left_today) == (5, 0)


def test_a_block_binds_other_processes_until_it_ends(
    ledger: Ledger, another: Callable[[], Ledger], clock: ManualClock
) -> None:
    limits = Limits(30, 500)
    ledger.block(ME, limits, 7_200)
    ledger.block(ME, limits, 10)
    denied = another().reserve(ME, limits)
    assert (denied.allowed, denied.reason, denied.wait_seconds) == (False, "blocked", 7_200)
    assert another().usage(ME, limits).left_today == 0
    clock.advance(7_190)
    assert another().reserve(ME, limits).slots[0].wait == pytest.approx(10)


def test_a_block_does_not_bind_a_larger_plan(ledger: Ledger) -> None:
    ledger.block(ME, Limits(30, 500), 7_200)
    assert ledger.reserve(ME, Limits(120, 5_000)).allowed
    assert not ledger.reserve(ME, Limits(30, 400)).allowed


def test_a_block_never_lasts_longer_than_a_day(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(30, 500)
    ledger.block(ME, limits, 1e9)
    clock.advance(DAY)
    assert ledger.reserve(ME, limits).allowed


def test_status_counts_nothing(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(30, 500)
    assert quota_status(ledger, ME, limits).resets_at is None
    spend(ledger, limits, 4)
    clock.advance(90)
    spend(ledger, limits, 1)
    for _ in range(3):
        status = quota_status(ledger, ME, limits)
    assert (status.used_minute, status.used_day, status.left_today) == (1, 5, 495)
    assert status.resets_at == START + timedelta(seconds=DAY + 2)


def test_old_rows_are_removed(ledger: Ledger, clock: ManualClock) -> None:
    limits = Limits(None, None)
    for _ in range(5):
        spend(ledger, limits, 20)
        clock.advance(DAY)
    with ledger._transaction(ME, None) as (book, _):
        assert book.count_since(0) <= 20
        book.advance_day(0)
        assert sum(count for _, count in book.day_buckets()) <= 60
