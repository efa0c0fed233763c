"""The limiter of one command: waits for the pace, counts in the ledger, and ends the spending.

Callers of `acquire` queue up in order. Only the first of them books and sleeps; the others wait for
it. It books for everyone in the queue at once, as far as the ledger grants, so a busy command pays
one transaction for several requests, and a quiet one never holds slots that it does not use.

When to wait and when to end. If the minute has no slot, the limiter waits. If the day is spent, it
raises `BudgetExhausted`, except when the day frees within two minutes: a nightly sync starts seconds
before yesterday's first request is 24 hours old, and must not end with nothing because of that. All
such waits of a command together take at most `LONGEST_DAY_WAIT`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import BudgetExhausted
from oa_sync.quota.headers import (
    SHORT_WAIT,
    Reading,
    is_rate_limit,
    is_unlimited,
    lowered,
    read_rate_limit,
    read_retry_after,
)
from oa_sync.quota.ledger import Grant, Ledger, Slot
from oa_sync.quota.limits import DAY_SECONDS, ROLLING, Limits, kept
from oa_sync.quota.schedule import LATE

T = TypeVar("T")

LONGEST_DAY_WAIT = 600.0
"""Seconds a command may wait altogether for a day's window that is about to free."""
_NAP = 1.0
"""Seconds of the longest single sleep, so that a waiting caller soon sees that the day is spent."""


class Limiter(Protocol):
    """Grants requests one by one and hears what the server says about them."""

    async def acquire(self) -> None:
        """Wait until one more request may be sent, and count it as sent.

        The count comes before the request, so that one that may have left is never forgotten.

        Raises:
            BudgetExhausted: this command may send no further request.
        """

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in an answer's status and headers (`X-RateLimit-*`, `Retry-After`).

        Header names are looked up without regard to case. Called once for every answer, redirects
        and errors too, and before the body is read.
        """


@dataclass(frozen=True)
class _Booked:
    """A slot and its instant by both clocks of this process."""

    slot: Slot
    due: float
    due_at: datetime


class QuotaLimiter:
    """Implements `Limiter` on a shared ledger, for one command and one account.

    `reserve` is the share of the day left for others (0 to below 1), `max_requests` what this command
    may send at most (None: whatever the day has). Use it from one event loop.
    """

    def __init__(
        self,
        ledger: Ledger,
        account: int,
        limits: Limits,
        clock: Clock,
        *,
        reserve: float,
        max_requests: int | None = None,
    ) -> None:
        self.made = 0
        """Requests that this command was allowed to send, each of them counted."""
        self._ledger = ledger
        self._account = account
        self._limits = limits
        self._clock = clock
        self._keep = kept(limits.per_day, reserve)
        self._max_requests = max_requests
        self._recent = RecentRequests(limits)
        self._turn = asyncio.Lock()
        self._queued = 0
        self._booked: deque[_Booked] = deque()
        self._ended: BudgetExhausted | None = None
        self._blocked_until = 0.0
        self._refusals = 0
        self._day_waited = 0.0
        self._day_left: int | None = None

    async def acquire(self) -> None:
        """Return when one request may leave; it is counted by then.

        Raises:
            BudgetExhausted: this command may send no further request; every later call raises it at once.
            OaSyncError: the ledger failed; nothing may be sent.
        """
        self._queued += 1
        try:
            async with self._turn:
                while not await self._take_slot():
                    pass
        finally:
            self._queued -= 1

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take over what an answer says about the quota, where that is less than the ledger has."""
        headers = lowered(headers)
        now = self._clock.now()
        retry_after = read_retry_after(headers, now)
        reading = read_rate_limit(headers, self._limits, now)
        if is_rate_limit(status, headers):
            if not retry_after and reading is not None and reading.remaining == 0:
                retry_after = reading.reset_in
            self._block(retry_after or self._guessed_wait())
            return
        self._refusals = 0
        if retry_after is not None and retry_after <= SHORT_WAIT:
            self._block(retry_after)
        if reading is not None and not is_unlimited(headers):
            self._heed(reading)

    def budget(self) -> int | None:
        """Requests this command may still send; None: no limit but the pace."""
        left = None if self._max_requests is None else max(0, self._max_requests - self.made)
        if self._ended is not None:
            return 0
        today = self.left_today()
        if today is None:
            return left
        today = max(0, today - self._keep)
        return today if left is None else min(left, today)

    def left_today(self) -> int | None:
        """Requests the day has left for everyone, the reserve included; None: unlimited."""
        return self._ledger.usage(self._account, self._limits).left_today

    def resets_at(self) -> datetime | None:
        """When one more request than now is allowed; None: nothing of the day is spent."""
        if self._ended is not None and self._ended.resets_at is not None:
            return self._ended.resets_at
        return self._ledger.usage(self._account, self._limits, keep=self._keep).resets_at

    def full_at(self) -> datetime | None:
        """When the whole day's allowance is back; None: nothing of it is spent."""
        return self._ledger.usage(self._account, self._limits).full_at

    def close(self) -> None:
        """Give back slots that nobody used. The ledger stays open."""
        self._release([booked.slot for booked in self._booked])
        self._booked.clear()

    async def _take_slot(self) -> bool:
        """Book if needed and wait for the first slot; False when it has to be done again."""
        self._raise_if_ended()
        if not self._booked and not await self._book():
            return False
        booked = self._booked.popleft()
        try:
            await self._sleep(lambda: booked.due - self._clock.monotonic())
        except BaseException:
            self._release([booked.slot])
            raise
        now = self._clock.monotonic()
        too_soon = self._recent.minute_wait(now)
        if too_soon > 0 or now < self._blocked_until or self._is_late(booked):
            self._release([booked.slot, *(other.slot for other in self._booked)])
            self._booked.clear()
            await self._sleep(lambda: now + too_soon - self._clock.monotonic())
            return False
        self.made += 1
        self._recent.note(now)
        return True

    async def _book(self) -> bool:
        now = self._clock.monotonic()
        if now < self._blocked_until:
            await self._sleep(lambda: self._blocked_until - self._clock.monotonic())
            return False
        day_wait = self._recent.day_wait(now)
        if day_wait > 0:
            self._end(self._day_message(), self._clock.now() + timedelta(seconds=day_wait))
        want = self._queued
        if self._max_requests is not None:
            want = min(want, self._max_requests - self.made)
        grant = await self._call(
            lambda: self._ledger.reserve(self._account, self._limits, want, keep=self._keep)
        )
        self._day_left = grant.day_left
        if not grant.allowed:
            await self._wait_for_the_day(grant)
            return False
        now, at = self._clock.monotonic(), self._clock.now()
        self._booked.extend(
            _Booked(slot, now + slot.wait, at + timedelta(seconds=slot.wait))
            for slot in grant.slots
        )
        return True

    async def _wait_for_the_day(self, grant: Grant) -> None:
        wait = grant.wait_seconds
        if wait is None or wait > SHORT_WAIT or self._day_waited + wait > LONGEST_DAY_WAIT:
            message = (
                "the server refuses every request for now (it said so in an earlier answer)"
                if grant.reason == "blocked"
                else self._day_message()
            )
            self._end(message, grant.resets_at)
        else:
            self._day_waited += wait
            ends = self._clock.monotonic() + wait
            await self._sleep(lambda: ends - self._clock.monotonic())

    async def _sleep(self, left: Callable[[], float]) -> None:
        while (seconds := left()) > 0:
            await self._clock.sleep(min(seconds, _NAP))
            self._raise_if_ended()

    def _is_late(self, booked: _Booked) -> bool:
        """Whether the slot's instant is too long ago by either clock (one of them stands still
        while the machine is suspended)."""
        late = timedelta(seconds=LATE)
        return (
            self._clock.monotonic() > booked.due + LATE or self._clock.now() > booked.due_at + late
        )

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise BudgetExhausted(str(self._ended), self._ended.resets_at)
        if self._max_requests is not None and self.made >= self._max_requests:
            what = "request" if self._max_requests == 1 else f"{self._max_requests} requests"
            are = "is" if self._max_requests == 1 else "are"
            self._end(f"the {what} that --max-requests allows {are} spent", None)

    def _end(self, message: str, resets_at: datetime | None) -> None:
        """Refuse every further request of this command."""
        when = f"; the next is free at {isoformat(resets_at)}" if resets_at else ""
        self._ended = BudgetExhausted(message + when, resets_at)
        raise BudgetExhausted(str(self._ended), resets_at)

    def _day_message(self) -> str:
        limits = self._limits
        span = "24 hours" if limits.day == ROLLING else f"a day in {limits.day}"
        others = f", of which {self._keep} are kept for others (--reserve)" if self._keep else ""
        return f"the day's requests are spent ({limits.per_day} in {span}{others})"

    def _block(self, seconds: float) -> None:
        """Send nothing for `seconds`, in any process; more than `SHORT_WAIT` means that the day is spent."""
        if seconds <= 0:
            return
        if self._clock.monotonic() + seconds <= self._blocked_until:
            return
        self._ledger.block(self._account, self._limits, seconds)
        if seconds > SHORT_WAIT:
            resets_at = self._clock.now() + timedelta(seconds=seconds)
            self._ended = BudgetExhausted(
                "the server says that the day's requests are spent; run again after"
                f" {isoformat(resets_at)}",
                resets_at,
            )
        else:
            self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)

    def _guessed_wait(self) -> float:
        """Seconds to wait after a refusal that names no time: 1, 2, 4 … 60. The answers to requests that
        were under way together count once."""
        if self._clock.monotonic() >= self._blocked_until:
            self._refusals += 1
        return min(60.0, 2.0 ** (self._refusals - 1))

    def _heed(self, reading: Reading) -> None:
        """Enter a reading that says less than we know; the ledger compares exactly."""
        if reading.window == "day":
            known = self._day_left
        else:
            limit = self._limits.per_minute
            now = self._clock.monotonic()
            known = None if limit is None else limit - self._recent.in_minute(now)
        if known is not None and reading.remaining >= known:
            return
        spent = reading.remaining == 0 and reading.reset_in is not None
        # An even pace at a known minute's limit makes the server say "none remaining" all the time:
        # to stop at each such answer would use only two thirds of a small plan.
        if spent and (known is None or reading.window == "day"):
            self._block(reading.reset_in or 0.0)
        elif known is not None:
            self._ledger.correct(self._account, self._limits, reading)

    def _release(self, slots: Iterable[Slot]) -> None:
        slots = list(slots)
        if slots:
            self._ledger.release(self._account, self._limits, slots)

    async def _call(self, function: Callable[[], T]) -> T:
        """Run a ledger call off the event loop where it may take a round trip."""
        return await asyncio.to_thread(function) if self._ledger.remote else function()


_MINUTE = 60.0
_BUCKET = 60.0


class RecentRequests:
    """Requests of the last minute, one by one, and of the last 24 hours, by the minute."""

    def __init__(self, limits: Limits) -> None:
        self._per_minute = limits.per_minute
        self._per_day = limits.per_day if limits.day == ROLLING else None
        self._minute: deque[float] = deque(maxlen=limits.per_minute)
        self._day: deque[list[float]] = deque()
        self._day_total = 0

    def note(self, now: float) -> None:
        """A request leaves at `now` (monotonic seconds)."""
        if self._per_minute is not None:
            self._minute.append(now)
        if self._per_day is None:
            return
        if not self._day or now >= self._day[-1][0] + _BUCKET:
            self._day.append([now, 0])
        self._day[-1][1] += 1
        self._day_total += 1

    def in_minute(self, now: float) -> int:
        """Requests of the last 60 seconds."""
        return sum(1 for instant in self._minute if now - instant < _MINUTE)

    def minute_wait(self, now: float) -> float:
        """Seconds until the minute's limit allows one more; 0 when it does."""
        if self._per_minute is None or len(self._minute) < self._per_minute:
            return 0.0
        return max(0.0, self._minute[0] + _MINUTE - now)

    def day_wait(self, now: float) -> float:
        """Seconds until the day's limit allows one more; 0 when it does."""
        while self._day and now - self._day[0][0] >= DAY_SECONDS + _BUCKET:
            self._day_total -= int(self._day.popleft()[1])
        if self._per_day is None or self._day_total < self._per_day:
            return 0.0
        return max(0.0, self._day[0][0] + DAY_SECONDS + _BUCKET - now)
