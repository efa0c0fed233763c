from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from contextlib import closing
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from oa_sync.errors import BudgetExhausted
from oa_sync.quota.ledger import Grant, Ledger
from oa_sync.quota.limits import PLANS, Limits
from oa_sync.quota.pacer import QuotaLimiter
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import START, ManualClock

FREE = PLANS["free"]
DAY = 86_400.0
ME = 7


def limiter(
    ledger: Ledger, clock: ManualClock, limits: Limits = FREE, **options: Any
) -> QuotaLimiter:
    return QuotaLimiter(ledger, ME, limits, clock, **{"reserve": 0.0, **options})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def spend(pacer: QuotaLimiter, requests: int) -> int:
    """Acquire up to `requests`; how many were granted."""
    for done in range(requests):
        try:
            await pacer.acquire()
        except BudgetExhausted:
            return done
    return requests


class CountingLedger(Ledger):
    """Passes everything on and counts the bookings."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner
        self.bookings = 0

    def _transaction(self, account: int, per_minute: int | None) -> Any:
        return self._inner._transaction(account, per_minute)

    def salt(self) -> bytes:
        return self._inner.salt()

    def close(self) -> None:
        self._inner.close()

    def reserve(self, account: int, limits: Limits, want: int = 1, *, keep: int = 0) -> Grant:
        self.bookings += 1
        return super().reserve(account, limits, want, keep=keep)


def test_made_and_the_ledger_agree(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)

    async def work() -> None:
        await asyncio.gather(*(spend(pacer, 7) for _ in range(6)))

    run(work())
    pacer.close()
    assert pacer.made == 42
    assert ledger.usage(ME, FREE).used_day == 42


def test_callers_that_wait_together_are_booked_together(ledger: Ledger, clock: ManualClock) -> None:
    counting = CountingLedger(ledger)
    pacer = limiter(counting, clock, Limits(1_200, None))

    async def work() -> None:
        await asyncio.gather(*(spend(pacer, 20) for _ in range(16)))

    run(work())
    assert pacer.made == 320
    assert counting.bookings < 160


def test_a_run_stops_at_its_own_budget(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock, max_requests=5)
    assert run(spend(pacer, 3)) == 3
    assert pacer.budget() == 2

    async def work() -> None:
        await asyncio.gather(*(spend(pacer, 4) for _ in range(4)))

    run(work())
    assert (pacer.made, pacer.budget()) == (5, 0)
    assert ledger.usage(ME, FREE).used_day == 5
    with pytest.raises(BudgetExhausted, match="5 requests that --max-requests allows"):
        run(pacer.acquire())


def test_a_budget_of_nothing_sends_nothing(ledger: Ledger, clock: ManualClock) -> None:
    assert run(spend(limiter(ledger, clock, max_requests=0), 1)) == 0
    assert ledger.usage(ME, FREE).used_day == 0


def test_a_run_leaves_the_reserve_to_others(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock, Limits(None, 500), reserve=0.1)
    assert run(spend(pacer, 600)) == 450
    assert (pacer.budget(), pacer.left_today()) == (0, 50)
    assert pacer.resets_at() == START + timedelta(seconds=DAY + 2)
    assert limiter(ledger, clock, Limits(None, 500), reserve=0.0).budget() == 50


def test_the_budget_is_the_smaller_of_the_days_and_the_commands(
    ledger: Ledger, clock: ManualClock
) -> None:
    day, endless = Limits(None, 100), Limits(30, None)
    assert limiter(ledger, clock, day, reserve=0.1).budget() == 90
    assert limiter(ledger, clock, day, reserve=0.1, max_requests=7).budget() == 7
    assert limiter(ledger, clock, endless).budget() is None
    pacer = limiter(ledger, clock, endless, max_requests=3)
    assert run(spend(pacer, 2)) == 2
    assert pacer.budget() == 1
    assert run(spend(pacer, 1)) == 1
    assert pacer.budget() == 0
    run(spend(limiter(ledger, clock, day), 95))
    assert limiter(ledger, clock, day, reserve=0.1).budget() == 0, "others spent of the reserve"
    pacer = limiter(ledger, clock, endless)
    pacer.observe(429, {"Retry-After": "7200"})
    assert pacer.budget() == 0, "the server refuses"


def test_a_pacer_tells_when_the_day_frees_and_when_it_is_full_again(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(None, 500), max_requests=2)
    assert (pacer.resets_at(), pacer.full_at()) == (None, None)
    run(spend(pacer, 1))
    clock.advance(600)
    assert run(spend(pacer, 2)) == 1
    frees = START + timedelta(seconds=DAY + 2)
    # What ended this command, --max-requests, frees at no time.
    assert (pacer.resets_at(), pacer.full_at()) == (frees, frees + timedelta(seconds=600))


def test_a_run_on_a_spent_day_sends_nothing_and_asks_the_ledger_once(
    ledger: Ledger, clock: ManualClock
) -> None:
    run(spend(limiter(ledger, clock, Limits(None, 5)), 5))
    counting = CountingLedger(ledger)
    pacer = limiter(counting, clock, Limits(None, 5))
    for _ in range(3):
        with pytest.raises(
            BudgetExhausted, match="the next is free at 2026-03-03T09:00:02Z"
        ) as ended:
            run(pacer.acquire())
        assert ended.value.resets_at == START + timedelta(seconds=DAY + 2)
    assert (pacer.made, counting.bookings) == (0, 1)
    assert clock.monotonic() == 0.0


def test_the_next_nightly_run_waits_for_yesterdays_first_requests_instead_of_failing(
    ledger: Ledger, clock: ManualClock
) -> None:
    assert run(spend(limiter(ledger, clock, Limits(30, 150)), 999)) == 150
    clock.advance(DAY - clock.monotonic())
    assert run(spend(limiter(ledger, clock, Limits(30, 150)), 999)) == 150


@pytest.mark.parametrize(("before", "made"), [(120, 5), (121, 0)])
def test_a_day_that_frees_in_two_minutes_is_waited_for(
    ledger: Ledger, clock: ManualClock, before: float, made: int
) -> None:
    limits = Limits(None, 5)
    run(spend(limiter(ledger, clock, limits), 5))
    clock.advance(DAY + 2 - before)
    assert run(spend(limiter(ledger, clock, limits), 5)) == made
    assert clock.monotonic() == (DAY + 2 if made else DAY + 2 - before)


def test_waits_for_the_day_take_ten_minutes_together_and_no_longer(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(None, 7)

    async def every_two_minutes() -> None:
        pacer = limiter(ledger, clock, limits)
        for _ in range(7):
            await pacer.acquire()
            clock.advance(120)

    run(every_two_minutes())
    clock.advance(DAY + 2 - 120 - clock.monotonic())
    assert run(spend(limiter(ledger, clock, limits), 9)) == 5


def test_waiting_for_a_day_that_frees_in_drops_ends_after_ten_minutes(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(None, 40)

    async def sparsely() -> None:
        pacer = limiter(ledger, clock, limits)
        for _ in range(40):
            await pacer.acquire()
            clock.advance(100)

    run(sparsely())
    clock.advance(DAY - clock.monotonic() - 50)
    before = clock.monotonic()
    pacer = limiter(ledger, clock, limits)
    assert 1 < run(spend(pacer, 40)) < 10
    assert clock.monotonic() - before <= 600


def test_a_short_retry_after_holds_every_request_back(ledger: Ledger, clock: ManualClock) -> None:
    pacer, other = limiter(ledger, clock), limiter(ledger, clock)
    run(spend(pacer, 1))
    pacer.observe(429, {"Retry-After": "17"})
    run(spend(pacer, 1))
    assert clock.monotonic() == pytest.approx(17)
    pacer.observe(429, {"retry-after": format_datetime(clock.now() + timedelta(seconds=30))})
    run(spend(other, 1))
    assert clock.monotonic() == pytest.approx(47)


def test_a_retry_after_counts_for_a_request_that_was_already_waiting(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(1, None)
    pacer = limiter(ledger, clock, limits)

    async def work() -> None:
        await pacer.acquire()
        waiting = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        pacer.observe(429, {"Retry-After": "100"})
        await waiting

    run(work())
    assert clock.monotonic() >= 100
    assert ledger.usage(ME, limits).used_day == 2


def test_a_long_retry_after_ends_the_day_for_this_run_and_the_next(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    pacer.observe(429, {"Retry-After": "7200"})
    for again in (pacer, limiter(ledger, clock)):
        with pytest.raises(BudgetExhausted) as ended:
            run(again.acquire())
        assert ended.value.resets_at == START + timedelta(hours=2)
    assert (pacer.budget(), pacer.left_today()) == (0, 0)
    assert clock.monotonic() == 0.0
    clock.advance(7_200)
    assert run(spend(limiter(ledger, clock), 1)) == 1


def refusal(ledger: Ledger, clock: ManualClock, limits: Limits, **options: Any) -> str:
    """What a command is told whose first request is refused."""
    with pytest.raises(BudgetExhausted) as ended:
        run(limiter(ledger, clock, limits, **options).acquire())
    return str(ended.value)


def test_a_refusal_tells_who_refuses_and_when_that_ends(ledger: Ledger, clock: ManualClock) -> None:
    rolling, calendar = Limits(None, 4), Limits(None, 4, "UTC")
    run(spend(limiter(ledger, clock, rolling), 4))
    next_day = "; the next is free at 2026-03-03T09:00:02Z"
    assert refusal(ledger, clock, rolling) == (
        f"the day's requests are spent (4 in 24 hours){next_day}"
    )
    assert refusal(ledger, clock, rolling, reserve=0.5) == (
        "the day's requests are spent (4 in 24 hours, of which 2 are kept for others (--reserve))"
        f"{next_day}"
    )
    assert refusal(ledger, clock, calendar) == (
        "the day's requests are spent (4 in a day in UTC); the next is free at 2026-03-03T00:00:00Z"
    )
    assert refusal(ledger, clock, FREE, max_requests=0) == (
        "the 0 requests that --max-requests allows are spent"
    )
    limiter(ledger, clock, FREE).observe(429, {"Retry-After": "7200"})
    assert refusal(ledger, clock, FREE) == (
        "the server refuses every request for now (it said so in an earlier answer)"
        "; the next is free at 2026-03-02T11:00:00Z"
    )


def test_a_single_request_that_is_allowed_is_told_as_one(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, max_requests=1)
    run(pacer.acquire())
    with pytest.raises(
        BudgetExhausted, match=r"^the request that --max-requests allows is spent$"
    ) as ended:
        run(pacer.acquire())
    assert ended.value.resets_at is None


def test_a_run_that_waits_for_the_minute_ends_soon_after_the_day_does(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(1, 500))

    async def work() -> None:
        await pacer.acquire()
        waiting = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        pacer.observe(429, {"Retry-After": "7200"})
        with pytest.raises(
            BudgetExhausted, match="the server says that the day's requests are spent"
        ):
            await waiting

    run(work())
    assert clock.monotonic() <= 1.0
    assert ledger.usage(ME, FREE).used_day == 1


def test_refusals_without_a_time_are_waited_out_longer_and_longer(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(None, None))
    waits = []
    for _ in range(8):
        run(spend(pacer, 1))
        before = clock.monotonic()
        for _ in range(5):
            pacer.observe(429, {"Retry-After": "soon"})
        run(spend(pacer, 1))
        waits.append(clock.monotonic() - before)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    pacer.observe(200, {})
    pacer.observe(429, {})
    before = clock.monotonic()
    run(spend(pacer, 1))
    assert clock.monotonic() - before == pytest.approx(1)


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        # A refusal that names no time, but a minute that is spent until its reset.
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"}, 20),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20", "Retry-After": "5"}, 5),
        (429, {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "20"}, 1),
        # Another answer may ask for a wait, too.
        (503, {"Retry-After": "1"}, 1),
        (503, {"Retry-After": "5"}, 5),
        (503, {"Retry-After": "120"}, 120),
        (200, {"Retry-After": "121"}, 0),
        (503, {}, 0),
    ],
)
def test_how_long_an_answer_holds_requests_back(
    ledger: Ledger, clock: ManualClock, status: int, headers: dict[str, str], wait: float
) -> None:
    pacer = limiter(ledger, clock)
    pacer.observe(status, headers)
    run(spend(pacer, 1))
    assert clock.monotonic() == pytest.approx(wait)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (420, {"Retry-After": "17"}),
        (403, {"Retry-After": "17"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "17"}),
        (429, {"Retry-After": str(int(START.timestamp()) + 17)}),
    ],
)
def test_a_rate_limit_by_another_number_holds_every_request_back(
    ledger: Ledger, clock: ManualClock, status: int, headers: dict[str, str]
) -> None:
    pacer, other = limiter(ledger, clock), limiter(ledger, clock)
    pacer.observe(status, headers)
    run(spend(other, 1))
    assert clock.monotonic() == pytest.approx(17)


def test_a_key_that_may_not_holds_nobody_back(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)
    pacer.observe(403, {"X-RateLimit-Remaining": "12"})
    run(spend(pacer, 1))
    assert clock.monotonic() == 0.0


def test_a_busy_server_is_not_the_end_of_the_day(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)
    pacer.observe(503, {"Retry-After": "7200"})
    assert run(spend(pacer, 1)) == 1


def test_nothing_remaining_and_a_far_reset_end_the_day(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    reset = str(int((START + timedelta(hours=5)).timestamp()))
    pacer.observe(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    with pytest.raises(BudgetExhausted) as ended:
        run(limiter(ledger, clock).acquire())
    assert ended.value.resets_at == START + timedelta(hours=5)


@pytest.mark.parametrize("reset", ["40", "86400"])
@pytest.mark.parametrize(
    ("limit", "remaining"), [("-1", "-1"), ("500", "-1"), ("0", "0"), ("-1", "0"), ("0", "7")]
)
def test_an_unlimited_server_holds_nothing_back(
    limit: str, remaining: str, reset: str, ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, FREE)
    told = {
        "X-RateLimit-Limit": limit,
        "X-RateLimit-Remaining": remaining,
        "X-RateLimit-Reset": reset,
    }
    before = pacer.budget()
    pacer.observe(200, told)
    assert pacer.budget() == before
    start = clock.now()
    assert run(spend(pacer, 2)) == 2
    assert clock.now() - start < timedelta(seconds=10)
    pacer.observe(429, {**told, "X-RateLimit-Remaining": "0"})
    assert run(spend(pacer, 1)) == (1 if reset == "40" else 0), "a refusal is believed"


def test_nothing_remaining_and_a_near_reset_is_a_wait(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    reset = str(int((START + timedelta(seconds=20)).timestamp()))
    pacer.observe(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    assert run(spend(pacer, 1)) == 1
    assert 20 <= clock.monotonic() <= 21


def test_nothing_remaining_in_a_minute_whose_limit_is_known_is_no_refusal(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    reset = str(int((START + timedelta(seconds=20)).timestamp()))
    pacer.observe(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    assert ledger.usage(ME, FREE).blocked_until is None


def test_nothing_remaining_in_a_minute_without_a_limit_is_a_wait(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(None, None))
    run(spend(pacer, 1))
    reset = str(int((START + timedelta(seconds=20)).timestamp()))
    pacer.observe(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
    assert run(spend(pacer, 1)) == 1
    assert clock.monotonic() == pytest.approx(20)


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("per_minute", [30, 60])
def test_headers_that_say_none_remaining_do_not_slow_an_even_pace(
    ledger: Ledger, clock: ManualClock, per_minute: int, runs: int
) -> None:
    pacers = [limiter(ledger, clock, Limits(per_minute, None)) for _ in range(runs)]
    arrivals: list[float] = []

    def answer() -> dict[str, str]:
        now = clock.now().timestamp()
        window = [instant for instant in arrivals if instant > now - 60]
        assert len(window) <= per_minute
        return {
            "Date": format_datetime(clock.now().replace(microsecond=0), usegmt=True),
            "X-RateLimit-Limit": str(per_minute),
            "X-RateLimit-Remaining": str(per_minute - len(window)),
            "X-RateLimit-Reset": str(math.ceil(window[0] + 60)),
        }

    async def work() -> None:
        for number in range(5 * per_minute):
            pacer = pacers[number % runs]
            await pacer.acquire()
            arrivals.append(clock.now().timestamp())
            pacer.observe(200, answer())

    run(work())
    assert answer()["X-RateLimit-Remaining"] == "0"
    assert clock.monotonic() <= 5 * 60 * 1.02


def test_what_others_spend_lowers_the_budget(ledger: Ledger, clock: ManualClock) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    reset = str(int((START + timedelta(hours=5)).timestamp()))
    headers = {
        "X-RateLimit-Limit": "500",
        "X-RateLimit-Remaining": "123",
        "X-RateLimit-Reset": reset,
    }
    pacer.observe(200, headers)
    assert pacer.budget() == 123
    pacer.observe(200, {**headers, "X-RateLimit-Remaining": "450"})
    assert pacer.budget() == 123


def test_a_day_that_others_have_spent_until_an_unknown_instant_is_spent(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 1))
    pacer.observe(200, {"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "0"})
    assert pacer.budget() == 0
    # Counted, and not refused: the day's requests of others leave the window as ours do.
    assert ledger.usage(ME, FREE).blocked_until is None


def test_what_others_have_left_of_a_minute_is_not_a_wait_for_all(
    ledger: Ledger, clock: ManualClock
) -> None:
    """Of an unknown minute a reading above nothing tells nothing."""
    reset = str(int(START.timestamp()) + 40)
    for limits, remaining in ((Limits(None, None), "1"), (Limits(30, None), "1")):
        pacer = limiter(ledger, clock, limits)
        pacer.observe(200, {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset})
        run(spend(pacer, 1))
        assert clock.monotonic() == 0.0


def test_answers_that_tell_nothing_new_do_not_touch_the_ledger(
    ledger: Ledger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacer = limiter(ledger, clock)
    run(spend(pacer, 3))
    touched: list[object] = []
    transaction = ledger._transaction

    def noted(*asked: Any) -> Any:
        touched.append(asked)
        return transaction(*asked)

    monkeypatch.setattr(ledger, "_transaction", noted)
    reset = str(int(START.timestamp()) + 40)
    for remaining in ("27", "28", "30", "999999"):
        pacer.observe(
            200,
            {
                "X-RateLimit-Limit": "30",
                "X-RateLimit-Remaining": remaining,
                "X-RateLimit-Reset": reset,
            },
        )
        pacer.observe(200, {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": "banana"})
    assert not touched
    pacer.observe(
        200,
        {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "26", "X-RateLimit-Reset": reset},
    )
    assert touched, "one that tells less does"


def test_a_refusal_that_ends_no_later_than_the_last_one_does_not_touch_the_ledger(
    ledger: Ledger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked: list[float] = []
    block = ledger.block

    def noted(account: int, limits: Limits, seconds: float) -> None:
        blocked.append(seconds)
        block(account, limits, seconds)

    monkeypatch.setattr(ledger, "block", noted)
    pacer = limiter(ledger, clock)
    clock.advance(5)
    for seconds in ("0", "30", "30", "20", "31"):
        pacer.observe(503, {"Retry-After": seconds})
    assert blocked == [30.0, 31.0]


def test_a_caller_that_gives_up_waiting_gives_its_slot_back(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(2, None)
    pacer = limiter(ledger, clock, limits)

    async def work() -> None:
        await spend(pacer, 2)
        waiting = [asyncio.create_task(pacer.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(work())
    pacer.close()
    assert pacer.made == 2
    assert ledger.usage(ME, limits).used_day == 2


async def cancelled_in_the_queue(pacer: QuotaLimiter, requests: int) -> None:
    """Ask at once for more than the pace has, and give up when the further ones are booked together."""
    waiting = [asyncio.create_task(pacer.acquire()) for _ in range(requests)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_slots_that_were_booked_and_not_used_are_given_back_once(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(1_200, None)
    pacer, other = limiter(ledger, clock, limits), limiter(ledger, clock, limits)

    async def work() -> None:
        await spend(pacer, 120)
        await cancelled_in_the_queue(pacer, 6)

    run(work())
    assert ledger.usage(ME, limits).used_day > pacer.made, "some are booked"
    pacer.close()
    assert ledger.usage(ME, limits).used_day == pacer.made
    # The numbers of the slots are given to others now.
    run(spend(other, 5))
    pacer.close()
    assert ledger.usage(ME, limits).used_day == pacer.made + other.made


def test_a_machine_that_slept_through_slots_booked_together_books_them_all_anew(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(1_200, None)
    pacer = limiter(ledger, clock, limits)

    async def work() -> int:
        await spend(pacer, 120)
        waiting = [asyncio.create_task(pacer.acquire()) for _ in range(6)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        before = pacer.made
        clock.advance(3_600)
        await asyncio.gather(*waiting)
        return before

    before = run(work())
    assert before < 125, "at least two were booked"
    usage = ledger.usage(ME, limits)
    assert (pacer.made, usage.used_day, usage.used_minute) == (126, 126, 126 - before)


def test_no_more_is_booked_together_than_the_command_may_send(
    ledger: Ledger, clock: ManualClock
) -> None:
    limits = Limits(1_200, None)
    pacer = limiter(ledger, clock, limits, max_requests=125)

    async def work() -> None:
        await spend(pacer, 120)
        await asyncio.gather(*(spend(pacer, 1) for _ in range(12)))

    run(work())
    assert (pacer.made, ledger.usage(ME, limits).used_day) == (125, 125)


def test_a_quiet_command_holds_no_slot_that_it_does_not_use(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(1_200, None), max_requests=50)
    run(pacer.acquire())
    assert ledger.usage(ME, FREE).used_day == 1


def test_slots_that_a_refusal_made_useless_are_all_booked_anew(
    ledger: Ledger, clock: ManualClock
) -> None:
    """The refusal ends among the slots that were booked ahead."""
    limits = Limits(1_200, None)
    pacer = limiter(ledger, clock, limits)
    clock.advance(0.5)

    async def work() -> None:
        await spend(pacer, 120)
        waiting = [asyncio.create_task(pacer.acquire()) for _ in range(30)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        reset = str(int(START.timestamp()) + 1)
        pacer.observe(429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
        await asyncio.gather(*waiting)

    run(work())
    assert (pacer.made, ledger.usage(ME, limits).used_day) == (150, 150)


@pytest.mark.parametrize("sleep", [61.5, 3_600.0])
def test_a_machine_that_slept_through_its_slot_books_anew(
    ledger: Ledger, clock: ManualClock, sleep: float
) -> None:
    limits = Limits(2, None)
    pacer = limiter(ledger, clock, limits)

    async def work() -> None:
        await spend(pacer, 2)
        waiting = asyncio.create_task(pacer.acquire())
        await asyncio.sleep(0)
        clock.advance(sleep)
        await waiting

    run(work())
    assert ledger.usage(ME, limits).used_day == 3
    clock.advance(59.5)
    assert ledger.usage(ME, limits).used_minute == 1


def test_a_clock_that_leaps_forward_does_not_refill_the_minute_of_this_run(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(5, None))
    run(spend(pacer, 5))
    clock.advance(59.5)
    clock._start += timedelta(days=3)
    run(spend(pacer, 1))
    assert clock.monotonic() == pytest.approx(60.0)


def test_a_clock_that_leaps_forward_does_not_refill_the_day_of_this_run(
    ledger: Ledger, clock: ManualClock
) -> None:
    pacer = limiter(ledger, clock, Limits(None, 5))
    run(spend(pacer, 5))
    clock._start += timedelta(days=3)
    assert run(spend(pacer, 1)) == 0
    # By the minute, so that a day of 1,200 requests a minute takes little memory.
    assert pacer.resets_at() == clock.now() + timedelta(seconds=DAY + 60)


@pytest.mark.parametrize(("age", "made"), [(DAY + 59.5, 0), (DAY + 60, 5)])
def test_a_day_of_this_run_ends_by_its_own_clock(
    ledger: Ledger, clock: ManualClock, age: float, made: int
) -> None:
    pacer = limiter(ledger, clock, Limits(None, 5))
    run(spend(pacer, 5))
    clock._start += timedelta(days=3)
    clock.advance(age)
    assert run(spend(pacer, 5)) == made


class Oversleeper(ManualClock):
    """A clock on which the wait for the slot at 60.9 s ends `late` seconds too late, once; `stopped` is
    the one of the two clocks that does not see it."""

    late, stopped = 0.0, ""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.monotonic() > 60.8:
            if self.stopped != "monotonic":
                self.advance(self.late)
            if self.stopped:
                sign = 1 if self.stopped == "monotonic" else -1
                self._start += timedelta(seconds=sign * self.late)
            self.late = 0.0


@pytest.mark.parametrize("stopped", ["monotonic", "wall"])
def test_a_slot_is_given_back_when_one_clock_alone_says_that_it_is_late(
    tmp_path: Path, stopped: str
) -> None:
    """On Linux the monotonic clock stands still while the machine is suspended; a wall clock is set back."""
    assert slept_for_two_requests(tmp_path, 0.39, stopped) == 2
    assert slept_for_two_requests(tmp_path / "again", 0.41, stopped) == 3


@pytest.mark.parametrize(("late", "bookings"), [(0.0, 2), (0.39, 2), (0.41, 3)])
def test_a_slot_is_used_up_to_0_4_seconds_late_and_then_given_back(
    tmp_path: Path, late: float, bookings: int
) -> None:
    """What the guard of 0.9 s has left is for the network."""
    assert slept_for_two_requests(tmp_path, late) == bookings


def slept_for_two_requests(folder: Path, late: float, stopped: str = "") -> int:
    """The bookings of two requests, for the second of which the process wakes up too late."""
    clock, limits = Oversleeper(), Limits(1, None)
    clock.late, clock.stopped = late, stopped
    folder.mkdir(exist_ok=True)
    with closing(SqliteLedger(folder / "quota.sqlite3", clock)) as store:
        counting = CountingLedger(store)
        assert run(spend(limiter(counting, clock, limits), 2)) == 2
        assert store.usage(ME, limits).used_day == 2
        return counting.bookings
