"""The ledger counts every request before it is sent; what it denies is not sent.

An account is a salted hash of the API key. All processes that share the store share the account's
count: booking a slot is one short transaction that holds the account's row, so requests of several
processes are interleaved in the order in which they asked, and nobody polls. A slot that was booked
and perhaps used is never taken back: a process killed between booking and sending leaves its
request counted, which is the safe side.

Time. Within the store all instants come from one clock: the machine's for SQLite, the server's for
PostgreSQL (the clocks of several machines differ). The ledger's clock follows it and never goes back; how,
and what that counts, is `steps.py`. Only bookings and what the server says move it on: whoever only reads
(`usage`, `allows_at`) writes nothing, not even the time.

Why not a library. Tried in November 2026:

- **pyrate-limiter 4.5.1** persists (`SQLiteBucket`, `PostgresBucket`), but: four processes on one
  SQLite bucket with its default connection were allowed 3,003 of 3,000 requests (the count and the
  insert are not one transaction; its optional file lock repairs that); the file is readable by
  everyone; nothing tells what is left of a rate or when it frees, `count()` is the number of rows
  stored; one row a request for the whole day makes a request cost 3.7 ms at 150,000 rows; a server's
  count cannot be entered when it exceeds the limit, as `put` refuses it whole; a full minute may
  leave in one burst; there is no calendar day. The PostgreSQL bucket locks the table with NOWAIT
  and answers "no" under contention, which makes callers poll.
- **limits 5.8.0** says what is left (`get_window_stats`), but stores in memory, Redis, Memcached or
  MongoDB only: nothing for a single machine without a server, and no PostgreSQL.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import ClassVar, Concatenate, Literal, ParamSpec, TypeVar

from oa_sync.quota.book import Book
from oa_sync.quota.headers import SHORT_WAIT, Reading
from oa_sync.quota.limits import (
    CALENDAR_GUARD,
    DAY_SECONDS,
    ROLLING,
    ROLLING_GUARD,
    SECOND,
    WINDOW,
    Limits,
)
from oa_sync.quota.schedule import book_slots, spacing

LARGEST_BATCH = 100

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """A counted request that may be sent `wait` seconds after the booking. `number` is the ledger's."""

    number: int
    wait: float


@dataclass(frozen=True)
class Grant:
    """Answer to a booking.

    `slots` is empty when the day (`reason` "day") or the server ("blocked") forbids it; then
    `wait_seconds` says for how long (None: for ever, the limit leaves nothing). `day_left` is what the
    day has left after it, the share kept for others included (None: unlimited).
    """

    slots: tuple[Slot, ...]
    wait_seconds: float | None
    reason: Literal["granted", "day", "blocked"]
    day_left: int | None
    resets_at: datetime | None

    @property
    def allowed(self) -> bool:
        """Whether at least one request may be sent."""
        return bool(self.slots)


@dataclass(frozen=True)
class Usage:
    """What an account has spent (requests).

    `resets_at` is when one more request than now is allowed, `full_at` when the whole day's
    allowance is back; None when nothing of it is spent. `blocked_until`: until when the server refuses.
    """

    used_minute: int
    used_day: int
    left_today: int | None
    resets_at: datetime | None
    full_at: datetime | None
    blocked_until: datetime | None


def _attempted(
    method: Callable[Concatenate[Ledger, P], T],
) -> Callable[Concatenate[Ledger, P], T]:
    """One transaction, which the store may attempt again."""

    @wraps(method)
    def attempted(self: Ledger, /, *args: P.args, **options: P.kwargs) -> T:
        return self._attempt(lambda: method(self, *args, **options))

    return attempted


class Ledger(ABC):
    """The rules of counting; `SqliteLedger` and `PostgresLedger` supply transactions and time."""

    remote: ClassVar[bool] = False
    """Whether a call may take a network round trip, and so does not belong on an event loop."""

    @abstractmethod
    def _transaction(
        self, account: int, per_minute: int | None
    ) -> AbstractContextManager[tuple[Book, int]]:
        """The account's book, locked against everyone else, and the time (epoch microseconds)."""

    def _attempt(self, work: Callable[[], T]) -> T:
        """The result of `work`, which makes one transaction. A store that can lose its server does it again."""
        return work()

    @abstractmethod
    def salt(self) -> bytes:
        """Random bytes made with the store."""

    @abstractmethod
    def close(self) -> None:
        """Release the store."""

    def account(self, api_key: str | None, base_url: str) -> int:
        """The account of a key, or of an API that has no key: 63 bits of a salted hash."""
        identity = f"key\0{api_key}" if api_key else f"url\0{base_url.rstrip('/')}"
        digest = hashlib.blake2b(identity.encode(), key=self.salt(), digest_size=8).digest()
        return int.from_bytes(digest) >> 1

    @_attempted
    def reserve(self, account: int, limits: Limits, want: int = 1, *, keep: int = 0) -> Grant:
        """Count up to `want` requests and say when each may be sent; `keep` requests of the day stay
        for others.

        The first slot may be up to about a minute ahead, further ones at most a second.
        """
        with self._transaction(account, limits.per_minute) as (book, now):
            book.set_clock(limits, now)
            now = book.state.clock
            denied = self._denied(book, limits, keep)
            if denied:
                return denied
            if limits.per_day is not None:
                want = min(want, limits.per_day - keep - book.day_total)
            slots = book_slots(
                book, limits.per_minute, min(want, LARGEST_BATCH), _blocked_until(book, limits)
            )
            return Grant(
                tuple(Slot(number, (instant - now) / SECOND) for number, instant in slots),
                (slots[0][1] - now) / SECOND,
                "granted",
                _left(book, limits),
                None,
            )

    @_attempted
    def release(self, account: int, limits: Limits, slots: Iterable[Slot]) -> None:
        """Give back slots that were certainly not used."""
        with self._transaction(account, limits.per_minute) as (book, now):
            book.set_clock(limits, now)
            state = book.state
            for slot in sorted(slots, key=lambda slot: -slot.number):
                instant = book.remove_slot(slot.number)
                if instant is None:
                    continue
                book.spend(instant // SECOND, sent=-1)
                if limits.per_minute is not None:
                    state.pace -= spacing(limits.per_minute)
                if slot.number == state.seq:
                    state.seq -= 1

    @_attempted
    def correct(self, account: int, limits: Limits, reading: Reading) -> None:
        """Where the server says that less is left than we think, others spend from the same quota:
        count their requests too. Never the other way round."""
        with self._transaction(account, limits.per_minute) as (book, now):
            book.set_clock(limits, now)
            state = book.state
            if reading.window == "minute" and limits.per_minute is not None:
                # Our slots count longer than the server's, and its count is as old as the answer.
                used = book.count_since(state.clock - WINDOW - 2 * SECOND)
                foreign = limits.per_minute - used - reading.remaining
                active = state.foreign_count if state.foreign_until > state.clock else 0
                if foreign > 0 and foreign >= active:
                    wait = 60.0 if reading.reset_in is None else min(reading.reset_in, 60.0)
                    state.foreign_count = foreign
                    state.foreign_until = state.clock + int(wait * SECOND) + SECOND
            elif reading.window == "day" and limits.per_day is not None:
                foreign = limits.per_day - book.day_total - reading.remaining
                if foreign > 0:
                    book.spend(_observed_bucket(limits, state.clock, reading), observed=foreign)

    @_attempted
    def block(self, account: int, limits: Limits, seconds: float) -> None:
        """The server forbids every request for `seconds` (at most a day); later commands know it too.

        A command with a larger day's limit (another plan) is not bound by it.
        """
        with self._transaction(account, limits.per_minute) as (book, now):
            book.set_clock(limits, now)
            until = book.state.clock + int(min(seconds, DAY_SECONDS) * SECOND)
            if until > book.state.blocked_until:
                book.state.blocked_until = until
                book.state.blocked_limit = limits.per_day or 0

    @_attempted
    def usage(self, account: int, limits: Limits, *, keep: int = 0) -> Usage:
        """What is spent and what is left; sends and counts nothing."""
        with self._transaction(account, limits.per_minute) as (book, now):
            book.only_read()
            book.set_clock(limits, now)
            state = book.state
            blocked = _blocked_until(book, limits)
            buckets = list(book.day_buckets())
            left = _left(book, limits)
            long_block = blocked - state.clock > SHORT_WAIT * SECOND
            return Usage(
                used_minute=book.count_since(state.clock - 60 * SECOND),
                used_day=book.day_total,
                left_today=0 if long_block and left is not None else left,
                resets_at=_instant(book, blocked if blocked else _frees_at(book, limits, keep)),
                full_at=_instant(
                    book,
                    _counts_until(book, limits, buckets[-1][0]) * SECOND
                    if buckets and limits.per_day is not None
                    else None,
                ),
                blocked_until=_instant(book, blocked or None),
            )

    @_attempted
    def allows_at(
        self, account: int, limits: Limits, want: int, *, keep: int = 0
    ) -> datetime | None:
        """The instant from which `want` requests may be sent; None: now. If a day never allows so many,
        as many as it does allow. The minute's pace comes on top."""
        with self._transaction(account, limits.per_minute) as (book, now):
            book.only_read()
            book.set_clock(limits, now)
            instants = [_blocked_until(book, limits)]
            if limits.per_day is not None:
                most = min(want, limits.per_day - keep)
                instants.append(_frees_at(book, limits, keep, most) or 0)
            return _instant(book, max(instants) or None)

    def _denied(self, book: Book, limits: Limits, keep: int) -> Grant | None:
        state = book.state
        blocked = _blocked_until(book, limits)
        left = _left(book, limits)
        if blocked - state.clock > SHORT_WAIT * SECOND:
            wait = (blocked - state.clock) / SECOND
            return Grant((), wait, "blocked", left, _instant(book, blocked))
        if limits.per_day is None or book.day_total < limits.per_day - keep:
            return None
        frees_at = _frees_at(book, limits, keep)
        if frees_at is None:
            return Grant((), None, "day", left, None)
        guard = 0 if limits.day == ROLLING else CALENDAR_GUARD * SECOND
        wait = (frees_at + guard - state.clock) / SECOND
        return Grant((), wait, "day", left, _instant(book, frees_at))


def _blocked_until(book: Book, limits: Limits) -> int:
    """Until when the server refuses a command with `limits`; 0 when it does not."""
    state = book.state
    if state.blocked_until <= state.clock:
        return 0
    larger = limits.per_day is None or limits.per_day > state.blocked_limit
    return 0 if state.blocked_limit and larger else state.blocked_until


def _left(book: Book, limits: Limits) -> int | None:
    return None if limits.per_day is None else max(0, limits.per_day - book.day_total)


def _frees_at(book: Book, limits: Limits, keep: int, want: int | None = None) -> int | None:
    """The instant from which `want` requests are allowed; None: they are now.

    Without `want`: from which one more than now is allowed; None: nothing is spent.
    """
    if limits.per_day is None or limits.per_day <= keep:
        return None
    allowed = limits.per_day - keep
    if want is None:
        must_leave = max(1, book.day_total - allowed + 1)
    else:
        must_leave = book.day_total + want - allowed
    if must_leave <= 0:
        return None
    for second, count in book.day_buckets():
        must_leave -= count
        if must_leave <= 0:
            guard = 0 if limits.day == ROLLING else CALENDAR_GUARD
            return (_counts_until(book, limits, second) - guard) * SECOND
    return None


def _counts_until(book: Book, limits: Limits, second: int) -> int:
    """As `Limits.counts_until`, by the ledger's clock: the days of a calendar are the machine's."""
    return limits.counts_until(second - book.lag, book.wall) + book.lag


def _observed_bucket(limits: Limits, clock: int, reading: Reading) -> int:
    """The second in which requests of others are counted: now, or so that they leave the rolling
    window when the server says that it frees."""
    second = clock // SECOND
    if limits.day != ROLLING or reading.reset_in is None or reading.reset_in >= DAY_SECONDS:
        return second
    return second + int(reading.reset_in) + 1 - DAY_SECONDS - ROLLING_GUARD


def _instant(book: Book, microseconds: int | None) -> datetime | None:
    """An instant of the ledger's clock as the machine's clock will show it."""
    if microseconds is None:
        return None
    return datetime.fromtimestamp((microseconds - book.lag * SECOND) / SECOND, UTC)
