from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.quota.account import (
    Forecast,
    QuotaAccount,
    QuotaStatus,
    budget_now,
    days_to_complete,
    forecast,
    sending_time,
)
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import Limits, kept
from oa_sync.quota.pacer import QuotaLimiter
from tests.support.clock import START, ManualClock


@pytest.mark.parametrize(
    ("needed", "left_today", "per_day", "reserve", "days"),
    [
        (0, 500, 500, 0.1, 0),
        (450, 500, 500, 0.1, 1),
        (451, 500, 500, 0.1, 2),
        (358, 150, 150, 0.0, 3),
        (1_200, 60, 500, 0.1, 4),
        (10, 0, 500, 0.1, 2),
        (10, None, None, 0.1, 1),
    ],
)
def test_days_to_complete(
    needed: int, left_today: int | None, per_day: int | None, reserve: float, days: int
) -> None:
    assert days_to_complete(needed, left_today, per_day, reserve) == days


@pytest.mark.parametrize(
    ("needed", "left_today", "each_sync", "days"),
    [
        # The lists take all of a day. Nothing else is needed, but today is too short for the lists.
        (0, 3, 10, 2),
        (1, 3, 10, None),
        (0, 3, 11, None),
        # Today is too short for the lists, so it fetches nothing else; later days have five for that.
        (10, 0, 5, 3),
        (10, 4, 5, 3),
    ],
)
def test_days_whose_lists_take_much_of_them(
    needed: int, left_today: int, each_sync: int, days: int | None
) -> None:
    assert days_to_complete(needed, left_today, 10, 0.0, each_sync=each_sync) == days


@pytest.mark.parametrize(
    ("left", "reserve", "max_requests", "budget"),
    [
        (40, 0.1, None, 30),
        (40, 0.1, 29, 29),
        (40, 0.1, 31, 30),
        (5, 0.1, None, 0),
        (None, 0.1, None, None),
        (None, 0.1, 7, 7),
    ],
)
def test_a_sync_that_starts_now_may_send_what_the_day_has_beyond_the_reserve(
    left: int | None, reserve: float, max_requests: int | None, budget: int | None
) -> None:
    limits = Limits(30, None if left is None else 100)
    status = QuotaStatus(0, 0, left, None, None, None, limits)
    assert budget_now(status, reserve, max_requests) == budget


def test_the_quota_of_status_tells_instants_as_text_and_leaves_unknown_ones_null() -> None:
    status = QuotaStatus(3, 40, 460, START, None, None, Limits(30, 500))
    assert status.as_json() == {
        "per_minute": 30,
        "per_day": 500,
        "day": "rolling",
        "used_minute": 3,
        "used_today": 40,
        "left_today": 460,
        "resets_at": "2026-03-02T09:00:00Z",
        "full_at": None,
        "blocked_until": None,
    }


@given(
    st.integers(0, 5_000), st.integers(1, 600), st.integers(0, 600), st.sampled_from([0, 0.1, 0.5])
)
def test_days_to_complete_is_what_playing_the_days_gives(
    needed: int, per_day: int, left: int, reserve: float
) -> None:
    left = min(left, per_day)
    days, rest, today = 0, needed, left
    while rest > 0:
        days += 1
        rest -= max(0, today - kept(per_day, reserve))
        today = per_day
    assert days_to_complete(needed, left, per_day, reserve) == days


@given(
    once=st.integers(0, 3_000),
    each_sync=st.integers(0, 40),
    per_day=st.integers(1, 300),
    left=st.integers(0, 300),
    reserve=st.sampled_from([0, 0.1, 0.5]),
    max_requests=st.none() | st.integers(1, 200),
)
def test_lists_are_paid_for_anew_on_every_day(
    once: int, each_sync: int, per_day: int, left: int, reserve: float, max_requests: int | None
) -> None:
    left = min(left, per_day)
    days, rest, today, finished = 0, once, left, once + each_sync == 0
    while not finished and days < 4_000:
        days += 1
        budget = max(0, today - kept(per_day, reserve))
        budget = budget if max_requests is None else min(budget, max_requests)
        finished = budget >= each_sync + rest
        rest -= max(0, budget - each_sync)
        today = per_day
    played = days if finished else None
    assert (
        days_to_complete(
            once, left, per_day, reserve, each_sync=each_sync, max_requests=max_requests
        )
        == played
    )


def account_with(ledger: Ledger, spent: int, per_day: int) -> QuotaAccount:
    limits = Limits(None, per_day)
    for _ in range(spent):
        ledger.reserve(1, limits)
    return QuotaAccount(ledger, 1, limits)


def test_a_run_is_worth_starting_when_the_quota_has_all_that_it_can_use(
    ledger: Ledger, clock: ManualClock
) -> None:
    account_with(ledger, 40, 100)
    clock.advance(3_600)
    account = account_with(ledger, 60, 100)

    def come_back(once: int) -> Forecast:
        return forecast(
            account, reserve=0.0, max_requests=None, once=once, each_sync=5, now=clock.now()
        )

    day = timedelta(seconds=86_402)
    # 35 details and 5 list pages fit into the 40 requests that free first.
    assert come_back(35) == Forecast(START + day, 1)
    assert come_back(36) == Forecast(START + timedelta(hours=1) + day, 1)
    assert come_back(96) == Forecast(START + timedelta(hours=1) + day, 2)


def test_a_run_that_max_requests_ended_can_go_on_at_once(
    ledger: Ledger, clock: ManualClock
) -> None:
    account = account_with(ledger, 20, 100)
    found = forecast(account, reserve=0.1, max_requests=20, once=45, each_sync=5, now=clock.now())
    assert found == Forecast(clock.now(), 3)


def test_lists_that_take_every_days_requests_never_end(ledger: Ledger, clock: ManualClock) -> None:
    account = account_with(ledger, 0, 10)
    found = forecast(account, reserve=0.0, max_requests=None, once=1, each_sync=10, now=clock.now())
    assert found.days_left is None


def test_a_server_that_refuses_says_when_to_come_back(ledger: Ledger, clock: ManualClock) -> None:
    account = account_with(ledger, 3, 100)
    ledger.block(1, account.limits, 7_200)
    found = forecast(account, reserve=0.0, max_requests=None, once=8, each_sync=2, now=clock.now())
    assert found == Forecast(START + timedelta(hours=2), 1)


def foreseen(
    account: QuotaAccount, once: int, each_sync: int, max_requests: int | None = None
) -> Forecast:
    return forecast(
        account,
        reserve=0.0,
        max_requests=max_requests,
        once=once,
        each_sync=each_sync,
        now=START,
    )


def test_a_sync_is_worth_starting_now_if_the_day_has_one_more_than_the_lists_take(
    ledger: Ledger,
) -> None:
    account = account_with(ledger, 60, 100)
    day = START + timedelta(seconds=86_402)
    assert foreseen(account, once=50, each_sync=39) == Forecast(START, 2)
    assert foreseen(account, once=50, each_sync=40) == Forecast(day, 1)
    assert foreseen(account, once=0, each_sync=40) == Forecast(START, 1)


def test_without_a_days_limit_a_sync_is_worth_starting_now(ledger: Ledger) -> None:
    account = QuotaAccount(ledger, 1, Limits(30, None))
    assert foreseen(account, once=5_000, each_sync=40) == Forecast(START, 1)


@pytest.mark.parametrize("per_day", [None, 100])
def test_a_short_refusal_is_waited_for_and_takes_nothing_of_the_day(
    ledger: Ledger, per_day: int | None
) -> None:
    account = QuotaAccount(ledger, 1, Limits(None, per_day))
    ledger.block(1, account.limits, 60)
    assert foreseen(account, once=8, each_sync=2) == Forecast(START + timedelta(seconds=60), 1)


def test_a_sync_waits_for_no_more_than_max_requests_lets_it_send(
    ledger: Ledger, clock: ManualClock
) -> None:
    account_with(ledger, 40, 100)
    clock.advance(3_600)
    account = account_with(ledger, 60, 100)
    found = foreseen(account, once=96, each_sync=5, max_requests=30)
    assert found.come_back_at == START + timedelta(seconds=86_402)


def test_lists_that_take_all_of_max_requests_never_end_though_nothing_is_spent(
    ledger: Ledger,
) -> None:
    account = account_with(ledger, 0, 100)
    assert foreseen(account, once=1, each_sync=5, max_requests=5) == Forecast(START, None)


def test_without_a_minutes_limit_requests_take_no_time() -> None:
    assert sending_time(1_000, None) == timedelta()


@pytest.mark.parametrize("requests", [1, 10, 25, 30, 31, 75])
def test_the_run_time_is_what_a_run_takes(
    ledger: Ledger, clock: ManualClock, requests: int
) -> None:
    pacer = QuotaLimiter(ledger, 1, Limits(30, None), clock, reserve=0.0)

    async def run() -> None:
        for _ in range(requests):
            await pacer.acquire()

    asyncio.run(run())
    assert (
        abs(sending_time(requests, 30) - timedelta(seconds=clock.monotonic())).total_seconds() < 0.1
    )
