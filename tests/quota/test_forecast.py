from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.quota.forecast import come_back_at, days_to_complete, run_time
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


def test_come_back_when_the_day_frees_only_if_today_does_not_suffice() -> None:
    assert come_back_at(40, 50, START, 10) is None
    assert come_back_at(41, 50, START, 10) == START
    assert come_back_at(41, None, START, 0) is None


@pytest.mark.parametrize("requests", [1, 10, 25, 30, 31, 75])
def test_the_run_time_is_what_a_run_takes(
    ledger: Ledger, clock: ManualClock, requests: int
) -> None:
    pacer = QuotaLimiter(ledger, 1, Limits(30, None), clock, reserve=0.0)

    async def run() -> None:
        for _ in range(requests):
            await pacer.acquire()

    asyncio.run(run())
    assert abs(run_time(requests, 30) - timedelta(seconds=clock.monotonic())).total_seconds() < 0.1
